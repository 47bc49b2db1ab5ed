"""A GAN is watched for collapse while it trains: readings, verdicts, and the end of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ganlib.config import (
    Adam,
    Budget,
    DcganDiscriminator,
    DcganGenerator,
    DetectorConfig,
    DiscriminatorConfig,
    GanConfig,
    GeneratorConfig,
    Record,
    Stop,
    overlay,
)
from ganlib.data import Dataset
from ganlib.determinism import Replicas
from ganlib.errors import Collapsed, ConfigError
from ganlib.storage import LocalStore
from ganlib.training import MemoryTracker, Origin, RunSpec, forensics
from ganlib.training.execute import execute
from ganlib.training.loop import Report
from ganlib.training.snapshots import Snapshots
from tests.ranks import on_ranks
from tests.training.conftest import often, spec_of

DETECTOR = DetectorConfig(samples=64, reals=256, draws=4)
GAN = GanConfig(
    generator=GeneratorConfig(network=DcganGenerator(width=8, latent_size=8)),
    discriminator=DiscriminatorConfig(network=DcganDiscriminator(width=8)),
    batch_size=32,
    budget=Budget(images=1_000),
    cadence=often(128),
    collapse=Record(every=256, detector=DETECTOR),
)
SPACES = {"pixels", "features", "classes", "losses", "play"}


def readings(tracker: MemoryTracker) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for line in tracker.of("metrics"):
        values = {k: v for k, v in line["values"].items() if k.startswith("collapse/")}
        if values:
            found[line["clock"]] = values
    return found


def test_readings_are_taken_at_reports_and_told(
    digits: Dataset, selector: Path, tmp_path: Path
) -> None:
    tracker = MemoryTracker()
    outcome = execute(spec_of(GAN, digits, tmp_path, selector=str(selector)), tracker=tracker)
    found = readings(tracker)
    assert list(found) == [256, 512, 768, 1024]
    assert {name.split("/")[1] for name in found[256]} == SPACES
    assert 0 < found[1024]["collapse/pixels/variance"] < 3
    for name in ("slope_discriminator", "slope_generator", "win_rate"):
        assert found[1024][f"collapse/play/{name}"] > 0
    assert sum(found[1024][f"collapse/classes/share/{k}"] for k in range(10)) == pytest.approx(1)
    assert outcome.collapse.startswith("warming up (")
    assert outcome.verdict == ""
    (tag, *_) = tracker.of("tags")
    assert tag["values"].keys() == {"ganlib.collapse"}


def test_without_a_selector_pixels_and_asked_classes_are_left(
    digits: Dataset, tmp_path: Path
) -> None:
    tracker = MemoryTracker()
    execute(spec_of(GAN, digits, tmp_path), tracker=tracker)
    found = readings(tracker)[1024]
    assert {name.split("/")[1] for name in found} == SPACES - {"features"}
    assert "collapse/classes/spread" in found
    assert "collapse/classes/entropy" not in found


def test_a_run_shorter_than_the_cadence_is_not_looked_at(digits: Dataset, tmp_path: Path) -> None:
    tracker = MemoryTracker()
    short = overlay(GAN, {"collapse.every": 5_000})
    outcome = execute(spec_of(short, digits, tmp_path), tracker=tracker)
    assert readings(tracker) == {}
    assert outcome.collapse == ""


def test_of_too_few_images_nothing_is_read_and_the_run_says_so(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganlib.training.guard.FEWEST", 2_000)
    tracker = MemoryTracker()
    outcome = execute(spec_of(GAN, digits, tmp_path), tracker=tracker)
    assert readings(tracker) == {}
    assert (outcome.reason, outcome.collapse) == ("budget", "")
    (told,) = [line["text"] for line in tracker.of("note") if "collapse" in line["text"]]
    assert told.endswith("training images are too few to watch for collapse: it takes 2000")


def test_a_resumed_run_reads_what_the_whole_one_does(digits: Dataset, tmp_path: Path) -> None:
    whole, first, rest = MemoryTracker(), MemoryTracker(), MemoryTracker()
    told = execute(spec_of(GAN, digits, tmp_path / "whole"), tracker=whole)

    class Killed(BaseException):
        pass

    def kill(moment: object) -> None:
        if isinstance(moment, Report) and moment.clock == 896:
            raise Killed

    spec = spec_of(GAN, digits, tmp_path / "parts")
    with pytest.raises(Killed):
        execute(spec, tracker=first, on_moment=kill)
    again = execute(spec, tracker=rest)
    assert readings(first) | readings(rest) == readings(whole)
    assert list(readings(rest)) == [1024]
    assert again.collapse == told.collapse


def on_a_rank(replicas: Replicas, spec: str) -> dict[str, Any]:
    tracker = MemoryTracker()
    outcome = execute(RunSpec.model_validate_json(spec), replicas, tracker=tracker)
    return {"said": outcome.collapse, "read": readings(tracker)}


def test_two_workers_read_what_one_does(digits: Dataset, selector: Path, tmp_path: Path) -> None:
    """Fakes are whole numbers, so a rounded weight may move one of them by one."""
    config = overlay(GAN, {"precision": "float64", "budget.images": 250, "collapse.every": 128})
    told = {}
    for world in (1, 2):
        spec = spec_of(config, digits, tmp_path / str(world), selector=str(selector), workers=world)
        told[world] = on_ranks(world, on_a_rank, spec.model_dump_json())
    (one,), (first, second) = told[1], told[2]
    assert first == second
    assert first["said"] == one["said"]
    assert first["read"].keys() == one["read"].keys()
    for clock, values in one["read"].items():
        assert first["read"][clock] == pytest.approx(values, rel=1e-3)


FEW = {
    "generator.optimiser": Adam(learning_rate=1e-2, beta1=0.9),
    "discriminator.optimiser": Adam(learning_rate=2e-4, beta1=0.9),
    "discriminator.network.norm": "none",
    "budget.images": 20_000,
    "cadence": often(1_024),
}


def test_a_collapsed_run_ends_as_failed_and_leaves_its_evidence(
    digits: Dataset, selector: Path, tmp_path: Path
) -> None:
    """The generator learns fifty times as fast as a discriminator that nothing bounds."""
    config = overlay(GAN, FEW | {"collapse": Stop(every=1_024, detector=DETECTOR)})
    spec, tracker = spec_of(config, digits, tmp_path, selector=str(selector)), MemoryTracker()
    with pytest.raises(Collapsed, match=r"the generator collapsed \(") as caught:
        execute(spec, tracker=tracker)
    assert 4 * 1_024 < caught.value.clock < 12_000
    assert list(readings(tracker))[-1] == caught.value.clock
    assert tracker.of("tags")[-1]["values"]["ganlib.collapse"] == caught.value.told
    assert any("collapsed" in line["text"] for line in tracker.of("note"))
    outcome = json.loads((tmp_path / "outcome.json").read_text())["outcome"]
    assert (outcome["reason"], outcome["verdict"]) == ("collapsed", caught.value.told)
    snapshots = sorted(path.name for path in (tmp_path / "snapshots").iterdir())
    assert int(snapshots[-1]) == caught.value.clock
    assert tracker.of("image")[-1]["clock"] == caught.value.clock
    for damage in ("nothing", "outcome.json"):
        (tmp_path / damage).unlink(missing_ok=True)
        again = MemoryTracker()
        with pytest.raises(Collapsed) as repeated:
            execute(spec, tracker=again)
        assert repeated.value.told == caught.value.told
        assert readings(again) == {}


def test_the_onset_of_a_recorded_collapse_is_kept(digits: Dataset, tmp_path: Path) -> None:
    """Long after the run's own snapshots of it are gone; and another run goes on from there."""
    recorded = Record(every=512, detector=DETECTOR)
    changes = FEW | {"collapse": recorded, "budget.images": 6_144, "cadence": often(512)}
    config, tracker = overlay(GAN, changes | {"ema.half_life": 0}), MemoryTracker()
    execute(spec_of(config, digits, tmp_path / "lost"), tracker=tracker)
    (kept, *_) = sorted((tmp_path / "lost" / "forensics").iterdir())
    told = json.loads((kept / "readings.json").read_text())
    seen = int(kept.name)
    assert told["said"].startswith("collapsed (")
    assert told["series"][-1][0] == seen
    assert any(line["clock"] == seen for line in tracker.of("image") if line["name"] == "collapse")
    there = forensics.clocks(tmp_path / "lost")
    assert {seen, 5_120, 5_632, 6_144} <= there.keys()
    slower = overlay(config, {"generator.optimiser.learning_rate": 1e-3, "seed": 9})
    origin = Origin(folder=str(tmp_path / "lost"), clock=seen)

    def further(folder: Path, **changes: object) -> MemoryTracker:
        spec, tracker = spec_of(slower, digits, folder, origin=origin), MemoryTracker()
        execute(spec, tracker=tracker, **changes)
        return tracker

    whole = further(tmp_path / "further")
    clocks = [line["clock"] for line in whole.of("metrics")]
    assert min(clocks) > seen
    assert min(readings(whole)) == seen + 512
    state = Snapshots(LocalStore(tmp_path / "further" / "snapshots")).read(6_144)
    assert state.belongs["origin"]["clock"] == seen
    stop = Stop(every=512, detector=DETECTOR)
    same = overlay(config, {"collapse": stop, "seed": 9, "budget.images": 10_240})
    with pytest.raises(Collapsed) as caught:
        execute(spec_of(same, digits, tmp_path / "same", origin=origin))
    time = DETECTOR.grace + DETECTOR.recover
    assert caught.value.clock == seen + 512 * (time + 1)  # not at the first reading
    other = overlay(slower, {"discriminator.network.width": 16})
    with pytest.raises(ConfigError, match=r"has other shapes: .*body"):
        execute(spec_of(other, digits, tmp_path / "other", origin=origin))


def test_a_recorded_collapse_is_the_verdict_of_a_run_that_ends_by_its_budget(
    digits: Dataset, selector: Path, tmp_path: Path
) -> None:
    recorded = Record(every=1_024, detector=DETECTOR)
    config = overlay(GAN, FEW | {"collapse": recorded, "budget.images": 10_000})
    outcome = execute(spec_of(config, digits, tmp_path, selector=str(selector)))
    assert outcome.reason == "budget"
    assert outcome.verdict == outcome.collapse
    assert outcome.verdict.startswith("collapsed (")
