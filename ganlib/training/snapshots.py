"""A run's state on storage: published whole, checked on reading, the newest few kept.

<clock>/state.safetensors   every tensor a task lists
<clock>/meta.json           format, clock, what it belongs to, checksum, parent: written last
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ganlib.config import fingerprint
from ganlib.errors import ConfigError, Damaged, GanlibError, NotFound
from ganlib.storage import Store

FORMAT = 1
ELASTIC = ("workers", "precision", "device", "compiled")


@dataclass(frozen=True)
class Snapshot:
    """`belongs` is the configuration the state was made by; `notes` is the run's own small JSON."""

    clock: int
    state: dict[str, Tensor]
    belongs: Mapping[str, Any]
    notes: Mapping[str, Any]


@dataclass(frozen=True)
class Snapshots:
    """The newest `keep` snapshots of one run in `store`."""

    store: Store
    keep: int = 3

    def clocks(self) -> list[int]:
        """Of the published ones, oldest first."""
        parts = (key.split("/") for key in self.store.list())
        return sorted(
            int(p[0]) for p in parts if len(p) == 2 and p[0].isdigit() and p[1] == "meta.json"
        )

    def save(
        self,
        clock: int,
        state: Mapping[str, Tensor],
        belongs: Mapping[str, Any],
        notes: Mapping[str, Any],
        spare: int | None = None,
    ) -> None:
        """Publish, then let the oldest go, but for the one at `spare`.

        A kill at any point leaves the one before readable.
        """
        folder = f"{clock:012d}"
        before = [c for c in self.clocks() if c < clock]
        self.store.delete(f"{folder}/meta.json")
        data = save({name: tensor.detach().contiguous() for name, tensor in state.items()})
        self.store.write(f"{folder}/state.safetensors", data)
        meta = {
            "format": FORMAT,
            "clock": clock,
            "belongs": dict(belongs),
            "fingerprint": _identity(belongs),
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "parent": before[-1] if before else None,
            "notes": dict(notes),
        }
        text = json.dumps(meta, indent=2, sort_keys=True) + "\n"
        self.store.write(f"{folder}/meta.json", text.encode())
        for old in before[: max(0, len(before) + 1 - self.keep)]:
            if old != spare:
                self.delete(old)

    def adopt(self, clock: int, belongs: Mapping[str, Any]) -> None:
        """Let a snapshot be gone on from by another configuration: a declared change, at once."""
        key = f"{clock:012d}/meta.json"
        meta = json.loads(self.store.read(key))
        meta |= {"belongs": dict(belongs), "fingerprint": _identity(belongs)}
        text = json.dumps(meta, indent=2, sort_keys=True) + "\n"
        self.store.write(key, text.encode())

    def delete(self, clock: int) -> None:
        """Withdrawn first, then removed."""
        for name in ("meta.json", "state.safetensors"):
            self.store.delete(f"{clock:012d}/{name}")

    @staticmethod
    def identity(belongs: Mapping[str, Any]) -> str:
        """Equal for snapshots of one configuration, whatever it is elastic about."""
        return _identity(json.loads(json.dumps(belongs)))

    def read(self, clock: int) -> Snapshot:
        """Raises Damaged naming the file that is not what was written."""
        meta_key, state_key = f"{clock:012d}/meta.json", f"{clock:012d}/state.safetensors"
        try:
            meta = json.loads(self.store.read(meta_key))
            if meta["format"] > FORMAT:
                raise Damaged(
                    f"{self.store.uri}/{meta_key} has format {meta['format']}; "
                    f"this ganlib reads up to {FORMAT}",
                    where=meta_key,
                )
            data = self.store.read(state_key)
            if len(data) != meta["bytes"] or hashlib.sha256(data).hexdigest() != meta["sha256"]:
                raise _damaged(self.store.uri, state_key)
            return Snapshot(int(meta["clock"]), load(data), meta["belongs"], meta["notes"])
        except (ValueError, KeyError, TypeError, AttributeError, SafetensorError):
            raise _damaged(self.store.uri, meta_key) from None
        except NotFound as error:
            raise _damaged(self.store.uri, error.where) from None

    def latest(
        self, belongs: Mapping[str, Any], note: Callable[[str], None] = lambda text: None
    ) -> Snapshot | None:
        """The newest whole one, or none; each damaged one is named to `note` and passed over.

        Raises ConfigError, naming what differs, if it was made by another configuration. Another
        number of workers is no other configuration.
        """
        for clock in reversed(self.clocks()):
            try:
                snapshot = self.read(clock)
            except Damaged as error:
                note(f"{error.message}; taking the snapshot before it")
                continue
            _check(self.store.uri, snapshot, belongs, note)
            return snapshot
        return None


def _identity(belongs: Mapping[str, Any]) -> str:
    return fingerprint({key: value for key, value in belongs.items() if key not in ELASTIC})


def _check(
    uri: str, snapshot: Snapshot, belongs: Mapping[str, Any], note: Callable[[str], None]
) -> None:
    ours = json.loads(json.dumps(belongs))
    if _identity(snapshot.belongs) != _identity(ours):
        names = _differences("", snapshot.belongs, ours)
        raise ConfigError(
            f"the snapshot at {snapshot.clock} images in {uri} was made with another "
            + ", ".join(names),
            where=names[0] if names else "",
            hint="continue with the old value, or start anew with --fresh",
        )
    for key in ELASTIC:
        if snapshot.belongs.get(key) != ours.get(key):
            note(
                f"resuming with {ours.get(key)} {key} a snapshot made by "
                f"{snapshot.belongs.get(key)}: equal up to rounding, not bit for bit"
            )


def _differences(path: str, a: Any, b: Any) -> list[str]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        found: list[str] = []
        for key in sorted({*a, *b}):
            if path or key not in ELASTIC:
                at = f"{path}.{key}" if path else key
                found.extend(_differences(at, a.get(key), b.get(key)))
        return found
    return [] if a == b else [f"{path} ({a!r}, now {b!r})"]


def _damaged(uri: str, key: str) -> GanlibError:
    return Damaged(f"{uri}/{key} is damaged", where=key, hint="delete its folder and run again")
