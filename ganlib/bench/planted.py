"""Faults planted into a folder of images, so that what a check finds can be counted."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

ENDINGS = (".jpg", ".png")
Edit = Callable[[Image.Image, np.random.Generator], bytes]


@dataclass
class Planted:
    """Files relative to the folder: copies by kind as (original, copy), and the rest by file."""

    copies: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    leaks: list[tuple[str, str]] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)  # file as it lies now -> its true class
    moved: dict[str, str] = field(default_factory=dict)  # the same -> where it lay before
    outliers: list[str] = field(default_factory=list)

    def pairs(self) -> list[tuple[str, str]]:
        return [pair for pairs in self.copies.values() for pair in pairs] + self.leaks


def plant(folder: Path, seed: int, *, each: int = 40, wrong: float = 0.05) -> Planted:
    """`each` copies of every kind and as many leaks, `wrong` of the labels, and `each` outliers.

    `folder` has train/CLASS and test/CLASS below it and is changed in place. No image is used for
    two things.
    """
    random = np.random.default_rng(seed)
    train, test = (
        sorted(
            str(path.relative_to(folder))
            for path in (folder / split).rglob("*")
            if path.suffix in ENDINGS
        )
        for split in ("train", "test")
    )
    done = Planted()
    shuffled = [train[i] for i in random.permutation(len(train))]
    for kind, edit in EDITS.items():
        done.copies[kind] = [
            (file, _copied(folder, file, f"{kind}-{seed}", edit, random, "train"))
            for file in (shuffled.pop() for _ in range(each))
        ]
    held = [test[i] for i in random.permutation(len(test))]
    done.leaks = [
        (file, _copied(folder, file, f"leak-{seed}", _recompressed, random, "train"))
        for file in (held.pop() for _ in range(each))
    ]
    classes = sorted(path.name for path in (folder / "train").iterdir())
    rest = [*shuffled, *held]
    count = round(wrong * (len(train) + len(test)))
    for place in random.permutation(len(rest))[:count]:
        split, name, file = rest[place].split("/", 2)
        other = [c for c in classes if c != name][random.integers(len(classes) - 1)]
        target = f"{split}/{other}/moved-{name}-{file}"
        shutil.move(folder / rest[place], folder / target)
        done.wrong[target], done.moved[target] = name, rest[place]
    for number in range(each):
        name = f"train/{classes[number % len(classes)]}/odd-{seed}-{number}.png"
        _odd(number, random).save(folder / name)
        done.outliers.append(name)
    return done


def _copied(
    folder: Path, file: str, mark: str, edit: Edit, random: np.random.Generator, split: str
) -> str:
    source = folder / file
    target = f"{split}/{source.parent.name}/{mark}-{source.stem}"
    if edit is _same:
        target += source.suffix
        shutil.copyfile(source, folder / target)
        return target
    target += ".jpg"
    with Image.open(source) as image:
        (folder / target).write_bytes(edit(image.convert("RGB"), random))
    return target


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, format="JPEG", quality=quality)
    return out.getvalue()


def _same(image: Image.Image, random: np.random.Generator) -> bytes:
    raise AssertionError("copied byte by byte")


def _recompressed(image: Image.Image, random: np.random.Generator) -> bytes:
    return _jpeg(image, int(random.integers(35, 86)))


def _resized(image: Image.Image, random: np.random.Generator) -> bytes:
    scale = random.uniform(0.6, 1.4)
    size = tuple(max(8, round(side * scale)) for side in image.size)
    return _jpeg(image.resize((size[0], size[1]), Image.Resampling.BICUBIC), 90)


def _brighter(image: Image.Image, random: np.random.Generator) -> bytes:
    return _jpeg(ImageEnhance.Brightness(image).enhance(random.uniform(0.75, 1.25)), 90)


def _mirrored(image: Image.Image, random: np.random.Generator) -> bytes:
    return _jpeg(ImageOps.mirror(image), 90)


EDITS: dict[str, Edit] = {
    "exact": _same,
    "recompressed": _recompressed,
    "resized": _resized,
    "brightness": _brighter,
    "mirrored": _mirrored,
}


def _odd(number: int, random: np.random.Generator) -> Image.Image:
    """By turns noise, one colour, stripes of two colours, and blocks of a broken decoder."""
    pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    match number % 4:
        case 1:
            pixels[:] = pixels[0, 0]
        case 2:
            dark = (np.arange(64) + random.integers(64)) // random.integers(2, 12) % 2
            pixels[:] = np.where(dark[:, None, None], pixels[0, 0], pixels[0, 1])
        case 3:
            pixels = np.repeat(np.repeat(pixels[::8, ::8], 8, axis=0), 8, axis=1)
    return Image.fromarray(pixels)
