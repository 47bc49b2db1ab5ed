"""What the benchmarks of collapse keep of a cell, done or cut short, and what seeds come to."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ganlib.errors import ConfigError
from ganlib.storage import read_json, write_bytes

Say = Callable[[str], None]
Told = dict[str, Any]


def done(path: Path, asked: Told) -> Told | None:
    """The result at `path`, none without one. Raises ConfigError for one of something else."""
    if not path.exists():
        return None
    kept: Told = read_json(path)
    before, now = kept.get("asked", {}), json.loads(json.dumps(asked))
    if before == now:
        return kept
    names = dict.fromkeys([*now, *before])
    differs = ", ".join(name for name in names if before.get(name) != now.get(name))
    raise ConfigError(
        f"{path.parent} holds a result with another {differs}",
        where="--out",
        hint="give another folder with --out, or do it again with --fresh",
    )


def keep(place: Path, key: str, spent: Told, state: Mapping[str, Tensor]) -> None:
    """What a cut cell goes on from: what it took so far, and what was learnt."""
    about = json.dumps({"key": key, "spent": spent})
    whole = {name: tensor.contiguous() for name, tensor in state.items()}
    write_bytes(place, save(whole, metadata={"about": about}))


def left(place: Path, key: str, say: Say) -> tuple[Told, dict[str, Tensor]] | None:
    """What `keep` left of the cell of this `key`; what it is none of is said, and begun anew."""
    if not place.exists():
        return None
    try:
        with safe_open(place, "pt") as file:
            about = json.loads(file.metadata()["about"])
            if about.get("key") == key:
                return about["spent"], {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        say(f"{place} is damaged ({error}): begun anew")
        return None
    say(f"{place} was left by other settings: begun anew")
    return None


def write_samples(path: Path, sample_N: Tensor) -> None:
    """An npz whose one array is `samples`."""
    packed = io.BytesIO()
    np.savez_compressed(packed, samples=sample_N.cpu().numpy())
    write_bytes(path, packed.getvalue())


def summary(values: Sequence[float | None]) -> Told:
    """Mean, its standard error, least and most over the seeds that have the figure."""
    found = [value for value in values if value is not None]
    return {
        "seeds": len(found),
        "mean": fmean(found) if found else None,
        "error": stdev(found) / len(found) ** 0.5 if len(found) > 1 else None,
        "least": min(found, default=None),
        "most": max(found, default=None),
    }
