"""Evaluating, sampling and predicting with models trained on real digits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganlib.config import DcganGenerator, PipelineConfig, overlay
from ganlib.determinism import Replicas
from ganlib.errors import ConfigError, Damaged, DataError, InputError, NotFound
from ganlib.models import build_generator, load_model, save_model
from ganlib.stages import check, evaluate, forecast, pipelines
from ganlib.stages.context import Context
from ganlib.stages.keys import model_fingerprint
from ganlib.stages.predict import predict
from ganlib.stages.sample import sample
from ganlib.stages.values import MetricRow
from ganlib.training import read_journal
from tests.stages.conftest import Trained


def test_an_evaluation_has_its_evidence_on_disk_and_in_the_journal(trained: Trained) -> None:
    result = evaluate.run(
        trained.context(), trained.dataset, trained.classifiers, trained.candidate
    )
    found = result.value
    assert set(found.candidate.values()) >= {"coverage", "scaled_distance", "label_agreement"}
    without = {metric.metric for metric in found.candidate.metrics if metric.floor is None}
    # The first is itself real against real, and no two of the few validation images may be near.
    assert without - {"support"} == {"split_half_distance"}
    assert found.candidate.samples == 200
    assert found.judge.accuracy > 0.8
    frame = pd.read_csv(found.candidate.table)
    columns = ["metric", "value", "low", "high", "floor", "count", "extractor", "layer", "over",
           "floor_low", "floor_high"]  # fmt: skip
    assert list(frame.columns) == columns
    assert [row.metric for row in found.candidate.rows] == list(frame["metric"])
    assert set(found.candidate.rows[0].model_dump()) == set(columns)
    assert set(frame["extractor"]) == {f"judge-{found.judge_model.fingerprint[:8]}"}
    of_class = frame[frame["metric"].str.startswith("intra_class_coverage/")]
    assert len(of_class) == 10
    assert of_class["count"].sum() == 200
    assert set(found.candidate.pictures) == {
        "grid", "real_beside_generated", "classes", "nearest", "missing", "closest",
    }  # fmt: skip
    for path in found.candidate.pictures.values():
        assert Image.open(path).width > 50
    lines = list(read_journal(trained.home.spool / f"{result.run}.jsonl"))
    assert {line["name"] for line in lines if line["kind"] == "table"} == {
        "evaluation", "judge", "judge_rows",
    }  # fmt: skip
    judged = {row.metric: row for row in found.judge.rows}
    assert judged["accuracy"].value == found.judge.accuracy
    assert judged["accuracy"].low < found.judge.accuracy < judged["accuracy"].high
    assert judged["accuracy_noise_20"].value < found.judge.accuracy
    counts = [judged[f"accuracy/{name}"].count for name in trained.dataset.classes]
    assert sum(counts) == judged["accuracy"].count
    assert list(pd.read_csv(found.judge.rows_table).columns) == columns
    told = {row.metric: row for row in found.candidate.rows}
    assert told["memorisation"].floor == pytest.approx(0.5, abs=0.1)
    assert told["copied_share"].floor < 0.1
    assert told["support"].low > 0
    assert told["kernel_distance"].value > told["kernel_distance"].floor
    assert lines[-1]["status"] == "FINISHED"


def test_another_network_adds_its_rows_and_moves_none_of_the_judges(trained: Trained) -> None:
    given = trained.dataset, trained.classifiers, trained.candidate
    alone = evaluate.run(trained.context(), *given).value.candidate
    settings = overlay(trained.config, {"evaluation.extractors": ["judge", "random"]})
    pipeline = pipelines.begin(trained.home, settings, command="run")
    result = evaluate.run(Context(trained.home, settings, pipeline), *given)
    found = result.value.candidate
    assert not result.reused
    assert found.rows[: len(alone.rows)] == alone.rows
    assert found.metrics == alone.metrics
    added = found.rows[len(alone.rows) :]
    assert {(row.extractor, row.layer) for row in added} == {("random-0-32", "projection-64")}
    assert "coverage" in {row.metric for row in added}
    assert not {"class_entropy", "label_agreement"} & {row.metric for row in added}
    assert len(pd.read_csv(found.table)) == len(found.rows)
    lines = read_journal(trained.home.spool / f"{result.run}.jsonl")
    readings = {name for line in lines if line["kind"] == "metrics" for name in line["values"]}
    assert {"test_coverage", "test_random-0-32_coverage"} <= readings


def test_a_generator_is_told_by_what_it_teaches_and_real_images_teach_once(
    trained: Trained,
) -> None:
    settings = overlay(
        trained.config, {"evaluation.teaching": {"classifiers": 2, "images": 200, "shown": 3_000}}
    )

    def rows(config: PipelineConfig, images: int) -> list[MetricRow]:
        pipeline = pipelines.begin(trained.home, config, command="run")
        context = Context(trained.home, config, pipeline)
        given = trained.dataset, trained.classifiers, trained.generator(images)
        result = evaluate.run(context, *given)
        assert not result.reused
        found = result.value.candidate
        assert len(pd.read_csv(found.table)) == len(found.rows)
        return [row for row in found.rows if row.metric.startswith("classification_accuracy")]

    whole, *of_class = rows(settings, 4_000)
    assert (whole.count, whole.extractor, whole.over) == (200, "taught", "taught classifiers")
    assert sum(row.count for row in of_class) == 200
    assert [row.metric.partition("/")[2] for row in of_class] == list(trained.dataset.classes)
    # So short a training makes no digits: its pupils know less than those of real images.
    assert whole.floor > 0.6
    assert whole.low <= whole.value < whole.floor - 0.1
    before = {path: path.stat().st_mtime_ns for path in trained.home.cache.rglob("taught-*")}
    assert len(before) == 2
    assert rows(settings, 2_000)[0].floor == whole.floor
    assert {p: p.stat().st_mtime_ns for p in trained.home.cache.rglob("taught-*")} == before
    told = evaluate.parts(settings, trained.dataset, trained.classifiers, trained.candidate)
    assert "classifier" in told
    slower = overlay(settings, {"classifier.optimiser.learning_rate": 1e-5})
    assert told != evaluate.parts(slower, trained.dataset, trained.classifiers, trained.candidate)


def test_a_generator_that_looks_at_no_class_teaches_none(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="ganlib")
    network = DcganGenerator(width=4, latent_size=8, conditioning="none")
    names = trained.dataset.classes
    blind = build_generator(network, size=8, channels=1, classes=len(names), replicas=Replicas())
    save_model(blind, tmp_path, kind="generator", classes=names, meta={})
    model = trained.candidate.model.model_copy(
        update={"folder": str(tmp_path), "fingerprint": model_fingerprint(tmp_path)}
    )
    settings = overlay(trained.config, {"evaluation.teaching.classifiers": 2})
    pipeline = pipelines.begin(trained.home, settings, command="run")
    context = Context(trained.home, settings, pipeline)
    judge = trained.classifiers.judge
    found = evaluate.run_model(context, trained.dataset, judge, model).value.candidate
    assert not [row for row in found.rows if row.extractor == "taught"]
    assert "a generator that looks at no class teaches none" in caplog.text


def test_an_extractor_that_is_not_there_is_refused_before_anything_starts(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GANLIB_INCEPTION", raising=False)
    settings = overlay(trained.config, {"evaluation.extractors": ["judge", "inception"]})
    with pytest.raises(ConfigError, match="GANLIB_INCEPTION is not set"):
        check.check(trained.home, settings)


def test_other_inception_weights_are_another_evaluation(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = overlay(trained.config, {"evaluation.extractors": ["judge", "inception"]})
    monkeypatch.setenv("GANLIB_INCEPTION", str(tmp_path / "weights.pth"))
    given = trained.dataset, trained.classifiers, trained.candidate
    found = []
    for data in (b"one", b"one", b"another"):
        (tmp_path / "weights.pth").write_bytes(data)
        found.append(evaluate.parts(settings, *given))
    assert found[0] == found[1] != found[2]
    assert "weights" not in evaluate.parts(trained.config, *given)


def test_the_same_evaluation_is_reused_and_fresh_gives_the_same_numbers(trained: Trained) -> None:
    given = trained.dataset, trained.classifiers, trained.candidate
    first = evaluate.run(trained.context(), *given)
    again = evaluate.run(trained.context(), *given)
    assert again.reused
    fresh = evaluate.run(trained.context(fresh=True), *given)
    assert not fresh.reused
    assert fresh.value.candidate.values() == first.value.candidate.values()


def test_a_model_is_known_by_its_network_and_weights(trained: Trained, tmp_path: Path) -> None:
    judge, selector = trained.classifiers.judge, trained.classifiers.selector
    assert judge.fingerprint != selector.fingerprint
    assert judge.fingerprint == model_fingerprint(Path(judge.folder))
    with pytest.raises(Damaged, match="holds no whole model"):
        model_fingerprint(tmp_path)


def test_sampling_is_a_function_of_seed_and_class(trained: Trained, tmp_path: Path) -> None:
    model = trained.candidate.model.folder
    one = sample(trained.home, model, count=20, classes=(), seed=7, out=tmp_path / "a")
    two = sample(trained.home, model, count=5, classes=(), seed=12, out=tmp_path / "b")
    first, second = np.load(one.npz), np.load(two.npz)
    assert first["images"].shape == (20, 8, 8, 1)
    assert first["seeds"].tolist() == list(range(7, 27))
    assert first["labels"].tolist() == [*range(10), *range(10)]
    assert first["seeds"][5] == second["seeds"][0] == 12
    three = sample(trained.home, model, count=1, classes=("5",), seed=12, out=tmp_path / "c")
    np.testing.assert_array_equal(np.load(three.npz)["images"][0], first["images"][5])
    files = sorted((tmp_path / "a" / "images").rglob("*.png"))
    assert len(files) == 20
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "a" / "images" / "5" / "0000000012.png")),
        first["images"][5, ..., 0],
    )


def test_pictures_of_an_earlier_call_do_not_stay(trained: Trained, tmp_path: Path) -> None:
    model, images = trained.candidate.model.folder, tmp_path / "images"
    sample(trained.home, model, count=20, classes=(), seed=7, out=tmp_path)
    (images / "5" / "mine.png").write_text("somebody else's")
    sample(trained.home, model, count=2, classes=("3",), seed=100, out=tmp_path)
    found = sorted(str(path.relative_to(images)) for path in images.rglob("*.png"))
    assert found == ["3/0000000100.png", "3/0000000101.png", "5/mine.png"]


def test_a_class_name_never_leads_out_of_the_folder(trained: Trained, tmp_path: Path) -> None:
    names = ("../x", "..", "", "a/b", "a_b", "3-a_b", "a\\b", ".", "plain", "é" * 300)
    loaded = load_model(Path(trained.candidate.model.folder))
    save_model(loaded.module, tmp_path / "odd", kind="generator", classes=names, meta={})
    given = {"count": 10, "classes": (), "seed": 0}
    sample(trained.home, str(tmp_path / "odd"), **given, out=tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"odd", "out"}
    files = list((tmp_path / "out" / "images").rglob("*.png"))
    assert len({path.parent for path in files}) == 10
    assert all(path.parent.parent == tmp_path / "out" / "images" for path in files)
    assert (tmp_path / "out" / "images" / "plain" / "0000000008.png").exists()


def test_the_judge_is_told_with_five_guesses_and_its_calibration(trained: Trained) -> None:
    judge = evaluate.run(
        trained.context(), trained.dataset, trained.classifiers, trained.candidate
    ).value.judge
    assert judge.top5 is not None
    assert judge.accuracy < judge.top5 <= 1
    assert 0 < (judge.calibration_error or 0) < 1


def test_sampling_names_what_it_does_not_know(trained: Trained, tmp_path: Path) -> None:
    model = trained.candidate.model.folder
    with pytest.raises(NotFound, match="no class 'ten'"):
        sample(trained.home, model, count=1, classes=("ten",), seed=0, out=tmp_path)
    with pytest.raises(InputError, match="count is 0"):
        sample(trained.home, model, count=0, classes=(), seed=0, out=tmp_path)
    judge = trained.classifiers.judge.folder
    with pytest.raises(InputError, match="is a classifier, not a generator"):
        sample(trained.home, judge, count=1, classes=(), seed=0, out=tmp_path)


@pytest.fixture(scope="module")
def pictures(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real held-out digits as PNGs, and two files that are none."""
    from ganlib.data import Dataset

    held = Dataset.open(Path(trained.dataset.folder), trained.dataset.fingerprint).load("test")
    folder = tmp_path_factory.mktemp("pictures")
    for row in range(40):
        name = f"{row:03d}-{trained.dataset.classes[held.label_N[row]]}.png"
        Image.fromarray(held.image_NHWC[row, ..., 0].numpy()).save(folder / name)
    (folder / "text.png").write_text("no picture")
    (folder / "below").mkdir()
    (folder / "below" / "empty.jpg").touch()
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_predicting_a_folder(trained: Trained, pictures: Path, tmp_path: Path, suffix: str) -> None:
    judge = trained.classifiers.judge.folder
    out = tmp_path / f"table.{suffix}"
    found = predict(trained.home, judge, pictures, top=3, out=out)
    assert (found.images, found.unreadable) == (42, 2)
    frame = found.to_frame()
    assert list(frame.columns) == [
        "file", "class", "probability", "class_2", "probability_2", "class_3", "probability_3",
        "error",
    ]  # fmt: skip
    good = frame[frame["probability"].notna()]
    right = [Path(row["file"]).stem.split("-")[1] == row["class"] for _, row in good.iterrows()]
    assert len(right) == 40
    assert np.mean(right) > 0.7
    assert (good["probability"] >= good["probability_2"]).all()
    bad = frame[frame["probability"].isna()].set_index("file")["error"]
    assert "0 bytes" in bad[str(pictures / "below" / "empty.jpg")]
    assert bad[str(pictures / "text.png")]


