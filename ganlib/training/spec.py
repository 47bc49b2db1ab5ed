"""What a training run is asked for, and what it answers: plain values that cross processes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganlib.config import (
    ClassifierConfig,
    Config,
    EvaluationConfig,
    GanConfig,
    NetworkFeatures,
    Reading,
)
from ganlib.training.journal import RunIdentity

Reason = Literal["budget", "plateau", "wall_time", "stopped", "collapsed"]
Series = tuple[tuple[int, dict[str, float]], ...]


class GanProblem(Config):
    kind: Literal["gan"] = "gan"
    config: GanConfig


class ClassifierProblem(Config):
    kind: Literal["classifier"] = "classifier"
    config: ClassifierConfig


Problem = Annotated[GanProblem | ClassifierProblem, Field(discriminator="kind")]


Selector = str | NetworkFeatures
"""The folder of an exported classifier, or the settings of a network that knows no classes."""


class Origin(Config):
    """A snapshot of another run: the folder of that run, and the clock in images."""

    folder: str
    clock: int


class RunSpec(Config):
    """One run. All paths are absolute; everything a run's numbers depend on is in here.

    `selector` is the exported classifier, or the network that knows no classes, in whose features a
    GAN is watched; without one there are no readings but the losses. `init_from` is an exported
    model whose weights are the start, and `origin` a snapshot of another run, from whose clock,
    weights and moments this one goes on. `reading` says where the images are kept meanwhile, on
    which no number depends.
    `elastic` are the numbers of workers it may be gone on with, where nodes come and go.
    `spool` is the folder of journals, for a worker that is given no tracker.
    """

    problem: Problem
    dataset_folder: str
    dataset_fingerprint: str
    run_folder: str
    selector: Selector | None = None
    init_from: str | None = None
    origin: Origin | None = None
    reading: Reading = Reading()
    evaluation: EvaluationConfig = EvaluationConfig()
    threads: int = Field(default=1, ge=1)
    workers: int = Field(default=1, ge=1)
    elastic: tuple[int, ...] = ()
    identity: RunIdentity | None = None
    spool: str | None = None

    @property
    def kind(self) -> Literal["gan", "classifier"]:
        return self.problem.kind

    @property
    def config(self) -> GanConfig | ClassifierConfig:
        return self.problem.config

    @classmethod
    def of(cls, config: GanConfig | ClassifierConfig, **fields: object) -> RunSpec:
        """A spec with `config` tagged by its kind."""
        if isinstance(config, GanConfig):
            problem: Problem = GanProblem(config=config)
        else:
            problem = ClassifierProblem(config=config)
        return cls.model_validate({"problem": problem, **fields})


class Outcome(Config):
    """How a run ended. `readings` are the last evaluation's, `series` all of them by clock.

    `verdict` is empty where play was healthy, or says how it collapsed or stalled; `collapse` is
    what was said of collapse at the last look, healthy or not, and empty where nobody looked.
    """

    clock: int
    reason: Reason
    verdict: str = ""
    readings: dict[str, float]
    model: str
    series: Series = ()
    collapse: str = ""

    @property
    def collapsed(self) -> bool:
        """Whether it ended so, stopped for it or not: nothing may be made of its model."""
        return self.reason == "collapsed" or self.verdict.startswith("collapsed")
