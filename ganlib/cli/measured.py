"""What measurements have in common: how they are told, and lists of numbers they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


def answer(told: dict[str, Any], kept: bool) -> Answer:
    """`kept` says whether what is claimed was measured."""

    def show(console: Console) -> None:
        from ganlib.cli import tables

        plain = [(k, v) for k, v in told.items() if not isinstance(v, (dict, list))]
        if isinstance(spent := (told.get("quality") or told).get("cpu_minutes"), dict):
            plain += [(f"cpu_minutes_{loop}", minutes) for loop, minutes in spent.items()]
        tables.show(console, ("measured", "value"), plain)

    return Answer(told, 0 if kept else 1, show)


def counts(text: str) -> tuple[int, ...]:
    """Ascending whole numbers; raises click.BadParameter for what is none."""
    try:
        found = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        found = ()
    if not found or found[0] < 1:
        raise click.BadParameter(f"{text!r} is not numbers above 0 with commas between, 10,50,100")
    return found
