"""The record of a stage: reuse, continuation, waiting, freshness, damage."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ganlib.config import PipelineConfig
from ganlib.errors import Collapsed, Diverged
from ganlib.stages import pipelines, records
from ganlib.stages.beats import beating
from ganlib.stages.context import Context
from ganlib.stages.values import StageResult, Value
from ganlib.storage import Home
from ganlib.training import read_journal

CONFIG = PipelineConfig(name="tiny")


class Made(Value):
    number: int
    file: str

    def paths(self) -> tuple[str, ...]:
        return (self.file,)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


def context(home: Home, *, fresh: bool = False) -> Context:
    run = pipelines.begin(home, CONFIG, command="run", fresh=fresh)
    return Context(home, CONFIG, run, fresh)


def make(given: Context, number: int = 1, **parts: int) -> StageResult[Made]:
    def body(work: records.Work) -> Made:
        path = work.folder / "made"
        path.write_text(path.read_text() + "+" if path.exists() else "+")
        return Made(number=number, file=str(path))

    return records.run_stage(
        given, "prepare", parts or {"size": 8}, Made, body, describe=lambda m: f"Made {m.number}."
    )


def notes(given: Context) -> list[str]:
    lines = read_journal(pipelines.journal_path(given.home, given.pipeline_id))
    return [line["text"] for line in lines if line["kind"] == "note"]


def test_a_finished_stage_answers_from_its_record(home: Home) -> None:
    first = make(context(home))
    again = context(home)
    second = make(again, number=2)
    assert (first.reused, second.reused) == (False, True)
    assert second.value == first.value
    assert (second.key, second.run, second.seconds) == (first.key, first.run, first.seconds)
    lines = list(read_journal(pipelines.journal_path(home, again.pipeline_id)))
    tags = [line["values"] for line in lines if line["kind"] == "tags"]
    assert tags == [{"ganlib.reused.prepare": first.run}]


def test_another_input_is_another_stage(home: Home) -> None:
    given = context(home)
    assert make(given, size=8).key != make(given, size=16).key
    assert make(given, size=8).reused


def test_a_journal_tells_how_the_stage_ended(home: Home) -> None:
    result = make(context(home))
    last = list(read_journal(pipelines.journal_path(home, result.run)))[-1]
    assert (last["status"], last["description"]) == ("FINISHED", "Made 1.")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Diverged(64, "loss"), "FAILED"),
        (Collapsed(64, "collapsed (pixels/repeated)"), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
    ],
)
def test_an_error_closes_the_journal_and_leaves_no_record(
    home: Home, error: BaseException, status: str
) -> None:
    given = context(home)

    def body(work: records.Work) -> Made:
        raise error

    with pytest.raises(type(error)):
        records.run_stage(given, "gan", {"a": 1}, Made, body, describe=str)
    journal = next(home.spool.glob("*.gan-*.jsonl"))
    assert list(read_journal(journal))[-1]["status"] == status
    assert records.newest(home, "gan") is None


def test_an_unfinished_stage_finds_its_folder_again(home: Home) -> None:
    folders = []

    def body(work: records.Work) -> Made:
        folders.append(work.folder)
        if len(folders) == 1:
            raise KeyboardInterrupt
        return Made(number=1, file=str(work.folder))

    first = context(home)
    with pytest.raises(KeyboardInterrupt), pipelines.closing(home, first.pipeline_id):
        records.run_stage(first, "gan", {"a": 1}, Made, body, describe=str)
    second = context(home)
    result = records.run_stage(second, "gan", {"a": 1}, Made, body, describe=str)
    assert first.pipeline_id == second.pipeline_id
    assert folders[0] == folders[1]
    opens = [
        line
        for line in read_journal(pipelines.journal_path(home, result.run))
        if line["kind"] == "open"
    ]
    assert [line["attempt"] for line in opens] == [1, 2]


def test_a_kill_between_record_and_journal_is_made_good(home: Home) -> None:
    given = context(home)
    result = make(given)
    path = pipelines.journal_path(home, result.run)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    assert make(given).reused
    ends = [line["status"] for line in read_journal(path) if line["kind"] == "close"]
    assert ends == ["FINISHED"]


def test_fresh_does_it_again_elsewhere_and_destroys_nothing(home: Home) -> None:
    old = make(context(home))
    given = context(home, fresh=True)
    new = make(given, number=2)
    assert not new.reused
    assert Path(old.value.file).read_text() == "+"
    assert new.value.file != old.value.file
    assert len(list((home.stages / old.key).glob("record-*.json"))) == 1
    # Within its own run, an interrupted fresh run continues; afterwards its record is the one.
    assert make(given).reused
    assert make(context(home)).value == new.value


def test_two_at_once_make_it_once(home: Home) -> None:
    entered, go = threading.Event(), threading.Event()
    results: list[StageResult[Made]] = []
    made = 0

    def body(work: records.Work) -> Made:
        nonlocal made
        made += 1
        entered.set()
        assert go.wait(20)
        return Made(number=made, file=str(work.folder))

    def run(given: Context) -> None:
        results.append(records.run_stage(given, "prepare", {"size": 8}, Made, body, describe=str))

    first, second = context(home), context(home)
    assert first.pipeline_id != second.pipeline_id
    threads = [threading.Thread(target=run, args=(c,)) for c in (first, second)]
    threads[0].start()
    assert entered.wait(20)
    threads[1].start()
    while not any("waiting for" in text for text in notes(second)):
        threads[1].join(0.05)
    go.set()
    for thread in threads:
        thread.join(20)
    assert made == 1
    assert sorted(result.reused for result in results) == [False, True]


def test_a_long_stage_shows_signs_of_life(home: Home) -> None:
    given = context(home)
    journal = pipelines.journal(home, given.pipeline_id)

    def beats() -> int:
        return sum(line["kind"] == "beat" for line in read_journal(journal.path))

    with beating([journal], every_s=0.01):
        while beats() < 2:
            pass
    told = beats()
    journal.note("more")
    assert beats() == told


def test_a_damaged_record_is_said_and_made_again(home: Home) -> None:
    result = make(context(home))
    (home.stages / result.key / "record.json").write_text("{")
    again = context(home)
    assert not make(again).reused
    assert any("is damaged" in text for text in notes(again))


def test_a_record_whose_files_are_gone_is_said_and_made_again(home: Home) -> None:
    result = make(context(home))
    Path(result.value.file).unlink()
    again = context(home)
    assert not make(again).reused
    assert any("is not there any more" in text for text in notes(again))
