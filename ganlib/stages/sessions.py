"""The time in which a home's journals reach MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ganlib.storage import Home


@contextmanager
def session(home: Home) -> Iterator[None]:
    """Runs of dead processes are closed first, so that what follows may continue them."""
    from ganlib.tracking import reap, writing

    reap(home)
    with writing(home):
        yield
