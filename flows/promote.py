"""The gate: registration, the comparison with the champion, and the aliases."""

from __future__ import annotations

from typing import Any

from prefect.runtime import flow_run

from flows import chain
from flows.endings import ended
from flows.policy import stage_flow
from ganlib.config import PipelineConfig


@stage_flow("promote")
def promote(config: PipelineConfig, home: str = "", fresh: bool = False, sweep: bool = True) -> Any:
    """Ask the gate, and before it do whatever is missing. Ends like `pipeline`.

    Without `sweep` the GAN meant is that of the configuration's own settings.
    """
    return ended(
        lambda: chain.run(
            config,
            home,
            fresh,
            "promote",
            command="promote" + ("" if sweep else " without sweep"),
            flow_run_id=flow_run.id,
            sweeping=sweep,
        )
    )
