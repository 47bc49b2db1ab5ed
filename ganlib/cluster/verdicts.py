"""What a process that fails has to say, in a file: it outlives the process and its collective.

Ray starts a failed group again as often as `max_failures` allows. That is right for a lost node and
wrong for a wrong setting. So an error of ours, or of a user's code, is written down first; a group
that finds one there returns it instead of training.
"""

from __future__ import annotations

import json
import re
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlib import errors
from ganlib.errors import GanlibError, StageFailed
from ganlib.storage import atomic

AGREE_S = 5.0
_PEER = re.compile(r"gloo|nccl|connection (closed|reset|refused)|socket|store->", re.IGNORECASE)


@dataclass(frozen=True)
class Verdicts:
    """One file for each rank or trial, in a folder of this attempt's own."""

    folder: Path

    def say(self, number: int, error: BaseException) -> bool:
        """Whether it could be written down; raises nothing."""
        try:
            atomic.write_json(self.folder / f"{number:04d}.json", to_dict(error))
        except GanlibError:
            traceback.print_exc()
            return False
        return True

    def first(self) -> GanlibError | None:
        """The verdict of the lowest number, if there is any."""
        for path in sorted(self.folder.glob("[0-9]*.json")):
            return from_dict(atomic.read_json(path))
        return None

    def unanimous(self, count: int, wait_s: float = AGREE_S) -> bool:
        """Whether all `count` have said something within `wait_s`."""
        deadline = time.monotonic() + wait_s
        while len(list(self.folder.glob("[0-9]*.json"))) < count:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


class Unwritten(Exception):
    """An error that no file could take (a full disk), on its way through Ray's own report."""

    def __init__(self, told: str) -> None:
        super().__init__(told)

    @classmethod
    def of(cls, error: BaseException) -> Unwritten:
        return cls(json.dumps(to_dict(error)))


def unwritten(failures: Mapping[int, BaseException]) -> GanlibError | None:
    """What the lowest rank with an `Unwritten` among Ray's failures has to say, if there is one.

    Ray hands back tracebacks as text, so it is looked for there.
    """
    for _, failure in sorted(failures.items()):
        for line in reversed(str(failure).splitlines()):
            name, colon, told = line.partition(f"{Unwritten.__name__}: ")
            if colon and name == f"{Unwritten.__module__}.":
                return from_dict(json.loads(told))
    return None


def is_lost_peer(error: BaseException) -> bool:
    """Whether it is the shadow of another rank's end: to be tried again, not reported."""
    import torch.distributed as dist

    if isinstance(error, GanlibError):
        return False
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and bool(_PEER.search(str(error)))


def to_dict(error: BaseException) -> dict[str, Any]:
    """An error of ours with all its fields; any other as the StageFailed it will be."""
    if not isinstance(error, GanlibError):
        error = StageFailed(
            f"{type(error).__name__}: {str(error).strip() or 'no message'} ({_place(error)})",
            where="training",
            hint="the whole traceback is in the worker's log",
        )
    fields = {name: _plain(value) for name, value in error.fields().items()}
    return {"type": type(error).__name__, "message": error.message, "fields": fields}


def from_dict(told: dict[str, Any]) -> GanlibError:
    """What `to_dict` was given."""
    kind = getattr(errors, told["type"], StageFailed)
    error: GanlibError = kind.__new__(kind)
    Exception.__init__(error, told["message"])
    fields = {n: tuple(v) if isinstance(v, list) else v for n, v in told["fields"].items()}
    error.__dict__.update(fields)
    return error


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "no traceback"
