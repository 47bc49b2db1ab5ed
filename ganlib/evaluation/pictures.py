"""Pictures for people, as PNG bytes. N images, H W pixels, C channels, K classes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PAPER, _INK = 255, 0
_REAL, _FAKE = "#7f7f7f", "#1f77b4"


def grid(
    image_NHWC: Tensor,
    columns: int,
    scale: int,
    *,
    names: Sequence[str] = (),
    gap: int = 2,
    group: int = 0,
) -> bytes:
    """Images row by row on white, each pixel `scale` pixels wide, with names left of the rows.

    Every `group` columns a wider gap. Of other than three channels `visible` ones are shown.
    """
    count, height, width, _ = image_NHWC.shape
    font = ImageFont.load_default()
    left = max((int(font.getlength(name)) for name in names), default=-gap) + 2 * gap
    rows, height, width = -(-count // columns), height * scale, width * scale
    groups = (columns - 1) // group if group else 0
    size = (
        left + columns * (width + gap) + groups * 4 * gap,
        gap + rows * (height + gap),
    )
    page = Image.new("RGB", size, (_PAPER,) * 3)
    write = ImageDraw.Draw(page)
    for row, name in enumerate(names[:rows]):
        middle = gap + row * (height + gap) + height // 2
        write.text((gap, middle), name, fill=(_INK,) * 3, font=font, anchor="lm")
    for place, pixels in enumerate(visible(image_NHWC.numpy())):
        row, column = divmod(place, columns)
        across = left + column * (width + gap) + (column // group * 4 * gap if group else 0)
        tile = Image.fromarray(pixels)
        tile = tile.resize((width, height), Image.Resampling.NEAREST)
        page.paste(tile, (across, gap + row * (height + gap)))
    return _png(page)


def said(text: str, *, size: int = 16, gap: int = 12) -> bytes:
    """A line of text in place of images that there are none of."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = map(int, font.getbbox(text))
    page = Image.new("RGB", (right - left + 2 * gap, bottom - top + 2 * gap), (_PAPER,) * 3)
    ImageDraw.Draw(page).text((gap - left, gap - top), text, fill=(_INK,) * 3, font=font)
    return _png(page)


def visible(image_NHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What an eye can be shown: three channels as (N, H, W, 3), or the first of fewer as (N, H, W).

    Of four or more the first three are red, green and blue, whatever they stand for.
    """
    return image_NHWC[..., :3] if image_NHWC.shape[-1] >= 3 else image_NHWC[..., 0]


def curves(
    series: Mapping[str, Sequence[tuple[int, float]]],
    *,
    floors: Mapping[str, float] | None = None,
    title: str = "",
) -> bytes:
    """One panel per metric over the clock in images; `floors` (real against real) are dashed."""
    columns = min(3, max(len(series), 1))
    rows = -(-max(len(series), 1) // columns)
    figure = _figure(4.0 * columns, 2.8 * rows, title)
    if not series:
        figure.text(0.5, 0.5, "no readings", ha="center", va="center")
    for place, (name, points) in enumerate(series.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.plot([clock for clock, _ in points], [value for _, value in points], marker=".")
        if floors and name in floors:
            axes.axhline(floors[name], color=_REAL, linestyle="--", label="real against real")
            axes.legend(frameon=False, fontsize="small")
        axes.set_title(name.replace("_", " "), fontsize="medium")
        axes.set_xlabel("images", fontsize="small")
        axes.locator_params(axis="x", nbins=5)
        axes.ticklabel_format(axis="x", style="plain")
        axes.tick_params(labelsize="small")
        axes.grid(alpha=0.3)
    return _rendered(figure)


def class_bars(
    names: Sequence[str], real_K: Sequence[float], fake_K: Sequence[float], *, title: str = ""
) -> bytes:
    """Share of each class among real and generated images."""
    figure = _figure(max(5.0, 0.55 * len(names)), 3.2, title)
    axes = figure.add_subplot()
    place = np.arange(len(names))
    axes.bar(place - 0.2, real_K, 0.4, label="real", color=_REAL)
    axes.bar(place + 0.2, fake_K, 0.4, label="generated", color=_FAKE)
    axes.set_ylabel("share")
    axes.legend(frameon=False)
    _name_axis(axes, names)
    return _rendered(figure)


def confusion(names: Sequence[str], count_KK: Sequence[Sequence[int]], *, title: str = "") -> bytes:
    """Rows are the true class, columns the predicted one, shaded by the share of the row."""
    count = np.asarray(count_KK, dtype=float)
    share = count / np.maximum(count.sum(1, keepdims=True), 1)
    side = max(4.0, 0.5 * len(names) + 1.5)
    figure = _figure(side, side, title)
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*count.shape if len(names) <= 20 else (0, 0)):
        if count[row, column]:
            colour = "white" if share[row, column] > 0.5 else "black"
            text = f"{count[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylabel("true")
    axes.set_xlabel("predicted")
    _name_axis(axes, names)
    return _rendered(figure)


def _name_axis(axes: Axes, names: Sequence[str]) -> None:
    long = max(map(len, names), default=0) > 3
    axes.set_xticks(
        range(len(names)), names, rotation=45 if long else 0, ha="right" if long else "center"
    )


def _figure(width: float, height: float, title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(title)
    return figure


def _rendered(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _png(page: Image.Image) -> bytes:
    buffer = io.BytesIO()
    page.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
