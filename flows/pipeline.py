"""From images to a promoted model: the flow behind `ganlib run`."""

from __future__ import annotations

from typing import Any

from prefect.runtime import flow_run

from flows import chain
from flows.endings import ended
from flows.policy import stage_flow
from ganlib.config import PipelineConfig


@stage_flow("pipeline")
def pipeline(config: PipelineConfig, home: str = "", fresh: bool = False) -> Any:
    """Prepare, train classifiers, sweep, train the winner, evaluate, promote.

    `home` is the folder everything is kept in; `fresh` does again what is done. Ends Completed
    when the model was promoted and NotPromoted, which is no failure, when it was not; Collapsed and
    Diverged are failures with a name of their own.
    """
    return ended(
        lambda: chain.run(config, home, fresh, "promote", command="run", flow_run_id=flow_run.id)
    )
