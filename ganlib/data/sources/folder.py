"""A folder of images: one subfolder per class, or train/val/test above them; or without classes.

Hidden files, `__MACOSX` and files that are no images by their extension are passed over, and so is
what ganlib itself wrote: a home, and pictures of a generator. Links to files are followed; a link
to a folder is followed if that folder is not read anyway, and once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ganlib.config.layout import EXTENSIONS, SPLIT_NAMES, clutter, extension, is_folder, own, splits
from ganlib.data.blocks import UNSPLIT, Block, Files, Notes, keys, spans
from ganlib.data.shards import printable
from ganlib.errors import DataError

LAYOUT = "put the images of each class into a subfolder of their own: FOLDER/CLASS/*.jpg"
UNLABELLED = "unlabelled"
ALONE = "For images without classes: ganlib run unlabelled --set data.source.path=FOLDER"


@dataclass(frozen=True)
class ClassFolder:
    """One class of one split; `path` is relative to the root, empty for the root itself."""

    split: int
    name: str
    path: str


@dataclass
class Tree:
    """What a walk knows of folders: the links to follow, and what was passed over."""

    root: str
    follow: set[str] = field(default_factory=set)
    notes: Notes = field(default_factory=Notes)

    def entries(self, path: str) -> list[os.DirEntry[str]]:
        """What is visible in a folder, sorted by name."""
        try:
            with os.scandir(os.path.join(self.root, path)) as found:
                visible = [e for e in found if not clutter(e.name)]
        except OSError as error:
            self.notes.skipped.append((path, f"the folder cannot be listed: {error.strerror}"))
            return []
        visible = [e for e in visible if not self._own(f"{path}/{e.name}".lstrip("/"), e)]
        return sorted(visible, key=lambda entry: entry.name)

    def _own(self, path: str, entry: os.DirEntry[str]) -> bool:
        """A folder that ganlib wrote is no class, nor part of one; it is noted once."""
        reason = own(entry) if is_folder(entry) else None
        if reason is None:
            return False
        if (path, reason) not in self.notes.skipped:
            self.notes.skipped.append((path, reason))
        return True

    def files(self, path: str, note: bool = False) -> Iterator[str]:
        """Images below `path` in order, by path relative to the root; links as decided."""
        folders = []
        for entry in self.entries(path):
            below = f"{path}/{entry.name}" if path else entry.name
            if is_folder(entry):
                if not entry.is_symlink() or below in self.follow:
                    folders.append(below)
            elif extension(entry.name) in EXTENSIONS:
                yield below
            elif note:
                kind = extension(entry.name) or "no extension"
                self.notes.ignored[kind] = self.notes.ignored.get(kind, 0) + 1
        for folder in folders:
            yield from self.files(folder, note)


class FolderSource:
    """Names are listed a class at a time; nothing is opened.

    Not `labelled`: folders are no classes, and all images are of one.
    """

    def __init__(self, root: Path, *, labelled: bool = True) -> None:
        self.root, self.labelled = _checked(root), labelled
        self.tree = Tree(str(self.root))
        self.folders = _labelled(self.tree) if labelled else _unlabelled(self.tree)
        self.counts = [
            sum(1 for _ in self.tree.files(folder.path, note=True)) for folder in self.folders
        ]
        self.classes = self._classes()
        self.label = {name: label for label, name in enumerate(self.classes)}

    @property
    def count(self) -> int:
        return sum(self.counts)

    @property
    def notes(self) -> Notes:
        return self.tree.notes

    def blocks(self, size: int) -> Iterator[Block]:
        quiet = Tree(self.tree.root, self.tree.follow)
        for folder in self.folders:
            found = list(quiet.files(folder.path))
            for start, stop in spans(len(found), size):
                names = found[start:stop]
                paths = [f"{self.tree.root}/{name}" for name in names]
                yield Block(
                    names=names,
                    key_N=keys(self.tree.root, names, map(_stamp, paths)),
                    label_N=np.full(len(names), self.label[folder.name], np.int32),
                    split=folder.split,
                    payload=Files(paths),
                )

    def state(self) -> str:
        """Hash of the names, sizes and times of all images."""
        digest = hashlib.blake2b(digest_size=16)
        for block in self.blocks(4096):
            digest.update(block.key_N.tobytes())
        return digest.hexdigest()

    def _classes(self) -> tuple[str, ...]:
        classes = tuple(sorted({folder.name for folder in self.folders}))
        held = {f.name for f, n in zip(self.folders, self.counts, strict=True) if n and f.split < 1}
        if not self.count:
            raise _empty(self.root, self.notes.ignored)
        if not self.labelled:
            if not held:
                raise DataError(
                    f"{self.root} has no images for training",
                    where=str(self.root),
                    hint="put them into train, or beside no such folders",
                )
            return classes
        for name in classes:
            if name not in held:
                where = " for training" if any(f.split != UNSPLIT for f in self.folders) else ""
                raise DataError(
                    f"class {name!r} in {self.root} has no images{where}",
                    where=name,
                    hint="add images of it, or remove its folder"
                    + "".join(f"; {f}: {why}" for f, why in self.notes.skipped if f == name),
                )
        if len(classes) == 1:
            raise self._one_class(classes[0])
        return classes

    def _one_class(self, name: str) -> DataError:
        inner = [e.name for e in self.tree.entries(self.folders[0].path) if is_folder(e)]
        hint = f"at least two are needed, since a classifier judges the images: {LAYOUT}. {ALONE}"
        if len(inner) > 1:
            hint = f"its subfolders are {', '.join(inner[:4])}: did you mean {self.root / name}?"
        return DataError(
            f"{self.root} holds only one class, {name!r}", where=str(self.root), hint=hint
        )


def folder_state(root: Path, *, labelled: bool = True) -> str:
    return FolderSource(root, labelled=labelled).state()


def _checked(root: Path) -> Path:
    root = root.expanduser()
    if not root.exists():
        raise DataError(f"there is no folder {root}", where=str(root), hint="check the path")
    if not root.is_dir():
        raise DataError(f"{root} is a file, not a folder", where=str(root), hint=LAYOUT)
    return root.resolve()


def _labelled(tree: Tree) -> list[ClassFolder]:
    folders, images = _top(tree)
    if not folders:
        raise _no_classes(Path(tree.root), len(images)) if images else _empty(Path(tree.root))
    _decide_links(tree)
    found = _class_folders(tree, folders)
    for name in images:
        tree.notes.skipped.append((name, "lies outside any class folder"))
    return found


def _unlabelled(tree: Tree) -> list[ClassFolder]:
    """All images below the root, or those of the splits."""
    folders, images = _top(tree)
    _decide_links(tree)
    if not splits(folders):
        return [ClassFolder(UNSPLIT, UNLABELLED, "")]
    for name in images:
        tree.notes.skipped.append((name, "lies outside train, val and test"))
    return [ClassFolder(SPLIT_NAMES[name.lower()], UNLABELLED, name) for name in _ordered(folders)]


def _top(tree: Tree) -> tuple[list[str], list[str]]:
    """Names of folders and of images in the root."""
    top = tree.entries("")
    folders = [entry.name for entry in top if is_folder(entry)]
    return folders, [e.name for e in top if not is_folder(e) and extension(e.name) in EXTENSIONS]


def _ordered(folders: list[str]) -> list[str]:
    return sorted(folders, key=lambda name: (SPLIT_NAMES[name.lower()], name))


def _class_folders(tree: Tree, folders: list[str]) -> list[ClassFolder]:
    """In the order of splits and names."""
    kinds = {name: SPLIT_NAMES.get(name.lower()) for name in folders}
    split_like = [name for name, kind in kinds.items() if kind is not None]
    if splits(folders):
        out = []
        for name in _ordered(folders):
            out += _of_split(tree, name, SPLIT_NAMES[name.lower()])
        return out
    if len({kinds[name] for name in split_like}) > 1:
        other = next(name for name in folders if kinds[name] is None)
        raise DataError(
            f"{tree.root} holds both splits ({', '.join(split_like)}) and {other}",
            where=other,
            hint="keep train, val and test alone at the top, with the classes below them",
        )
    return [ClassFolder(UNSPLIT, printable(name), name) for name in folders]


def _of_split(tree: Tree, name: str, split: int) -> list[ClassFolder]:
    entries = tree.entries(name)
    inner = [entry.name for entry in entries if is_folder(entry)]
    images = [e.name for e in entries if not is_folder(e) and extension(e.name) in EXTENSIONS]
    if images and not inner:
        raise _no_classes(Path(tree.root) / name, len(images))
    for image in images:
        outside = (os.path.join(name, image), "lies outside any class folder")
        tree.notes.skipped.append(outside)
    return [ClassFolder(split, printable(c), os.path.join(name, c)) for c in inner]


def _decide_links(tree: Tree) -> None:
    """Follow a link to a folder unless that folder is read without it, or through another link."""
    seen = {_identity(tree.root)}
    links: list[str] = []
    _collect(tree, "", seen, links)
    while links:
        path = links.pop(0)
        target = _identity(os.path.join(tree.root, path))
        if target is None or target in seen:
            tree.notes.skipped.append((path, "a link to a folder that is read already"))
            continue
        seen.add(target)
        tree.follow.add(path)
        _collect(tree, path, seen, links)


def _collect(tree: Tree, path: str, seen: set[tuple[int, int] | None], links: list[str]) -> None:
    stack = [path]
    while stack:
        folder = stack.pop()
        for entry in Tree(tree.root).entries(folder):
            if not is_folder(entry):
                continue
            below = os.path.join(folder, entry.name)
            if entry.is_symlink():
                links.append(below)
                continue
            identity = _identity(os.path.join(tree.root, below))
            if identity not in seen:
                seen.add(identity)
                stack.append(below)
    links.sort()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _stamp(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError as error:
        return f"error {error.errno}"
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def _empty(root: Path, ignored: dict[str, int] | None = None) -> DataError:
    other = f"; it holds {', '.join(sorted(ignored))} files" if ignored else ""
    known = ", ".join(sorted(EXTENSIONS))
    return DataError(
        f"{root} holds no images{other}", where=str(root), hint=f"{LAYOUT} (read are {known})"
    )


def _no_classes(root: Path, count: int) -> DataError:
    return DataError(
        f"{root} holds {count} images but no class subfolders",
        where=str(root),
        hint=f"{LAYOUT}. {ALONE}",
    )
