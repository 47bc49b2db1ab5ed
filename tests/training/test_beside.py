"""Evaluation beside training finds the same, whoever looks, and whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from ganlib.config import Plateau, overlay
from ganlib.data import Dataset
from ganlib.determinism import Replicas
from ganlib.errors import ConfigError, Damaged
from ganlib.training import MemoryTracker, Outcome, RunSpec
from ganlib.training.evaluators import ChildProcess, Evaluator, Nobody, nearby
from ganlib.training.execute import execute
from ganlib.training.look import Look, published, take
from ganlib.training.loop import Evaluate, Moment, Snapshot
from tests.ranks import on_ranks
from tests.training.conftest import spec_of
from tests.training.test_executing import GAN
from tests.training.test_resuming import Killed, assert_same, last_state, weights

INSIDE = overlay(GAN, {"budget.images": 640})
BESIDE = overlay(INSIDE, {"evaluate": "beside"})
CLOCKS = [128, 256, 384, 512, 640]


class AtOnce:
    """An evaluator that is never late, in this process; `asked` is what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def ask(self, look: Look) -> None:
        self.asked.append((look.clock, look.what))
        take(look)

    def wait(self, look: Look, seconds: float) -> bool:
        return look.path.exists()

    def close(self) -> None: ...


class Unhurried(AtOnce):
    """Takes a look when it has been waited for three times."""

    def ask(self, look: Look) -> None:
        self.asked.append((look.clock, look.what))
        self.patience = 3

    def wait(self, look: Look, seconds: float) -> bool:
        self.patience -= 1
        if self.patience < 0:
            take(look)
        return look.path.exists()


def told(tracker: MemoryTracker) -> list[tuple[int, dict[str, float]]]:
    lines = tracker.of("metrics")
    return [
        (line["clock"], line["values"])
        for line in lines
        if any(name.startswith("eval/") for name in line["values"])
    ]


def pictures(tracker: MemoryTracker) -> list[tuple[int, bytes]]:
    return [(line["clock"], line["png"]) for line in tracker.of("image")]


@pytest.fixture(scope="module")
def inside(
    digits: Dataset, selector: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunSpec, Outcome, MemoryTracker]:
    tracker = MemoryTracker()
    spec = spec_of(INSIDE, digits, tmp_path_factory.mktemp("inside"), selector=str(selector))
    return spec, execute(spec, tracker=tracker), tracker


@pytest.mark.parametrize("evaluator", [AtOnce, Unhurried, lambda: Nobody("no room"), None])
def test_readings_pictures_and_weights_are_those_of_inside(
    evaluator: Any,
    inside: tuple[RunSpec, Outcome, MemoryTracker],
    digits: Dataset,
    selector: Path,
    tmp_path: Path,
) -> None:
    """By a child process too, which is what none stands for where there is a core for it."""
    _, expected, tracker = inside
    spec = spec_of(BESIDE, digits, tmp_path / "run", selector=str(selector))
    who: Evaluator = ChildProcess(tmp_path / "log") if evaluator is None else evaluator()
    ours = MemoryTracker()
    outcome = execute(spec, tracker=ours, evaluator=who)
    assert [clock for clock, _ in outcome.series] == CLOCKS
    assert outcome.series == expected.series
    assert outcome.verdict == expected.verdict
    assert_same(weights(outcome), weights(expected))
    assert told(ours) == told(tracker)
    assert sorted(pictures(ours)) == pictures(tracker)
    assert not (tmp_path / "run" / "evaluating").exists()
    notes = [line["text"] for line in ours.of("note")]
    assert notes == (
        ["evaluated inside after all, at 0 images: no room"] if isinstance(who, Nobody) else []
    )


