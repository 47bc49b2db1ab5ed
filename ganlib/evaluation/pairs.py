"""Who looks at all pairs of an evaluation: this process, the ranks of a group, or workers.

N real samples, M generated ones, F features, B rows of a block. Every number is that of one
process: blocks are the same whoever takes them, and sums are added in the order of the blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ganlib.determinism import Replicas
from ganlib.evaluation.extractor import Extractor
from ganlib.evaluation.sampling import generate
from ganlib.metrics import (
    Fit,
    KernelMoments,
    KernelSide,
    KernelSums,
    PrdcSums,
    class_covered,
    class_fits,
    class_radii,
    kernel_distance,
    squared_radii,
)
from ganlib.metrics.kernel import cheaper_by_moments, cross_sum, of_moments, own_sum
from ganlib.metrics.neighbours import blocks, pairs_within
from ganlib.storage import write_bytes

Part = tuple[int, int]
Opening = Callable[[], tuple[nn.Module, Extractor]]

# Images of one block of a sample set: whole batches of every extractor and of `generate`.
DRAWN = 512
# Up to so many features moments are small enough to be sent.
MOMENTS = 128
# Of rows, where the last digits depend on how many slices are added.
SLICES = 4
# Parts for each worker: one that is late holds up the rest by a fraction of its work only.
EACH = 4


class Pairs(Protocol):
    """Features are of any floating type and are looked at in float64."""

    def squared_radii(self, feature_NF: Tensor, k: int) -> Tensor:
        """radius_N, as `metrics.squared_radii`."""
        ...

    def compare(
        self, real_NF: Tensor, fake_MF: Tensor, real_radius_N: Tensor, fake_radius_M: Tensor
    ) -> PrdcSums:
        """Squared radii, as `metrics.PrdcSums.of`."""
        ...

    def class_radii(self, feature_NF: Tensor, label_N: Tensor, k: int) -> Tensor:
        """radius_N, as `metrics.class_radii`."""
        ...

    def class_covered(
        self,
        real_NF: Tensor,
        real_label_N: Tensor,
        real_radius_N: Tensor,
        fake_MF: Tensor,
        fake_label_M: Tensor,
    ) -> Tensor:
        """covered_N, as `metrics.class_covered`."""
        ...

    def kernel_side(self, feature_NF: Tensor, others: int) -> KernelSide:
        """As `metrics.KernelSide.of`."""
        ...

    def kernel_distance(
        self, real_NF: Tensor, fake_MF: Tensor, real: KernelSide | None = None
    ) -> float:
        """As `metrics.kernel_distance`."""
        ...

    def near_pairs(self, feature_NF: Tensor, squared_radius: float) -> int:
        """As `metrics.near_pairs`."""
        ...

    def fit(self, feature_NF: Tensor) -> Fit:
        """As `metrics.Fit.of`."""
        ...

    def class_fits(self, feature_NF: Tensor, label_N: Tensor) -> Mapping[int, Fit]:
        """As `metrics.class_fits`."""
        ...


class Workers(Protocol):
    """Processes that share this machine's or a cluster's folders."""

    @property
    def width(self) -> int:
        """How many parts are worked on at a time."""
        ...

    def each(self, work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What `work` returns for each job's arguments, in the order of the jobs.

        A job whose process is lost is done again, so it must be the same when it is.
        """
        ...


