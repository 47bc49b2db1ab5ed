"""A report of one evaluation, read as a browser and as a person would."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ganlib.evaluation.latent import interpolate, truncate
from ganlib.evaluation.report import (
    LARGEST_PAGE,
    Facts,
    Frame,
    Picture,
    Rival,
    Table,
    generator_card,
    interpolated,
    judge_card,
    page,
    side_by_side,
    truncated,
)
from ganlib.evaluation.report.charts import WIDTH, bar, line
from ganlib.evaluation.report.facts import interval, number
from ganlib.evaluation.table import Row
from ganlib.models import noise

HOSTILE = "<script>alert('x')</script>"
NAMES = ("cat", HOSTILE, "a|b")
PICTURES = ("grid", "real_beside_generated", "truncation", "interpolation", "missing", "nearest",
            "closest", "judge_confusion")  # fmt: skip


def png(width: int = 40, height: int = 30, *, seed: int | None = None) -> bytes:
    pixels = np.full((height, width, 3), 90, np.uint8)
    if seed is not None:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def row(metric: str, value: float | None, floor: float | None = 0.9) -> Row:
    low, high = (None, None) if value is None else (value - 0.01, value + 0.01)
    return Row(metric, value, low, high, floor, 357, "judge-abc", "features")


def facts(**also: Any) -> Facts:
    rows = (
        row("coverage", 0.8765), row("scaled_distance", 0.0321), row("split_half_distance", None),
        *(row(f"intra_class_coverage/{n}", 0.5 + k / 10) for k, n in enumerate(NAMES)),
        *(row(f"class_share/{n}", 0.3) for n in NAMES),
    )  # fmt: skip
    given: dict[str, Any] = {
        "title": f"digits {HOSTILE}",
        "purpose": "to be looked at",
        "headline": "Trained on 8,000 images.",
        "alarms": ("Collapsed: 1 of 3 classes are hardly generated.",),
        "trained": (("classes", ", ".join(NAMES)), ("source", "folder (path /tmp/<b>)")),
        "pictures": tuple(Picture(n, n.title(), f"About {n}.", png()) for n in PICTURES),
        "frames": tuple(Frame(c, png(seed=c), 0.5) for c in (2_000, 4_000, 8_000)),
        "series": {"coverage": ((2_000, 0.3), (4_000, 0.6), (8_000, 0.87))},
        "rows": rows,
        "samples": 357,
        "rival": Rival("version 3", "The champion.", Picture("champion", "Both", "", png()),
                       (row("coverage", 0.7),)),
        "collapse": (("verdict", "play did not stall"), ("rescues", "none")),
        "collapse_series": {"win_rate": ((2_000, 0.9), (8_000, 0.7))},
        "trials": Table(("trial", "state"), (("0", "budget"), ("1", "diverged")), ("trial",)),
        "judge_rows": (row("accuracy", 0.98, None), row("accuracy/cat", 0.97, None)),
        "cost": Table(("stage", "time", ""), (("gan", "61 s", "900 images/s"),), ("time",)),
        "cost_notes": ("Training took 1 CPU-minute.",),
        "lineage": (("dataset", "abcd"), ("git commit", "1234")),
        "command": "ganlib evaluate digits.yaml --home new-home",
        "config": f"name: digits\npurpose: {HOSTILE}\n",
        "expected": (("generator", "ef01"),),
        "environment": (("python", "3.11"),),
    }  # fmt: skip
    return Facts(**{**given, **also})


class Read(HTMLParser):
    """Tags with their attributes, text by the id of its section, and what never closed."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.cells: dict[str, list[str]] = {}
        self.section = self.row = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "section":
            self.section = given["id"] or ""
        if tag == "tr":
            self.row = given.get("data-metric") or ""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text[self.section] = self.text.get(self.section, "") + data
        if self.row and data.strip():
            self.cells.setdefault(self.row, []).append(data.strip())

    def attributes(self, name: str) -> list[str]:
        return [value for _, given in self.tags if (value := given.get(name)) is not None]


