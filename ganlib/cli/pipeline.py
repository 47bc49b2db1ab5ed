"""What `run`, `train`, `sweep` and the other stage commands share: a flow, watched to its end."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganlib.cli.options import DEFAULT_TARGET, Options
from ganlib.cli.output import Answer
from ganlib.errors import HomeError

if TYPE_CHECKING:
    from flows.chain import PipelineResult
    from ganlib.cli.view import View
    from ganlib.config import PipelineConfig

NOT_PROMOTED = 3
ROOM_BYTES = 64 * 2**20  # the databases alone take half of it
STAGES = ("prepare", "classifiers", "sweep", "gan", "evaluate", "promote")
Flow = Callable[..., Any]
NO_SWEEP = click.option(
    "--no-sweep", is_flag=True, help="The GAN with the settings as they stand; no search."
)


def stages_until(last: str, *, sweeping: bool = True) -> tuple[str, ...]:
    """What a command comes through, for the view."""
    stages = STAGES[: STAGES.index(last) + 1]
    return tuple(stage for stage in stages if sweeping or stage != "sweep")


def execute(
    options: Options,
    target: str | None,
    command: str,
    stages: tuple[str, ...],
    load: Callable[[], Flow],
    config: PipelineConfig | None = None,
    **parameters: Any,
) -> Answer:
    """Run the flow that `load` imports on `target`'s configuration, and tell how it ended.

    With `config` it is that one, and `target` is what it is called.

    The configuration and the home are checked before anything is started. Prefect's server boots
    while Python imports.
    """
    from ganlib import api
    from ganlib.cli import summary
    from ganlib.storage import Home

    begun = time.time()
    config = options.config(target) if config is None else config
    home = Home.open(options.place)
    _room(home.root)
    api.check(config, home=home.root, fresh=options.fresh, until=stages[-1])
    fixed = api.networks(config) if "classifiers" in stages else None
    stages = tuple(stage for stage in stages if fixed is None or stage != "classifiers")
    times: dict[str, float] = {}
    stream = sys.stderr if options.json else sys.stdout
    with ExitStack() as stack:
        from ganlib.cli.view import watching

        title = f"ganlib {command} {DEFAULT_TARGET if target is None else target}"
        view = stack.enter_context(watching(home.spool, stages, stream, title))
        if said := taken(target):
            view.say(said)
        if fixed is not None:
            view.say(
                "the images have no classes: no classifier is trained, "
                f"{fixed.judge.name} judges and {fixed.selector.name} selects"
            )
        with _ready(home.root, view) as flow_of:
            flow = flow_of(load)
            stack.enter_context(_heard(view))
            times["start-up"] = time.time() - begun
            view.phase("")
            result = _call(flow, config, str(home.root), options.fresh, parameters)
            view.phase("closing")
            closing = time.time()
        times["closing"] = time.time() - closing
        waiting = api.unsent(home.root)
        if waiting:
            view.say(
                f"MLflow does not answer: the readings of {waiting} run(s) wait in {home.spool}; "
                "the next command sends them"
            )
    times["total"] = time.time() - begun
    told = summary.result(config, result, times) | {"unsent_runs": waiting}
    code = 0 if result.promoted else NOT_PROMOTED
    return Answer(told, code, lambda console: summary.show(console, config, result, times))


def taken(target: str | None) -> str:
    """How a target that could mean something else was understood; empty if it could not."""
    from ganlib.config import recipe_names

    if target is None:
        return f"no recipe given, so {DEFAULT_TARGET}: ganlib recipes lists them all"
    if target in recipe_names() and Path(target).is_dir():
        return f"{target} is taken for the recipe; the folder of that name is {target}/"
    return ""


def _room(home: Path) -> None:
    """Prefect and MLflow, on a disk that is full, would say so in words of their own."""
    free = shutil.disk_usage(home).free
    if free < ROOM_BYTES:
        raise HomeError(
            f"the disk of {home} is full: {free / 2**20:.0f} MiB are free",
            where=str(home),
            hint="free some space, or put the home on another disk with --home",
        )


@contextmanager
def _ready(home: Any, view: View) -> Iterator[Callable[[Callable[[], Flow]], Flow]]:
    """Prefect's server and MLflow's writer start beside each other and the imports."""
    from flows import server, settings
    from ganlib.cli import reaching

    view.phase("starting Prefect and MLflow")
    reaching.settle(home)
    started = server.start(home)
    try:
        from ganlib import api

        with api.session(home):

            def ready(load: Callable[[], Flow]) -> Flow:
                flow = load()
                settings.start_logging()
                started.wait()
                return flow

            yield ready
    finally:
        _flush()
        started.stop()


def _flush() -> None:
    """Let Prefect's own threads send what they hold while its server is still there."""
    if "prefect.logging.handlers" in sys.modules:
        from flows import settings

        settings.flush()


def _call(
    flow: Flow, config: PipelineConfig, home: str, fresh: bool, parameters: dict[str, Any]
) -> PipelineResult:
    result: PipelineResult = flow(config=config, home=home, fresh=fresh, **parameters)
    return result


@contextmanager
def _heard(view: View) -> Iterator[None]:
    """What the flows log for people goes to the view."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with suppress(Exception):
                view.say(record.getMessage())

    handler = Handler(logging.INFO)
    logger = logging.getLogger("ganlib.flows")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
