"""The time in which a home's journals reach MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganlib.storage import Home

REAP_WAIT_S = 30.0


@contextmanager
def session(home: Home) -> Iterator[None]:
    """Runs of dead processes are closed first, so that what follows may continue them.

    What is left of their Rays is ended, whether or not this command starts one.

    A Ray that a stage starts is kept for the next one, and ends with this.
    """
    from ganlib.cluster import end_leftovers, keeping_ray
    from ganlib.tracking import reap, writing

    reap(home, wait=REAP_WAIT_S)
    end_leftovers(home.locks / "ray")
    with writing(home), keeping_ray():
        yield


def unsent(home: Home) -> int:
    """How many runs have lines in their journals that MLflow does not have yet."""
    from ganlib.tracking.drain import progress_of, whole_lines

    journals = home.spool.glob("*.jsonl")
    return sum(progress_of(home, path.stem).offset < whole_lines(path) for path in journals)


def ray_log(home: Home) -> Path:
    """What Ray itself says; workers write beside what they train."""
    return home.runs / "ray.log"
