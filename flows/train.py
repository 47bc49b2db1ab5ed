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
    origin: str = "",
) -> PipelineResult:
    """Train, and before it whatever is missing for it.

    Without `sweep` the GAN is trained with the configuration's own settings; so it is where it goes
    on from a snapshot of another run, `origin`, which is RUN@CLOCK.
    """
    return chain.run(
        config,
        home,
        fresh,
        what,
        command=" ".join(
            [
                f"train {what}",
                *(["without sweep"] if not sweep else []),
                *([f"from {origin}"] if origin else []),
            ]
        ),
        flow_run_id=flow_run.id,
        sweeping=sweep and not origin,
        origin=origin,
    )
