"""One method on stacks: each seed trained, sampled, judged and kept; cut short, it goes on.

N stacks, H W pixels, C = 3 channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ganlib.bench import kept
from ganlib.bench.kept import Say, Told
from ganlib.bench.names import Name, Narrow, Protocol, Stacked
from ganlib.bench.stacked import methods
from ganlib.bench.stacked.digits import JUDGED, Floor, Stacks
from ganlib.bench.stacked.judge import Classify, Score
from ganlib.bench.stacked.learning import Learner, Limit, trained
from ganlib.config import DcganGenerator, GanConfig, fingerprint
from ganlib.evaluation import pictures
from ganlib.storage import read_json, write_bytes, write_json

SHOWN = 64
FIGURES = tuple(field.name for field in fields(Score))
MEASURES = ("modes", "divergence", "divergence_above_floor", "sure_modes", "sure_share")


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

    def words(self) -> str:
        """The protocol, for a person."""
        config, fixed = self.configs[0], methods.stacks_of(self.protocol)
        network = config.generator.network
        players = (
            f"DCGAN of width {network.width}"
            if isinstance(network, DcganGenerator)
            else f"small networks, the discriminator's with a {self.narrow} of the channels"
        )
        packs = f" in packs of {packing}" if (packing := config.discriminator.packing) > 1 else ""
        shown = f" or {self.limit.images:,} images" if self.limit.images < methods.FAR else ""
        return (
            f"{players}, batch {config.batch_size}{packs}, {self.limit.minutes:g} minutes{shown} "
            f"for each seed, on {f'{fixed:,} stacks drawn once' if fixed else 'fresh stacks'}; "
            f"{JUDGED:,} stacks judged, for sure where the judge gives three digits .9 or more"
        )


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
        "protocol_in_words": cell.words(),
        "rows": rows,
        "summary": {name: kept.summary([row[name] for row in rows]) for name in MEASURES},
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
    if (before := kept.done(path, asked)) is not None:
        return before
    learner = Learner(config, stacks)
    about = f"{cell.benchmark}, {cell.name}, seed {seed}: "
    spent = trained(
        learner, cell.limit, classify, place, fingerprint(asked), lambda text: say(about + text)
    )
    image_NHWC = learner.samples()
    found = {key: spent["looks"][-1][key] for key in FIGURES}
    kept.write_samples(folder / f"seed-{seed}.npz", image_NHWC)
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
