"""One method on one benchmark: trained, sampled, scored, kept; cut short, it goes on.

S seeds, N samples, D = 2 dimensions.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from torch import Tensor

from ganlib.bench import kept
from ganlib.bench.collapse.game import Game
from ganlib.bench.collapse.gaussians import mixture
from ganlib.bench.collapse.methods import Method
from ganlib.bench.collapse.pictures import scatter
from ganlib.bench.collapse.scoring import Floor, Score, score
from ganlib.bench.kept import Say, Told
from ganlib.bench.names import Name, Plane, Protocol
from ganlib.config import fingerprint
from ganlib.storage import read_json, write_bytes, write_json

LOOKS = 25


@dataclass(frozen=True)
class Cell:
    """What is asked; `settings` is `method` by `name` in `protocol`, perhaps with changes."""

    plane: Plane
    name: Name
    protocol: Protocol
    settings: Method
    seeds: tuple[int, ...]

    def asked(self) -> Told:
        return {
            "benchmark": self.plane,
            "method": self.name,
            "protocol": self.protocol,
            "seeds": list(self.seeds),
            "settings": self.settings.model_dump(mode="json"),
        }

    def words(self) -> str:
        """The protocol, for a person."""
        one, judged = self.settings, mixture(self.plane)
        sizes = [
            f"{len(player.widths)} layers of {' and '.join(map(str, dict.fromkeys(player.widths)))}"
            + (f" (maxout of {player.pieces})" if player.activation == "maxout" else "")
            for player in (one.generator, one.discriminator)
        ]
        signs = f" and {one.signs} signs" if one.signs else ""
        batch = f"{one.batch} packs of {one.packing}" if one.packing > 1 else f"{one.batch}"
        return (
            f"generator {sizes[0]}, discriminator {sizes[1]}, latent {one.latent}{signs}, "
            f"batch {batch}, {one.iterations:,} iterations on fresh samples; "
            f"{judged.judged:,} samples judged, high quality within 3 sigma, a mode found with "
            f"{judged.least} of them or more"
        )


def measured(cell: Cell, folder: Path, floor: Floor, *, fresh: bool, say: Say) -> Told:
    """The cell's result, from `folder` if it is there.

    Leaves `cell.json`, `scatter.png` and of each seed `seed-<n>.npz` with `samples` (N, 2) float32.
    Raises ConfigError if `folder` holds another cell, unless `fresh`.
    """
    path, unfinished = folder / "cell.json", folder / "unfinished.safetensors"
    if fresh:
        path.unlink(missing_ok=True)
        unfinished.unlink(missing_ok=True)
    if (found := kept.done(path, cell.asked())) is not None:
        return found
    game, spent = _trained(cell, unfinished, say)
    sample_SND = game.samples(mixture(cell.plane).judged)
    told = _told(cell, sample_SND, floor, folder) | spent
    for seed, sample_ND in zip(cell.seeds, sample_SND, strict=True):
        kept.write_samples(folder / f"seed-{seed}.npz", sample_ND.float())
    write_bytes(folder / "scatter.png", scatter(sample_SND, cell.seeds, mixture(cell.plane)))
    write_json(path, told)
    unfinished.unlink(missing_ok=True)
    return dict(read_json(path))


def _trained(cell: Cell, unfinished: Path, say: Say) -> tuple[Game, Told]:
    """From where it was left; `looks` of equal length, each kept."""
    judged, total = mixture(cell.plane), cell.settings.iterations
    game = Game(cell.settings, judged, cell.seeds)
    done, key = 0, fingerprint(cell.asked())
    spent: Told = {"seconds": 0.0, "cpu_seconds": 0.0, "load_average": 0.0, "looks": []}
    if (left := kept.left(unfinished, key, say)) is not None:
        spent, state = left
        done = spent["looks"][-1]["iteration"]
        game.load_state_dict(state)
    every = max(1, total // LOOKS)
    while done < total:
        wall, cpu = time.perf_counter(), time.process_time()
        for iteration in range(done, min(done + every, total)):
            game.step(iteration)
        done = min(done + every, total)
        spent["seconds"] += time.perf_counter() - wall
        spent["cpu_seconds"] += time.process_time() - cpu
        spent["load_average"] = max(spent["load_average"], os.getloadavg()[0])
        scores = [score(sample_ND, judged) for sample_ND in game.samples(judged.judged)]
        spent["looks"].append(_look(done, scores))
        say(f"{cell.plane}, {cell.name}: {_said(spent, scores)}")
        if done < total:
            kept.keep(unfinished, key, spent, game.state_dict())
    return game, spent


def _look(done: int, scores: list[Score]) -> Told:
    return {
        "iteration": done,
        "modes": [one.modes for one in scores],
        "quality": [one.quality for one in scores],
    }


def _said(spent: Told, scores: list[Score]) -> str:
    last = spent["looks"][-1]
    modes, quality = fmean(last["modes"]), 100 * fmean(last["quality"])
    return (
        f"{last['iteration']:,} iterations, {spent['seconds']:.0f} s, modes {modes:.1f} of "
        f"{len(scores[0].counts)} (least {min(last['modes'])}), high quality {quality:.1f} %"
    )


def _told(cell: Cell, sample_SND: Tensor, floor: Floor, folder: Path) -> Told:
    rows = []
    for seed, sample_ND in zip(cell.seeds, sample_SND, strict=True):
        found = score(sample_ND, mixture(cell.plane))
        row = {"seed": seed, **asdict(found), "samples": str(folder / f"seed-{seed}.npz")}
        above = None if found.divergence is None else found.divergence - floor.divergence
        rows.append(row | {"divergence_above_floor": above})
    return {
        "asked": cell.asked(),
        "protocol_in_words": cell.words(),
        "iterations": cell.settings.iterations,
        "all_modes": len(rows[0]["counts"]),
        "rows": rows,
        "summary": {name: kept.summary([row[name] for row in rows]) for name in MEASURES},
        "picture": str(folder / "scatter.png"),
    }


MEASURES = ("modes", "quality", "divergence", "divergence_above_floor", "sigma_ratio")