def test_decisions_read_readings_one_evaluation_old(
    digits: Dataset, selector: Path, tmp_path: Path
) -> None:
    heard: list[tuple[int, int]] = []
    at = [0]

    def note(moment: Moment) -> None:
        at[0] = moment.clock

    def listen(clock: int, readings: dict[str, float]) -> bool:
        heard.append((at[0], clock))
        return clock == 256

    spec = spec_of(BESIDE, digits, tmp_path, selector=str(selector))
    outcome = execute(spec, evaluator=AtOnce(), on_reading=listen, on_moment=note)
    assert heard == [(256, 128), (384, 256)]
    assert (outcome.clock, outcome.reason) == (384, "stopped")
    assert [clock for clock, _ in outcome.series] == [128, 256, 384]
    (tmp_path / "outcome.json").unlink()
    assert execute(spec, evaluator=AtOnce()) == outcome


def test_a_plateau_is_seen_one_evaluation_later(
    inside: tuple[RunSpec, Outcome, MemoryTracker], digits: Dataset, selector: Path, tmp_path: Path
) -> None:
    """At the end nothing is left to be late for: the last reading is decided by as well."""
    for patience, inside_stops, beside_stops in ((2, 384, 512), (3, 512, 640), (4, 640, 640)):
        found = []
        for config in (INSIDE, BESIDE):
            plateau = Plateau(patience=patience, min_delta=1.0)
            folder = tmp_path / f"{config.evaluate}-{patience}"
            spec = spec_of(
                overlay(config, {"plateau": plateau}), digits, folder, selector=str(selector)
            )
            outcome = execute(spec, evaluator=AtOnce())
            found.append((outcome.clock, outcome.reason))
            assert outcome.series == inside[1].series[: len(outcome.series)]
        assert found == [(inside_stops, "plateau"), (beside_stops, "plateau")]


@pytest.mark.parametrize("kind", [Evaluate, Snapshot])
@pytest.mark.parametrize("clock", [128, 384, 640])
def test_what_was_waited_for_is_asked_again(
    kind: type[Moment],
    clock: int,
    inside: tuple[RunSpec, Outcome, MemoryTracker],
    digits: Dataset,
    selector: Path,
    tmp_path: Path,
) -> None:
    """What the first attempt published is gone, and its snapshot has all that is needed."""

    def kill(moment: Moment) -> None:
        if isinstance(moment, kind) and moment.clock == clock:
            raise Killed

    spec = spec_of(BESIDE, digits, tmp_path, selector=str(selector))
    with pytest.raises(Killed):
        execute(spec, evaluator=Nobody("killed before"), on_moment=kill)
    evaluator, tracker = AtOnce(), MemoryTracker()
    outcome = execute(spec, evaluator=evaluator, tracker=tracker)
    theirs, expected, _ = inside
    assert outcome.series == expected.series
    assert_same(weights(outcome), weights(expected))
    assert_same(last_state(spec), last_state(theirs) | pending_at(spec))
    if clock > 128 or kind is Snapshot:
        resumed = clock if kind is Snapshot else clock - 128
        assert tracker.of("note")[0]["text"] == f"resumed at {resumed} images"
        assert evaluator.asked[:2] == [(resumed, "readings"), (resumed, "picture")]


def pending_at(spec: RunSpec) -> dict[str, torch.Tensor]:
    return {n: x for n, x in last_state(spec).items() if n.startswith("pending/")}


def test_two_workers_agree_on_what_is_late(
    inside: tuple[RunSpec, Outcome, MemoryTracker], digits: Dataset, selector: Path, tmp_path: Path
) -> None:
    plateau = {"plateau": Plateau(patience=2, min_delta=1.0), "precision": "float64"}
    spec = spec_of(overlay(BESIDE, plateau), digits, tmp_path, selector=str(selector), workers=2)
    first, second = on_ranks(2, on_a_rank, spec.model_dump_json())
    assert first == second
    assert (first["clock"], first["reason"]) == (512, "plateau")
    assert [clock for clock, _ in first["series"]] == CLOCKS[:4]