def test_a_wide_picture_is_made_square_as_the_training_images_were(
    trained: Trained, tmp_path: Path
) -> None:
    """A 2:1 picture to a model trained on padded images is that picture padded."""
    loaded = load_model(Path(trained.classifiers.judge.folder))
    assert loaded.meta["fit"] == "crop"
    for fit in ("crop", "pad"):
        meta = {**loaded.meta, "fit": fit}
        save_model(
            loaded.module,
            tmp_path / f"model-{fit}",
            kind="classifier",
            classes=loaded.classes,
            meta=meta,
        )
    image_HW = np.random.default_rng(0).integers(0, 256, (8, 16), np.uint8)
    wide = Image.fromarray(image_HW)
    padded = Image.new("L", (8, 8))
    padded.paste(wide.resize((8, 4), Image.Resampling.BICUBIC, reducing_gap=3.0), (0, 2))
    cropped = wide.crop((4, 0, 12, 8))
    rows = {}
    for name, image in (("wide", wide), ("pad", padded), ("crop", cropped)):
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "one.jfif", "PNG")
        for fit in ("crop", "pad"):
            found = predict(
                trained.home,
                str(tmp_path / f"model-{fit}"),
                tmp_path / name,
                top=10,
                out=tmp_path / "table.csv",
            )
            rows[name, fit] = found.to_frame().drop(columns=["file", "error"]).to_dict("records")
    assert rows["wide", "pad"] == rows["pad", "pad"]
    assert rows["wide", "crop"] == rows["crop", "crop"]
    assert rows["wide", "pad"] != rows["wide", "crop"]


