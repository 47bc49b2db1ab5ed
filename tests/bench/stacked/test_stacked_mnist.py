"""The command on MNIST itself: a judge is trained, and knows a thousand modes of real stacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ganlib.cli.main import ganlib


@pytest.mark.slow
def test_a_few_steps_on_mnist_and_what_real_stacks_score(
    tmp_path: Path, test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANLIB_DATA", str(test_data))
    asked = ["bench", "collapse", "stacked-mnist-hard", "--method", "best", "--first-seed", "3"]
    asked += ["--discriminator", "half", "--images", "1280", "--out", str(tmp_path)]
    done = CliRunner().invoke(ganlib, asked, standalone_mode=False, obj=[])
    assert done.exception is None, done.output
    told = done.return_value.result
    assert told["judge"]["accuracy"] > 0.985
    real = told["judge"]["of_held_out_stacks"]
    assert (real["modes"], real["sure_modes"]) == (1_000, 1_000)
    assert real["sure_share"] > 0.9
    assert real["divergence"] - told["floor"]["divergence"] == pytest.approx(0, abs=0.01)
    (row,) = told["cells"][0]["rows"]
    assert (row["seed"], row["images"], row["judged"]) == (3, 1_280, 26_000)
    assert row["sure_modes"] < 1_000
    with np.load(row["samples"]) as file:
        assert file["samples"].shape == (26_000, 28, 28, 3)


def test_options_of_other_benchmarks_are_refused_by_name(tmp_path: Path) -> None:
    for benchmark, option in [
        ("ring", "--minutes"), ("ring", "--images"), ("stacked-mnist", "--iterations"),
    ]:  # fmt: skip
        asked = ["bench", "collapse", benchmark, option, "3", "--out", str(tmp_path)]
        done = CliRunner().invoke(ganlib, asked, obj=[])
        assert done.exit_code == 2
        assert f"{option} is of" in done.output
    asked = ["bench", "collapse", "stacked-mnist", "--discriminator", "half"]
    assert "of stacked-mnist-hard" in CliRunner().invoke(ganlib, asked, obj=[]).output
    asked = ["bench", "collapse", "stacked-mnist", "--method", "plain, gan", "--out", str(tmp_path)]
    told = CliRunner().invoke(ganlib, asked, obj=[]).output
    assert "'gan' is none of plain, lsgan" in told.replace("\n", " ")
    for minutes in ("nan", "inf", "0"):
        asked = ["bench", "collapse", "stacked-mnist", "--minutes", minutes, "--out", str(tmp_path)]
        assert CliRunner().invoke(ganlib, asked, obj=[]).exit_code == 2
    assert not list(tmp_path.iterdir())
