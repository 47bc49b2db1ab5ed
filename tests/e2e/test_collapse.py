"""How the runs of a collapsed GAN end in a real MLflow, on sqlite.

One is rescued in vain by a real Ray worker. The others are trained here, so that their stage finds
them done: they differ in nothing that a worker knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ganlib import api
from ganlib.config import (
    Collapse,
    DetectorConfig,
    OtherNoise,
    PipelineConfig,
    Record,
    Rescue,
    Stop,
    load,
    overlay,
)
from ganlib.errors import Collapsed, Refused
from ganlib.stages import gan, training_runs
from ganlib.stages.context import Context
from ganlib.stages.keys import stage_key
from ganlib.stages.values import (
    Candidate,
    Classifiers,
    DatasetRef,
    EvaluationResult,
    ModelRef,
    RunStatus,
)
from ganlib.storage import Home, read_json
from ganlib.tracking import register, run_of
from ganlib.tracking.connection import connect
from ganlib.training import Journal, Outcome, RunIdentity, RunSpec
from ganlib.training.execute import execute

EVERY, DETECTOR = 512, DetectorConfig(samples=64, reals=256, draws=4)
RACING: dict[str, Any] = {
    "name": "racing",
    "classifier.network.width": 8,
    "classifier.budget.images": 1_280,
    "gan.generator.network": {"kind": "dcgan", "width": 8, "latent_size": 8},
    "gan.discriminator.network": {"kind": "dcgan", "width": 8, "norm": "none"},
    "gan.generator.optimiser": {"kind": "adam", "learning_rate": 1e-2, "beta1": 0.9},
    "gan.discriminator.optimiser": {"kind": "adam", "learning_rate": 2e-4, "beta1": 0.9},
    "gan.batch_size": 32,
    "gan.ema.half_life": 0,
    "gan.budget.images": 4_096,
    "gan.cadence": {"report": EVERY, "evaluate": 4_096, "sample": 4_096, "snapshot": 1_024},
    "cluster.workers": 1,
    "cluster.device": "cpu",
}
AGAIN = Rescue(every=EVERY, detector=DETECTOR, policies=(OtherNoise(),), attempts=1)
ANSWERS: dict[str, Collapse] = {
    "record": Record(every=EVERY, detector=DETECTOR),
    "stop": Stop(every=EVERY, detector=DETECTOR),
    "rescue": AGAIN,
}


pytestmark = pytest.mark.timeout(900)  # fixtures count, and other work may share the machine


@dataclass(frozen=True)
class Ended:
    """A pipeline that was to train a GAN, and what is said of it and of its GAN's run."""

    error: Collapsed
    config: PipelineConfig
    runs: dict[str, RunStatus]
    tags: dict[str, dict[str, str]]
    states: dict[str, str]
    folder: Path


@dataclass(frozen=True)
class Ground:
    home: Home
    dataset: DatasetRef
    judges: Classifiers
    ended: dict[str, Ended]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One home, one Ray; a run for each answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        home = Home.open(tmp_path_factory.mktemp("collapse") / "home")
        recipe = overlay(load("digits"), RACING)
        with api.session(home.root):
            dataset = api.prepare(recipe, home=home.root).value
            judges = _judges(recipe, dataset, home)
            errors = {kind: _collapse(recipe, kind, dataset, judges, home) for kind in ANSWERS}
        ended = {kind: _told(home, *found) for kind, found in errors.items()}
        yield Ground(home, dataset, judges, ended)


def _judges(recipe: PipelineConfig, dataset: DatasetRef, home: Home) -> Classifiers:
    """Both are one classifier, trained here: these runs are watched and not judged."""
    spec = RunSpec.of(
        recipe.classifier,
        dataset_folder=dataset.folder,
        dataset_fingerprint=dataset.fingerprint,
        run_folder=str(home.runs / "classifier"),
    )
    identity = RunIdentity(id="c", key="c", experiment="e", name="c", stage="classifiers")
    made = training_runs.model("classifier", execute(spec), identity)
    return Classifiers(judge=made, selector=made)


def _collapse(
    recipe: PipelineConfig, kind: str, dataset: DatasetRef, judges: Classifiers, home: Home
) -> tuple[PipelineConfig, str, Collapsed]:
    config = overlay(recipe, {"name": f"racing-{kind}", "gan.collapse": ANSWERS[kind]})
    run = api.begin(config, command="train", home=home.root)
    if kind != "rescue":
        _train_here(Context(home, config, run), dataset, judges)
    with pytest.raises(Collapsed) as caught:
        api.train_gan(config, dataset, judges, home=home.root, pipeline=run)
    api.finish(run, home=home.root, status="FAILED", verdict="collapsed")
    return config, run, caught.value


