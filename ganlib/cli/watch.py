"""What the runs of this process are doing, read from the journals they write."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganlib.training import follow

# How stages without readings tell where they are: `preparing 5,000 of 20,000`.
PROGRESS = re.compile(r"(?P<doing>.+?) (?P<done>[\d,]+) of (?P<total>[\d,]+)")


@dataclass
class RunView:
    """One run as its journal tells it so far."""

    id: str
    parent: str | None
    name: str
    stage: str
    budget: int | None = None
    since: float = 0.0
    until: float | None = None
    status: str = ""
    description: str = ""
    clock: int = 0
    started_at: int | None = None
    speed: float = 0.0
    note: str = ""
    unit: str = "images/s"
    _doing: str = ""
    readings: dict[str, float] = field(default_factory=dict)
    _marks: list[tuple[float, int]] = field(default_factory=list)

    def seconds(self, now: float) -> float:
        return (self.until or now) - self.since

    def left(self, now: float) -> float | None:
        """Seconds until the budget is used up, at the present speed."""
        if not self.budget or not self.speed or self.status:
            return None
        behind = now - self._marks[-1][0] if self._marks else 0.0
        return max(0.0, (self.budget - self.clock) / self.speed - behind)

    def noted(self, moment: float, text: str) -> None:
        """One that counts is progress; each kind of thing that is counted begins anew."""
        self.note = text
        found = PROGRESS.fullmatch(text)
        if found is None:
            return
        done, total = (int(found[name].replace(",", "")) for name in ("done", "total"))
        if found["doing"] != self._doing:
            self._doing = found["doing"]
            begun = self._marks[-1][0] if self._marks else self.since
            self.clock, self.speed, self._marks = 0, 0.0, [(begun, 0)]
            self.unit = "images/s" if self._doing == "preparing" else "/s"
        self.budget = total
        self.tick(moment, done)

    def tick(self, moment: float, clock: int) -> None:
        """The speed is that of the last marks: a resumed run does not count what it skipped."""
        self.clock = max(self.clock, clock)
        if self.started_at is None:
            self.started_at = clock
        if self._marks and clock <= self._marks[-1][1]:
            return
        self._marks = [*self._marks[-7:], (moment, clock)]
        (first, start), (last, end) = self._marks[0], self._marks[-1]
        if last > first:
            self.speed = (end - start) / (last - first)


class Watch:
    """Follows the journals of the pipeline that this process (or `pid`) works on, whoever does
    its stages.

    `poll` reads what is new and returns what there is to say, one line each.
    """

    def __init__(self, spool: Path, pid: int | None = None) -> None:
        self.spool = spool
        self.pid = os.getpid() if pid is None else pid
        self.pipeline: str | None = None
        self.runs: dict[str, RunView] = {}
        self.reused: dict[str, float] = {}
        self.notes: list[str] = []  # of the pipeline itself; who shows them empties it
        # What was written before us is history.
        self._offsets = {p.name: p.stat().st_size for p in spool.glob("*.jsonl")}

    def poll(self) -> list[str]:
        said: list[tuple[float, str]] = []
        # A pipeline before its stages, a stage before its trials.
        for path in sorted(self.spool.glob("*.jsonl"), key=lambda p: (p.name.count("."), p.name)):
            if self.pipeline and not path.name.startswith(self.pipeline):
                continue
            for line, offset in follow(path, self._offsets.get(path.name, 0)):
                self._offsets[path.name] = offset
                said += [(line["t"], text) for text in self._read(path.stem, line)]
        return [text for _, text in sorted(said, key=lambda pair: pair[0])]

    def stages(self) -> list[RunView]:
        """The pipeline's own children, in the order they began."""
        return [r for r in self.runs.values() if r.parent == self.pipeline]

    def below(self, run: RunView) -> list[RunView]:
        return [r for r in self.runs.values() if r.parent == run.id]

    def _read(self, name: str, line: dict[str, Any]) -> list[str]:
        if line["kind"] == "open":
            return self._opened(line)
        if name == self.pipeline and line["kind"] == "note":
            self.notes.append(str(line["text"]))
            return self.notes[-1:]
        if name == self.pipeline and line["kind"] == "tags":
            for tag in line["values"]:
                if tag.startswith("ganlib.reused."):
                    self.reused[tag.removeprefix("ganlib.reused.")] = line["t"]
        run = self.runs.get(name)
        return self._heard(run, line) if run else []

    def _opened(self, line: dict[str, Any]) -> list[str]:
        told = line["identity"]
        parent = told.get("parent_id")
        if parent is None:
            if told.get("pid") == self.pid:
                self.pipeline = told["id"]
            return []
        if parent != self.pipeline and parent not in self.runs:  # somebody else's
            return []
        run = RunView(
            told["id"], parent, told["name"], told["stage"], told.get("images"), line["t"]
        )
        self.runs[run.id] = run
        if parent == self.pipeline:
            return [f"{run.name}: started" + (", again" if line.get("attempt", 1) > 1 else "")]
        return []

    def _heard(self, run: RunView, line: dict[str, Any]) -> list[str]:
        match line["kind"]:
            case "metrics":
                run.readings |= line["values"]
                run.tick(line["t"], int(line["clock"]))
                run.speed = line["values"].get("train/images_per_second", run.speed)
                return self._reading(run, line)
            case "note":
                run.noted(line["t"], str(line["text"]))
                return [f"{run.name}: {line['text']}"]
            case "close":
                run.until, run.status = line["t"], line["status"]
                run.description = line.get("description", "")
                how = {"FINISHED": "done", "FAILED": "failed", "KILLED": "stopped"}
                end = f"{run.name}: {how.get(run.status, run.status)}"
                return [f"{end} in {run.seconds(line['t']):.0f} s. {run.description}".rstrip()]
        return []

    def _reading(self, run: RunView, line: dict[str, Any]) -> list[str]:
        shown = headline(line["values"])
        if not shown:
            return []
        of = f" of {run.budget:,}" if run.budget else ""
        speed = f", {run.speed:,.0f} images/s" if run.speed else ""
        return [f"{run.name}: {line['clock']:,}{of} images{speed}, {shown}"]


# What matters of the many readings, under the names a person knows.
HEADLINES = {
    "coverage": "coverage",
    "scaled_distance": "scaled distance",
    "accuracy": "accuracy",
    "label_agreement": "label agreement",
}


def headline(values: dict[str, float]) -> str:
    """`coverage 0.812, scaled distance 0.0310`: what is among `values`, but not of training."""
    parts = []
    for key, name in HEADLINES.items():
        for known, value in values.items():
            if known.rsplit("/", 1)[-1] == key and not known.startswith("train/"):
                parts.append(f"{name} {value:.4g}")
                break
    return ", ".join(parts)
