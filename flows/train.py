"""The judge and the selector, the sweep's winner, and the GAN."""

from __future__ import annotations

from typing import Literal

from prefect.runtime import flow_run

from flows import chain
from flows.chain import PipelineResult
from flows.policy import stage_flow
from ganlib.config import PipelineConfig


@stage_flow("train")
def train(
    config: PipelineConfig,
    home: str = "",
    fresh: bool = False,
    what: Literal["gan", "classifiers"] = "gan",
    sweep: bool = True,
) -> PipelineResult:
    """Train, and before it whatever is missing for it.

    Without `sweep` the GAN is trained with the configuration's own settings.
    """
    return chain.run(
        config,
        home,
        fresh,
        what,
        command=f"train {what}" + ("" if sweep else " without sweep"),
        flow_run_id=flow_run.id,
        sweeping=sweep,
    )
