"""MNIST and Fashion-MNIST by name, or four idx files in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.config import Idx
from ganlib.data.publishers import FASHION_MNIST, MNIST, NAMES, IdxSet
from ganlib.data.sources.forward import stamp
from ganlib.data.sources.idx import Four, IdxSource, find_four
from ganlib.errors import DataError

if TYPE_CHECKING:
    from ganlib.data.sources import Surroundings


def open_idx(source: Idx, around: Surroundings) -> IdxSource:
    """Raises DataError saying which files to put where when a named set cannot be had."""
    if source.dataset is None:
        return IdxSource(_in_folder(source))
    known = _known(source)
    folders = [root / name for root in around.search for name in known.folders]
    if around.downloads is not None:
        folders.append(around.downloads / known.name)
    for folder in folders:
        if four := find_four(folder):
            return IdxSource(four, known.classes, known.files)
    from ganlib.data.download import obtain_idx

    if four := find_four(obtain_idx(known, around)):
        return IdxSource(four, known.classes, known.files)
    raise AssertionError("obtain_idx returned without the files")


def idx_state(source: Idx) -> list[str]:
    """A published set is known by its checksums, wherever it lies."""
    if source.dataset is None:
        four = _in_folder(source)
        return [str(four[0].resolve()), stamp(*four)]
    return [file.sha256 for file in _known(source).files]


def _known(source: Idx) -> IdxSet:
    return MNIST if source.dataset == "mnist" else FASHION_MNIST


def _in_folder(source: Idx) -> Four:
    folder = Path(source.path or "").expanduser()
    if four := find_four(folder):
        return four
    missing = "is not a folder" if not folder.is_dir() else "does not hold the four idx files"
    raise DataError(
        f"{folder} {missing}",
        where=str(folder),
        hint=f"put {', '.join(NAMES)} there, raw or .gz",
    )
