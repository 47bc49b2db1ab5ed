"""One method on stacks: each seed trained, sampled, judged and kept; cut short, it goes on.

N stacks, H W pixels, C = 3 channels.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from ganlib.bench.names import Name, Narrow, Protocol, Stacked
from ganlib.bench.stacked import methods
from ganlib.bench.stacked.digits import JUDGED, Floor, Stacks
from ganlib.bench.stacked.judge import Classify, Score
from ganlib.bench.stacked.learning import Learner, Limit, trained
from ganlib.config import GanConfig, fingerprint
from ganlib.errors import ConfigError
from ganlib.evaluation import pictures
from ganlib.storage import read_json, write_bytes, write_json

SHOWN = 64
FIGURES = tuple(field.name for field in fields(Score))
MEASURES = ("modes", "divergence_above_floor", "sure_modes", "sure_share")

Say = Callable[[str], None]
Told = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """What is asked; `narrow` is none but in the hard protocol, `configs` one for each seed."""

    benchmark: Stacked
    name: Name
    protocol: Protocol
    narrow: Narrow | None
    configs: tuple[GanConfig, ...]
    limit: Limit
    judge: str

    def asked(self, config: GanConfig) -> Told:
        """Of one seed."""
        return {
            "benchmark": self.benchmark,
            "method": self.name,
            "protocol": self.protocol,
            "discriminator": self.narrow,
            "fixed_stacks": methods.stacks_of(self.protocol),
            "limit": asdict(self.limit),
            "judge": self.judge,
            "gan": config.model_dump(mode="json"),
        }


def measured(
    cell: Cell,
    folder: Path,
    stacks: Stacks,
    floor: Floor,
    classify: Classify,
    *,
    fresh: bool,
    say: Say,
) -> Told:
    """The cell's result; what of it is in `folder` is not done again.

    Leaves of each seed `seed-<n>.json`, `seed-<n>.npz` with `samples` (N, 28, 28, 3) uint8,
    `seed-<n>.png` with some of them and `curves-<n>.png`. Raises ConfigError if `folder` holds
    another cell, unless `fresh`.
    """
    rows = [
        _row(cell, config, folder, stacks, floor, classify, fresh=fresh, say=say)
        for config in cell.configs
    ]
    return {
        "method": cell.name,
        "discriminator": cell.narrow,
        "rows": rows,
        "summary": {name: _summary([row[name] for row in rows]) for name in MEASURES},
        "seconds": sum(row["seconds"] for row in rows),
        "load_average": max(row["load_average"] for row in rows),
    }


def _row(
    cell: Cell,
    config: GanConfig,
    folder: Path,
    stacks: Stacks,
    floor: Floor,
    classify: Classify,
    *,
    fresh: bool,
    say: Say,
) -> Told:
    seed, asked = config.seed, cell.asked(config)
    path, place = folder / f"seed-{seed}.json", folder / f"unfinished-{seed}.safetensors"
    if fresh:
        path.unlink(missing_ok=True)
        place.unlink(missing_ok=True)
    if path.exists():
        kept: Told = read_json(path)
        _same(kept["asked"], asked, folder)
        return kept
    learner = Learner(config, stacks)
    about = f"{cell.benchmark}, {cell.name}, seed {seed}: "
    spent = trained(
        learner, cell.limit, classify, place, fingerprint(asked), lambda text: say(about + text)
    )
    image_NHWC = learner.samples()
    found = {key: spent["looks"][-1][key] for key in FIGURES}
    packed = io.BytesIO()
    np.savez_compressed(packed, samples=image_NHWC.numpy())
    write_bytes(folder / f"seed-{seed}.npz", packed.getvalue())
    write_bytes(folder / f"seed-{seed}.png", pictures.grid(image_NHWC[:SHOWN], 16, 2))
    write_bytes(folder / f"curves-{seed}.png", curves(spent["looks"], floor))
    told = {
        "asked": asked,
        "seed": seed,
        **found,
        "divergence_above_floor": found["divergence"] - floor.divergence,
        **spent,
        "images_per_second": spent["images"] / max(spent["seconds"], 1e-9),
        "device": learner.device.type,
        "samples": str(folder / f"seed-{seed}.npz"),
        "picture": str(folder / f"seed-{seed}.png"),
        "curves": str(folder / f"curves-{seed}.png"),
        "judged": JUDGED,
    }
    write_json(path, told)
    place.unlink(missing_ok=True)
    return dict(read_json(path))


def curves(looks: Sequence[Told], floor: Floor) -> bytes:
    """Modes, those that are sure, and KL against images shown, as a PNG."""
    series = {
        "modes": [(look["images"], look["modes"]) for look in looks],
        "modes for sure": [(look["images"], look["sure_modes"]) for look in looks],
        "KL": [(look["images"], look["divergence"]) for look in looks],
    }
    return pictures.curves(series, floors={"KL": floor.divergence})


def _summary(values: Sequence[float]) -> Told:
    """Mean, its standard error, least and most over seeds."""
    return {
        "mean": fmean(values),
        "error": stdev(values) / len(values) ** 0.5 if len(values) > 1 else None,
        "least": min(values),
        "most": max(values),
    }


def _same(kept: Told, asked: Told, folder: Path) -> None:
    if kept == json.loads(json.dumps(asked)):
        return
    differs = ", ".join(name for name, value in asked.items() if kept.get(name) != value)
    raise ConfigError(
        f"{folder} holds a result with another {differs}",
        where="--out",
        hint="give another folder with --out, or do it again with --fresh",
    )
