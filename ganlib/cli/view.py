"""A run while it runs: a live tree on a terminal, plain timestamped lines anywhere else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from ganlib.cli import output, tables
from ganlib.cli.watch import RunView, Watch, headline
from ganlib.stages.durations import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text
    from rich.tree import Tree

ROUND_S = 0.25


class View(Protocol):
    """What a run may say to whoever watches, beside its journals."""

    def say(self, text: str) -> None: ...

    def phase(self, text: str) -> None:
        """What is going on outside the stages: starting, writing the last lines."""


@contextmanager
def watching(spool: Path, stages: tuple[str, ...], stream: TextIO, title: str) -> Iterator[View]:
    """Show the runs of this process on `stream` until the block ends.

    A reader that goes away (a closed pipe) silences the view and stops nothing.
    """
    console = output.console(stream)
    watch = Watch(spool)
    live = console.is_terminal and not console.is_dumb_terminal
    view = _Tree(console, watch, stages, title) if live else _Lines(console, watch, title)
    end = threading.Event()

    def follow() -> None:
        while not end.wait(ROUND_S):
            _quietly(view)

    thread = threading.Thread(target=follow, name="ganlib-view", daemon=True)
    view.open()
    thread.start()
    try:
        yield view
    finally:
        end.set()
        thread.join(timeout=5)
        _quietly(view)
        with suppress(BrokenPipeError, ValueError):
            view.close()


def _quietly(view: _Lines) -> None:
    try:
        view.refresh()
    except (BrokenPipeError, ValueError):
        view.mute()


class _Lines:
    """`06:41:02 text`, one line for each thing that happens."""

    def __init__(self, console: Console, watch: Watch, title: str) -> None:
        self.console, self.watch, self.title = console, watch, title
        self._muted = False
        self._lock = threading.Lock()

    def open(self) -> None:
        self.say(self.title)

    def say(self, text: str) -> None:
        with self._lock:
            if not self._muted:
                with suppress(BrokenPipeError):
                    self._put(text)

    def _put(self, text: str) -> None:
        for line in text.splitlines():
            self.console.print(f"{time.strftime('%H:%M:%S')} {line}", markup=False)

    def phase(self, text: str) -> None:
        self.say(text)

    def refresh(self) -> None:
        for line in self.watch.poll():
            self.say(line)

    def mute(self) -> None:
        self._muted = True

    def close(self) -> None:
        self.refresh()


class _Tree(_Lines):
    """The stages with their marks; the running one with a bar and its current readings."""

    def __init__(self, console: Console, watch: Watch, stages: tuple[str, ...], title: str) -> None:
        super().__init__(console, watch, title)
        self.stages = stages
        self._phase = "starting"
        self._begun = time.time()
        self._live: Live | None = None

    def open(self) -> None:
        from rich.live import Live

        self._live = Live(
            self._draw(), console=self.console, auto_refresh=False, redirect_stderr=False,
            redirect_stdout=False,
        )  # fmt: skip
        self._live.start()

    def _put(self, text: str) -> None:
        # Above the tree, where it stays.
        self.console.print(text, markup=False, style="dim")

    def phase(self, text: str) -> None:
        self._phase = text
        self.refresh()

    def refresh(self) -> None:
        with self._lock:
            self.watch.poll()
            notes, self.watch.notes = self.watch.notes, []
            for note in notes:
                if ": reused, " not in note:  # the tree has a mark for those
                    self._put(note)
            if self._live:
                self._live.update(self._draw(), refresh=True)

    def close(self) -> None:
        if self._live:
            self._phase = ""
            self.refresh()
            self._live.stop()

    def _draw(self) -> Tree:
        from rich.text import Text
        from rich.tree import Tree

        now = time.time()
        head = Text(self.title, style="bold")
        head.append(f"  {duration(now - self._begun)}  {self._phase}", style="dim")
        tree = Tree(head, guide_style="dim")
        known = {run.stage: run for run in self.watch.stages()}
        for stage in dict.fromkeys([*self.stages, *known]):
            run = known.get(stage)
            if run is None:
                tree.add(self._waiting(stage))
                continue
            branch = tree.add(self._line(run, now))
            below = self.watch.below(run)
            open_ones = [child for child in below if not child.status]
            for child in open_ones[:8]:
                branch.add(self._line(child, now))
            if ended := len(below) - len(open_ones):
                branch.add(Text(f"{ended} done", style="dim"))
        return tree

    def _waiting(self, stage: str) -> Text:
        from rich.text import Text

        if stage in self.watch.reused:
            return Text(f"{self._mark('reused')} {stage:<12} reused", style="green")
        return Text(f"{self._mark('')} {stage}", style="dim")

    def _line(self, run: RunView, now: float) -> Text:
        from rich.text import Text

        style = {"FINISHED": "green", "FAILED": "red", "KILLED": "yellow"}.get(run.status, "cyan")
        text = Text(f"{self._mark(run.status or 'RUNNING')} {run.name:<12}", style=style)
        text.append(f" {duration(run.seconds(now)):>12}", style="dim")
        if not run.status and run.budget:
            text.append(f"  {self._bar(run)}")
            if run.speed:
                text.append(f" {run.speed:,.0f} {run.unit}")
            left = run.left(now)
            if left is not None:
                text.append(f", {duration(left)} left")
        if shown := headline(run.readings):
            text.append(f"  {shown}")
        elif run.note and not run.status:
            text.append(f"  {run.note}", style="dim")
        elif run.description and run.status:
            text.append(f"  {run.description}", style="dim")
        text.no_wrap, text.overflow = True, "ellipsis"
        return text

    def _bar(self, run: RunView, width: int = 20) -> str:
        share = min(1.0, run.clock / run.budget) if run.budget else 0.0
        full, empty = ("━", "─") if tables.unicode(self.console) else ("#", ".")
        done = round(share * width)
        return f"{full * done}{empty * (width - done)} {share:4.0%}"

    def _mark(self, status: str) -> str:
        nice = {"FINISHED": "✓", "reused": "↺", "RUNNING": "●", "FAILED": "✗", "KILLED": "■"}
        plain = {"FINISHED": "+", "reused": "=", "RUNNING": "*", "FAILED": "x", "KILLED": "!"}
        return (nice if tables.unicode(self.console) else plain).get(status, " ")