@pytest.fixture(scope="module")
def text() -> str:
    return page(facts())


def test_all_pictures_curves_and_sections_are_there(text: str) -> None:
    read = Read(text)
    assert read.open == []
    assert read.attributes("data-picture") == [
        "grid", "real_beside_generated", "truncation", "interpolation", "missing", "nearest",
        "closest", "champion", "judge_confusion",
    ]  # fmt: skip
    assert read.attributes("data-clock") == ["2000", "4000", "8000"]
    assert read.attributes("data-series") == ["coverage", "win_rate"]
    linked = [value[1:] for value in read.attributes("href")]
    sections = [given["id"] for tag, given in read.tags if tag == "section"]
    assert linked == sections
    for section, told in {
        "reproduce": "ganlib evaluate digits.yaml", "cost": "900 images/s", "lineage": "abcd",
        "collapse": "diverged", "champion": "version 3", "timelapse": "8,000 images",
    }.items():  # fmt: skip
        assert told in read.text[section]


def test_every_figure_has_a_row_with_its_interval_floor_and_count(text: str) -> None:
    read, given = Read(text), facts()
    wanted = [r.metric for r in (*given.overall(), *given.of_classes(), *given.judge_rows)]
    assert sorted(read.attributes("data-metric")) == sorted(wanted)
    assert read.attributes("data-class") == list(NAMES)
    cells = ["coverage", "0.8765", "[0.8665, 0.8865]", "0.9", "357", "judge-abc", "features"]
    assert read.cells["coverage"][:7] == cells
    assert read.cells["split_half_distance"][1:4] == ["–", "–", "0.9"]
    assert read.attributes("data-beside") == ["coverage"]


def test_nothing_is_fetched_and_nothing_runs(text: str) -> None:
    read = Read(text)
    for name in ("src", "href", "srcset", "data", "action", "poster"):
        for value in read.attributes(name):
            assert value.startswith(("data:image/", "#")), value[:60]
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in read.tags}
    assert not re.search(r"url\(|@import", text)
    (policy,) = [g["content"] for t, g in read.tags if t == "meta" and "http-equiv" in g]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_names_and_paths_are_text_whatever_is_in_them(text: str) -> None:
    assert HOSTILE not in text
    read = Read(text)
    assert HOSTILE in read.text["trained"]
    assert "/tmp/<b>" in read.text["trained"]
    assert HOSTILE in read.text["reproduce"]
    assert HOSTILE not in line(HOSTILE, ((1, 0.5), (2, 0.6)))
    for card in (generator_card(facts()), judge_card(facts())):
        assert "<" not in card
    assert "a\\|b" in generator_card(facts())


def test_what_is_not_there_is_said(text: str) -> None:
    bare = facts(
        rows=(row("coverage", 0.5),), pictures=(), frames=(), series={}, rival=None, trials=None,
        no_rival="There was no champion.", collapse_series={}, judge_rows=(), notes=("No tails.",),
    )  # fmt: skip
    read = Read(page(bare))
    assert "There was no champion." in read.text["champion"]
    assert "No readings were taken" in read.text["timelapse"]
    assert "no figure for single classes" in read.text["classes"]
    assert "No tails." in read.text["samples"]
    assert "No picture was made" in read.text["missing"]


def test_large_pictures_are_made_small_enough_and_stay_pictures() -> None:
    """Noise is what compresses worst."""
    large, frame = png(1200, 900, seed=1), png(600, 600, seed=2)
    assert len(large) > LARGEST_PAGE / 2
    text = page(facts(
        pictures=tuple(Picture(n, n, "", large) for n in PICTURES),
        frames=tuple(Frame(c, frame, None) for c in range(8)),
        rival=Rival("version 3", "", Picture("champion", "Both", "", large)),
    ))  # fmt: skip
    assert len(text.encode()) < LARGEST_PAGE
    assert len(Read(text).attributes("src")) == len(PICTURES) + 9
    for value in Read(text).attributes("src"):
        shown = Image.open(io.BytesIO(base64.b64decode(value.partition(",")[2])))
        assert 200 < shown.width <= 1100


