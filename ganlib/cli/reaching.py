"""The Prefect server that a command talks to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def settle(home: Path) -> None:
    """Prefect's settings for `home`, and the server that is there, before Prefect is imported."""
    from flows import orders, settings

    settings.apply(home)
    if api_url := orders.server_of(home):
        os.environ["PREFECT_API_URL"] = api_url


@contextmanager
def server(home: Path, *, own: bool = False) -> Iterator[str]:
    """The address of the server there is, when it answers; else of one of our own, or nothing."""
    from flows import server as servers

    settle(home)
    if not own and "PREFECT_API_URL" not in os.environ:
        yield ""
        return
    started = servers.start(home)
    try:
        started.wait()
        yield started.api_url
    finally:
        started.stop()
