"""Journals become runs: all of it, nested, once, whatever dies in between."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from ganlib.storage import Home
from ganlib.tracking import Writer, run_of, tracking_uri, writing
from ganlib.tracking.connection import connect
from ganlib.tracking.drain import progress_of
from ganlib.tracking.runs import git_commit
from ganlib.training import Journal
from tests.tracking.conftest import picture

Make = Callable[..., Journal]


def drained(home: Home) -> None:
    with writing(home) as writer:
        assert writer.drain(60)


def test_a_run_has_everything_its_journal_says(home: Home, journal: Make) -> None:
    journal("p-1", tags={"ganlib.config": "abc"})
    tags = {"ganlib.config": "abc", "ganlib.flow_run_id": "f-1", "ganlib.trial_id": "t000"}
    run = journal("p-1.gan-2", parent="p-1", tags=tags)
    run.params({"gan": {"batch_size": 64, "rate": 2e-4}, "seed": None})
    run.dataset("digits", "f" * 16, "/data/digits")
    for clock in (64, 128, 192):
        run.metrics(clock, {"loss": 1 / clock, "coverage": clock / 200})
    run.image(128, "samples", picture(7))
    run.table("trials", [{"trial": 0, "rate": 0.1}, {"trial": 1, "score": 2}])
    note = home.root / "report.html"
    note.write_text("<p>report</p>")
    run.artifact(note, "report")
    run.close("FINISHED", "covers", "It covers 96 % of the digits.")
    drained(home)

    client = connect(home)
    parent, child = run_of(home, "p-1"), run_of(home, "p-1.gan-2")
    assert parent
    assert child
    found = client.get_run(child.run_id)
    assert found.data.tags["mlflow.parentRunId"] == parent.run_id
    assert found.data.tags["ganlib.key"] == "p-1/gan-2"
    assert found.data.tags["ganlib.verdict"] == "covers"
    assert found.data.tags["ganlib.dataset"] == "f" * 16
    assert {
        "ganlib.key", "ganlib.verdict", "ganlib.stage", "ganlib.flow_run_id", "ganlib.trial_id",
        "ganlib.attempt", "ganlib.config", "ganlib.dataset", "ganlib.heartbeat",
    } <= set(found.data.tags)  # fmt: skip
    assert found.data.tags.get("mlflow.source.git.commit", "") == git_commit()
    assert found.data.tags["mlflow.note.content"] == "It covers 96 % of the digits."
    assert found.data.tags["mlflow.loggedImages"] == "True"
    assert found.data.params == {"gan.batch_size": "64", "gan.rate": "0.0002", "seed": "none"}
    assert found.info.status == "FINISHED"
    history = client.get_metric_history(child.run_id, "coverage")
    assert [(m.step, m.value) for m in history] == [(64, 0.32), (128, 0.64), (192, 0.96)]
    (given,) = found.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("digits", "f" * 16)
    names = [item.path for item in client.list_artifacts(child.run_id, "images")]
    assert len(names) == 2
    assert all(name.startswith("images/samples+step+128+timestamp+") for name in names)
    assert client.load_table(child.experiment_id, "tables/trials.json", [child.run_id]).shape == (
        2,
        3,
    )
    assert client.list_artifacts(child.run_id, "report")[0].path == "report/report.html"
    assert client.get_run(parent.run_id).data.tags["ganlib.config"] == "abc"
    assert client.get_run(parent.run_id).info.status == "RUNNING"


def test_a_child_whose_parent_comes_first_in_nothing_still_nests(home: Home, journal: Make) -> None:
    child = journal("a-child", parent="z-parent")
    child.metrics(1, {"loss": 1.0})
    drained(home)
    journal("z-parent")
    child.metrics(2, {"loss": 0.5})
    drained(home)
    run, parent = run_of(home, "a-child"), run_of(home, "z-parent")
    assert run
    assert parent
    assert connect(home).get_run(run.run_id).data.tags["mlflow.parentRunId"] == parent.run_id


def test_a_resumed_run_goes_on_in_the_same_run_without_doubles(home: Home, journal: Make) -> None:
    first = journal("p-1")
    for clock in (10, 20, 30):
        first.metrics(clock, {"loss": float(clock)})
    first.image(20, "samples", picture(1))
    first.close("KILLED", "killed")
    drained(home)
    before = run_of(home, "p-1")
    again = journal("p-1")
    assert again.attempt == 2
    for clock in (20, 30, 40):
        again.metrics(clock, {"loss": float(clock)})
    again.image(20, "samples", picture(1))
    drained(home)

    client = connect(home)
    assert before
    assert run_of(home, "p-1") == before
    run = client.get_run(before.run_id)
    assert run.info.status == "RUNNING"
    assert run.data.tags["ganlib.attempt"] == "2"
    steps = [m.step for m in client.get_metric_history(before.run_id, "loss")]
    assert steps == [10, 20, 30, 40]
    assert len(client.list_artifacts(before.run_id, "images")) == 2
    again.close("FINISHED", "done")
    drained(home)
    assert client.get_run(before.run_id).info.status == "FINISHED"


def test_a_writer_that_dies_before_it_notes_how_far_it_came_repeats_without_doubles(
    home: Home, journal: Make
) -> None:
    run = journal("p-1")
    run.metrics(1, {"loss": 0.5, "bad": float("nan")})
    run.image(1, "samples", picture(1))
    run.table("rows", [{"a": 1}])
    run.close("FINISHED", "done")
    drained(home)
    (home.spool / "p-1.offset").unlink()  # as if it had died between the two
    (home.spool / "p-1.run.json").unlink()
    drained(home)
    client = connect(home)
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert len(found) == 1
    ref = run_of(home, "p-1")
    assert ref
    assert len(client.get_metric_history(ref.run_id, "loss")) == 1
    assert len(client.get_metric_history(ref.run_id, "bad")) == 1
    assert len(client.list_artifacts(ref.run_id, "images")) == 2
    assert client.load_table(ref.experiment_id, "tables/rows.json", [ref.run_id]).shape[0] == 1


def test_a_line_mlflow_never_takes_does_not_hold_up_the_others(home: Home, journal: Make) -> None:
    run = journal("p-1")
    run.artifact(home.root / "gone.txt")
    run.metrics(1, {"loss": 1.0})
    run.close("FINISHED", "done")
    drained(home)
    ref = run_of(home, "p-1")
    assert ref
    assert connect(home).get_run(ref.run_id).info.status == "FINISHED"
    assert "gone.txt" in (home.spool / "p-1.refused").read_text()


def test_a_deleted_database_is_written_again_from_the_journals(
    home: Home, journal: Make, migrated: Path
) -> None:
    run = journal("p-1")
    run.metrics(1, {"loss": 1.0})
    drained(home)
    before = run_of(home, "p-1")
    client = connect(home)
    assert before
    client._tracking_client.store.engine.dispose()
    home.mlflow_db.write_bytes(migrated.read_bytes())
    run.metrics(2, {"loss": 0.5})
    drained(home)
    after = run_of(home, "p-1")
    assert after
    assert after != before
    assert [m.step for m in client.get_metric_history(after.run_id, "loss")] == [1, 2]


def test_thousands_of_readings_and_params_go_in_batches(home: Home, journal: Make) -> None:
    run = journal("p-1")
    run.params({f"p{i}": i for i in range(250)})
    run.metrics(1, {f"m{i}": float(i) for i in range(1500)})
    for clock in range(2, 2500):
        run.metrics(clock, {"loss": 1.0 / clock})
    drained(home)
    ref = run_of(home, "p-1")
    assert ref
    data = connect(home).get_run(ref.run_id).data
    assert len(data.params) == 250
    assert len(data.metrics) == 1501
    assert len(connect(home).get_metric_history(ref.run_id, "loss")) == 2498


def test_the_second_writer_stands_by_and_takes_over(home: Home, journal: Make) -> None:
    first, second = Writer(home), Writer(home)
    first.start()
    run = journal("p-1")
    run.metrics(1, {"loss": 1.0})
    assert first.drain(60)
    second.start()
    run.metrics(2, {"loss": 1.0})
    assert second.drain(60), "the leader does it"
    first.stop()
    run.metrics(3, {"loss": 1.0})
    assert second.drain(60), "it leads now"
    second.stop()
    ref = run_of(home, "p-1")
    assert ref
    assert len(connect(home).get_metric_history(ref.run_id, "loss")) == 3


def test_writing_is_shared_and_the_last_to_leave_drains(home: Home, journal: Make) -> None:
    with writing(home) as outer:
        with writing(home) as inner:
            assert inner is outer
        journal("p-1").close("FINISHED", "done")
    assert progress_of(home, "p-1").offset == (home.spool / "p-1.jsonl").stat().st_size
    assert not any(t.name == "ganlib-writer" for t in threading.enumerate())


def test_two_homes_of_one_process_keep_to_themselves(
    home: Home, journal: Make, tmp_path: Path, migrated: Path
) -> None:
    connect(home).search_experiments()
    other = Home.open(tmp_path / "other")
    other.mlflow_db.write_bytes(migrated.read_bytes())
    assert tracking_uri(other) == f"sqlite:///{other.mlflow_db}"
    assert "MLFLOW_TRACKING_URI" not in os.environ