def on_a_rank(replicas: Replicas, spec: str) -> dict[str, Any]:
    return execute(RunSpec.model_validate_json(spec), replicas, evaluator=Unhurried()).model_dump()


def published_look(spec: RunSpec, folder: Path) -> Look:
    """A look at the weights that the last snapshot of a run holds."""
    state = {
        name.removeprefix("average."): tensor
        for name, tensor in last_state(spec).items()
        if name.startswith("average.")
    }
    published(folder).save(640, state, belongs={}, notes={})
    return Look(spec=spec, device="cpu", folder=str(folder), clock=640, what="readings")


def test_a_killed_evaluator_is_started_again_and_given_up_at_last(
    inside: tuple[RunSpec, Outcome, MemoryTracker], tmp_path: Path
) -> None:
    spec, expected, _ = inside
    look = published_look(spec, tmp_path / "run")
    evaluator = ChildProcess(tmp_path / "log")
    try:
        evaluator.ask(look)
        assert evaluator.process is not None
        os.kill(evaluator.process.pid, signal.SIGKILL)
        evaluator.process.wait()
        assert evaluator.wait(look, 240.0)
        assert look.readings() == expected.readings
        assert evaluator.lost == 1
    finally:
        evaluator.close()


def test_weights_that_are_not_whole_are_refused_by_name(
    inside: tuple[RunSpec, Outcome, MemoryTracker], tmp_path: Path
) -> None:
    """A child that cannot take a look gives up after a few tries; what is wrong is then raised."""
    look = published_look(inside[0], tmp_path)
    state = tmp_path / "000000000640" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-7] + b"garbage")
    with pytest.raises(Damaged, match="safetensors is damaged"):
        take(look)
    assert not look.path.exists()


def test_there_is_a_child_where_there_is_a_core_for_it(digits: Dataset, tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    crowded = nearby(spec_of(BESIDE, digits, tmp_path, workers=cores))
    assert isinstance(crowded, Nobody)
    assert crowded.reason == f"training takes {cores} of {cores} cores"
    if cores > 1:
        assert isinstance(
            nearby(spec_of(BESIDE, digits, tmp_path, workers=cores - 1)), ChildProcess
        )


def test_the_other_way_of_evaluating_is_another_run(
    inside: tuple[RunSpec, Outcome, MemoryTracker], digits: Dataset, selector: Path
) -> None:
    spec = inside[0]
    other = spec_of(BESIDE, digits, Path(spec.run_folder), selector=str(selector))
    with pytest.raises(ConfigError, match="another configuration"):
        execute(other, evaluator=AtOnce())


def test_killed_with_its_evaluator_it_continues_to_the_same(
    inside: tuple[RunSpec, Outcome, MemoryTracker], digits: Dataset, selector: Path, tmp_path: Path
) -> None:
    """SIGKILL of trainer and child at once, twice; the child of a killed trainer ends by itself."""
    spec = spec_of(BESIDE, digits, tmp_path, selector=str(selector))
    code = (
        "import sys; from ganlib.training import RunSpec; "
        "from ganlib.training.evaluators import ChildProcess; "
        "from ganlib.training.execute import execute; "
        "from pathlib import Path; "
        "spec = RunSpec.model_validate_json(sys.argv[1]); "
        "execute(spec, evaluator=ChildProcess(Path(spec.run_folder) / 'log'))"
    )
    for number in (128, 384):
        process = subprocess.Popen([sys.executable, "-c", code, spec.model_dump_json()])
        snapshot = tmp_path / "snapshots" / f"{number:012d}" / "meta.json"
        while process.poll() is None and not snapshot.exists():
            time.sleep(0.005)
        process.kill()
        process.wait()
    assert json.loads(snapshot.read_text())["notes"]["pending"]
    assert not (tmp_path / "outcome.json").exists()
    outcome = execute(spec, evaluator=AtOnce())
    _, expected, _ = inside
    assert outcome.series == expected.series
    assert_same(weights(outcome), weights(expected))
