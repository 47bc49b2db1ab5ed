"""The process of a Ray job: `python -m ganlib.cli.job ORDER`, where the order lies in the home.

One stage through `ganlib.api`, as its client would do it: the record in the home is the result.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, assert_never

from ganlib.cli import interruption
from ganlib.errors import GanlibError
from ganlib.stages import orders
from ganlib.stages.orders import ForClassifiers, ForEvaluation, ForGan, ForSweep, Order


def main(argv: Sequence[str] | None = None) -> int:
    """Prints what is done, for Ray's log of the job; returns the exit code."""
    (path,) = sys.argv[1:] if argv is None else argv
    try:
        order = orders.read(Path(path))
    except (FileNotFoundError, GanlibError) as error:
        print(f"this node cannot read {path}: {error}", file=sys.stderr)
        return 2
    _settle(order)
    try:
        with interruption.orderly(), orders.telling(order):
            perform(order)
    except KeyboardInterrupt:
        return interruption.EXIT
    except GanlibError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def perform(order: Order) -> None:
    """Raises what the stage raises."""
    from ganlib import api

    given = order.given
    place: dict[str, Any] = {
        "home": order.home,
        "fresh": order.fresh,
        "pipeline": order.pipeline,
        "flow_run_id": order.flow_run_id,
    }
    match given:
        case ForClassifiers():
            api.train_classifiers(order.config, given.dataset, given.best, **place)
        case ForSweep():
            api.sweep(order.config, given.dataset, given.judges, **place)
        case ForGan():
            api.train_gan(
                order.config, given.dataset, given.judges, given.best, origin=given.origin, **place
            )
        case ForEvaluation():
            api.evaluate_model(
                order.config,
                given.dataset,
                given.judge,
                given.model,
                label=given.label,
                **place,
            )
        case _:
            assert_never(given)


def _settle(order: Order) -> None:
    """Work where the client does, if that is there too; a node's own settings stay."""
    for name, value in order.settings.items():
        os.environ.setdefault(name, value)
    if os.path.isdir(order.folder):
        os.chdir(order.folder)
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    modules = [place for place in order.modules if os.path.isdir(place)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, [*known, *modules])))
    for place in (*modules, os.getcwd()):
        if place not in sys.path:
            sys.path.append(place)
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
    logging.getLogger("ganlib").setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
