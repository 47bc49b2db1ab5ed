"""The environment variables Ray needs, for this process and for its workers."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterable
from urllib.parse import urlsplit

DRIVER = {
    # No second Ray by accident after ours was stopped.
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "TUNE_DISABLE_AUTO_INIT": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
}
WATCHER = "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"
WORKERS = {
    "RAY_TRAIN_V2_ENABLED": "1",
    # Reports are a barrier that is polled; at the default of 2 s each would cost that much.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_WARN_BLOCKING_GET_INSIDE_ASYNC": "0",
    # A group that lost a member is not asked politely for long.
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "2",
    # Workers stay in the folder the command was given in: a user's own modules are found there.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
STORAGE = (
    "GANLIB_MIRROR",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
)
"""Where images and snapshots are in S3; credentials for it are each node's own."""


def settle(*, local: bool) -> None:
    """Set what is not set yet; before Ray is imported. What a user has set stays.

    A local Ray gets a token of its own, so that nothing is written to the user's folder and no
    other user of the machine may join.
    """
    watched = {WATCHER: "0" if local else "1"}
    for name, value in {**DRIVER, **WORKERS, **watched}.items():
        os.environ.setdefault(name, value)
    if local and not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(16)
        if "ray" not in sys.modules:  # else Ray has read it, and switches it on with a warning
            os.environ.setdefault("RAY_AUTH_MODE", "token")


def of_workers(threads: int) -> dict[str, str]:
    """What every worker process is started with; one set for all, so that Ray may share them.

    Ray shows it to whoever sees its page, so there is no credential in it. Where this process knows
    of a storage, that counts before what the worker's node says.
    """
    places = [os.getcwd(), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    passed = {name: os.environ.get(name, value) for name, value in WORKERS.items()}
    passed[WATCHER] = os.environ.get(WATCHER, "0")
    return {
        **passed,
        **told(STORAGE),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(places)),
        "PYTHONUNBUFFERED": "1",
    }


def told(names: Iterable[str]) -> dict[str, str]:
    """Those of them that are set, without addresses that hold a login."""
    found = {name: os.environ[name] for name in names if os.environ.get(name)}
    return {name: value for name, value in found.items() if "@" not in urlsplit(value).netloc}
