"""What every stage is given: the home, the configuration, and the pipeline it works for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ganlib.config import PipelineConfig
from ganlib.stages import pipelines
from ganlib.stages.sessions import session
from ganlib.storage import Home

logger = logging.getLogger("ganlib")


@dataclass(frozen=True)
class Context:
    """`fresh`: only records of this very pipeline count, so an interrupted fresh run continues."""

    home: Home
    config: PipelineConfig
    pipeline_id: str
    fresh: bool = False
    flow_run_id: str | None = None

    @property
    def experiment(self) -> str:
        return f"ganlib/{self.config.name}"

    def say(self, text: str) -> None:
        """Tell whoever watches: a line in the pipeline's journal and in the log."""
        logger.info(text)
        pipelines.note(self.home, self.pipeline_id, text)


@contextmanager
def opened(
    config: PipelineConfig,
    command: str,
    home: Path | str | None = None,
    fresh: bool = False,
    pipeline: str | None = None,
    flow_run_id: str | None = None,
) -> Iterator[Context]:
    """A context in `pipeline`, or in one of its own that is closed with the truth at the end.

    While it is open the journals of this home are being written to MLflow.
    """
    place = Home.open(home)
    with session(place):
        if pipeline is not None:
            yield Context(place, config, pipeline, fresh, flow_run_id)
            return
        own = pipelines.begin(place, config, command=command, fresh=fresh, flow_run_id=flow_run_id)
        with pipelines.closing(place, own):
            yield Context(place, config, own, fresh, flow_run_id)
