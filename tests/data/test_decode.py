"""Modes, orientation, damage: one file at a time."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ganlib.data.decode import ORIENTATION, Shape, Unreadable, decode, fit_pixels

GREY = Shape(8, 1, "crop", 1_000_000)
COLOUR = Shape(8, 3, "crop", 1_000_000)


def _bytes(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _pixels(data: bytes, shape: Shape) -> NDArray[np.uint8]:
    flat = np.frombuffer(decode(data, shape), np.uint8)
    return flat.reshape(shape.size, shape.size, shape.channels)


def _flat(mode: str, colour: object, side: int = 8) -> Image.Image:
    return Image.new(mode, (side, side), colour)  # type: ignore[arg-type]


def _palette_with_clear_entry() -> bytes:
    image = _flat("P", 0)
    image.putpalette([10, 20, 30] * 256)
    return _bytes(image, transparency=0)


MODES = {
    "grey": (_bytes(_flat("L", 77)), (77, 77, 77)),
    "bilevel": (_bytes(_flat("1", 1)), (255, 255, 255)),
    "grey-16-bit": (_bytes(Image.fromarray(np.full((8, 8), 0x8080, np.uint16))), (128,) * 3),
    "tiff-16-bit": (
        _bytes(Image.fromarray(np.full((8, 8), 0xFFFF, np.uint16)), "TIFF"),
        (255, 255, 255),
    ),
    "tiff-float": (
        _bytes(Image.fromarray(np.full((8, 8), 0.5, np.float32)), "TIFF"),
        (128, 128, 128),
    ),
    "clear-is-white": (_bytes(_flat("RGBA", (10, 20, 30, 0))), (255, 255, 255)),
    "half-clear": (_bytes(_flat("RGBA", (0, 0, 0, 127))), (128, 128, 128)),
    "grey-with-alpha": (_bytes(_flat("LA", (50, 255))), (50, 50, 50)),
    "palette": (_bytes(_flat("RGB", (200, 100, 50)).quantize(4)), (200, 100, 50)),
    "palette-clear": (_palette_with_clear_entry(), (255, 255, 255)),
    "cmyk": (_bytes(_flat("CMYK", (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
    "cmyk-jpeg": (_bytes(_flat("CMYK", (0, 0, 0, 255)), "JPEG"), (0, 0, 0)),
    "bmp": (_bytes(_flat("RGB", (1, 2, 3)), "BMP"), (1, 2, 3)),
    "webp": (_bytes(_flat("RGB", (1, 2, 3)), "WEBP", lossless=True), (1, 2, 3)),
    "gif-first-frame": (
        _bytes(_flat("L", 40), "GIF", save_all=True, append_images=[_flat("L", 200)], duration=100),
        (40, 40, 40),
    ),
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_becomes_rgb(name: str) -> None:
    data, colour = MODES[name]
    image_HWC = _pixels(data, COLOUR)
    assert np.abs(image_HWC.astype(int) - np.array(colour)).max() <= 2


def test_grey_of_colour_is_luma() -> None:
    assert int(_pixels(_bytes(_flat("RGB", (255, 0, 0))), GREY)[0, 0, 0]) == 76


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    """Pillow's own exif_transpose is the reference."""
    from PIL import ImageOps

    corner = np.zeros((8, 8, 3), np.uint8)
    corner[:4, :4], corner[:4, 4:] = (255, 0, 0), (0, 255, 0)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    data = _bytes(Image.fromarray(corner), kind, exif=exif, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert np.array_equal(_pixels(data, COLOUR), expected)


def test_a_wide_picture_is_cropped_to_its_centre_or_padded_with_black() -> None:
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 200
    data = _bytes(Image.fromarray(wide))
    assert (_pixels(data, GREY) == 200).all()
    padded = _pixels(data, Shape(24, 1, "pad", 10_000))
    assert (padded[:8] == 0).all()
    assert (padded[16:] == 0).all()
    assert (padded[8:16, 10:14] == 200).all()


def _absurd_png() -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100)))


@pytest.fixture(autouse=True)
def _as_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)


JPEG = _bytes(Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)), "JPEG")
UNREADABLE = {
    "text": (b"this is not a picture\n", "not an image in JPEG"),
    "empty": (b"", "empty file"),
    "truncated": (JPEG[: len(JPEG) // 2], "truncated"),
    "absurd": (_absurd_png(), "claims 60000 x 60000 pixels, more than max_pixels 1000000"),
    "header-only": (JPEG[:40], "cannot be decoded"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_says_why(name: str) -> None:
    data, reason = UNREADABLE[name]
    with pytest.raises(Unreadable, match=reason):
        decode(data, COLOUR)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    os.mkfifo(tmp_path / "pipe.png")
    for name, reason in (
        ("gone.png", "a link to nothing"),
        ("loop.png", "a link that leads to itself"),
        ("pipe.png", "not a regular file"),
    ):
        with pytest.raises(Unreadable, match=reason):
            decode(str(tmp_path / name), COLOUR)


def test_decoding_a_jpeg_at_half_size_changes_little(flowers: Path) -> None:
    """Against the full decode: as close as one step of JPEG quality."""
    shape = Shape(32, 3, "crop", 1_000_000)
    errors = []
    for path in sorted((flowers / "test" / "tulip").glob("*.jpg"))[:40]:
        with Image.open(path) as image:
            full = np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC))
        fast = _pixels(path.read_bytes(), shape)
        errors.append(np.abs(fast.astype(int) - full.astype(int)).mean())
    assert np.mean(errors) < 1.5


def test_arrays_are_fitted_like_files() -> None:
    image_NHWC = np.random.default_rng(0).integers(0, 256, (3, 12, 20, 3), dtype=np.uint8)
    fitted = fit_pixels(image_NHWC, COLOUR)
    for row, image_HWC in zip(fitted, image_NHWC, strict=True):
        assert np.array_equal(row, _pixels(_bytes(Image.fromarray(image_HWC)), COLOUR))
    same = image_NHWC[:, :8, :8]
    assert np.array_equal(fit_pixels(same, COLOUR), same)