def _train_here(context: Context, dataset: DatasetRef, judges: Classifiers) -> None:
    key = stage_key("gan", gan.parts(context.home, context.config, dataset, judges, None))
    folder = context.home.runs / f"gan-{key}"
    identity = RunIdentity(id="g", key="g", experiment="e", name="g", stage="gan")
    spec = training_runs.spec(
        context, context.config.gan, dataset, folder, identity, workers=1, judges=judges
    )
    with suppress(Collapsed):
        execute(spec, tracker=Journal(folder / "elsewhere.jsonl", identity))


def _told(home: Home, config: PipelineConfig, run: str, error: Collapsed) -> Ended:
    own = {r.stage: r for r in api.status(home=home.root).runs if r.id.startswith(run)}
    client, found = connect(home), {}
    for stage, status in own.items():
        known = run_of(home, status.id)
        assert known is not None
        found[stage] = client.get_run(known.run_id)
    (folder,) = [
        path.parent
        for path in home.runs.glob("gan-*/outcome.json")
        if read_json(path)["outcome"]["collapse"] == error.told
    ][-1:]
    return Ended(
        error=error,
        config=config,
        runs=own,
        tags={stage: one.data.tags for stage, one in found.items()},
        states={stage: one.info.status for stage, one in found.items()},
        folder=folder,
    )


@pytest.mark.parametrize("kind", ANSWERS)
def test_no_run_of_a_collapsed_gan_is_finished(ground: Ground, kind: str) -> None:
    ended = ground.ended[kind]
    assert ended.states == {"pipeline": "FAILED", "gan": "FAILED"}
    assert ended.tags["gan"]["ganlib.verdict"] == "collapsed"
    assert (ended.runs["gan"].state, ended.runs["gan"].verdict) == ("failed", "collapsed")
    assert "the generator collapsed (" in ended.runs["gan"].description


def test_a_rescue_in_vain_is_told_with_the_run(ground: Ground) -> None:
    ended = ground.ended["rescue"]
    tags = ended.tags["gan"]
    assert tags["ganlib.collapse"].startswith("collapsed (")
    assert tags["ganlib.rescue.1"].endswith("images with other_noise")
    assert ended.runs["gan"].rescues == (tags["ganlib.rescue.1"],)
    run = run_of(ground.home, ended.runs["gan"].id)
    assert run is not None
    client = connect(ground.home)
    pictures = {item.path for item in client.list_artifacts(run.run_id, "images")}
    for title in ("rescue-1-before", "rescue-1-after"):
        assert any(path.startswith(f"images/{title}") for path in pictures), pictures
    (attempts,) = client.list_artifacts(run.run_id, "rescue")
    assert attempts.path == "rescue/rescue.json"


def test_a_recorded_collapse_ends_by_its_budget(ground: Ground) -> None:
    assert ground.ended["record"].error.clock == 4_096
    assert ground.ended["stop"].error.clock < 4_096


def test_the_same_command_again_says_the_same_and_trains_nothing(ground: Ground) -> None:
    before = ground.ended["record"]
    with pytest.raises(Collapsed) as caught:
        api.train_gan(before.config, ground.dataset, ground.judges, home=ground.home.root)
    assert (caught.value.clock, caught.value.told) == (before.error.clock, before.error.told)


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_it_left_cannot_be_registered(ground: Ground, kind: str) -> None:
    """Neither by whoever hands it to promotion, nor straight from its folder."""
    ended = ground.ended[kind]
    outcome = Outcome.model_validate(read_json(ended.folder / "outcome.json")["outcome"])
    identity = RunIdentity(id="x", key="x", experiment="e", name="x", stage="gan")
    model: ModelRef = training_runs.model("generator", outcome, identity)
    candidate = Candidate(model=model, overlay={}, config={})
    with pytest.raises(Refused) as caught:
        api.promote(
            ended.config,
            candidate,
            EvaluationResult.model_construct(),
            ground.judges,
            home=ground.home.root,
        )
    assert caught.value.message == f"{ended.config.name}-generator is not registered"
    assert caught.value.reasons == (f"it {outcome.verdict} while it was trained",)
    with pytest.raises(Refused, match="not registered"):
        register(
            ground.home,
            Path(outcome.model),
            name="smuggled-generator",
            run_id=None,
            metrics={},
            dataset_fingerprint=ground.dataset.fingerprint,
            config={},
        )
    assert not api.status(home=ground.home.root).models
