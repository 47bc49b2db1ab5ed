"""Where and how wide to run. Nothing here changes what is computed but the thread count."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ganlib.config.base import Config


class ClusterConfig(Config):
    """Workers share the global batch; `threads` is part of a run's exact identity."""

    workers: int = Field(default=2, ge=1, le=1024, description="of a GAN's training run")
    classifier_workers: int = Field(default=1, ge=1, le=1024)
    threads: int = Field(default=1, ge=1, le=256, description="CPU threads per worker")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_failures: int = Field(default=2, ge=0, le=100, description="restarts after a lost worker")
