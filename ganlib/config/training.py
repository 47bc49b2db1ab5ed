"""What classifiers and GANs share: budgets, cadences, the optimiser, precision, stops."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganlib.config.base import Config

Precision = Literal["auto", "float64", "float32", "bfloat16"]


class Adam(Config):
    """Kingma and Ba 2015; decoupled weight decay (Loshchilov and Hutter 2019) when it is not 0."""

    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)


class Constant(Config):
    kind: Literal["constant"] = "constant"


class Cosine(Config):
    """Linear warm-up, then half a cosine down to `final` of the rate at the end of the budget."""

    kind: Literal["cosine"] = "cosine"
    warmup_images: int = Field(default=0, ge=0)
    final: float = Field(default=0.0, ge=0, le=1)


Schedule = Annotated[Constant | Cosine, Field(discriminator="kind")]


class Budget(Config):
    """Training ends at the first limit reached."""

    images: int = Field(ge=1, description="images shown, counted over all workers")
    wall_minutes: float | None = Field(default=None, gt=0)


class Cadence(Config):
    """How often, in images; each is rounded up to whole batches."""

    report: int = Field(default=2_000, ge=1)
    evaluate: int = Field(default=10_000, ge=1)
    sample: int = Field(default=20_000, ge=1)
    snapshot: int = Field(default=10_000, ge=1)
    keep_snapshots: int = Field(default=3, ge=2)


class Plateau(Config):
    """Stop when coverage has not risen by `min_delta` over the last `patience` evaluations."""

    patience: int = Field(default=5, ge=2)
    min_delta: float = Field(default=0.005, ge=0)
    min_images: int = Field(default=0, ge=0)
