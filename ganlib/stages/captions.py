"""Pictures with a line of text below each, as PNG bytes. N images, H W pixels, C channels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

GAP, LINE = 4, 14


def captioned(
    image_NHWC: NDArray[Any],
    texts: Sequence[str],
    *,
    columns: int,
    scale: int,
    group: int = 1,
) -> bytes:
    """uint8 images, each pixel `scale` wide; texts are cut to fit.

    `group` images belong together: the gap after them is wider.
    """
    count, height, width, channels = image_NHWC.shape
    height, width = height * scale, width * scale
    wide = GAP * 4 if group > 1 else GAP
    columns = min(columns, count)
    rows = -(-count // columns)
    font = ImageFont.load_default()
    across = [
        GAP + place * (width + GAP) + place // group * (wide - GAP) for place in range(columns)
    ]
    size = (across[-1] + width + GAP, GAP + rows * (height + LINE + GAP))
    page = Image.new("RGB", size, (255, 255, 255))
    write = ImageDraw.Draw(page)
    for place, (pixels, text) in enumerate(zip(image_NHWC, texts, strict=True)):
        row, column = divmod(place, columns)
        top = GAP + row * (height + LINE + GAP)
        tile = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        page.paste(tile.resize((width, height), Image.Resampling.NEAREST), (across[column], top))
        shown = text
        while len(shown) > 1 and font.getlength(shown) > width:
            shown = shown[:-1]
        write.text((across[column], top + height + 1), shown, fill=(0, 0, 0), font=font)
    out = io.BytesIO()
    page.save(out, format="png", optimize=True)
    return out.getvalue()
