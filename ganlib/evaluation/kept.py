"""What was found of the real images, kept for the next evaluation of the same ones.

Features, neighbourhoods and floors are functions of the images, the extractor and the settings in
their names, so they are computed once for all generators.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ganlib.config import fingerprint
from ganlib.evaluation.pairs import narrowed
from ganlib.storage import write_bytes

# Raised by one when the same name comes to hold other numbers.
VERSION = 5
# Of all pairs of images and extractor together; of more, those not used for longest go.
MOST_BYTES = 4 * 10**9
_DIGEST = 32


@dataclass(frozen=True)
class Kept:
    """Tensors by name in a folder for these images and this extractor; without one, nothing."""

    folder: Path | None = None
    device: str = "cpu"
    say: Callable[[str], None] = lambda text: None
    _told: list[str] = field(default_factory=list, repr=False)

    @staticmethod
    def of(
        root: Path,
        dataset: str,
        extractor: str,
        *,
        device: str = "cpu",
        say: Callable[[str], None] = lambda text: None,
    ) -> Kept:
        """Others make room first, if all take more than MOST_BYTES.

        `dataset` is its fingerprint, `extractor` says its weights and its layer.

        Features of one device are not those of another to the last digit, so it counts as well.
        """
        folder = root / fingerprint(VERSION, dataset, extractor, device)
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        _clear(root, folder)
        return Kept(folder, device, say)

    def tensors(self, name: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """What `make` made when this name was first asked for, exactly, or makes now.

        Floating numbers may come back in float32 where that holds them. A damaged file is said and
        made again. Raises StorageError if it cannot be written.
        """
        if self.folder is None:
            return make()
        path = self.folder / f"{name}.safetensors"
        found = self._read(path)
        if found is None:
            found = {key: value.detach().cpu() for key, value in make().items()}
            data = save({key: _compact(value) for key, value in found.items()})
            write_bytes(path, hashlib.sha256(data).digest() + data)
        elif not self._told:
            self._told.append(name)
            self.say("what was found of the real images before is used again")
        return {key: value.to(self.device) for key, value in found.items()}

    def numbers(self, name: str, make: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """`tensors` of single numbers."""

        def made() -> dict[str, Tensor]:
            return {key: torch.tensor(v, dtype=torch.float64) for key, v in make().items()}

        return {key: float(value) for key, value in self.tensors(name, made).items()}

    def _read(self, path: Path) -> dict[str, Tensor] | None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(data[_DIGEST:]).digest() == data[:_DIGEST]:
            try:
                found: dict[str, Any] = load(data[_DIGEST:])
                return found
            except SafetensorError:
                pass
        self.say(f"{path} is damaged; it is made again")
        return None


def _clear(root: Path, mine: Path) -> None:
    """Remove the pairs used longest ago until what is there takes no more than MOST_BYTES."""
    left = MOST_BYTES
    for folder in sorted(root.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True):
        left -= sum(file.stat().st_size for file in folder.iterdir())
        if left < 0 and folder != mine:
            shutil.rmtree(folder, ignore_errors=True)


def _compact(value: Tensor) -> Tensor:
    return narrowed(value) if value.is_floating_point() else value.contiguous()
