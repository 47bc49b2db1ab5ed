"""Tables for people: aligned columns on a terminal and in a pipe alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def show(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    right: Iterable[str] = (),
    whole: Iterable[str] = (),
    cut: Iterable[str] = (),
) -> None:
    """Cells are printed as they are, never read as markup.

    `right` names the numeric columns, `whole` those that are never broken, `cut` those that end in
    an ellipsis where the terminal does.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD if unicode(console) else box.ASCII2,
        pad_edge=False,
    )
    numeric, unbroken, short = set(right), set(whole), set(cut)
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in numeric else "left",
            overflow="ellipsis" if name in short else "fold",
            no_wrap=name in short or name in unbroken,
        )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    console.print(table)


def number(found: Mapping[str, Any], digits: int, scale: float = 1) -> str:
    """`0.12 +- 0.01`, the mean alone of one seed, `none` of none."""
    if found["mean"] is None:
        return "none"
    error = found["error"]
    told = f"{scale * found['mean']:.{digits}f}"
    return told if error is None else f"{told} +- {scale * error:.{digits}f}"


def unicode(console: Console) -> bool:
    """Whether marks and lines beyond ASCII can be shown."""
    return (console.encoding or "").lower().replace("-", "").startswith("utf")
