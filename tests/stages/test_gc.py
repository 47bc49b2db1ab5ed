"""What is removed from a home and what never is, with a real registry and real models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ganlib.config import PipelineConfig
from ganlib.errors import Busy, ConfigError, StorageError
from ganlib.stages import gc, pipelines, records, sessions
from ganlib.stages.context import Context
from ganlib.stages.keys import model_fingerprint
from ganlib.stages.values import Candidate, Collection, DatasetRef, ModelRef, Value
from ganlib.storage import Home
from ganlib.tracking import register, writing
from ganlib.tracking.registry import digest_of
from tests.tracking.test_registry import generator_folder

DATA = "d" * 16


class Evaluated(Value):
    """What of an evaluation matters here: whose it is."""

    fingerprint: str


class Night:
    """A run of three stages: one dataset for all, a generator of its own, its evaluation."""

    def __init__(self, home: Home, number: int, *, finish: bool = True) -> None:
        self.home, self.number = home, number
        config = PipelineConfig(name=f"night-{number}")
        self.pipeline = pipelines.begin(home, config, command="run")
        self.context = Context(home, config, self.pipeline)
        self.data = self._stage("prepare", {"size": 8}, DatasetRef, self._prepare)
        self.gan = self._stage("gan", {"seed": number, "dataset": DATA}, Candidate, self._train)
        model = records.read(home, self.gan).result["model"]
        self.folder, self.fingerprint = Path(model["folder"]), model["fingerprint"]
        self.evaluation = self._stage(
            "evaluate",
            {"candidate": self.fingerprint},
            Evaluated,
            lambda work: Evaluated(fingerprint=self.fingerprint),
        )
        if finish:
            pipelines.finish(home, self.pipeline, "FINISHED", "done")

    def _stage(
        self, name: str, parts: dict[str, object], kind: type[Value], body: Callable[..., Value]
    ) -> str:
        done = records.run_stage(
            self.context, name, parts, kind, body, describe=lambda value: "It is done."
        )
        self.reused = {**getattr(self, "reused", {}), name: done.reused}
        return done.key

    def _prepare(self, work: records.Work) -> DatasetRef:
        (work.folder / f"manifest-{DATA}.json").write_text("{}")
        return DatasetRef(
            folder=str(work.folder), fingerprint=DATA, size=8, channels=1,
            classes=("a", "b"), counts={},
        )  # fmt: skip

    def _train(self, work: records.Work) -> Candidate:
        folder = generator_folder(work.folder / "generator", seed=self.number)
        model = ModelRef(
            kind="generator", folder=str(folder), fingerprint=model_fingerprint(folder),
            run=work.identity.id, images=1, reason="budget", metrics={},
        )  # fmt: skip
        return Candidate(model=model, overlay={}, config={})

    def champion(self) -> str:
        found = register(
            self.home, self.folder, name="digits-generator", run_id=None, metrics={},
            dataset_fingerprint=DATA, config={},
        )  # fmt: skip
        return found.digest

    @property
    def keys(self) -> set[str]:
        return {self.gan, self.evaluation}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home.open(tmp_path_factory.mktemp("gc") / "home")


def collect(home: Home, *, keep_runs: int = 0, days: float = 0, delete: bool = False) -> Collection:
    return gc.collect(home, keep_runs=keep_runs, days=days, delete=delete)


def send(home: Home) -> None:
    """Until MLflow has all of it: on a busy machine one session may not be enough."""
    for _ in range(10):
        with writing(home):
            pass
        if not sessions.unsent(home):
            return
    raise AssertionError("MLflow does not take the journals")


def going(told: Collection) -> set[str]:
    return {one.key for one in told.removed}


def why(told: Collection) -> dict[str, str]:
    return {one.key: one.why for one in told.kept}


@pytest.mark.slow
def test_only_what_nothing_reaches_is_removed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """One story, since a home with a registry takes a while to make."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    first, second, third = (Night(home, number) for number in (1, 2, 3))
    assert third.reused == {"prepare": True, "gan": False, "evaluate": False}

    unsent = collect(home)
    assert going(unsent) == set()
    assert set(why(unsent).values()) == {"MLflow does not have all of it yet"}
    send(home)

    assert going(collect(home, days=1)) == set()
    newest = collect(home, keep_runs=1)
    assert going(newest) == first.keys | second.keys
    assert why(newest)[first.data] == f"{third.pipeline} is one of the newest 1"
    assert newest.bytes > 0

    digest = first.champion()
    told = collect(home)
    assert going(told) == second.keys | third.keys
    assert why(told) == {
        first.gan: "models:/digits-generator@candidate was made by it",
        first.evaluation: "models:/digits-generator@candidate was evaluated by it",
        first.data: f"gan {first.gan[:8]} was made from it",
    }
    assert not told.deleted
    assert second.folder.is_dir()  # it was only told

    running = Night(home, 4, finish=False)
    with pytest.raises(Busy, match=running.pipeline):
        collect(home, delete=True)
    assert running.keys & going(collect(home)) == set()
    pipelines.finish(home, running.pipeline, "FINISHED", "done")
    send(home)

    left = home.runs / f"{gc.GOING}gan-{'0' * 16}"  # of a removal that was interrupted
    left.mkdir()
    done = collect(home, delete=True)
    assert going(done) == second.keys | third.keys | running.keys
    assert not left.exists()
    assert not second.folder.exists()
    assert records.read(home, second.gan) is None
    assert digest_of(first.folder) == digest
    assert going(collect(home)) == set()
    assert Night(home, 1).reused == {"prepare": True, "gan": True, "evaluate": True}
    again = Night(home, 2)
    assert again.reused == {"prepare": True, "gan": False, "evaluate": False}
    assert again.fingerprint == second.fingerprint


