"""What preparing tells of the images: counts, duplicates, what was passed over, how fast."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganlib.config import DataConfig, Folder, PipelineConfig
from ganlib.stages import pipelines, prepare
from ganlib.stages.context import Context
from ganlib.storage import Home
from ganlib.training import read_journal


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes of 60; one picture is there three times, one file is broken, one is no image."""
    random = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(60):
            image_HW = random.integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(image_HW).save(folder / name / f"{number:02d}.png")
    again = (folder / "cat" / "00.png").read_bytes()
    (folder / "cat" / "again.png").write_bytes(again)
    (folder / "cat" / "once-more.png").write_bytes(again)
    (folder / "dog" / "broken.png").write_bytes(b"no picture")
    (folder / "dog" / "notes.txt").write_text("no image")
    return folder


def test_duplicates_and_files_that_are_no_images_are_told(tmp_path: Path, pictures: Path) -> None:
    home = Home.open(tmp_path / "home")
    config = PipelineConfig(name="pets", data=DataConfig(source=Folder(path=str(pictures))))
    run = pipelines.begin(home, config, command="run")
    result = prepare.run(Context(home, config, run))
    found = result.value
    assert (found.skipped, found.ignored) == (1, {".txt": 1})
    assert (found.duplicates.exact, found.duplicates.near) == (1, 0)
    assert found.images_per_second
    table = pd.read_csv(str(found.duplicates_table), dtype=str)
    assert sorted(Path(file).name for file in table["file"]) == [
        "00.png", "again.png", "once-more.png",
    ]  # fmt: skip
    assert found.duplicates.across_splits == (1 if table["split"].nunique() > 1 else 0)
    lines = list(read_journal(home.spool / f"{result.run}.jsonl"))
    assert {line["name"] for line in lines if line["kind"] == "table"} == {"skipped", "duplicates"}
    told = {k: v for line in lines if line["kind"] == "metrics" for k, v in line["values"].items()}
    assert told["duplicates/exact"] == 1.0
    sentence = lines[-1]["description"]
    assert "1 files skipped; 1 files are no images; 1 exact and 0 near duplicates" in sentence
    assert "images/s" in sentence
    again = prepare.run(Context(home, config, run))
    assert again.reused
    assert again.value == found
