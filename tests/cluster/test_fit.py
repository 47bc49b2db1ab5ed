"""Runs under a real Ray Train: a killed rank leaves no trace, errors come back as themselves."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
import ray.exceptions
import torch
from ray.train.v2.api.exceptions import WorkerGroupError

from ganlib.cluster import fit, fit_many
from ganlib.cluster.fit import _answer
from ganlib.cluster.verdicts import Verdicts
from ganlib.config import Adam, Budget, Custom
from ganlib.data import Dataset
from ganlib.errors import ConfigError, Diverged, OutOfMemory, StageFailed, WorkersLost
from ganlib.models import load_model
from ganlib.training import RunIdentity, RunSpec, read_journal
from tests.cluster.conftest import CLUSTER, small_classifier, small_gan, spec_of
from tests.cluster.tiny import until

pytestmark = pytest.mark.usefixtures("ray_up")


def writes_to(path: Path) -> list[int]:
    """The processes whose standard output is `path`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "fd" / "1") == str(path):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def told(spec: RunSpec, folder: Path) -> RunSpec:
    """The spec with a journal in `folder`."""
    identity = RunIdentity(id="run", key="run", experiment="x", name="run", stage="gan")
    return spec.model_copy(update={"identity": identity, "spool": str(folder)})


def test_a_killed_rank_leaves_no_trace_in_the_weights(tmp_path: Path, digits: Dataset):
    config = small_gan(budget=Budget(images=3_200))
    killed = told(spec_of(config, digits, tmp_path / "killed"), tmp_path / "spool")

    def kill() -> None:
        until(lambda: any((tmp_path / "killed" / "snapshots").glob("*/meta.json")))
        for pid in writes_to(tmp_path / "killed" / "worker-1.log"):
            os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    outcome = fit(killed, CLUSTER, workers=2)
    thread.join()
    lines = list(read_journal(tmp_path / "spool" / "run.jsonl"))
    notes = [line["text"] for line in lines if line["kind"] == "note"]
    assert any(note.startswith("resumed at") for note in notes), notes
    whole = fit(spec_of(config, digits, tmp_path / "whole"), CLUSTER, workers=2)
    assert (outcome.clock, outcome.reason) == (whole.clock, whole.reason) == (3_200, "budget")
    a, b = (load_model(Path(o.model)).module.state_dict() for o in (outcome, whole))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert fit(killed, CLUSTER, workers=2) == outcome
    assert not (tmp_path / "killed" / "ray").exists()
    assert not list((tmp_path / "killed").glob("verdicts-*"))


@pytest.mark.slow
def test_one_that_diverges_is_itself_and_the_other_comes_to_its_end(
    tmp_path: Path, digits: Dataset
):
    """The other is a network of a user's own."""
    own = Custom(build="tests.cluster.tiny:flat")
    wild = small_classifier(optimiser=Adam(learning_rate=1.0, weight_decay=1e30))
    specs = [
        spec_of(wild, digits, tmp_path / "wild"),
        spec_of(small_classifier(network=own), digits, tmp_path / "tame"),
    ]
    with pytest.raises(Diverged) as caught:
        fit_many(specs, CLUSTER, workers=1)
    assert caught.value.clock > 0
    assert "learning rates" in caught.value.hint
    assert (tmp_path / "tame" / "outcome.json").exists()
    assert (tmp_path / "wild" / "worker-0.log").read_text().count("Traceback") == 1


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        ("tests.cluster.tiny:missing", ConfigError, "missing"),
        ("tests.cluster.tiny:broken_on_rank_1", StageFailed, "ZeroDivisionError"),
    ],
)
def test_a_users_mistake_is_told_and_not_tried_again(
    tmp_path: Path, digits: Dataset, build: str, error: type[Exception], words: str
):
    """Also when one of two ranks makes it and the other waits for it for ever."""
    spec = spec_of(small_classifier(network=Custom(build=build)), digits, tmp_path)
    with pytest.raises(error, match=words):
        fit(spec, CLUSTER, workers=2)
    assert (tmp_path / "worker-1.log").read_text().count(words) >= 1


def test_more_workers_than_there_is_room_for_are_refused(tmp_path: Path, digits: Dataset):
    with pytest.raises(ConfigError, match="512 CPUs") as caught:
        fit(spec_of(small_classifier(), digits, tmp_path), CLUSTER, workers=512)
    assert caught.value.where == "cluster.workers"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (ray.exceptions.OutOfMemoryError("the node ran low on memory"), OutOfMemory),
        (ray.exceptions.ActorDiedError(), WorkersLost),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_workers_that_went_without_a_word_are_told_by_why(
    tmp_path: Path, digits: Dataset, failure: Exception, kind: type[StageFailed]
):
    error = WorkerGroupError("they are gone", {1: failure})
    spec = spec_of(small_classifier(), digits, tmp_path)
    with pytest.raises(kind, match="they are gone") as caught:
        _answer(error, Verdicts(tmp_path / "none"), spec)
    assert "worker-*.log" in caught.value.hint
