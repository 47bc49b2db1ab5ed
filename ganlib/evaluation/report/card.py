"""The same facts as Markdown, for a registered version's page: short, most important first."""

from __future__ import annotations

from collections.abc import Iterable

from ganlib.evaluation.report.facts import (
    Facts,
    Terms,
    headline_rows,
    interval,
    number,
    words,
)
from ganlib.evaluation.table import Row

WORST = 5
SAMPLE_SETS = "sample sets"


def generator_card(facts: Facts) -> str:
    """What was trained on what, figures, weakest classes, collapse, cost, lineage, the command."""
    headline = headline_rows(facts.rows)
    others = [row for row in headline if row.over not in (None, SAMPLE_SETS)]
    aside = "; ".join(f"{words(row.metric)}: over {row.over}" for row in others)
    lines = [
        _safe(facts.headline),
        "",
        *(f"**{_safe(alarm)}**  " for alarm in facts.alarms),
        *_terms(facts.trained),
        "",
        f"On {facts.samples:,} generated against as many held-out images; 95 % over {SAMPLE_SETS}"
        f"{f' ({aside})' if aside else ''}, before the same held-out images:",
        "",
        *_figures(headline),
    ]
    covered = [c for c in facts.classes() if c.coverage.value is not None]
    worst = sorted(covered, key=lambda c: c.coverage.value or 0.0)[:WORST]
    if worst:
        told = ", ".join(f"{_safe(c.name)} {number(c.coverage.value)}" for c in worst)
        lines += ["", f"Least covered classes: {told}."]
    if facts.rival is not None:
        lines += ["", _safe(facts.rival.text)]
    lines += ["", "Collapse history", "", *_terms(facts.collapse)]
    lines += ["", "Cost", ""]
    lines += [f"- {_safe(row[0])}: {_safe(', '.join(filter(None, row[1:])))}"
              for row in facts.cost.rows]  # fmt: skip
    lines += ["", "Lineage", "", *_terms(facts.lineage)]
    lines += ["", f"Reproduce: `{_code(facts.command)}` with the configuration in the report."]
    return "\n".join(lines)


def judge_card(facts: Facts) -> str:
    """What a classifier got right on held-out images, and where it comes from."""
    wanted = ("data", "judge", "dataset", "git commit", "pipeline run", "source")
    lineage = tuple(term for term in (*facts.trained, *facts.lineage) if term[0] in wanted)
    by_class = [row for row in facts.judge_of_classes() if row.value is not None]
    worst = sorted(by_class, key=lambda row: row.value or 0.0)[:WORST]
    lines = ["On held-out images:", "", *_figures(facts.judge_overall())]
    if worst:
        told = ", ".join(f"{_safe(row.metric.partition('/')[2])} {number(row.value)}"
                         for row in worst)  # fmt: skip
        lines += ["", f"Least accurate classes: {told}."]
    return "\n".join([*lines, "", "Lineage", "", *_terms(lineage)])


def _figures(rows: Iterable[Row]) -> list[str]:
    return [
        "| metric | value | 95 % | real | of |",
        "|---|---|---|---|---|",
        *(
            f"| {_safe(words(row.metric))} | {number(row.value)} | {interval(row)} | "
            f"{number(row.floor)} | {row.count:,} |"
            for row in rows
        ),
    ]


def _terms(terms: Terms) -> list[str]:
    return [f"- {_safe(name)}: {_safe(value)}" for name, value in terms]


def _safe(text: str) -> str:
    """Text that is neither markup nor a cell's end."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for sign in "\\`*[]|":
        text = text.replace(sign, "\\" + sign)
    return text


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")
