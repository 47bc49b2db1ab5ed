"""Where and how wide to run. Nothing here changes what is computed but the thread count."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ganlib.config.base import Config, Refusal


class ClusterConfig(Config):
    """Workers share the global batch; `threads` is part of a run's exact identity.

    The batch is that of all workers together, so their number shows in the time alone.
    """

    workers: int = Field(default=2, ge=1, le=1024, description="of a GAN's training run")
    min_workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="the fewest that a GAN's training on a cluster makes do with while nodes are "
        "missing; none: it waits for all",
    )
    classifier_workers: int = Field(default=1, ge=1, le=1024)
    threads: int = Field(default=1, ge=1, le=256, description="CPU threads per worker")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_failures: int = Field(default=2, ge=0, le=100, description="restarts after a lost worker")

    @model_validator(mode="after")
    def _a_range(self) -> ClusterConfig:
        if self.min_workers is not None and self.min_workers > self.workers:
            reason = f"min_workers is {self.min_workers}, more than the {self.workers} workers"
            raise Refusal("min_workers", reason).error()
        return self
