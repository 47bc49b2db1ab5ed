"""The comparison of workers: what is told of each cell, and that it goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganlib.bench import spread
from ganlib.bench.metrics_sides import features
from ganlib.evaluation.pairs import InRanks
from ganlib.stages.stamp import source_digest


def stand_in(name: str, asked: dict) -> None:
    """Writes what a cell would, without a Ray: by one worker and by more the same values."""
    for figure in asked["figures"]:
        told = {
            "size": asked["size"],
            "workers": asked["workers"],
            "values": {figure: 0.5},
            "peak_mb": {"workers": 300.0 * asked["workers"], "asking": 200.0},
        }
        path = spread._path(Path(asked["out"]), asked, figure)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told))


def test_it_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, list[str]]] = []

    def measure(name: str, cell: dict) -> None:
        asked.append((name, cell["figures"]))
        stand_in(name, cell)

    monkeypatch.setattr(spread, "_measure", measure)
    first = spread.bench_evaluate(tmp_path, images=100, sizes=(4, 8))
    assert [name for name, _ in asked] == [
        "4 features, workers: 1",
        "4 features, workers: 2",
        "8 features, workers: 1",
        "8 features, workers: 2",
    ]
    assert first["passed"]
    assert first["megabytes"] == 800
    assert len(first["cells"]) == 12
    asked.clear()
    (gone,) = tmp_path.glob("size-8-workers-2-*-prdc-*.json")
    gone.unlink()
    assert spread.bench_evaluate(tmp_path, images=100, sizes=(4, 8))["cells"] == first["cells"]
    assert asked == [("8 features, workers: 2", ["prdc"])]


def test_a_value_that_differs_by_workers_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "_measure", stand_in)
    spread.bench_evaluate(tmp_path, images=100, sizes=(4,))
    (path,) = tmp_path.glob("size-4-workers-2-*-kernel-*.json")
    path.write_text(path.read_text().replace("0.5", "0.50001"))
    told = spread.bench_evaluate(tmp_path, images=100, sizes=(4,))
    assert not told["passed"]
    assert told["differences"]["kernel at 4"] == pytest.approx(2e-5, rel=1e-3)
    assert told["differences"]["frechet at 4"] == 0


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("workers", ["1", "2", "*"])
def test_a_value_that_is_no_number_fails(
    value: str, workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "_measure", stand_in)
    spread.bench_evaluate(tmp_path, images=100, sizes=(4,))
    for path in tmp_path.glob(f"size-4-workers-{workers}-*-kernel-*.json"):
        path.write_text(path.read_text().replace("0.5", value))
    told = spread.bench_evaluate(tmp_path, images=100, sizes=(4,))
    assert not told["passed"]
    assert told["largest_difference"] is None
    json.dumps(told, allow_nan=False)


def test_more_memory_than_is_promised_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "_measure", stand_in)
    assert not spread.bench_evaluate(tmp_path, images=100, sizes=(4,), workers=7)["passed"]


def test_what_other_code_measured_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        spread, "_measure", lambda name, cell: asked.append(name) or stand_in(name, cell)
    )
    for digest in ("aaaa", "aaaa", "bbbb"):
        monkeypatch.setattr(spread, "source_digest", lambda places, digest=digest: digest)
        spread.bench_evaluate(tmp_path, images=100, sizes=(4,), workers=1)
    assert len(asked) == 2


def test_a_digest_follows_the_source() -> None:
    whole, part = source_digest(("metrics",)), source_digest(("metrics/prdc.py",))
    assert len(whole) == len(part) == 8
    assert whole != part


@pytest.mark.slow
def test_ray_finds_what_one_process_finds(tmp_path: Path) -> None:
    told = spread.bench_evaluate(tmp_path, images=600, sizes=(6,), workers=2)
    assert told["passed"]
    real_NF, fake_NF = (side.float() for side in features(600, 6, 0)[:2])
    values = {name: value for cell in told["cells"] for name, value in cell["values"].items()}
    for figure in spread.FIGURES:
        for name, value in spread._figure(figure, InRanks(), real_NF, fake_NF).items():
            assert values[name] == pytest.approx(value, rel=1e-9), name
    for cell in told["cells"]:
        assert 1 <= len(cell["idle_mb"]) <= cell["workers"]
        assert cell["peak_mb"]["workers"] == pytest.approx(sum(cell["peak_mb"]["each_worker"]))
        assert cell["cpu_seconds"] > 0