def test_a_page_of_very_many_classes_shows_the_worst_and_holds_all() -> None:
    rows = [row(f"intra_class_coverage/c{k}", 1 - k / 1000) for k in range(200)]
    read = Read(page(facts(rows=tuple(rows))))
    assert read.attributes("data-class") == [f"c{k}" for k in range(199, 159, -1)]
    assert len([m for m in read.attributes("data-metric") if m.startswith("intra")]) == 200


def test_curves_are_drawn_to_scale() -> None:
    drawn = str(line("coverage", ((0, 0.0), (50, 0.5), (100, 1.0)), marks=(50,)))
    (points,) = re.findall(r'points="([^"]*)"', drawn)
    (x0, y0), (x1, y1), (x2, y2) = [tuple(map(float, p.split(","))) for p in points.split()]
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert (y1 < y0, f'x1="{x1}"' in drawn) == (True, True)
    assert 'width="88.0"' in str(bar(row("coverage", 0.88)))
    line("one", ((0, 0.5),))
    line("none", ())


def test_a_card_tells_the_same_and_most_important_first() -> None:
    card = generator_card(facts())
    assert "| coverage | 0.8765 | [0.8665, 0.8865] | 0.9 | 357 |" in card
    assert card.index("Collapsed: 1 of 3") < card.index("| coverage |") < card.index("git commit")
    assert "Least covered classes: cat 0.5" in card
    told = judge_card(facts())
    assert "| accuracy | 0.98 |" in told
    assert "- git commit: 1234" in told


class Shows(nn.Module):
    """Three grey pixels a latent number and the class: what is drawn can be read back."""

    latent_size = 2

    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.sign = nn.Parameter(torch.tensor(sign))

    def forward(self, z_NZ: Tensor, label_N: Tensor) -> Tensor:
        value_N = (z_NZ[:, 0] / 4 + label_N / 10) * self.sign
        return value_N[:, None, None, None].expand(-1, 1, 4, 4)


