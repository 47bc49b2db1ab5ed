"""What classifiers and GANs share: budgets, cadences, the optimiser, precision, stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from ganlib.config.base import Config, Refusal

Precision = Literal["auto", "float64", "float32", "tf32", "bfloat16"]
"""float32 is exact everywhere; tf32 is it with products of ten-bit mantissas where a GPU has them.

auto takes both bfloat16 and tf32 where they are faster, so a GPU has tf32 by default.
"""

Compile = Literal["none", "inductor", "cuda_graphs"]
"""What forward passes are compiled by; where it does not work, nothing is and the run says why."""


class Adam(Config):
    """Kingma and Ba 2015; decoupled weight decay (Loshchilov and Hutter 2019) when it is not 0."""

    kind: Literal["adam"] = "adam"
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)


class Sgd(Config):
    """Stochastic gradient descent with heavy-ball momentum; the decay is added to the gradient."""

    kind: Literal["sgd"] = "sgd"
    learning_rate: float = Field(default=0.1, gt=0, le=100)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = Field(default=False, description="Sutskever et al. 2013")
    weight_decay: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Sgd:
        if self.nesterov and not self.momentum:
            reason = "nesterov looks ahead along the momentum, and momentum is 0"
            raise Refusal("nesterov", reason).error()
        return self


def _adam_unless_told(value: Any) -> Any:
    return {"kind": "adam", **value} if isinstance(value, Mapping) else value


Optimiser = Annotated[Adam | Sgd, Field(discriminator="kind"), BeforeValidator(_adam_unless_told)]
"""Without a kind it is Adam."""


class _Warmed(Config):
    warmup_images: int = Field(default=0, ge=0, description="linear from zero over these images")


class Constant(_Warmed):
    """The learning rate as it is."""

    kind: Literal["constant"] = "constant"


class Cosine(_Warmed):
    """After the warm-up half a cosine down to `final` of the rate at the end of the budget."""

    kind: Literal["cosine"] = "cosine"
    final: float = Field(default=0.0, ge=0, le=1)


class Step(_Warmed):
    """The rate times `gamma` at each milestone, a share of the whole budget (He et al. 2015)."""

    kind: Literal["step"] = "step"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.5, 0.75), min_length=1, description="ascending shares of budget.images"
    )
    gamma: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _milestones_ascend(self) -> Step:
        if list(self.milestones) != sorted(set(self.milestones)):
            reason = f"milestones must ascend, and {list(self.milestones)} do not"
            raise Refusal("milestones", reason).error()
        return self


class OneCycle(_Warmed):
    """Smith and Topin 2018: up to the rate and down again, both along half a cosine.

    The cycle begins after the warm-up; the momentum stays as it is.
    """

    kind: Literal["one_cycle"] = "one_cycle"
    rise: float = Field(default=0.3, gt=0, lt=1, description="share of the cycle that goes up")
    initial: float = Field(default=0.04, gt=0, le=1, description="of the rate, at the start")
    final: float = Field(default=0.0, ge=0, le=1, description="of the rate, at the end")


Schedule = Annotated[Constant | Cosine | Step | OneCycle, Field(discriminator="kind")]


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


def indivisible(batch: int, workers: int, share: int, made_of: str) -> Refusal | None:
    """Why `batch` images do not give each worker a multiple of `share`, or none if they do."""
    if batch % workers:
        reason = f"batch_size is {batch}, not a multiple of {workers} workers"
        return Refusal("batch_size", reason)
    part = batch // workers
    if not part % share:
        return None
    each = "" if workers == 1 else f", {part} for each of {workers} workers"
    return Refusal(
        "batch_size",
        f"batch_size is {batch}{each}, not a multiple of {made_of}: set it to a multiple of "
        f"{workers * share}",
    )


def outgrown(turn: int, schedule: Schedule, budget: Budget) -> Refusal | None:
    """Why `budget` is too small for the images of a step or for what the schedule has, or none."""
    if turn > budget.images:
        return Refusal(
            "budget.images", f"one step takes {turn} images, and budget.images is {budget.images}"
        )
    if schedule.warmup_images >= budget.images:
        return Refusal(
            "schedule.warmup_images",
            f"schedule.warmup_images is {schedule.warmup_images}, so that budget.images "
            f"{budget.images} would end before the rate is reached",
        )
    if isinstance(schedule, Step) and schedule.milestones[0] * budget.images <= (
        warmup := schedule.warmup_images
    ):
        first = schedule.milestones[0]
        return Refusal(
            "schedule.milestones",
            f"the milestone {first} is at {round(first * budget.images)} images, inside "
            f"the {warmup} of schedule.warmup_images, so that its rate is never had: shorten the "
            f"warm-up, or put the first milestone above {warmup / budget.images:.3g}",
        )
    return None
