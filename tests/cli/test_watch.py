"""What the view knows of a run comes from the journals, also when they are written as we read."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from ganlib.cli import view as views
from ganlib.cli.watch import Watch, headline
from ganlib.training import Journal, RunIdentity

TOP = "p-0123456789ab"


def journal(spool: Path, name: str, parent: str | None, **fields: object) -> Journal:
    identity = RunIdentity.model_validate(
        {
            "id": name,
            "key": name,
            "parent_id": parent,
            "experiment": "ganlib/digits",
            "name": fields.pop("called", name),
            "stage": fields.pop("stage", "pipeline"),
            **fields,
        }
    )
    return Journal(spool / f"{name}.jsonl", identity)


def test_a_stage_is_followed_from_its_first_line_to_its_last(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    top = journal(tmp_path, TOP, None)
    gan = journal(tmp_path, f"{TOP}.gan-1", TOP, called="gan", stage="gan", images=1000)
    assert watch.poll() == ["gan: started"]
    gan.metrics(100, {"loss": 1.0})
    gan.metrics(500, {"coverage": 0.81234, "scaled_distance": 0.03})
    said = watch.poll()
    assert len(said) == 1
    assert "500 of 1,000 images" in said[0]
    assert "coverage 0.8123, scaled distance 0.03" in said[0]
    gan.close("FINISHED", "done", "All well.")
    assert watch.poll()[0].startswith("gan: done in ")
    top.tags({"ganlib.reused.prepare": "x"})
    top.note("prepare: reused")
    assert watch.poll() == ["prepare: reused"]
    assert set(watch.reused) == {"prepare"}
    assert [run.status for run in watch.stages()] == ["FINISHED"]


def test_other_processes_and_older_lines_are_not_ours(tmp_path: Path) -> None:
    journal(tmp_path, "p-aaaaaaaaaaaa", None).note("old")
    watch = Watch(tmp_path)
    journal(tmp_path, "p-bbbbbbbbbbbb", None, pid=os.getpid() + 1, started=1.0).note("theirs")
    assert watch.poll() == []
    assert watch.pipeline is None


def test_a_continued_run_is_ours_from_where_we_took_it_up(tmp_path: Path) -> None:
    journal(tmp_path, TOP, None, pid=1, started=1.0).note("before")
    watch = Watch(tmp_path)
    journal(tmp_path, TOP, None).note("continuing")
    assert watch.poll() == ["continuing"]
    assert watch.pipeline == TOP


def test_stages_of_our_pipeline_are_ours_on_whatever_node(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    journal(tmp_path, TOP, None)
    there = journal(tmp_path, f"{TOP}.gan-1", TOP, called="gan", stage="gan", pid=1, host="head")
    assert watch.poll() == ["gan: started"]
    there.close("FINISHED", "done", "All well.")
    assert watch.poll()[0].startswith("gan: done in ")


def test_speed_is_that_of_the_last_readings(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    journal(tmp_path, TOP, None)
    journal(tmp_path, f"{TOP}.gan-1", TOP, called="gan", stage="gan", images=1000)
    watch.poll()
    (run,) = watch.stages()
    run.tick(100.0, 400)
    run.tick(102.0, 600)
    assert run.speed == pytest.approx(100.0)
    assert run.left(102.0) == pytest.approx(4.0)
    assert run.left(103.0) == pytest.approx(3.0)


def test_headlines_read_prefixed_names_and_pass_over_the_rest() -> None:
    assert headline({"validation/accuracy": 0.97, "loss": 3.0}) == "accuracy 0.97"
    assert headline({"loss": 3.0, "train/accuracy": 0.5}) == ""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_tree_shows_marks_bar_and_readings(tmp_path: Path, encoding: str) -> None:
    watch = Watch(tmp_path)
    top = journal(tmp_path, TOP, None)
    top.tags({"ganlib.reused.prepare": "x"})
    gan = journal(tmp_path, f"{TOP}.gan-1", TOP, called="gan", stage="gan", images=1000)
    gan.metrics(500, {"coverage": 0.8})
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, force_terminal=True, width=120, color_system=None)
    tree = views._Tree(console, watch, ("prepare", "gan", "promote"), "ganlib run digits")
    watch.poll()
    console.print(tree._draw())
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    text = stream.buffer.getvalue().decode(encoding)
    assert "prepare" in text
    assert "reused" in text
    assert " 50%" in text
    assert "coverage 0.8" in text
    assert "promote" in text
    assert text.isascii() == (encoding == "ascii")


def test_a_terminal_hears_notes_and_sees_how_far_preparation_is(tmp_path: Path) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=160, color_system=None)
    tree = views._Tree(console, Watch(tmp_path), ("prepare", "gan"), "ganlib run digits")
    top = journal(tmp_path, TOP, None)
    prepare = journal(tmp_path, f"{TOP}.prepare-1", TOP, called="prepare", stage="prepare")
    top.note("gan: waiting for process 7 on here, which has it since 10:00")
    top.note("gan: reused, made by p-1 3 hours ago")
    prepare.note("downloading images 1,000,000 of 2,000,000")
    prepare.note("preparing 5,000 of 20,000")
    tree.refresh()
    assert "waiting for process 7" in stream.getvalue()
    assert "made by" not in stream.getvalue()
    (run,) = tree.watch.stages()
    assert (run.clock, run.budget, run.unit) == (5_000, 20_000, "images/s")
    run.noted(run.since + 10, "preparing 10,000 of 20,000")
    assert run.left(run.since + 10) == pytest.approx(10, rel=0.01)
    console.print(tree._draw())
    assert " 50%" in stream.getvalue()
    assert "preparing 10,000 of 20,000" in stream.getvalue()
    prepare.note("waiting for process 8 on here")
    tree.refresh()
    console.print(tree._draw())
    assert "waiting for process 8" in stream.getvalue()


def test_plain_lines_carry_the_time_and_no_markup(tmp_path: Path) -> None:
    stream = io.StringIO()
    with views.watching(tmp_path, ("gan",), stream, "ganlib run digits") as view:
        view.say("[bold]as it is[/bold]")
        journal(tmp_path, TOP, None).note("from the journal")
    lines = stream.getvalue().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "ganlib run digits",
        "[bold]as it is[/bold]",
        "from the journal",
    ]
    assert all(line[2] == line[5] == ":" for line in lines)


def test_a_closed_pipe_silences_the_view_and_nothing_else(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", buffering=1)
    with views.watching(tmp_path, ("gan",), stream, "ganlib run digits") as view:
        view.say("nobody reads this")
        journal(tmp_path, TOP, None).note("nor this")
    os.close(os.dup(0))  # descriptors still work
