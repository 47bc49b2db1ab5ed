"""The search for settings with which the GAN covers its data."""

from __future__ import annotations

from prefect.runtime import flow_run

from flows import chain
from flows.chain import PipelineResult
from flows.policy import stage_flow
from ganlib.config import PipelineConfig


@stage_flow("sweep")
def sweep(config: PipelineConfig, home: str = "", fresh: bool = False) -> PipelineResult:
    """Run the trials, and before them whatever is missing for them."""
    return chain.run(config, home, fresh, "sweep", command="sweep", flow_run_id=flow_run.id)
