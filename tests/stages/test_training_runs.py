"""Runs below a stage end with the truth, each with its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlib.errors import StageFailed
from ganlib.stages import pipelines, training_runs
from ganlib.storage import Home, write_json
from ganlib.training import Outcome, RunIdentity, read_journal


def test_a_run_that_was_finished_stays_so_when_the_one_beside_it_fails(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home")
    identities = [
        RunIdentity(
            id=f"p-1.{name}",
            key=f"p-1/{name}",
            experiment="e",
            name=name,
            stage="classifiers",
            tags={"ganlib.folder": str(tmp_path / name)},
        )
        for name in ("judge", "selector")
    ]
    outcome = Outcome(clock=640, reason="budget", readings={"accuracy": 0.9}, model="/model")
    write_json(tmp_path / "judge" / "outcome.json", {"outcome": outcome.model_dump()})
    with pytest.raises(StageFailed), training_runs.owning(home, identities):
        raise StageFailed("the selector lost its workers")
    ends = [list(read_journal(pipelines.journal_path(home, i.id)))[-1] for i in identities]
    assert [(end["status"], end["verdict"]) for end in ends] == [
        ("FINISHED", "budget"),
        ("FAILED", "failed"),
    ]
    assert ends[0]["description"] == "640 images: accuracy 0.9."
