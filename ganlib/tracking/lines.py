"""Journal lines as what MLflow takes in one call, with what was already sent left out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ganlib.tracking.runs import HEARTBEAT

METRICS_PER_CALL = 800  # MLflow takes 1000 entries in all
PARAMS_PER_CALL = 100
TAGS_PER_CALL = 100
FILES_PER_CALL = 64
LONGEST_PARAM = 6000
LONGEST_TAG = 8000


@dataclass
class Parcel:
    """What some lines of one journal come to."""

    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    """Name, value, unix milliseconds, step."""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    datasets: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    attempt: int = 0
    """Of the last `open`, 0 if there was none."""
    close: dict[str, Any] | None = None
    seen: dict[str, int] = field(default_factory=dict)
    """The highest clock of each metric and picture once this is sent."""

    @property
    def full(self) -> bool:
        files = len(self.images) + len(self.tables) + len(self.artifacts)
        return (
            self.close is not None
            or len(self.metrics) >= METRICS_PER_CALL
            or len(self.params) >= PARAMS_PER_CALL
            or files >= FILES_PER_CALL
        )


def add(parcel: Parcel, line: Mapping[str, Any]) -> None:
    """Put one line in. A metric or picture not above its highest clock was sent before a resume."""
    kind = line["kind"]
    at = float(line.get("t", 0.0))
    if kind == "open":
        parcel.attempt = int(line["attempt"])
        parcel.close = None
        parcel.tags["ganlib.attempt"] = str(line["attempt"])
    elif kind == "params":
        parcel.params.update(flat(line["values"]))
    elif kind == "tags":
        parcel.tags.update({k: str(v)[:LONGEST_TAG] for k, v in line["values"].items()})
    elif kind == "metrics":
        _add_metrics(parcel, line, at)
    elif kind == "image":
        if line["clock"] > parcel.seen.get(f"image/{line['name']}", -1):
            parcel.seen[f"image/{line['name']}"] = line["clock"]
            parcel.images.append(dict(line))
    elif kind == "note":
        parcel.tags["ganlib.note"] = str(line["text"])[:LONGEST_TAG]
    elif kind == "close":
        parcel.close = dict(line)
        parcel.tags["ganlib.verdict"] = str(line["verdict"])[:LONGEST_TAG]
        sentence = line.get("description") or line["verdict"]
        parcel.tags["mlflow.note.content"] = str(sentence)[:LONGEST_TAG]
    elif kind in ("dataset", "table", "artifact"):
        if kind == "dataset":
            parcel.tags["ganlib.dataset"] = str(line["fingerprint"])
        {"dataset": parcel.datasets, "table": parcel.tables, "artifact": parcel.artifacts}[
            kind
        ].append(dict(line))
    parcel.tags[HEARTBEAT] = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _add_metrics(parcel: Parcel, line: Mapping[str, Any], at: float) -> None:
    clock = int(line["clock"])
    for name, value in line["values"].items():
        if isinstance(value, int | float) and clock > parcel.seen.get(f"metric/{name}", -1):
            parcel.seen[f"metric/{name}"] = clock
            safe = re.sub(r"[^\w\-. :/]", "_", name)
            parcel.metrics.append((safe, float(value), round(at * 1000), clock))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values as dotted names with short texts, so that MLflow's columns line up.

    Numbers print alike in every run (`0.0002`, not `2e-04`), none is `none`, lists are JSON.
    """
    out: dict[str, str] = {}
    for key, value in values.items():
        name = re.sub(r"[^\w\-. :/]", "_", f"{prefix}{key}")
        if isinstance(value, Mapping):
            out.update(flat(value, f"{name}."))
        else:
            out[name] = _text(value)[:LONGEST_PARAM]
    return out


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.12f}".rstrip("0").rstrip(".") if 1e-6 <= abs(value) < 1e9 else repr(value)
    if isinstance(value, list | tuple):
        return json.dumps(value)
    return str(value)
