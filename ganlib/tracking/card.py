"""What a person reads on a model version's page in MLflow: markdown, at most 5000 characters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LONGEST = 5000
# For the decision, which is put above the card later.
ROOM = 600


def card(
    *,
    name: str,
    kind: str,
    network: Mapping[str, Any],
    metrics: Mapping[str, float],
    dataset_fingerprint: str,
    config: Mapping[str, Any],
    evidence: str = "",
) -> str:
    """The model card; the decision on the model is put above it when there is one.

    `evidence` is Markdown that tells more than the metrics do, and takes their place. Of a card
    that is too long the configuration goes first, then the end of the evidence.
    """
    classes = network["classes"]
    shape = f"{network['size']} x {network['size']} x {network['channels']}"
    told = f"{len(classes)} classes: {_some(classes)}" if len(classes) > 1 else "without classes"
    head = f"{kind.capitalize()} of {shape} images, {told}."
    lines = [
        f"Data: `{dataset_fingerprint}`. Weights are safetensors; no pickle is loaded.",
        "",
        "```python",
        *_usage(name, kind, network),
        "```",
    ]
    tail = "\n".join(lines)
    middle = evidence or _table(metrics)
    room = LONGEST - ROOM - len(head) - len(tail) - 4
    text = f"{head}\n\n{_cut(middle, room)}\n\n{tail}"
    settings = "\n\nConfiguration:\n\n```json\n" + json.dumps(config, indent=1) + "\n```"
    return text + settings if len(text + settings) <= LONGEST - ROOM else text[:LONGEST]


def _table(metrics: Mapping[str, float]) -> str:
    rows = (f"| {key} | {value:.4g} |" for key, value in sorted(metrics.items()))
    return "\n".join(["| metric | value |", "|---|---|", *rows])


def _cut(text: str, room: int) -> str:
    """Whole lines only."""
    if len(text) <= room:
        return text
    return text[: max(0, room - 4)].rpartition("\n")[0] + "\n..."


def _some(classes: list[str]) -> str:
    return ", ".join(classes[:12]) + (" ..." if len(classes) > 12 else "")


def _usage(name: str, kind: str, network: Mapping[str, Any]) -> list[str]:
    load = f'model = mlflow.pyfunc.load_model("models:/{name}@champion")'
    size, channels = network["size"], network["channels"]
    if kind == "generator":
        second = min(1, len(network["classes"]) - 1)
        table = f'pd.DataFrame({{"seed": [0, 1], "class": [0, {second}]}}, dtype="int64")'
        return [load, f"images = model.predict({table})  # (2, {size}, {size}, {channels}) uint8"]
    images = f"np.zeros((2, {size}, {size}, {channels}), np.uint8)"
    return [load, f"probabilities = model.predict({images})  # (2, {len(network['classes'])})"]
