"""A small prepared dataset with two classifiers and a generator, trained here without Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlib.config import (
    Budget,
    Cadence,
    ClassifierConfig,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorConfig,
    EvaluationConfig,
    GanConfig,
    GeneratorConfig,
    PipelineConfig,
    SmallResNet,
)
from ganlib.stages import pipelines, prepare, training_runs
from ganlib.stages.context import Context
from ganlib.stages.values import Candidate, Classifiers, DatasetRef, ModelRef
from ganlib.storage import Home
from ganlib.training import RunIdentity, RunSpec
from ganlib.training.execute import execute

SELDOM = Cadence(report=2_000, evaluate=4_000, sample=8_000, snapshot=4_000)
SMALL = PipelineConfig(
    name="small",
    classifier=ClassifierConfig(
        network=SmallResNet(width=8), budget=Budget(images=6_000), cadence=SELDOM
    ),
    gan=GanConfig(
        generator=GeneratorConfig(network=DcganGenerator(width=8, latent_size=16)),
        discriminator=DiscriminatorConfig(network=DcganDiscriminator(width=8)),
        budget=Budget(images=4_000),
        cadence=SELDOM,
    ),
    evaluation=EvaluationConfig(samples=200, repeats=2),
)


class Trained:
    """What stages hand each other, and the home it is in."""

    def __init__(self, root: Path) -> None:
        self.config = SMALL
        self.home = Home.open(root)
        self.dataset: DatasetRef = prepare.run(self.context()).value
        self.classifiers = Classifiers(judge=self._classifier(0), selector=self._classifier(1))
        self.candidate = self.generator(4_000)

    def context(self, *, fresh: bool = False) -> Context:
        run = pipelines.begin(self.home, self.config, command="run", fresh=fresh)
        return Context(self.home, self.config, run, fresh)

    def _classifier(self, seed: int) -> ModelRef:
        return self.classifier(seed, self.config.classifier.budget.images)

    def classifier(self, seed: int, images: int) -> ModelRef:
        config = self.config.classifier.model_copy(
            update={"seed": seed, "budget": Budget(images=images)}
        )
        return self._train(config, "classifier", f"classifier-{seed}-{images}")

    def generator(self, images: int) -> Candidate:
        config = self.config.gan.model_copy(update={"budget": Budget(images=images)})
        model = self._train(config, "generator", f"gan-{images}")
        return Candidate(model=model, overlay={}, config=config.model_dump(mode="json"))

    def _train(self, config: ClassifierConfig | GanConfig, kind: str, name: str) -> ModelRef:
        identity = RunIdentity(id=name, key=name, experiment="e", name=name, stage=name)
        outcome = execute(
            RunSpec.of(
                config,
                dataset_folder=self.dataset.folder,
                dataset_fingerprint=self.dataset.fingerprint,
                run_folder=str(self.home.runs / name),
            )
        )
        assert kind in ("classifier", "generator")
        return training_runs.model(kind, outcome, identity)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained") / "home")
