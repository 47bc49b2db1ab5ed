"""`ganlib status`: runs and their true state, models and aliases, and why a stage is done again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from ganlib.cli import tables
from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from ganlib.config import PipelineConfig
    from ganlib.stages.values import RunStatus, Status, Why

STYLES = {
    "running": "cyan",
    "finished": "green",
    "failed": "red",
    "killed": "yellow",
    "interrupted": "yellow",
}


@click.command(epilog=EPILOG)
@common
@click.argument("target", metavar="[RECIPE | FILE.yaml | FOLDER]", required=False)
@click.option("--why", metavar="STAGE", help="What changed since this stage was done last.")
@click.option("--all", "everything", is_flag=True, help="Every run, not the newest ones.")
def status(options: Options, target: str | None, why: str | None, everything: bool) -> Answer:
    """Runs and their true state, models and their aliases.

    A run whose process was killed is shown as what it is, whatever its last words were. With --why,
    the configuration meant is TARGET's with --set, or else that of the newest run.

    \b
    ganlib status
    ganlib status --why gan
    ganlib status digits --why gan --set gan.budget.images=50000
    """
    from ganlib import api

    if why is not None:
        found = api.why(why, _meant(options, target), home=options.place)
        return Answer(found.model_dump(mode="json"), show=lambda console: _reasons(console, found))
    options.unused()
    now = api.status(home=options.place)
    return Answer(
        now.model_dump(mode="json"), show=lambda console: _overview(console, now, everything)
    )


def _meant(options: Options, target: str | None) -> PipelineConfig:
    kept = options.newest_pipeline() if target is None else None
    return options.config(target if kept is None else str(kept))


def _reasons(console: Console, found: Why) -> None:
    console.print(f"{found.stage}: {found.reason}", markup=False)
    if found.changes:
        rows = [
            (f"{c.part}.{c.path}" if c.path else c.part, c.before, c.now) for c in found.changes
        ]
        tables.show(console, ("what", "then", "now"), rows)


def _overview(console: Console, now: Status, everything: bool) -> None:
    if not now.runs:
        console.print(f"nothing ran in {now.home} yet; ganlib run starts with the digits")
    else:
        kept = now.runs if everything else _newest(now.runs)
        tables.show(
            console,
            ("run", "what", "state", "images", "started", "last words"),
            [_row(run) for run in kept],
            right=("images",),
            whole=("run", "what", "state", "images", "started"),
            cut=("last words",),
            title=now.home,
        )
        if len(kept) < len(now.runs):
            console.print(f"{len(now.runs) - len(kept)} more: ganlib status --all", style="dim")
    if now.models:
        tables.show(
            console,
            ("model", "version", "aliases", "verdict"),
            [(m.name, m.version, ", ".join(m.aliases), m.verdict) for m in now.models],
        )
    if now.note:
        console.print(now.note, markup=False)


def _newest(runs: tuple[RunStatus, ...], pipelines: int = 3) -> list[RunStatus]:
    """The last pipelines with their stages; trials only while they run."""
    tops = [run.id for run in runs if run.parent is None][:pipelines]
    return [
        run
        for run in runs
        if run.id.split(".")[0] in tops and (run.id.count(".") < 2 or run.state == "running")
    ]


def _row(run: RunStatus) -> tuple[str | Text, ...]:
    from rich.text import Text

    of = f"/{run.budget:,}" if run.budget else ""
    depth = "  " * run.id.count(".")
    return (
        depth + run.id,
        run.name,
        Text(run.state, style=STYLES[run.state]),
        f"{run.images:,}{of}" if run.images or run.budget else "",
        time.strftime("%m-%d %H:%M:%S", time.localtime(run.started)),
        _words(run),
    )


def _words(run: RunStatus) -> str:
    """What it said last, and the last of its rescues."""
    tried = f"rescue {len(run.rescues)}, as it {run.rescues[-1]}" if run.rescues else ""
    return "; ".join(filter(None, (tried, run.description or run.verdict)))
