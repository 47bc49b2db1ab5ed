"""What a folder of images looks like by names alone: which files count, and what folders mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
)
SPLIT_NAMES = {
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "test": 2,
    "testing": 2,
}
OWN = {"home.json": "a home of ganlib", "samples.npz": "pictures made by ganlib sample"}
CLUTTER = frozenset(("__macosx", "thumbs.db", "desktop.ini"))

Layout = Literal["classes", "unlabelled"]


def layout(root: Path) -> Layout:
    """Whether subfolders name classes, or the images have none.

    Unlabelled are images that lie in the folder itself, in train, val and test, or in one only
    subfolder, since there is nothing to tell one class from. Images beside class folders are left
    to them, and so is a folder with nothing in it or in the one subfolder but more folders.
    """
    folders, images = visible(root)
    if not folders:
        return "unlabelled" if images else "classes"
    if splits(folders):
        below = [visible(root / name) for name in folders]
        return "unlabelled" if all(i and not f for f, i in below) else "classes"
    if len(folders) > 1 or images:
        return "classes"
    below_folders, below_images = visible(root / folders[0])
    return "unlabelled" if below_images and not below_folders else "classes"


def visible(path: Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the images in `path`, without what is passed over."""
    folders, images = [], []
    try:
        with os.scandir(path) as found:
            for entry in found:
                if clutter(entry.name):
                    continue
                if is_folder(entry):
                    if own(entry) is None:
                        folders.append(entry.name)
                elif extension(entry.name) in EXTENSIONS:
                    images.append(entry.name)
    except OSError:  # told when the images are read
        return [], []
    return sorted(folders), sorted(images)


def splits(folders: list[str]) -> bool:
    """Whether these folders are train, val and test, or the first of them alone."""
    names = {name.lower() for name in folders}
    return "train" in names and names <= SPLIT_NAMES.keys()


def own(entry: os.DirEntry[str]) -> str | None:
    """What ganlib wrote there, if it did: no class, nor part of one."""
    return next((OWN[n] for n in OWN if os.path.isfile(os.path.join(entry.path, n))), None)


def is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def clutter(name: str) -> bool:
    return name.startswith(".") or name.lower() in CLUTTER


def extension(name: str) -> str:
    """With its dot, in lower case; empty for a name that has none."""
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if stem and dot else ""
