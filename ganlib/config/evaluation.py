"""How a generator is judged, and what the gate asks of it."""

from __future__ import annotations

from pydantic import Field, model_validator

from ganlib.config.base import Config, Refusal
from ganlib.config.extractors import (
    ExtractorConfig,
    InceptionFeatures,
    JudgeFeatures,
    NetworkFeatures,
)


class Teaching(Config):
    """What a generator is worth as a teacher: classifiers that learn from its images alone.

    As many learn from as many real images, for the floor; all are tested on the held-out ones.
    """

    classifiers: int = Field(
        default=3, ge=2, le=20, description="taught by generated images, and by real ones each"
    )
    images: int | None = Field(
        default=None,
        ge=20,
        description="each learns from; as many as there are training images if none or too many",
    )
    shown: int | None = Field(
        default=None,
        ge=1,
        description="images in training, repeats counted; classifier.budget.images if none",
    )


class EvaluationConfig(Config):
    """Equally many real and generated images: `samples`, or all held-out images if it is none."""

    samples: int | None = Field(default=None, ge=50)
    neighbours: int = Field(default=5, ge=1, le=50, description="k of coverage and its kin")
    repeats: int = Field(default=3, ge=2, le=50, description="sample sets, for the spread")
    present_share: float = Field(
        default=0.02,
        gt=0,
        lt=1,
        description="a class is present from this share on, or from half of its share of the "
        "real images where that is less",
    )
    seed: int = Field(default=1_000, ge=0, lt=2**31)
    extractors: tuple[ExtractorConfig, ...] = Field(
        default=(JudgeFeatures(),),
        description="what looks at the images, by name or with settings: judge, random, "
        "pretrained, inception; a judge of their classes is the first, named or not",
    )

    teaching: Teaching | None = Field(
        default=None,
        description="the classification accuracy score: classifiers as the recipe's, taught by "
        "generated images alone; off if none",
    )

    @model_validator(mode="after")
    def _each_once(self) -> EvaluationConfig:
        for place, extractor in enumerate(self.extractors):
            if extractor in self.extractors[:place]:
                reason = f"extractors names {extractor.kind} twice"
                raise Refusal("extractors", reason).error()
            if extractor.kind == "judge" and place:
                reason = "extractors names judge, which can only be the first"
                raise Refusal("extractors", reason).error()
        return self

    def others(self) -> tuple[NetworkFeatures, ...]:
        """The extractors beside the judge."""
        return tuple(e for e in self.extractors if not isinstance(e, JudgeFeatures))

    def weights(self) -> dict[str, str]:
        """sha256 of each file that an extractor reads and no setting names, by its kind."""
        return {e.kind: e.digest() for e in self.extractors if isinstance(e, InceptionFeatures)}

    @model_validator(mode="after")
    def _more_than_neighbours(self) -> EvaluationConfig:
        if self.samples is not None and self.samples <= self.neighbours:
            reason = f"samples is {self.samples}, not more than {self.neighbours} neighbours"
            raise Refusal("samples", reason).error()
        return self


class PromotionConfig(Config):
    """What a model must reach to become champion; a later one must not be worse than the first."""

    min_relative_coverage: float = Field(default=0.5, ge=0, le=1.5)
    max_scaled_distance: float = Field(default=0.2, gt=0)
    min_label_agreement: float = Field(default=0.5, ge=0, le=1)
    min_classes_present: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share of the classes that as many real images show; below it, by more than "
        "chance, the model collapsed",
    )
    min_judge_accuracy: float = Field(default=0.5, ge=0, le=1)
    spread_factor: float = Field(
        default=2.0,
        ge=0,
        description="standard errors of a difference that are none; by Student's t",
    )
