"""The generator and its judge on the held-out images."""

from __future__ import annotations

from prefect.runtime import flow_run

from flows import chain
from flows.chain import PipelineResult
from flows.policy import stage_flow
from ganlib.config import PipelineConfig


@stage_flow("evaluate")
def evaluate(
    config: PipelineConfig, home: str = "", fresh: bool = False, sweep: bool = True
) -> PipelineResult:
    """Metrics with spreads and floors, and before them whatever is missing for them.

    Without `sweep` the GAN meant is that of the configuration's own settings.
    """
    return chain.run(
        config,
        home,
        fresh,
        "evaluate",
        command="evaluate" + ("" if sweep else " without sweep"),
        flow_run_id=flow_run.id,
        sweeping=sweep,
    )
