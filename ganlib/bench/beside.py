"""What asynchronous evaluation saves: the same GAN evaluated inside training and beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ganlib.config import ClusterConfig, load_recipe, overlay, parse_assignments
from ganlib.storage import read_json
from ganlib.training import Outcome, RunSpec

WAYS = ("inside", "beside")
CLUSTER = ClusterConfig(workers=1, threads=1, device="cpu")


def bench_beside(
    folder: Path,
    recipe: str = "mnist",
    *,
    rounds: int = 3,
    settings: Iterable[str] = (),
    search: Sequence[Path] = (),
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Seconds of a run on one worker of one thread, and those of them in which it stood still.

    Both from when its worker has begun, evaluated both ways in turns, `rounds` times; the second
    core is the evaluator's. `same` says whether readings and weights were equal bit for bit. Runs
    in `folder` that ended before are not run again.
    """
    from ganlib.cluster import fit, keeping_ray, ray_session
    from ganlib.data import prepare

    changes = dict(parse_assignments(settings))
    config = overlay(load_recipe(recipe), changes)
    folder = folder.absolute()
    data = prepare(config.data, folder / "data", search=search)
    turns: list[dict[str, Any]] = []
    ended: list[Outcome] = []
    with keeping_ray(), ray_session(CLUSTER, log=folder / "ray.log"):
        spec = _spec(config.classifier, data, folder / "selector")
        selector = fit(spec, CLUSTER, workers=1).model
        for number in range(rounds):
            turn: dict[str, Any] = {"load_average": {}}
            for way in WAYS[:: -1 if number % 2 else 1]:
                say(f"round {number + 1} of {rounds}, {way}")
                gan = config.gan.model_copy(update={"evaluate": way})
                spec = _spec(gan, data, folder / f"{way}-{number}")
                watched = {"selector": selector, "evaluation": config.evaluation}
                ended.append(fit(spec.model_copy(update=watched), CLUSTER, workers=1))
                turn[way] = read_json(Path(spec.run_folder) / "elapsed.json")
                turn["load_average"][way] = os.getloadavg()[0]
            turns.append(turn)
    return {
        "recipe": recipe,
        "settings": changes,
        "images": config.gan.budget.images,
        "evaluations": len(ended[0].series),
        "cores": len(os.sched_getaffinity(0)),
        **_medians(turns),
        "same": all(_found(one) == _found(ended[0]) for one in ended),
        "rounds": turns,
    }


def _spec(config: Any, data: Any, folder: Path) -> RunSpec:
    return RunSpec.of(
        config,
        dataset_folder=str(data.folder),
        dataset_fingerprint=data.fingerprint,
        run_folder=str(folder),
    )


def _medians(turns: Sequence[dict[str, Any]]) -> dict[str, float]:
    told = {
        f"{what}_{way}": median(turn[way][what] for turn in turns)
        for what in ("seconds", "stood_s")
        for way in WAYS
    }
    return told | {
        "time_ratio": median(
            turn["beside"]["seconds"] / turn["inside"]["seconds"] for turn in turns
        )
    }


def _found(outcome: Outcome) -> tuple[Any, str]:
    network = read_json(Path(outcome.model) / "network.json")
    return outcome.series, network["weights_sha256"]
