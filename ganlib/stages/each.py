"""Generated images one by one: a folder for each class, a numbered file for each image.

N images, H W pixels, C channels.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.storage import atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MADE = re.compile(r"\d{10}\.png")


def write(
    folder: Path,
    image_NHWC: NDArray[np.uint8],
    labels: list[int],
    numbers: list[int],
    classes: tuple[str, ...],
) -> None:
    """In a folder per class, its number as the name; they can be made again, so none is synced."""
    from PIL import Image

    from ganlib.evaluation.pictures import visible

    names = _folders(classes)
    try:
        for label in set(labels):
            (folder / names[label]).mkdir(parents=True, exist_ok=True)
        for image, label, number in zip(visible(image_NHWC), labels, numbers, strict=True):
            Image.fromarray(image).save(folder / names[label] / f"{number:010d}.png")
    except OSError as error:
        raise atomic.explain(error, folder) from error


def forget(folder: Path) -> None:
    """Delete the pictures of an earlier call, and nothing that somebody else put there."""
    for path in folder.glob("*/*.png"):
        if MADE.fullmatch(path.name):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise atomic.explain(error, path) from error
    for below in folder.glob("*"):
        with suppress(OSError):  # something else is in it, or it is a file
            below.rmdir()


def _folders(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Class names as names of folders: all different, and none that leads elsewhere."""
    names: list[str] = []
    for label, name in enumerate(classes):
        plain = re.sub(r"[/\\\x00-\x1f]", "_", name).strip()[:60].lstrip(".")
        if plain != name or not plain:
            plain = f"{label}-{plain}"
        while plain in names:
            plain = f"{label}-{plain}"
        names.append(plain)
    return tuple(names)
