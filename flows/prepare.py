"""Images to shards with a manifest."""

from __future__ import annotations

from prefect.runtime import flow_run

from flows import chain
from flows.chain import PipelineResult
from flows.policy import stage_flow
from ganlib.config import PipelineConfig


@stage_flow("prepare")
def prepare(config: PipelineConfig, home: str = "", fresh: bool = False) -> PipelineResult:
    """Decode, check and shard the images."""
    return chain.run(config, home, fresh, "prepare", command="prepare", flow_run_id=flow_run.id)
