"""From images to a promoted model: the flow behind `ganlib run`."""

from __future__ import annotations

from typing import Any

from prefect.runtime import flow_run
from prefect.states import Completed

from flows import chain
from flows.chain import PipelineResult
from flows.policy import stage_flow
from ganlib.config import PipelineConfig


@stage_flow("pipeline")
def pipeline(config: PipelineConfig, home: str = "", fresh: bool = False) -> Any:
    """Prepare, train classifiers, sweep, train the winner, evaluate, promote.

    `home` is the folder everything is kept in; `fresh` does again what is done. Ends Completed
    when the model was promoted and NotPromoted, which is no failure, when it was not.
    """
    result = chain.run(config, home, fresh, "promote", command="run", flow_run_id=flow_run.id)
    return result if result.promoted else not_promoted(result)


def not_promoted(result: PipelineResult) -> Any:
    """A final state with a name of its own; its data is the result."""
    reasons = "; ".join(result.decision.reasons) if result.decision else ""
    return Completed(name="NotPromoted", message=f"{result.verdict}: {reasons}", data=result)