def test_nothing_is_removed_while_the_registry_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.open(tmp_path / "home")
    night = Night(home, 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StorageError):
        collect(home, delete=True)
    assert records.read(home, night.gan) is not None
    assert night.folder.is_dir()


def test_days_that_are_no_number_are_refused(tmp_path: Path) -> None:
    """Nothing is younger than that, so all of it would go."""
    with pytest.raises(ConfigError, match="--days is nan"):
        collect(Home.open(tmp_path / "home"), days=float("nan"), delete=True)


def told_by(name: str, key: str, values: dict[str, object], result: dict[str, object]) -> gc.Stage:
    record = records.Record(
        stage=name, label=name, key=key, version=1, parts={}, values=values, result=result,
        seconds=1, finished=1, pipeline_id="p-0", run="r",
    )  # fmt: skip
    return gc.Stage(name, key, (Path(f"/home/runs/{name}-{key}"),), record)


def test_the_sweep_that_found_the_settings_of_what_is_kept_is_kept() -> None:
    inputs = {"selector": "s" * 16, "dataset": DATA}
    gan = told_by("gan", "1" * 16, inputs, {"overlay": {"gan.seed": 1}})
    sweep = told_by("sweep", "2" * 16, inputs, {"overlay": {"gan.seed": 1}})
    another = told_by("sweep", "3" * 16, inputs, {"overlay": {"gan.seed": 2}})
    judge = {"folder": '/home/runs/classifiers-4/a "judge"', "fingerprint": "j" * 16}
    classifiers = told_by("classifiers", "4" * 16, {}, {"judge": judge, "selector": judge})
    evaluation = told_by("evaluate", "5" * 16, {"judge": "j" * 16}, {})
    everything = [gan, sweep, another, classifiers, evaluation]
    assert set(gc._closed(everything, {gan.key: "?"})) == {gan.key, sweep.key}
    assert set(gc._closed(everything, {evaluation.key: "?"})) == {evaluation.key, classifiers.key}
