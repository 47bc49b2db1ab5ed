"""Images from a generator, each named by its seed, or by its step between two seeds.

N images, H W pixels, C channels, Z latent, S steps, R rows, K classes chosen.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.config import nearest
from ganlib.errors import InputError, NotFound
from ganlib.stages import each, named
from ganlib.stages.values import Samples
from ganlib.storage import Home, write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ganlib.models import LoadedModel

SEEDS = 2**32  # seeds that agree modulo this give the same noise
COUNT = 64
SWEEP_ROWS = 8
STEPS = 9
_ENDS = "an interpolation is given by its two seeds and the number of steps"


def sample(
    home: Home,
    model: str,
    *,
    count: int | None,
    classes: tuple[str, ...],
    seed: int | None,
    out: Path | str | None,
    interpolate: tuple[int, int] | None = None,
    steps: int | None = None,
    truncation: float | None = None,
    class_sweep: bool = False,
) -> Samples:
    """What `api.sample` says. Raises InputError for wishes that contradict each other."""
    _check(count, seed, interpolate, steps, class_sweep)
    folder = named.exported(home, model, "generator")
    from ganlib.evaluation import pictures, render, truncate
    from ganlib.models import kind_of, load_model

    loaded = load_model(folder)
    chosen = _chosen(loaded.classes, classes)
    if interpolate is not None:
        plan = _between(loaded, chosen, interpolate, STEPS if steps is None else steps)
    else:
        plan = _by_seed(loaded, chosen, count, seed or 0, class_sweep)
    z_NZ = plan.z_NZ
    if truncation is not None:
        try:
            z_NZ = truncate(z_NZ, truncation, kind_of(loaded.module))
        except ValueError as error:
            raise InputError(str(error), where="truncation") from error
    image_NHWC = render(loaded.module, z_NZ, plan.label_N)

    place = Path(out or f"samples-{named.short(model)}").expanduser().absolute()
    scale = max(1, round(48 / loaded.size))
    if (place / "samples.npz").exists():
        each.forget(place / "images")
    grid = pictures.grid(image_NHWC, plan.columns, scale, names=plan.rows)
    write_bytes(place / "grid.png", grid)
    write_bytes(
        place / "samples.npz",
        _npz(
            images=image_NHWC.numpy(),
            labels=plan.label_N.numpy(),
            class_names=_array(loaded.classes),
            **{name: numbers.numpy() for name, numbers in plan.origin.items()},
        ),
    )
    each.write(
        place / "images", image_NHWC.numpy(), plan.label_N.tolist(), plan.numbers, loaded.classes
    )
    return Samples(
        model=model,
        grid=str(place / "grid.png"),
        npz=str(place / "samples.npz"),
        folder=str(place / "images"),
        count=len(image_NHWC),
        classes=tuple(loaded.classes[label] for label in chosen),
        seed=(seed or 0) if interpolate is None else interpolate[0],
        interpolate=interpolate,
        truncation=truncation,
    )


@dataclass(frozen=True)
class _Plan:
    """`origin` goes into the npz, `numbers` name the files, `rows` the rows of the grid."""

    z_NZ: Tensor
    label_N: Tensor
    origin: dict[str, Tensor]
    numbers: list[int]
    columns: int
    rows: tuple[str, ...] = ()


def _check(
    count: int | None,
    seed: int | None,
    interpolate: tuple[int, int] | None,
    steps: int | None,
    class_sweep: bool,
) -> None:
    """All that can be told before the model is there."""
    if count is not None and not 1 <= count <= 1_000_000:
        raise InputError(f"count is {count}; it must be from 1 to 1,000,000", where="count")
    last = SEEDS - (COUNT if count is None else count)
    if seed is not None and not 0 <= seed <= last:
        raise InputError(f"seed is {seed}; it must be from 0 to 2^32 - count", where="seed")
    if steps is not None and not 2 <= steps <= 256:
        raise InputError(f"steps is {steps}; it must be from 2 to 256", where="steps")
    if interpolate is None:
        if steps is not None:
            raise InputError("steps are those of an interpolation", where="steps", hint=_ENDS)
        return
    if class_sweep:
        raise InputError(
            "an interpolation has its steps side by side, a class sweep its classes",
            where="class_sweep",
            hint="ask for one of them; an interpolation has one row for each class anyway",
        )
    if seed is not None or count is not None:
        name = "count" if seed is None else "seed"
        raise InputError(f"{name} has no meaning between two seeds", where=name, hint=_ENDS)
    if not all(0 <= end < SEEDS for end in interpolate):
        raise InputError(
            f"seeds are {interpolate}; they must be from 0 to 2^32 - 1", where="interpolate"
        )


def _by_seed(
    loaded: LoadedModel, chosen: list[int], count: int | None, seed: int, sweep: bool
) -> _Plan:
    """Classes taking turns with a seed each, or every class of one seed before the next seed."""
    import torch

    from ganlib.evaluation import class_sweep
    from ganlib.models import kind_of, noise

    label_K = torch.tensor(chosen)
    width = len(chosen)
    if sweep and len(loaded.classes) == 1:
        raise InputError(
            "a class sweep needs classes, and the model learnt from images without any",
            where="class_sweep",
            hint="leave it out: every seed is an image of its own",
        )
    if sweep:
        count = SWEEP_ROWS * width if count is None else count
        seed_R = torch.arange(-(-count // width)) + seed
        seed_N, label_N = (wanted_N[:count] for wanted_N in class_sweep(seed_R, label_K))
        columns, rows = width, tuple(str(row) for row in seed_R.tolist())
    else:
        count = COUNT if count is None else count
        seed_N, label_N = torch.arange(count) + seed, label_K[torch.arange(count) % width]
        columns, rows = width if width > 1 else 8, ()
    z_NZ = noise(seed_N, _latent_size(loaded), kind_of(loaded.module))
    origin = {"seeds": seed_N}
    return _Plan(z_NZ, label_N, origin, seed_N.tolist(), min(columns, count), rows)


def _between(loaded: LoadedModel, chosen: list[int], ends: tuple[int, int], steps: int) -> _Plan:
    """A row of steps from one seed to the other for each class; each image knows both."""
    import torch

    from ganlib.evaluation import grid_names, interpolate
    from ganlib.models import kind_of, noise

    kind = kind_of(loaded.module)
    start_Z, end_Z = noise(torch.tensor(ends), _latent_size(loaded), kind)
    z_SZ = interpolate(start_Z, end_Z, steps, kind)
    count = len(chosen) * steps
    origin = {
        "seeds": torch.tensor(ends).expand(count, 2),
        "positions": torch.linspace(0, 1, steps).repeat(len(chosen)),
    }
    label_N = torch.tensor(chosen).repeat_interleave(steps)
    numbers = list(range(steps)) * len(chosen)
    rows = grid_names(loaded.classes, torch.tensor(chosen), 1)
    return _Plan(z_SZ.repeat(len(chosen), 1), label_N, origin, numbers, steps, rows)


def _latent_size(loaded: LoadedModel) -> int:
    return int(loaded.module.latent_size)  # type: ignore[arg-type]


def _chosen(known: tuple[str, ...], asked: tuple[str, ...]) -> list[int]:
    """Labels of the classes asked for, all if none is; raises NotFound with the nearest name."""
    for name in asked:
        if name not in known:
            close = nearest(name, known)
            raise NotFound(
                f"there is no class {name!r}",
                where=name,
                hint=f"did you mean {close}?" if close else f"classes: {', '.join(known)}",
            )
    return [known.index(name) for name in asked or known]


def _npz(**arrays: NDArray[np.generic]) -> bytes:
    import numpy as np

    data = io.BytesIO()
    np.savez_compressed(data, allow_pickle=False, **arrays)
    return data.getvalue()


def _array(names: tuple[str, ...]) -> NDArray[np.str_]:
    import numpy as np

    return np.array(names)
