"""The generator and its judge on the held-out images."""

from __future__ import annotations

from prefect.runtime import flow_run

from flows import chain
from flows.chain import PipelineResult
from flows.policy import stage_flow
from ganlib.config import PipelineConfig


@stage_flow("evaluate")
def evaluate(config: PipelineConfig, home: str = "", fresh: bool = False) -> PipelineResult:
    """Metrics with spreads and floors, and before them whatever is missing for them."""
    return chain.run(config, home, fresh, "evaluate", command="evaluate", flow_run_id=flow_run.id)
