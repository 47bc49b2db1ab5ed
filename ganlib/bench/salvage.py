"""One run that collapses by how its players learn, and one way of doing something about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganlib.bench.collapses import GAN, Ground
from ganlib.bench.mechanisms import MECHANISMS
from ganlib.config import (
    Cadence,
    Collapse,
    GanConfig,
    OtherNoise,
    Record,
    Rescue,
    Stop,
    overlay,
)
from ganlib.determinism import sub_seed
from ganlib.errors import Collapsed, Diverged
from ganlib.models import load_model
from ganlib.storage import write_bytes
from ganlib.training import MemoryTracker, Outcome, RunSpec, rescue
from ganlib.training.execute import execute

Cell = dict[str, Any]
ARMS = ("rescue", "rollback", "new seed", "best")
READINGS, TRIES = 20, Rescue().attempts
COVERS, SPREAD = 0.6, 0.3

RECIPES = ("digits",)
CAUSES: dict[str, Mapping[str, Any]] = {
    "fast generator": {"generator.optimiser.learning_rate": 1e-1},
    "momentum": {
        "generator.optimiser.beta1": 0.9,
        "discriminator.optimiser.beta1": 0.9,
        "discriminator.network.norm": "none",
    },
    **{name: MECHANISMS[name].changes for name in ("rates", "no normalisation")},
}


def salvage(ground: Ground, recipe: str, cause: str, seed: int, arm: str, folder: Path) -> Cell:
    """The run's end in `arm`: whether it is healthy, and all images that were shown for it.

    `alone`: nobody helps. `rescue`: the policies as they are by default. `rollback`: back to before
    the collapse by other noise alone, as often, since by the same noise it would be the same run.
    `new seed` and `best` start from nothing by another seed at the alarm, as often; `best` by the
    recipe's own settings, without what made the run collapse.
    """
    own = sub_seed(seed, f"rescue/{cause}") % 2**31
    short = overlay(ground.config.gan, {**GAN, "seed": own})
    sick = overlay(short, CAUSES[cause])
    watched = {"every": short.budget.images // READINGS}
    tried: list[tuple[GanConfig, Collapse]]
    match arm:
        case "alone":
            tried = [(sick, Record(**watched))]
        case "rescue":
            tried = [(sick, Rescue(**watched))]
        case "rollback":
            again = Rescue(**watched, policies=(OtherNoise(),) * TRIES, attempts=TRIES)
            tried = [(sick, again)]
        case "new seed" | "best":
            then = short if arm == "best" else sick
            seeds = range(1, TRIES + 1)
            others = [then.model_copy(update={"seed": (own + n) % 2**31}) for n in seeds]
            tried = [(config, Stop(**watched)) for config in (sick, *others)]
        case _:
            raise ValueError(arm)
    about = {"recipe": recipe, "cause": cause, "seed": seed, "arm": arm}
    return about | {"budget": short.budget.images} | _ended(ground, tried, folder)


def _ended(ground: Ground, tried: Sequence[tuple[GanConfig, Collapse]], folder: Path) -> Cell:
    """Of the first of `tried` that does not collapse, or of the last one."""
    images, found = 0, Cell()
    for number, (config, answer) in enumerate(tried):
        found = _one(ground, config, answer, folder / str(number))
        images += found.pop("shown")
        if found["ended"] in ("budget", "diverged"):
            break
    return found | {"images": images, "tries": number}


def _one(ground: Ground, config: GanConfig, answer: Collapse, folder: Path) -> Cell:
    every = answer.every
    cadence = Cadence(
        report=every, evaluate=2**40, sample=2**40, snapshot=every, keep_snapshots=READINGS
    )
    spec = RunSpec.of(
        config.model_copy(update={"collapse": answer, "cadence": cadence}),
        dataset_folder=str(ground.dataset.folder),
        dataset_fingerprint=ground.dataset.fingerprint,
        run_folder=str(folder.absolute()),
        selector=ground.selector,
    )
    tracker, clock, ended, last = MemoryTracker(), 0, "diverged", ""
    judged: dict[str, float] = {}
    try:
        outcome: Outcome = execute(spec, tracker=tracker)
        clock, ended, last = outcome.clock, "budget", outcome.collapse
        judged = ground.judged(load_model(Path(outcome.model)).module)
    except Collapsed as error:
        clock, ended, last = error.clock, "collapsed", error.told
    except Diverged as error:
        clock = error.clock
    attempts = rescue.made(spec)
    for line in tracker.of("image"):
        if line["name"] != "samples" or line["clock"] == clock:
            write_bytes(folder / f"{line['name']}.png", line["png"])
    tags = [line["values"] for line in tracker.of("tags")]
    alarms = [values["ganlib.collapse"] for values in tags if "ganlib.collapse" in values]
    # What was said before a cell was cut, its tracker does not know.
    alarms += [*(attempt.seen for attempt in attempts), last]
    return {
        "ended": ended,
        "healthy": bool(judged) and health(judged),
        "judged": judged,
        "shown": _shown(attempts, clock),
        "attempts": [str(attempt) for attempt in attempts],
        "seen": next((text for text in alarms if text.startswith("collapsed")), None),
        "pictures": str(folder),
    }


def _shown(attempts: Sequence[rescue.Attempt], clock: int) -> int:
    """Images that were trained on, those of each attempt that was given up among them."""
    start, images = 0, 0
    for attempt in attempts:
        images += attempt.collapsed_at - start
        start = attempt.clock
    return images + clock - start


def health(judged: dict[str, float]) -> bool:
    """All classes, 0.6 of the coverage of real images and 0.3 of their variance inside classes."""
    varied = judged["spread"] >= SPREAD
    return judged["classes"] >= 1 and judged["coverage"] >= COVERS and varied
