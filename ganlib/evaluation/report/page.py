"""The page: one HTML document with its pictures inside, no script and nothing to fetch."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from ganlib.evaluation.report import charts
from ganlib.evaluation.report.facts import Facts, headline_rows, interval, number, words

LARGEST_PAGE = 5_000_000
LARGEST_PICTURE, LARGEST_FRAME = 220_000, 90_000
# At most so many pixels wide: a desktop's column, and a frame of the timelapse at twice its size.
WIDEST_PICTURE, WIDEST_FRAME = 1_100, 520
MOST_CLASSES = 40


def page(facts: Facts) -> str:
    """HTML of less than LARGEST_PAGE bytes, whatever the size of the pictures."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    classes = facts.classes()
    if len(classes) > MOST_CLASSES:
        classes = sorted(classes, key=lambda c: c.coverage.value or 0.0)[:MOST_CLASSES]
    return environment.get_template("page.html").render(
        facts=facts,
        tiles=headline_rows(facts.rows),
        classes=classes,
        line=charts.line,
        bar=charts.bar,
        number=number,
        interval=interval,
        words=words,
        picture=lambda png: source(png, LARGEST_PICTURE, WIDEST_PICTURE),
        frame=lambda png: source(png, LARGEST_FRAME, WIDEST_FRAME),
    )


def source(png: bytes, largest: int, widest: int) -> Markup:
    """A `data:` URI of at most `largest` bytes before base64 and `widest` pixels.

    A PNG while it fits, else a JPEG, smaller step by step.
    """
    kind, data = "png", png
    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    if image.width > widest:
        image = _scaled(image, widest / image.width)
        if len(data) <= 4 * largest:  # of a larger one no PNG would fit
            data = _saved(image, "png")
    while len(data) > largest:
        kind, data = "jpeg", _saved(image, "jpeg")
        image = _scaled(image, 0.75)
    return Markup("data:image/{};base64,{}").format(kind, base64.b64encode(data).decode())


def _scaled(image: Image.Image, by: float) -> Image.Image:
    size = max(1, round(image.width * by)), max(1, round(image.height * by))
    return image.resize(size, Image.Resampling.LANCZOS)


def _saved(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, format=kind, **({"quality": 85} if kind == "jpeg" else {"optimize": True}))
    return out.getvalue()
