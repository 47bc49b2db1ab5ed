"""What a command answers with, and how it reaches a person or a program."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


WIDE = 240  # columns where there is no terminal: nothing is cut for a file or a pipe


@dataclass(frozen=True)
class Answer:
    """`result` is the document's; `show` prints the same for a person.

    `after` is what goes on once it is told, until it returns or is interrupted.
    """

    result: dict[str, Any] = field(default_factory=dict)
    exit: int = 0
    show: Callable[[Console], None] | None = None
    after: Callable[[], None] | None = None


def document(
    command: str, code: int, result: dict[str, Any], error: dict[str, Any] | None
) -> dict[str, Any]:
    """The one document of `--json`."""
    return {
        "schema": f"ganlib.{command}/1" if command else "ganlib/1",
        "ok": code == 0,
        "exit": code,
        "result": result,
        "error": error,
    }


def console(stream: TextIO | None = None) -> Console:
    """Rich on `stream` (default: standard output); wide enough for paths when it is no terminal."""
    from rich.console import Console

    stream = stream or sys.stdout
    terminal = stream.isatty() and os.environ.get("TERM") != "dumb"

    class Patient(Console):
        """Rich's own would end the program when the reader of a pipe goes away."""

        def on_broken_pipe(self) -> None:
            self.quiet = True
            let_go(self.file.fileno())

    return Patient(
        file=stream,
        force_terminal=terminal,
        width=None if terminal else WIDE,
        highlight=False,
        soft_wrap=not terminal,
    )


@contextmanager
def only_documents() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Standard output carries what is given to the yielded function; all else goes to stderr.

    At the level of file descriptors, so that child processes and C libraries obey as well.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8") as file:

            def write(value: dict[str, Any]) -> None:
                file.write(json.dumps(value, ensure_ascii=True, default=str) + "\n")
                file.flush()

            yield write
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def forgiving() -> None:
    """Terminals that cannot show a letter show a question mark instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def let_go(descriptor: int = 1) -> None:
    """Nobody reads it any more: write into nothing, also when Python flushes at its end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