def tiles(data: bytes, columns: int, rows: int, gap: int = 0) -> np.ndarray[Any, Any]:
    """The grey value in the middle of each 4-pixel tile, counted from the right lower corner."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    down = [pixels.shape[0] - 4 - 6 * k for k in reversed(range(rows))]
    across = [
        pixels.shape[1] - 4 - 6 * k - (gap if k >= 5 else 0) for k in reversed(range(columns))
    ]
    return pixels[np.ix_(down, across)].astype(int)


def test_truncation_and_interpolation_show_what_the_latent_tools_give() -> None:
    names = ("a", "b", "c")

    def grey(z: Tensor, label: int) -> list[int]:
        value = ((z[:, 0] / 4 + label / 10).clamp(-1, 1) + 1) * 127.5
        return [int(v) for v in value.round()]

    found = tiles(truncated(Shows(), names, 7, 1), 9, 4)
    z_NZ = noise(torch.arange(9) + 7, 2, "normal")
    near = truncate(z_NZ, 0.5, "normal")
    for column in range(9):
        label = column // 3
        assert abs(found[0, column] - grey(z_NZ[column : column + 1], label)[0]) <= 1
        assert abs(found[3, column] - grey(near[column : column + 1], label)[0]) <= 1

    found = tiles(interpolated(Shows(), names, (3, 4), 1, steps=5), 5, 3)
    start, end = noise(torch.tensor([3, 4]), 2, "normal")
    for label in range(3):
        wanted = grey(interpolate(start, end, 5, "normal"), label)
        assert np.abs(found[label] - wanted).max() <= 1

    found = tiles(side_by_side(Shows(), Shows(-1.0), names, 7, 1), 10, 3, gap=8)
    assert np.abs(found[:, :5] + found[:, 5:] - 255).max() <= 1


def test_uniform_latents_are_not_truncated() -> None:
    flat = Shows()
    flat.latent = "uniform"
    with pytest.raises(ValueError, match="no tails"):
        truncated(flat, ("a",), 0, 1)
    interpolated(flat, ("a",), (0, 1), 1)


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)


# What the browser itself has of the page: how wide it is, what was fetched, and by name whatever
# picture is decoded and as wide as it is shown, and whatever row has a height.
PROBE = """<script>onload=()=>{const d=document,all=s=>[...d.querySelectorAll(s)];
const drawn=i=>i&&i.complete&&i.naturalWidth>0&&i.getBoundingClientRect().width>0;
const shown=e=>e.getBoundingClientRect().height>0;
const fetched=performance.getEntriesByType('resource').filter(e=>!e.name.startsWith('data:'));
d.title=JSON.stringify({wide:d.documentElement.scrollWidth,inner:innerWidth,
images:d.images.length,drawn:[...d.images].filter(drawn).length,fetched:fetched.length,
pictures:all('[data-picture]').filter(e=>drawn(e.matches('img')?e:e.querySelector('img')))
.map(e=>e.dataset.picture),
frames:all('[data-clock]').filter(e=>drawn(e.matches('img')?e:e.querySelector('img')))
.map(e=>e.dataset.clock),
rows:all('[data-metric]').filter(shown).map(e=>e.dataset.metric)})}</script>"""


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_every_picture_and_row_without_scrolling_sideways(
    text: str, tmp_path: Path, width: int
) -> None:
    """In a frame as wide as a phone and as a desktop: nothing sticks out, nothing is fetched."""
    loose = re.sub(r"<meta http-equiv[^>]*>", "", text)  # whose policy would stop the probe
    (tmp_path / "page.html").write_text(loose.replace("</body>", f"{PROBE}</body>"))
    (tmp_path / "frame.html").write_text(
        f"<iframe id='f' style='width:{width}px;height:800px;border:0'></iframe><script>"
        "f.onload=()=>setTimeout(()=>document.title=f.contentDocument.title,50);f.src='page.html'"
        "</script>"
    )
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom",
         str(tmp_path / "frame.html")],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    told = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert told, done.stdout[-500:]
    found, read, given = json.loads(html.unescape(told[1])), Read(text), facts()
    assert found["inner"] == width
    assert found["wide"] <= width
    assert found["drawn"] == found["images"] == 12
    assert found["pictures"] == read.attributes("data-picture")
    assert found["frames"] == [str(frame.clock) for frame in given.frames]
    assert {row.metric for row in given.overall()} <= set(found["rows"])
    assert found["fetched"] == 0


def test_numbers_and_intervals_as_a_person_reads_them() -> None:
    given = row("support", 0.25)
    assert interval(given) == "[0.24, 0.26]"
    assert interval(dataclasses.replace(given, low=41_234.0, high=None)) == "over 41,234"
    assert interval(dataclasses.replace(given, low=None, high=3.0)) == "under 3"
    assert interval(dataclasses.replace(given, low=None, high=None)) == "–"
    assert (number(None), number(0.012346), number(1234.6)) == ("–", "0.01235", "1,235")


def test_the_last_number_of_an_axis_is_not_cut_off() -> None:
    """Half of it lies right of its place: at most 6 units a character, of the tick's 10.5."""
    for last in (8_000, 110_000, 9_999, 4_500_000):
        drawn = line("coverage", ((0, 0.1), (last, 0.5)))
        for x, text in re.findall(r'x="([\d.]+)" y="170" text-anchor="middle">([^<]+)', drawn):
            assert float(x) + 3 * len(text) <= WIDTH, (last, text)


def test_facts_find_their_rows() -> None:
    given = facts()
    assert given.row("coverage") is given.rows[0]
    assert given.row("nothing") is None
    assert dataclasses.replace(given, rows=()).classes() == []
