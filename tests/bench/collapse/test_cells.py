"""Short runs: what is told and left behind, that a cut one goes on, and what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ganlib.bench.collapse import bench_collapse
from ganlib.bench.collapse.game import Game
from ganlib.bench.collapse.gaussians import mixture
from ganlib.bench.collapse.pictures import scatter
from ganlib.bench.collapse.scoring import score
from ganlib.bench.kept import summary
from ganlib.cli.commands import bench_collapse as command
from ganlib.cli.main import ganlib
from ganlib.cli.output import console
from ganlib.errors import ConfigError

TINY = ("batch=20", "generator.widths=[8, 8]", "discriminator.widths=[8]")


def bench(out: Path, **options: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"benchmark": "ring", "methods": ["plain"], "seeds": (5, 9)}
    return bench_collapse(out, settings=TINY, **asked | {"iterations": 50} | options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("whole")
    return out, bench(out)


def samples(out: Path, seed: int) -> torch.Tensor:
    with np.load(out / f"seed-{seed}.npz") as file:
        assert file.files == ["samples"]
        return torch.from_numpy(file["samples"])


def test_the_samples_it_leaves_are_those_it_scored(whole: tuple[Path, dict[str, Any]]) -> None:
    out, told = whole
    (cell,) = told["cells"]
    assert [row["seed"] for row in cell["rows"]] == [5, 9]
    for row in cell["rows"]:
        sample = samples(out, row["seed"])
        assert sample.shape == (2_500, 2)
        assert sample.dtype == torch.float32
        found = score(sample, mixture("ring"))
        assert (row["modes"], row["quality"]) == (found.modes, found.quality)
        assert sum(row["counts"]) == round(2_500 * row["quality"])
    assert (out / "scatter.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "unfinished.safetensors").exists()
    assert [look["iteration"] for look in cell["looks"]] == list(range(2, 51, 2))
    assert cell["summary"]["quality"]["mean"] == fmean(row["quality"] for row in cell["rows"])
    assert cell["seconds"] > 0
    json.dumps(told)


def test_the_picture_has_a_panel_for_each_seed_with_its_samples_in_it() -> None:
    one = mixture("ring")
    both = torch.stack([one.centre_MD[:1].repeat(50, 1), one.centre_MD[2:3].repeat(50, 1)])
    with Image.open(io.BytesIO(scatter(both, [3, 4], one))) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    blue = (pixels[..., 2] - pixels[..., 0] > 60).nonzero()
    height, width = pixels.shape[:2]
    right = blue[1] > width / 2
    # The first seed's samples are at three o'clock, the second's at noon.
    assert 0.7 < np.mean(blue[1][~right]) / (width / 2) < 1
    assert 0.4 < np.mean(blue[0][~right]) / height < 0.65
    assert np.mean(blue[1][right]) / width == pytest.approx(0.75, abs=0.05)
    assert np.mean(blue[0][right]) / height < 0.3


def test_the_floor_and_the_papers_stand_beside_it(whole: tuple[Path, dict[str, Any]]) -> None:
    _, told = whole
    assert told["floor"]["divergence"] == pytest.approx(7 / 5000, rel=0.2)
    assert told["floor"]["quality"] == pytest.approx(0.989, abs=0.001)
    for row in told["cells"][0]["rows"]:
        if row["divergence"] is not None:
            above = row["divergence"] - told["floor"]["divergence"]
            assert row["divergence_above_floor"] == above
    assert told["published"]["pacgan2"]["modes"] == 7.9
    assert "batch 20, 50 iterations" in told["cells"][0]["protocol_in_words"]


@pytest.mark.parametrize("cut", [" 2 iterations", " 24 iterations", " 50 iterations"])
def test_a_run_that_is_cut_goes_on_to_the_same_samples(
    cut: str, whole: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(text: str) -> None:
        if cut in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(tmp_path, say=stop)
    stepped: list[int] = []
    step = Game.step
    monkeypatch.setattr(Game, "step", lambda game, i: (stepped.append(i), step(game, i))[1])
    told = bench(tmp_path)
    # What was said last had not been kept yet.
    assert stepped == list(range(int(cut.split()[0]) - 2, 50))
    for seed in (5, 9):
        assert torch.equal(samples(tmp_path, seed), samples(whole[0], seed))
    (cell,), (before,) = told["cells"], whole[1]["cells"]
    assert [look["quality"] for look in cell["looks"]] == [
        look["quality"] for look in before["looks"]
    ]


def test_nothing_is_trained_twice_and_fresh_does_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    step = Game.step
    monkeypatch.setattr(Game, "step", lambda game, i: (steps.append(i), step(game, i))[1])
    first = bench(tmp_path, iterations=3)
    assert bench(tmp_path, iterations=3) == first
    assert steps == [0, 1, 2]
    bench(tmp_path, iterations=3, fresh=True)
    assert steps == 2 * [0, 1, 2]


def test_a_folder_with_another_result_is_refused_by_name(
    whole: tuple[Path, dict[str, Any]],
) -> None:
    out, told = whole
    with pytest.raises(ConfigError, match="another method"):
        bench(out, methods=["lsgan"])
    with pytest.raises(ConfigError, match="another seeds"):
        bench(out, seeds=(5,))
    assert bench(out) == told


def test_what_a_cut_run_left_that_is_of_no_use_is_said_and_begun_anew(
    whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    said: list[str] = []

    def stop(text: str) -> None:
        said.append(text)
        if " 4 iterations" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(tmp_path, say=stop)
    bench(tmp_path, say=said.append, iterations=2, seeds=(3,))
    assert "unfinished.safetensors was left by other settings: begun anew" in said[2]
    (tmp_path / "cell.json").unlink()
    (tmp_path / "unfinished.safetensors").write_bytes(b"torn")
    bench(tmp_path, say=said.append)
    assert any("unfinished.safetensors is damaged" in text for text in said)
    assert torch.equal(samples(tmp_path, 5), samples(whole[0], 5))
    (tmp_path / "cell.json").write_text("{}")
    with pytest.raises(ConfigError, match="another benchmark, method, protocol, seeds, settings"):
        bench(tmp_path)


def test_several_methods_have_a_folder_each(tmp_path: Path) -> None:
    told = bench(tmp_path, methods=["plain", "pacgan2"], iterations=2, benchmark="grid")
    assert [cell["asked"]["method"] for cell in told["cells"]] == ["plain", "pacgan2"]
    for name in ("plain", "pacgan2"):
        assert samples(tmp_path / name, 5).shape == (2_500, 2)
    assert told["cells"][1]["asked"]["settings"]["packing"] == 2


def test_a_misspelt_setting_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="latent"):
        bench_collapse(
            tmp_path, benchmark="ring", methods=["plain"], seeds=[0], settings=["latnet=3"]
        )
    assert not list(tmp_path.iterdir())


def test_means_and_their_errors_by_hand() -> None:
    found = summary([0.5, 0.7, 0.9, None])
    assert found["seeds"] == 3
    assert found["mean"] == pytest.approx(0.7)
    assert found["error"] == pytest.approx(stdev([0.5, 0.7, 0.9]) / 3**0.5)
    assert (found["least"], found["most"]) == (0.5, 0.9)
    assert summary([0.5])["error"] is None
    assert summary([None])["mean"] is None


def test_the_command_trains_and_shows_a_table(tmp_path: Path) -> None:
    settings = [part for one in TINY for part in ("--set", one)]
    asked = ["bench", "collapse", "ring", "--method", "plain,best", "--seeds", "2"]
    asked += ["--iterations", "3", "--out", str(tmp_path), *settings]
    done = CliRunner().invoke(ganlib, asked, standalone_mode=False, obj=[])
    assert done.exception is None
    answer = done.return_value
    assert answer.exit == 0
    assert answer.result["seeds"] == [0, 1]
    rows = command._rows(answer.result)
    assert [row[0] for row in rows][:2] == ["plain", "best"]
    assert rows[-1][0] == "a perfect sampler"
    shown = io.StringIO()
    answer.show(console(shown))
    assert "seeds 0, 1; best was tuned on 100 to 112 and 300 to 309\n" in shown.getvalue()
    assert command._seeds([99, 100, 101], [100, 101]).endswith("of which 100, 101 prove nothing")
    assert any("PacGAN2" in row[0] for row in rows)
    assert all(len(row) == len(command.COLUMNS) for row in rows)
    wrong = CliRunner().invoke(ganlib, ["bench", "collapse", "ring", "--method", "gan"], obj=[])
    assert wrong.exit_code == 2
    assert "'gan' is none of plain" in wrong.output