def test_predicting_refuses_what_it_cannot_do(trained: Trained, tmp_path: Path) -> None:
    judge = trained.classifiers.judge.folder
    with pytest.raises(DataError, match="holds no images"):
        predict(trained.home, judge, tmp_path, top=1, out=tmp_path / "t.csv")
    with pytest.raises(DataError, match="there is no folder"):
        predict(trained.home, judge, tmp_path / "none", top=1, out=tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"no \.csv"):
        predict(trained.home, judge, tmp_path, top=1, out=tmp_path / "t.txt")


def test_a_forecast_counts_what_is_left_and_changes_nothing(trained: Trained) -> None:
    def state() -> str:
        files = sorted(p for p in trained.home.runs.rglob("*") if p.is_file())
        return hashlib.sha256(repr([(f, f.stat().st_mtime_ns) for f in files]).encode()).hexdigest()

    before = state()
    found = forecast.forecast(trained.home, trained.config, trained.dataset)
    assert [stage.stage for stage in found.stages] == ["classifiers", "sweep", "gan", "evaluate"]
    assert found.seconds > 1
    assert found.megabytes > 1000
    short = forecast.forecast(
        trained.home, trained.config, trained.dataset, until="gan", sweeping=False
    )
    assert [stage.stage for stage in short.stages] == ["classifiers", "gan"]
    teaching = overlay(
        trained.config, {"evaluation.teaching": {"classifiers": 2, "shown": 9_000_000}}
    )
    longer = forecast.forecast(trained.home, teaching, trained.dataset).stages[-1]
    assert longer.seconds > 10 * found.stages[-1].seconds
    assert "36,000,000 shown to taught classifiers" in longer.basis
    assert state() == before
