"""What every configuration value is: frozen, closed, and named by the hash of its content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Config(BaseModel):
    """A frozen, closed value: unknown keys are errors, defaults live in the class alone."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


@dataclass(frozen=True)
class Refusal:
    """Why settings do not combine. `at` is the one to mend, seen from the model that refuses."""

    at: str
    reason: str

    def error(self) -> PydanticCustomError:
        """To be raised in a validator: `parse` adds `at` to where the model stands."""
        return PydanticCustomError("refused", "{reason}", {"reason": self.reason, "at": self.at})


def canonical_json(value: Any) -> str:
    """The one text of a value or configuration: sorted keys, no spaces, defaults written out."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_dump
    )


def _dump(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no canonical JSON")


def fingerprint(*values: Any) -> str:
    """16 hexadecimal digits of the SHA-256 of the canonical JSON of `values`."""
    text = canonical_json(list(values))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
