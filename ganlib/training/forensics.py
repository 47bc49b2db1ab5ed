"""What is kept of a collapse after its run has gone on: readings and snapshots around its onset.

<clock it was seen at>/readings.json   what the detector read up to there, and what it said
<clock it was seen at>/<clock>/...     the last snapshot before the onset, and the state when seen
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ganlib.collapse import Reading, Verdict
from ganlib.errors import Damaged
from ganlib.storage import open_store, write_json
from ganlib.training.snapshots import Snapshot, Snapshots

FOLDER = "forensics"
MOST = 3  # collapses


def keep(
    run_folder: Path,
    snapshots: Snapshots,
    said: Verdict,
    series: Sequence[Reading],
    state: Mapping[str, Tensor],
    belongs: Mapping[str, Any],
) -> None:
    """Of a collapse seen at the end of `series`; the oldest ones beyond three are let go."""
    seen = series[-1][0]
    folder = run_folder / FOLDER / f"{seen:012d}"
    own = _of(folder)
    onset = seen if said.since is None else said.since
    for clock in reversed([clock for clock in snapshots.clocks() if clock < onset]):
        try:
            found = snapshots.read(clock)
        except Damaged:
            continue
        own.save(clock, found.state, found.belongs, found.notes)
        break
    notes = {"ended": None, "series": [], "collapse": list(series)}
    own.save(seen, state, belongs, notes)
    write_json(folder / "readings.json", {"said": str(said), "series": list(series)})
    for old in sorted(run_folder.glob(f"{FOLDER}/[0-9]*"))[:-MOST]:
        shutil.rmtree(old, ignore_errors=True)


def clocks(run_folder: Path) -> dict[int, Snapshots]:
    """Every snapshot there is of a run, those of its collapses among them."""
    places = [*sorted(run_folder.glob(f"{FOLDER}/[0-9]*")), run_folder / "snapshots"]
    found: dict[int, Snapshots] = {}
    for place in places:
        kept = _of(place)
        found |= dict.fromkeys(kept.clocks(), kept)
    return dict(sorted(found.items()))


def read(run_folder: Path, clock: int) -> Snapshot:
    """Raises Damaged naming the file, KeyError where there is none of that clock."""
    return clocks(run_folder)[clock].read(clock)


def _of(folder: Path) -> Snapshots:
    return Snapshots(open_store(str(folder)))
