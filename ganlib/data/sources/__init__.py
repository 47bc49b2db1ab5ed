"""Each kind of source, and the one place where a configuration becomes an open one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from ganlib.config import (
    Arrays,
    Cifar10,
    Custom,
    Digits,
    Folder,
    Idx,
    Source,
    Unlabelled,
    fingerprint,
)
from ganlib.data.blocks import OpenSource
from ganlib.data.sources import bucket

__all__ = ["Surroundings", "build", "state"]


@dataclass(frozen=True)
class Surroundings:
    """Where a named set may lie, where it is downloaded to, and who is told about it."""

    search: tuple[Path, ...] = ()
    downloads: Path | None = None
    offline: bool = False
    progress: Callable[[str, int, int], None] = lambda what, done, total: None


def build(source: Source, around: Surroundings) -> OpenSource:
    """Open `source`; raises DataError for what cannot be used, naming file and reason."""
    source = bucket.obtain(source, around)
    match source:
        case Digits():
            from ganlib.data.sources.digits import DigitsSource

            return DigitsSource()
        case Idx():
            from ganlib.data.sources.named import open_idx

            return open_idx(source, around)
        case Cifar10():
            from ganlib.data.sources.cifar10 import open_cifar10

            return open_cifar10(source, around)
        case Folder():
            from ganlib.data.sources.folder import FolderSource

            return FolderSource(Path(source.path))
        case Unlabelled():
            from ganlib.data.sources.folder import FolderSource

            return FolderSource(Path(source.path), labelled=False)
        case Arrays():
            from ganlib.data.sources.arrays import open_arrays

            return open_arrays(source)
        case Custom():
            from ganlib.data.sources.arrays import open_custom

            return open_custom(source)
        case _:
            assert_never(source)


def state(source: Source, search: Sequence[Path]) -> str:
    """A cheap fingerprint of what the source holds now; raises what `build` would raise for it."""
    uri = bucket.uri_of(source)
    if uri is not None:
        return bucket.state(source, uri)
    match source:
        case Digits():
            from ganlib.data.sources.digits import STATE

            return STATE
        case Idx():
            from ganlib.data.sources.named import idx_state

            return fingerprint("idx", idx_state(source))
        case Cifar10():
            from ganlib.data.sources.cifar10 import cifar10_state

            return fingerprint("cifar10", cifar10_state(source, tuple(search)))
        case Folder():
            from ganlib.data.sources.folder import folder_state

            return fingerprint("folder", folder_state(Path(source.path)))
        case Unlabelled():
            from ganlib.data.sources.folder import folder_state

            return fingerprint("unlabelled", folder_state(Path(source.path), labelled=False))
        case Arrays():
            from ganlib.data.sources.arrays import arrays_state

            return fingerprint("arrays", arrays_state(source))
        case Custom():
            from ganlib.data.sources.arrays import custom_state

            return fingerprint("custom", custom_state(source))
        case _:
            assert_never(source)
