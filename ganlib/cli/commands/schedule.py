"""`ganlib schedule`: runs by the clock, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganlib.cli import reaching
from ganlib.cli.commands.notify import notify
from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer
from ganlib.cli.times import Day, span
from ganlib.errors import ConfigError, Damaged

if TYPE_CHECKING:
    from rich.console import Console

    from flows.firing import Firing
    from flows.schedules import Schedule

NEXT = 3


@click.group()
def schedule() -> None:
    """Run pipelines by the clock.

    \b
    ganlib schedule add mnist --cron "0 2 * * *" --timezone Europe/Berlin
    ganlib schedule simulate mnist --duration 3h
    ganlib schedule serve
    """


@schedule.command(epilog=EPILOG)
@common
@click.argument("target", metavar="RECIPE | FILE.yaml | FOLDER")
@click.option("--cron", required=True, help="Minute hour day month weekday, e.g. '0 2 * * *'.")
@click.option("--timezone", default="UTC", show_default=True, help="As Europe/Berlin.")
@click.option(
    "--overlap",
    type=click.Choice(["skip", "queue", "cancel"]),
    default="skip",
    show_default=True,
    help="When the run before still runs: skip this one, queue it, or cancel the one that runs.",
)
@click.option(
    "--catch-up",
    type=click.Choice(["latest", "all", "none"]),
    default="latest",
    show_default=True,
    help="Of what fell due while no worker was there.",
)
@click.option(
    "--retrain",
    type=click.Choice(["new-data", "always"]),
    default="new-data",
    show_default=True,
    help="Train when files were added or changed, or each time, with a seed of the date.",
)
@click.option(
    "--from",
    "start",
    type=click.Choice(["nothing", "champion"]),
    default="nothing",
    show_default=True,
    help="Where training begins: anew, or at the champion's last snapshot.",
)
@click.option("--work-pool", help="Whose workers run it.  [default: that of ganlib schedule serve]")
@click.option("--name", help="What the schedule is called.  [default: the recipe's name]")
def add(
    options: Options,
    target: str,
    cron: str,
    timezone: str,
    overlap: str,
    catch_up: str,
    retrain: str,
    start: str,
    work_pool: str | None,
    name: str | None,
) -> Answer:
    """Run RECIPE by the clock, with the settings it has now and --set.

    A schedule of the same name is replaced. It is kept in the home, and told to the server of
    PREFECT_API_URL or of a running `ganlib schedule serve`.

    \b
    ganlib schedule add mnist --cron "0 2 * * *" --timezone Europe/Berlin
    ganlib schedule add flowers/ --cron "30 1 * * 1-5" --overlap queue --catch-up all
    ganlib schedule add flowers/ --cron "0 3 * * *" --from champion --set gan.budget.images=20000
    ganlib schedule add mine.yaml --cron "0 */6 * * *" --work-pool gpu --name mine-often
    """
    from flows import firing, schedules
    from ganlib import api
    from ganlib.config.overlay import parse
    from ganlib.storage import Home

    config = options.config(target)
    pool = work_pool or schedules.POOL
    tree = {"name": name or config.name, "config": config, "cron": cron, "timezone": timezone}
    tree |= {"overlap": overlap, "catch_up": catch_up, "retrain": retrain, "start": start}
    tree |= {"work_pool": pool}
    wanted = parse(schedules.Schedule, tree)
    home = Home.open(options.place).root
    reaching.settle(home)
    coming = firing.fire_times(wanted, datetime.now(UTC), NEXT)
    if pool == schedules.POOL:  # else the images are where those workers are
        api.check(config, home=home, until="promote")
    told = _tell(home, wanted)
    schedules.keep(home, wanted)
    return _answer(wanted, coming, told, "added")


@schedule.command(name="list", epilog=EPILOG)
@common
def list_(options: Options) -> Answer:
    """The schedules of this home and when each runs next."""
    options.unused()
    from flows import firing, schedules
    from ganlib.storage import Home

    home = Home.existing(options.place).root
    reaching.settle(home)
    now = datetime.now(UTC)
    found = [
        (one, None if one.paused else firing.fire_times(one, now, 1)[0])
        for one in schedules.kept(home)
    ]

    def show(console: Console) -> None:
        from ganlib.cli import tables

        columns = ("schedule", "cron", "timezone", "overlap", "catch-up", "retrain", "pool", "next")
        rows = [
            (s.name, s.cron, s.timezone, s.overlap, s.catch_up, s.retrain, s.work_pool, _when(at))
            for s, at in found
        ]
        tables.show(console, columns, rows, whole=("schedule", "cron"))
        if not rows:
            console.print("none yet: ganlib schedule add", style="dim")

    told = [_plain(one) | {"next": at and at.isoformat()} for one, at in found]
    return Answer({"schedules": told}, show=show)


@schedule.command(epilog=EPILOG)
@common
@click.argument("name")
def pause(options: Options, name: str) -> Answer:
    """Run NAME no more until it is resumed; what runs now goes on."""
    return _switch(options, name, paused=True)


@schedule.command(epilog=EPILOG)
@common
@click.argument("name")
def resume(options: Options, name: str) -> Answer:
    """Run NAME by the clock again. What fell due in the pause is not caught up."""
    return _switch(options, name, paused=False, since=datetime.now(UTC).replace(microsecond=0))


@schedule.command(epilog=EPILOG)
@common
@click.argument("name")
def remove(options: Options, name: str) -> Answer:
    """Forget schedule NAME, and its runs to come; what it made stays.

    One whose file is damaged as well. Where no server is there to be told, the next
    `ganlib schedule serve` forgets it.
    """
    options.unused()
    from flows import orders, schedules
    from ganlib.storage import Home

    home = Home.existing(options.place).root
    try:
        gone = _plain(schedules.named(home, name))
    except (ConfigError, Damaged):
        gone = {"name": name}
    with reaching.server(home) as api_url:
        told = bool(api_url) and orders.withdraw(name)
    schedules.forget(home, name)
    result = {"schedule": gone, "server": api_url if told else ""}
    return Answer(result, show=lambda console: console.print(f"{name} is removed"))


@schedule.command(epilog=EPILOG)
@common
@click.argument("name")
@click.option("--from", "start", type=Day(), help="The first day.  [default: now]")
@click.option("--count", default=30, show_default=True, type=click.IntRange(1, 1000))
@click.option("--duration", metavar="SPAN", help="How long a run takes, as 90m, 3h or 1d.")
def simulate(
    options: Options, name: str, start: datetime | None, count: int, duration: str | None
) -> Answer:
    """When NAME will run, around changes of the clock too, and what becomes of runs that overlap.

    Asked of the class by which Prefect's server fires; no server is needed.

    \b
    ganlib schedule simulate mnist
    ganlib schedule simulate mnist --duration 30h --from 2026-10-20
    """
    options.unused()
    from flows import firing, schedules
    from ganlib.storage import Home

    home = Home.existing(options.place).root
    reaching.settle(home)
    wanted = schedules.named(home, name)
    begin = firing.days(wanted, start.date(), start.date())[0] if start else datetime.now(UTC)
    expected = None if duration is None else span(duration, "--duration")
    coming = firing.simulate(wanted, begin, count, expected)
    changes = firing.clock_changes(wanted, begin)

    def show(console: Console) -> None:
        _table(console, f"{name}: {wanted.cron} in {wanted.timezone}", coming)
        for change in changes:
            way = "forward" if change.shift_minutes > 0 else "back"
            title = f"{change.at:%Y-%m-%d %H:%M}: clocks go {way} {abs(change.shift_minutes)} min"
            _table(console, title, change.firings)
        if not changes:
            console.print(f"no clock changes in {wanted.timezone} within 400 days", style="dim")

    return Answer(
        {
            "schedule": _plain(wanted),
            "firings": [one.model_dump(mode="json") for one in coming],
            "clock_changes": [one.model_dump(mode="json") for one in changes],
        },
        show=show,
    )


@schedule.command(epilog=EPILOG)
@common
@click.argument("name")
@click.option("--from", "start", type=Day(), required=True, help="The first day.")
@click.option("--to", "end", type=Day(), required=True, help="The last day, included.")
def backfill(options: Options, name: str, start: datetime, end: datetime) -> Answer:
    """One run of NAME for each of its dates from one day to another, in its timezone.

    A date that has a run, whoever made it, is left alone: the same command twice makes none twice.
    One whose run was left out (Skipped) is run now.
    Without a server the runs wait in the home for `ganlib schedule serve`.

    \b
    ganlib schedule backfill mnist --from 2026-11-20 --to 2026-11-24
    """
    options.unused()
    from flows import firing, orders, schedules
    from ganlib.storage import Home

    home = Home.existing(options.place).root
    reaching.settle(home)
    wanted = schedules.named(home, name)
    first, last = firing.days(wanted, start.date(), end.date())
    if first > min(last, datetime.now(UTC)):
        raise ConfigError(
            "--from is after --to, or in the future",
            where="--from",
            hint="what is to come the schedule runs itself",
        )
    with reaching.server(home, own=True):
        dates = firing.between(wanted, first, min(last, datetime.now(UTC)))
        done = orders.backfill(orders.keep_up(wanted, home), dates)

    def show(console: Console) -> None:
        from ganlib.cli import tables

        rows = [(_when(d.date), "made" if d.made else "is there", d.state, d.run) for d in done]
        tables.show(console, ("date", "", "state", "run"), rows, whole=("date",))

    made = sum(one.made for one in done)
    return Answer({"dates": [one.model_dump(mode="json") for one in done], "made": made}, show=show)


schedule.add_command(notify)


@schedule.command(epilog=EPILOG)
@common
@click.argument("names", nargs=-1, metavar="[NAME]...")
def export(options: Options, names: tuple[str, ...]) -> Answer:
    """The schedules, all or by NAME, as a prefect.yaml for `prefect deploy --all`.

    \b
    ganlib schedule export > prefect.yaml
    """
    options.unused()
    from flows import deployments, schedules
    from ganlib.storage import Home

    home = Home.existing(options.place).root
    found = [schedules.named(home, name) for name in names] or list(schedules.kept(home))
    text = deployments.prefect_yaml(found)
    return Answer({"prefect_yaml": text}, show=lambda console: click.echo(text, nl=False))


@schedule.command(epilog=EPILOG)
@common
@click.option("--port", default=4200, show_default=True, type=click.IntRange(0, 65535))
@click.option("--at-once", default=1, show_default=True, type=click.IntRange(1, 64))
def serve(options: Options, port: int, at_once: int) -> Answer:
    """Run what is due on this machine, until Ctrl-C: Prefect's server, pages and one worker.

    With PREFECT_API_URL it is a worker of that server. What fell due while nothing served is
    caught up as each schedule says; schedules that are added or changed meanwhile are taken up.

    \b
    ganlib schedule serve
    ganlib schedule serve --home /data/mnist --port 4201
    """
    options.unused()
    from ganlib.cli import serving
    from ganlib.storage import Home

    return serving.serve(Home.open(options.place).root, port, at_once)


def _switch(options: Options, name: str, **changes: Any) -> Answer:
    options.unused()
    from flows import firing, schedules
    from ganlib.storage import Home

    home = Home.existing(options.place).root
    reaching.settle(home)
    wanted = schedules.changed(schedules.named(home, name), **changes)
    told = _tell(home, wanted)
    schedules.keep(home, wanted)
    coming = [] if wanted.paused else firing.fire_times(wanted, datetime.now(UTC), NEXT)
    return _answer(wanted, coming, told, "paused" if wanted.paused else "resumed")


def _tell(home: Path, wanted: Schedule) -> str:
    """The server that was told of it; empty where there is none."""
    from flows import orders

    with reaching.server(home) as api_url:
        if api_url:
            orders.deploy(wanted, home)
    return api_url


def _answer(wanted: Schedule, coming: list[datetime], told: str, done: str) -> Answer:
    def show(console: Console) -> None:
        console.print(f"{wanted.name} is {done}: {wanted.cron} in {wanted.timezone}", markup=False)
        for at in coming:
            console.print(f"  {_when(at)}", markup=False)
        where = f"told to {told}" if told else "ganlib schedule serve runs it"
        console.print(where, style="dim", markup=False)

    result = {"schedule": _plain(wanted), "next": [at.isoformat() for at in coming], "server": told}
    return Answer(result, show=show)


def _plain(wanted: Schedule) -> dict[str, Any]:
    """Without the hundred settings of its configuration."""
    return wanted.model_dump(mode="json", exclude={"config"}) | {"recipe": wanted.config.name}


def _when(at: datetime | None) -> str:
    return "paused" if at is None else f"{at:%a %Y-%m-%d %H:%M %z}"


def _table(console: Console, title: str, firings: Iterable[Firing]) -> None:
    from ganlib.cli import tables

    rows = [(_when(f.at), f"{f.utc:%Y-%m-%d %H:%M}", f.outcome, f.note) for f in firings]
    tables.show(console, ("fires", "UTC", "what becomes of it", ""), rows, title=title)