@dataclass(frozen=True)
class InTurn:
    """Workers that are this very process: parts one after another."""

    width: int = 1

    def each(self, work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [work(*job) for job in jobs]


@dataclass(frozen=True)
class InRanks:
    """Each rank takes its part and all get the sums; kernels and near pairs every rank alone."""

    replicas: Replicas = field(default_factory=Replicas)

    @property
    def _part(self) -> Part:
        return self.replicas.rank, self.replicas.world

    def squared_radii(self, feature_NF: Tensor, k: int) -> Tensor:
        return self.replicas.sum(squared_radii(feature_NF, k, part=self._part))

    def compare(
        self, real_NF: Tensor, fake_MF: Tensor, real_radius_N: Tensor, fake_radius_M: Tensor
    ) -> PrdcSums:
        sums = PrdcSums.of(real_NF, fake_MF, real_radius_N, fake_radius_M, part=self._part)
        return PrdcSums(
            self.replicas.sum(sums.around_M),
            self.replicas.sum(sums.covered_N),
            self.replicas.sum(sums.recalled_N),
        )

    def class_radii(self, feature_NF: Tensor, label_N: Tensor, k: int) -> Tensor:
        return self.replicas.sum(class_radii(feature_NF, label_N, k, part=self._part))

    def class_covered(
        self,
        real_NF: Tensor,
        real_label_N: Tensor,
        real_radius_N: Tensor,
        fake_MF: Tensor,
        fake_label_M: Tensor,
    ) -> Tensor:
        given = real_NF, real_label_N, real_radius_N, fake_MF, fake_label_M
        return self.replicas.sum(class_covered(*given, part=self._part))

    def kernel_side(self, feature_NF: Tensor, others: int) -> KernelSide:
        return KernelSide.of(feature_NF, others)

    def kernel_distance(
        self, real_NF: Tensor, fake_MF: Tensor, real: KernelSide | None = None
    ) -> float:
        return kernel_distance(real_NF, fake_MF, real)

    def near_pairs(self, feature_NF: Tensor, squared_radius: float) -> int:
        return pairs_within(feature_NF, squared_radius)

    def fit(self, feature_NF: Tensor) -> Fit:
        return Fit.of(feature_NF)

    def class_fits(self, feature_NF: Tensor, label_N: Tensor) -> Mapping[int, Fit]:
        return class_fits(feature_NF, label_N)


class ByWorkers:
    """Features go through files in `folder`, which all workers see; only sums travel.

    A worker holds what it reads and one side once more, 4 M F bytes in float32, or 16 M F where so
    many pairs are near that they are looked at in float64. Raises what `workers` raise, and
    StorageError if the folder cannot be written.
    """

    def __init__(self, workers: Workers, folder: Path, opening: Opening | None = None) -> None:
        """`opening` gives each worker the generator and the extractor, for `draw`."""
        self.workers, self.folder, self.opening = workers, folder, opening
        # The tensors are held, so that no other one comes to lie at the same place.
        self._written: dict[tuple[int, torch.Size], tuple[Tensor, Path]] = {}

    def draw(self, seed_N: Tensor, label_N: Tensor) -> tuple[Tensor, Tensor]:
        """feature_NF, logits_NK of the images with these seeds and labels, on the CPU.

        Raises ValueError without an `opening`.
        """
        if self.opening is None:
            raise ValueError("workers that were given no generator draw no images")
        name = hashlib.sha256(seed_N.numpy().tobytes() + label_N.numpy().tobytes()).hexdigest()[:16]
        parts = self._parts(-(-len(seed_N) // DRAWN))
        jobs = [
            (self.opening, self.folder / f"drawn-{name}-{rank}.safetensors", seed_N, label_N,
             (rank, world))
            for rank, world in parts
        ]  # fmt: skip
        feature_NF = logits_NK = torch.empty(0)
        for part, path in zip(parts, self.workers.each(_draw, jobs), strict=True):
            found = load_file(path)
            if not len(feature_NF):
                feature_NF = found["feature_NF"].new_empty(len(seed_N), found["feature_NF"].size(1))
                logits_NK = found["logits_NK"].new_empty(len(seed_N), found["logits_NK"].size(1))
            row_B = _rows(len(seed_N), part)
            feature_NF[row_B], logits_NK[row_B] = found["feature_NF"], found["logits_NK"]
            Path(path).unlink(missing_ok=True)
        return feature_NF, logits_NK

    def squared_radii(self, feature_NF: Tensor, k: int) -> Tensor:
        path = self._at(feature_NF)
        found = self.workers.each(_radii, [(path, k, part) for part in self._parts()])
        return _total(found).to(feature_NF.device)

    def compare(
        self, real_NF: Tensor, fake_MF: Tensor, real_radius_N: Tensor, fake_radius_M: Tensor
    ) -> PrdcSums:
        given = (self._at(real_NF), self._at(fake_MF), real_radius_N.cpu(), fake_radius_M.cpu())
        found = self.workers.each(_compare, [(*given, part) for part in self._parts()])
        around, covered, recalled = (_total(side) for side in zip(*found, strict=True))
        return PrdcSums(*(side.to(real_NF.device) for side in (around, covered, recalled)))

    def class_radii(self, feature_NF: Tensor, label_N: Tensor, k: int) -> Tensor:
        given = self._at(feature_NF), label_N.cpu(), k
        found = self.workers.each(_class_radii, [(*given, part) for part in self._parts()])
        return _total(found).to(feature_NF.device)

    def class_covered(
        self,
        real_NF: Tensor,
        real_label_N: Tensor,
        real_radius_N: Tensor,
        fake_MF: Tensor,
        fake_label_M: Tensor,
    ) -> Tensor:
        real = self._at(real_NF), real_label_N.cpu(), real_radius_N.cpu()
        given = (*real, self._at(fake_MF), fake_label_M.cpu())
        found = self.workers.each(_class_covered, [(*given, part) for part in self._parts()])
        return _total(found).to(real_NF.device)

    def kernel_side(self, feature_NF: Tensor, others: int) -> KernelSide:
        count, size, path = len(feature_NF), feature_NF.shape[1], self._at(feature_NF)
        if size <= MOMENTS and cheaper_by_moments(count, others, size):
            return KernelSide(count, _added(self._slices(_moments, path)))
        found = self.workers.each(_own_kernel, [(path, part) for part in self._parts()])
        return KernelSide(count, _total(found).sum())

    def kernel_distance(
        self, real_NF: Tensor, fake_MF: Tensor, real: KernelSide | None = None
    ) -> float:
        reals, fakes = len(real_NF), len(fake_MF)
        real = real or self.kernel_side(real_NF, fakes)
        if isinstance(real.told, KernelMoments):
            return of_moments(real.told, _added(self._slices(_moments, self._at(fake_MF))))
        paths = self._at(real_NF), self._at(fake_MF)
        told = self.workers.each(_kernel, [(*paths, part) for part in self._parts()])
        own, across = (_total(side) for side in zip(*told, strict=True))
        return KernelSums(real.told.cpu(), own, across).finish(reals, fakes)

    def near_pairs(self, feature_NF: Tensor, squared_radius: float) -> int:
        path = self._at(feature_NF)
        jobs = [(path, squared_radius, part) for part in self._parts()]
        return sum(self.workers.each(_near, jobs))

    def fit(self, feature_NF: Tensor) -> Fit:
        found: Fit = _added(self._slices(_fit, self._at(feature_NF)))
        return found

    def class_fits(self, feature_NF: Tensor, label_N: Tensor) -> Mapping[int, Fit]:
        given = self._at(feature_NF), label_N.cpu()
        jobs = [(*given, part) for part in self._parts(int(label_N.max()) + 1)]
        found = self.workers.each(_class_fits, jobs)
        return {label: fit for part in found for label, fit in part.items()}

    def clear(self) -> None:
        """Remove what was written for the workers."""
        for _, path in self._written.values():
            path.unlink(missing_ok=True)
        self._written.clear()
        with suppress(OSError):  # somebody else's files are in it
            self.folder.rmdir()

    def _parts(self, most: int = 2**31) -> list[Part]:
        world = min(EACH * self.workers.width, most)
        return [(rank, world) for rank in range(world)]

    def _slices(self, work: Callable[..., Any], path: Path) -> list[Any]:
        """What `work` says of equal slices; the slices depend on nothing."""
        return self.workers.each(work, [(path, (rank, SLICES)) for rank in range(SLICES)])

    def _at(self, feature_NF: Tensor) -> Path:
        """Where the workers find them, as float32 if nothing is lost by it."""
        place = (feature_NF.data_ptr(), feature_NF.shape)
        if place not in self._written:
            path = self.folder / f"features-{len(self._written)}.safetensors"
            write_bytes(path, save({"feature_NF": narrowed(feature_NF)}))
            self._written[place] = (feature_NF, path)
        return self._written[place][1]


def narrowed(value: Tensor) -> Tensor:
    """On the CPU, in float32 if that holds every number exactly."""
    value = value.detach().cpu().contiguous()
    narrow = value.float()
    return narrow if torch.equal(narrow.to(value.dtype), value) else value


def _added(parts: Sequence[Any]) -> Any:
    found = parts[0]
    for part in parts[1:]:
        found = found + part
    return found


def _total(parts: Sequence[Tensor]) -> Tensor:
    found = parts[0].clone()
    for part in parts[1:]:
        found += part
    return found


def _features(path: Path) -> Tensor:
    return load_file(path)["feature_NF"]


def _rows(count: int, part: Part) -> Tensor:
    """row_B of a part's blocks of images."""
    found = [torch.arange(rows.start, rows.stop) for rows in blocks(count, DRAWN, part)]
    return torch.cat(found)


def _draw(opening: Opening, path: Path, seed_N: Tensor, label_N: Tensor, part: Part) -> Path:
    generator, extractor = opening()
    features, logits = [], []
    for rows in blocks(len(seed_N), DRAWN, part):
        feature_BF, logits_BK = extractor(generate(generator, seed_N[rows], label_N[rows]))
        features.append(narrowed(feature_BF))
        logits.append(narrowed(logits_BK))
    write_bytes(path, save({"feature_NF": torch.cat(features), "logits_NK": torch.cat(logits)}))
    return path


def _radii(path: Path, k: int, part: Part) -> Tensor:
    return squared_radii(_features(path), k, part=part)


def _compare(
    real: Path, fake: Path, real_radius_N: Tensor, fake_radius_M: Tensor, part: Part
) -> tuple[Tensor, Tensor, Tensor]:
    sums = PrdcSums.of(_features(real), _features(fake), real_radius_N, fake_radius_M, part=part)
    return sums.around_M, sums.covered_N, sums.recalled_N


def _class_radii(path: Path, label_N: Tensor, k: int, part: Part) -> Tensor:
    return class_radii(_features(path), label_N, k, part=part)


def _class_covered(
    real: Path,
    real_label_N: Tensor,
    real_radius_N: Tensor,
    fake: Path,
    fake_label_M: Tensor,
    part: Part,
) -> Tensor:
    given = _features(real), real_label_N, real_radius_N, _features(fake), fake_label_M
    return class_covered(*given, part=part)


def _own_kernel(path: Path, part: Part) -> Tensor:
    return own_sum(_features(path), part)


def _kernel(real: Path, fake: Path, part: Part) -> tuple[Tensor, Tensor]:
    real_NF, fake_MF = _features(real), _features(fake)
    return own_sum(fake_MF, part), cross_sum(real_NF, fake_MF, part)


def _moments(path: Path, part: Part) -> KernelMoments:
    return KernelMoments.of(_slice(path, part))


def _fit(path: Path, part: Part) -> Fit:
    return Fit.of(_slice(path, part))


def _class_fits(path: Path, label_N: Tensor, part: Part) -> Mapping[int, Fit]:
    return class_fits(_features(path), label_N, part=part)


def _slice(path: Path, part: Part) -> Tensor:
    rank, world = part
    feature_NF = _features(path)
    size = -(-len(feature_NF) // world)
    return feature_NF[rank * size : (rank + 1) * size]


def _near(path: Path, squared_radius: float, part: Part) -> int:
    return pairs_within(_features(path), squared_radius, part=part)
