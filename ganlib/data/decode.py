"""One image file or array to `size` x `size` pixels, and why it cannot be when it cannot.

Only Pillow and numpy: this runs in worker processes that start in a fraction of a second.

What is done to pixels: the first frame of an animation; EXIF orientation applied; transparency laid
on white; 16-bit grey divided by 257; CMYK and palettes to RGB; grey by ITU-R 601 luma. A non-square
image is cropped to its centre, or padded with black. A JPEG larger than asked for is decoded at a
fraction of its size, never below `GAP` times the size it is then reduced to; that changes a pixel
by half a grey level on average and takes two thirds of the time.
"""

from __future__ import annotations

import errno
import io
import math
import os
import stat
import warnings
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ganlib.errors import ConfigError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # and MPO, which is a JPEG first
ORIENTATION = 0x0112
GAP = 1.5
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Shape:
    """What every image becomes; `max_pixels` is what one may claim to hold before that."""

    size: int
    channels: int
    fit: str
    max_pixels: int

    @property
    def bytes(self) -> int:
        return self.size * self.size * self.channels


class Unreadable(Exception):
    """The message is the reason, without the file's name."""


def decode(file: str | bytes, shape: Shape) -> bytes:
    """Pixels in rows, then columns, then channels; raises Unreadable."""
    try:
        with _open(file) as image:
            width, height = image.size
            if width * height > shape.max_pixels:
                raise Unreadable(
                    f"claims {width} x {height} pixels, more than max_pixels {shape.max_pixels}"
                )
            if image.format == "JPEG":
                _draft(image, shape)
            image.load()
            return _finish(_upright(image), shape).tobytes()
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable(f"not an image in {', '.join(FORMATS)}") from None
    except PermissionError:
        raise Unreadable("no permission to read it") from None
    except FileNotFoundError:
        raise Unreadable("a link to nothing, or removed meanwhile") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise Unreadable("a link that leads to itself") from None
        text = " ".join(str(error).split()) or type(error).__name__
        raise Unreadable(f"cannot be decoded: {text[:200]}") from None


def _open(file: str | bytes) -> Image.Image:
    if isinstance(file, bytes):
        if not file:
            raise Unreadable("empty file (0 bytes)")
        return Image.open(io.BytesIO(file), formats=FORMATS)
    status = os.stat(file)
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("not a regular file")
    if status.st_size == 0:
        raise Unreadable("empty file (0 bytes)")
    return Image.open(file, formats=FORMATS)


def _draft(image: Image.Image, shape: Shape) -> None:
    """Let the JPEG decoder halve the picture while that leaves `GAP` times what is needed."""
    width, height = image.size
    short = min(width, height) if shape.fit == "crop" else max(width, height)
    wanted = GAP * shape.size / short
    if wanted < 1:
        image.draft(None, (math.ceil(width * wanted), math.ceil(height * wanted)))


def _upright(image: Image.Image) -> Image.Image:
    if "exif" not in image.info and image.format not in ("TIFF", "PNG", "WEBP"):
        return image
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # a broken EXIF block says nothing about the pixels
        return image
    return image.transpose(turn) if turn is not None else image


def _finish(image: Image.Image, shape: Shape) -> Image.Image:
    image = _colours(image, "L" if shape.channels == 1 else "RGB")
    side = shape.size
    width, height = image.size
    if shape.fit == "pad" and width != height:
        scale = side / max(width, height)
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        inner = image.resize(small, Image.Resampling.BICUBIC, reducing_gap=3.0)
        out = Image.new(image.mode, (side, side))
        out.paste(inner, ((side - small[0]) // 2, (side - small[1]) // 2))
        return out
    if width == height == side:
        return image
    edge = min(width, height)
    left, top = (width - edge) / 2, (height - edge) / 2
    box = (left, top, left + edge, top + edge)
    return image.resize((side, side), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)


def _colours(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image if "transparency" not in image.info else _on_white(image, mode)
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image))).convert(mode)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return _on_white(image, mode)
    return image.convert(mode)


def _on_white(image: Image.Image, mode: str) -> Image.Image:
    clear = image.convert("RGBA")
    white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, clear).convert(mode)


def _eight_bits(wide: NDArray[Any]) -> NDArray[np.uint8]:
    """16-bit grey by 1/257; 32-bit likewise if it goes past 255; floats 0..1 by 255."""
    value = np.nan_to_num(wide.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if wide.dtype.kind == "f":
        value = value * 255 if value.max(initial=0) <= 1 else value
    elif wide.dtype.itemsize == 2 or value.max(initial=0) > 255:
        value = value / 257
    return np.clip(np.rint(value), 0, 255).astype(np.uint8)


def decode_many(files: list[str | bytes], shape: Shape) -> tuple[bytes, list[str | None]]:
    """All of `files` end to end (zeros where one is unreadable), and the reasons."""
    pixels: list[bytes] = []
    reasons: list[str | None] = []
    empty = bytes(shape.bytes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in files:
            try:
                pixels.append(decode(file, shape))
                reasons.append(None)
            except Unreadable as error:
                pixels.append(empty)
                reasons.append(str(error))
    return b"".join(pixels), reasons


def fit_pixels(image_NHWC: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """Images given as arrays, likewise; untouched where they already have the shape asked for.

    Grey, colour and colour with transparency become each other as they do in files. Other numbers
    of channels stay as they are, each resized by itself. Raises ConfigError where they differ from
    the number asked for.
    """
    count, height, width, channels = image_NHWC.shape
    if height == width == shape.size and channels == shape.channels:
        return np.ascontiguousarray(image_NHWC)
    if height == width == shape.size and (channels, shape.channels) == (1, 3):
        return np.ascontiguousarray(np.repeat(image_NHWC, 3, axis=3))
    pictures = channels in (1, 3, 4) and shape.channels in (1, 3)
    if not pictures and channels != shape.channels:
        raise ConfigError(
            f"images of {channels} channels cannot become images of {shape.channels}",
            where="data.channels",
            hint=f"set data.channels to {channels}",
        )
    if not pictures:
        plane = replace(shape, channels=1)
        planes = [fit_pixels(image_NHWC[..., [c]], plane) for c in range(channels)]
        return np.concatenate(planes, axis=3)
    out_NHWC = np.empty((count, shape.size, shape.size, shape.channels), np.uint8)
    for row, image_HWC in zip(out_NHWC, image_NHWC, strict=True):
        plain = image_HWC[..., 0] if channels == 1 else image_HWC
        finished = _finish(Image.fromarray(plain), shape)
        row[...] = np.asarray(finished).reshape(row.shape)
    return cast("NDArray[np.uint8]", out_NHWC)
