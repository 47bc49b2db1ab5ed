"""What the machine does while runs go on, under the names MLflow's System metrics page reads.

Taken by the writer, not by the run: training has no thread for it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ganlib.storage import Home
from ganlib.tracking.runs import run_of
from ganlib.training import RunIdentity, follow

if TYPE_CHECKING:
    from mlflow import MlflowClient

EVERY_S = 10.0


class SystemMetrics:
    """Samples at most every ten seconds, into each open run of this host."""

    def __init__(self, client: MlflowClient, home: Home) -> None:
        self.client = client
        self.home = home
        self._next = time.monotonic() + EVERY_S
        self._open: dict[str, tuple[int, bool]] = {}

    def sample(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        values = read_machine()
        now = round(time.time() * 1000)
        from mlflow.entities import Metric

        for journal_id in self._open_journals():
            run = run_of(self.home, journal_id)
            if run is None:
                continue
            step = now // round(EVERY_S * 1000) % 1_000_000_000
            metrics = [Metric(f"system/{k}", v, now, step) for k, v in values.items()]
            self.client.log_batch(run.run_id, metrics=metrics)

    def _open_journals(self) -> list[str]:
        """Journals of this host that were opened and not closed since."""
        for path in self.home.spool.glob("*.jsonl"):
            offset, is_open = self._open.get(path.stem, (0, False))
            if path.stat().st_size == offset:
                continue
            for line, after in follow(path, offset):
                offset = after
                if line["kind"] == "open":
                    identity = RunIdentity.model_validate(line["identity"])
                    is_open = identity.owner_alive() is not None
                elif line["kind"] == "close":
                    is_open = False
            self._open[path.stem] = (offset, is_open)
        return [journal_id for journal_id, (_, is_open) in self._open.items() if is_open]


def read_machine() -> dict[str, float]:
    """Load and memory now; empty where psutil is missing."""
    try:
        import psutil  # type: ignore[import-untyped]
    except ImportError:
        return {}
    memory = psutil.virtual_memory()
    disk = psutil.disk_usage("/")
    return {
        "cpu_utilization_percentage": float(psutil.cpu_percent()),
        "system_memory_usage_megabytes": memory.used / 1e6,
        "system_memory_usage_percentage": float(memory.percent),
        "disk_usage_percentage": float(disk.percent),
        "disk_available_megabytes": disk.free / 1e6,
    }
