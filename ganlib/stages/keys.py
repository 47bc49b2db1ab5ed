"""A stage's key: its name, its version, and the fingerprints of all it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganlib.config import canonical_json, fingerprint
from ganlib.config.code import code_of
from ganlib.errors import Damaged

# Raised by one when a stage's result for the same inputs changes: its old records count no more.
VERSIONS: dict[str, int] = {
    "prepare": 1,
    "classifiers": 1,
    "sweep": 2,
    "gan": 2,
    "evaluate": 9,
    "check": 2,
}


def stage_key(stage: str, parts: Mapping[str, Any]) -> str:
    """16 hexadecimal digits; `parts` are the stage's own settings and its inputs by name."""
    return fingerprint(stage, VERSIONS[stage], {k: fingerprint(v) for k, v in parts.items()})


def code(*settings: Any) -> dict[str, Any]:
    """The part `code`, where settings name a user's own functions: an edit there is another key."""
    found = code_of(list(settings))
    return {"code": found} if found else {}


def plain(parts: Mapping[str, Any]) -> dict[str, Any]:
    """`parts` as JSON values, as a record keeps them to tell later what changed."""
    return {name: json.loads(canonical_json(value)) for name, value in parts.items()}


def model_fingerprint(folder: Path) -> str:
    """16 hexadecimal digits of an exported model: its network and weights, not who made it when.

    Raises Damaged naming the file that is missing or no network description.
    """
    try:
        network = json.loads((folder / "network.json").read_bytes())
        network.pop("meta", None)
        digest = hashlib.sha256(canonical_json(network).encode())
        with (folder / "weights.safetensors").open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    except (OSError, ValueError, AttributeError) as error:
        raise Damaged(
            f"{folder} holds no whole model: {error}",
            where=str(folder),
            hint="run the stage that made it again with --fresh",
        ) from None
    return digest.hexdigest()[:16]
