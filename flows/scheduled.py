"""The flow that the clock starts: the whole chain, if its turn is not left out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect.runtime import flow_run
from prefect.states import Completed

from flows import admission, chain, remains
from flows.endings import ended
from flows.policy import stage_flow
from flows.schedules import SKIPPED, CatchUp, Overlap, Retrain, Start
from ganlib.config import PipelineConfig
from ganlib.storage import Home


@stage_flow("scheduled")
def scheduled(
    config: PipelineConfig,
    home: str = "",
    overlap: Overlap = "skip",
    catch_up: CatchUp = "latest",
    retrain: Retrain = "new-data",
    start: Start = "nothing",
) -> Any:
    """As `pipeline`; ends as Completed with the name Skipped, and the reason, when it is left out.

    The command is that of `ganlib run`: what one night left unfinished the next one continues.
    Files that were added or changed are trained on; without any, everything is reused, and the gate
    asked again. With `always` the GAN is trained with a seed of the run's date, from the settings
    that the sweep found. With `start` at the champion its last snapshot is gone on from.
    """
    # Or the next nights would be skipped for a run whose process is gone.
    remains.close_dead(Home.locate(home or None), flow_run.id)
    reason = admission.ask(flow_run.id, overlap=overlap, catch_up=catch_up)
    if reason:
        return Completed(name=SKIPPED, message=reason)
    with admission.giving_way(flow_run.id, overlap):
        return ended(
            lambda: chain.run(
                config,
                home,
                False,
                "promote",
                command="run",
                flow_run_id=flow_run.id,
                seed=seed_of(flow_run.scheduled_start_time) if retrain == "always" else None,
                start=start,
            )
        )


def seed_of(due: datetime) -> int:
    """Minutes since 1970: the same date twice is the same training."""
    return int(due.timestamp()) // 60
