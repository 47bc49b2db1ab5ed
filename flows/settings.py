"""Prefect's settings for a home, in the environment: Prefect reads them when it is imported."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ganlib.storage import atomic

# Defaults; what the environment already says stays.
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
    "PREFECT_API_REQUEST_TIMEOUT": "300",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "ganlib",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
}


def apply(home: Path, *, server: bool = False) -> None:
    """Keep Prefect's state, database and logs in `home`/prefect, and all of it off the terminal.

    Call it before anything imports Prefect. `PREFECT_API_URL` is respected: the runs are then
    shown by that server and nothing but logs is kept here. `server`: for the server's own process,
    which logs to a file of its own.
    """
    folder = home / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    name = "server" if server else "flows"
    settings = folder / f"{name}-logging.json"
    text = json.dumps(_logging(folder / f"{name}.log", api=not server), indent=2)
    atomic.write_bytes(settings, text.replace("$", "$$").encode())
    os.environ["PREFECT_HOME"] = str(folder)
    os.environ["PREFECT_LOGGING_SETTINGS_PATH"] = str(settings)
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)


def _logging(file: Path, *, api: bool) -> dict[str, Any]:
    """logging.config's dictionary: everything to `file`, flow and task runs to the server too."""
    told = ["api"] if api else []
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "plain": {"format": "%(asctime)s %(levelname)s %(name)s %(process)d: %(message)s"}
        },
        "handlers": {
            "file": {
                "class": "logging.handlers.RotatingFileHandler",
                "filename": str(file),
                "maxBytes": 5_000_000,
                "backupCount": 2,
                "formatter": "plain",
                "encoding": "utf-8",
            },
            "api": {"class": "prefect.logging.handlers.APILogHandler"},
        },
        "loggers": {
            "prefect": {"level": "INFO"},
            "prefect.extra": {"level": "INFO", "handlers": told},
            "prefect.flow_runs": {"level": "NOTSET", "handlers": told},
            "prefect.task_runs": {"level": "NOTSET", "handlers": told},
            "prefect.server": {"level": "WARNING"},
            "uvicorn": {"level": "WARNING"},
            "ganlib": {"level": "INFO"},
        },
        "root": {"level": "WARNING", "handlers": ["file"]},
    }


def start_logging() -> None:
    """Set Prefect's logging up now: it removes the handlers of our loggers, so add them after."""
    from prefect.logging.configuration import ensure_logging_setup

    ensure_logging_setup()


def flush(timeout_s: float = 5.0) -> None:
    """Send the logs and events that Prefect's threads still hold, before its server ends."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=timeout_s)
