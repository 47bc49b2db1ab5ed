"""What a run tells while it trains, and every way in which it ends."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from ganlib.config import (
    Adam,
    Budget,
    ClassifierConfig,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorConfig,
    GanConfig,
    GeneratorConfig,
    Plateau,
    SmallResNet,
    overlay,
)
from ganlib.data import Dataset
from ganlib.determinism import Replicas
from ganlib.errors import ConfigError, Diverged
from ganlib.models import build_classifier, load_model, save_model
from ganlib.training import MemoryTracker, RunIdentity, RunSpec, read_journal
from ganlib.training.execute import execute
from ganlib.training.loop import Done, Evaluate, Moment, Report, Sample, Snapshot
from tests.ranks import on_ranks
from tests.training.conftest import often, spec_of

GAN = GanConfig(
    generator=GeneratorConfig(network=DcganGenerator(width=8, latent_size=8)),
    discriminator=DiscriminatorConfig(network=DcganDiscriminator(width=8)),
    batch_size=32,
    budget=Budget(images=500),
    cadence=often(128),
)
READINGS = {"coverage", "relative_coverage", "scaled_distance", "label_agreement", "recall"}


def test_a_reading_that_is_not_finite_is_left_out(digits: Dataset, tmp_path: Path) -> None:
    """A selector that sees no difference between images has features without any variance."""
    blind = build_classifier(SmallResNet(width=4), size=8, channels=1, classes=10)
    for parameter in blind.parameters():
        torch.nn.init.zeros_(parameter)
    save_model(blind, tmp_path / "blind", kind="classifier", classes=digits.classes, meta={})
    spec = spec_of(GAN, digits, tmp_path / "run", selector=str(tmp_path / "blind"))
    tracker = MemoryTracker()
    outcome = execute(spec, tracker=tracker)
    assert "scaled_distance" not in outcome.readings
    assert {"coverage", "label_agreement"} <= outcome.readings.keys()
    values = [x for line in tracker.of("metrics") for x in line["values"].values()]
    assert all(map(math.isfinite, values))


def test_moments_readings_and_pictures_of_a_gan(
    digits: Dataset, selector: Path, tmp_path: Path
) -> None:
    tracker, moments = MemoryTracker(), list[Moment]()
    outcome = execute(
        spec_of(GAN, digits, tmp_path, selector=str(selector)),
        tracker=tracker,
        on_moment=moments.append,
    )
    kinds = [(type(moment), moment.clock) for moment in moments]
    each = [Report, Evaluate, Sample, Snapshot]
    trained = [(kind, clock) for clock in (128, 256, 384, 512) for kind in each]
    assert kinds == [(Sample, 0), *trained]
    assert (outcome.clock, outcome.reason) == (512, "budget")
    assert outcome.readings.keys() >= READINGS
    assert [clock for clock, _ in outcome.series] == [128, 256, 384, 512]
    told = {name for line in tracker.of("metrics") for name in line["values"]}
    assert told >= {f"eval/{name}" for name in READINGS}
    assert told >= {
        "train/loss_discriminator",
        "train/loss_generator",
        "train/images_per_second",
    }
    images = tracker.of("image")
    assert [image["clock"] for image in images] == [0, 128, 256, 384, 512]
    assert all(image["png"].startswith(b"\x89PNG") for image in images)
    model = load_model(Path(outcome.model))
    assert (model.kind, model.classes) == ("generator", digits.classes)


def on_a_rank(replicas: Replicas, spec: str) -> dict[str, Any]:
    """Told by all ranks: the outcome, and how many moments there were."""
    moments = list[Moment]()
    outcome = execute(
        RunSpec.model_validate_json(spec), replicas, on_moment=moments.append
    ).model_dump()
    return {"outcome": outcome, "moments": len(moments)}


def test_two_workers_tell_what_one_does(digits: Dataset, selector: Path, tmp_path: Path) -> None:
    config = overlay(GAN, {"precision": "float64", "cadence": often(256)})
    told = {}
    for world in (1, 2):
        spec = spec_of(config, digits, tmp_path / str(world), selector=str(selector), workers=world)
        told[world] = on_ranks(world, on_a_rank, spec.model_dump_json())
    (one,), (first, second) = told[1], told[2]
    assert first == second
    assert first["moments"] == one["moments"] == 9
    for (clock, readings), (their_clock, theirs) in zip(
        one["outcome"]["series"], first["outcome"]["series"], strict=True
    ):
        assert clock == their_clock
        assert readings == pytest.approx(theirs, rel=1e-6)


def test_a_worker_without_a_tracker_writes_the_journal(digits: Dataset, tmp_path: Path) -> None:
    identity = RunIdentity(
        id="p-1.gan-2", key="p-1/2/0", experiment="ganlib/digits", name="gan", stage="gan"
    )
    execute(
        spec_of(GAN, digits, tmp_path / "run", identity=identity, spool=str(tmp_path / "spool"))
    )
    kinds = [line["kind"] for line in read_journal(tmp_path / "spool" / "p-1.gan-2.jsonl")]
    assert kinds[0] == "open"
    assert (kinds.count("metrics"), kinds.count("image")) == (4, 5)
    assert "close" not in kinds


def test_a_classifier_learns_digits(digits: Dataset, tmp_path: Path) -> None:
    config = ClassifierConfig(network=SmallResNet(width=8), budget=Budget(images=6_400))
    outcome = execute(spec_of(config, digits, tmp_path))
    assert outcome.readings["accuracy"] > 0.9


def test_the_reader_of_readings_can_stop_a_run(digits: Dataset, tmp_path: Path) -> None:
    spec = spec_of(GAN, digits, tmp_path)
    seen = []

    def stop(clock: int, readings: dict[str, float]) -> bool:
        seen.append(clock)
        return clock >= 256

    outcome = execute(spec, on_reading=stop)
    assert (outcome.clock, outcome.reason, seen) == (256, "stopped", [128, 256])
    (tmp_path / "outcome.json").unlink()
    assert execute(spec) == outcome


def test_a_plateau_of_coverage_stops(digits: Dataset, selector: Path, tmp_path: Path) -> None:
    config = overlay(GAN, {"plateau": Plateau(patience=2, min_delta=1.0)})
    outcome = execute(spec_of(config, digits, tmp_path, selector=str(selector)))
    assert (outcome.clock, outcome.reason) == (384, "plateau")


def test_wall_time_stops_at_a_report_and_is_counted_over_attempts(
    digits: Dataset, tmp_path: Path
) -> None:
    config = overlay(GAN, {"budget.wall_minutes": 60.0})
    (tmp_path / "elapsed.json").write_text('{"seconds": 3601}')
    outcome = execute(spec_of(config, digits, tmp_path))
    assert (outcome.clock, outcome.reason) == (128, "wall_time")


def test_divergence_names_the_scalar_and_the_first_bad_clock(
    digits: Dataset, tmp_path: Path
) -> None:
    config = overlay(
        GAN,
        {
            # Decay by more than the weight itself: -1e6 times the weight at each step.
            "discriminator.optimiser": Adam(learning_rate=1.0, weight_decay=1e6),
            "discriminator.network.norm": "none",
            "precision": "float32",
        },
    )
    with pytest.raises(Diverged) as caught:
        execute(spec_of(config, digits, tmp_path))
    assert 32 <= caught.value.clock < 128
    assert caught.value.clock % 32 == 0
    assert caught.value.name.startswith(("loss_", "slope_"))


def test_training_starts_from_another_model(digits: Dataset, tmp_path: Path) -> None:
    first = execute(spec_of(GAN, digits, tmp_path / "first"))
    frozen = overlay(
        GAN, {"budget.images": GAN.batch_size, "generator.optimiser.learning_rate": 1e-12}
    )
    spec = spec_of(frozen, digits, tmp_path / "second", init_from=first.model)
    ours, theirs = (load_model(Path(o.model)).module for o in (execute(spec), first))
    torch.testing.assert_close(ours.start.weight, theirs.start.weight, atol=1e-6, rtol=0)
    wider = overlay(GAN, {"generator.network.width": 16})
    with pytest.raises(ConfigError, match="init_from has another shape"):
        execute(spec_of(wider, digits, tmp_path / "third", init_from=first.model))


def test_done_is_not_told_as_a_moment(digits: Dataset, tmp_path: Path) -> None:
    moments = list[Moment]()
    execute(spec_of(GAN, digits, tmp_path), on_moment=moments.append)
    assert not any(isinstance(moment, Done) for moment in moments)


def test_a_generator_that_cannot_move_is_told_from_a_game(
    digits: Dataset, selector: Path, tmp_path: Path
) -> None:
    """Its discriminator wins every pair; the same players with both moving are healthy."""
    played = overlay(GAN, {"budget.images": 9_600, "cadence": often(1_600), "batch_size": 32})
    frozen = overlay(played, {"generator.optimiser.learning_rate": 1e-9})
    told = [
        execute(spec_of(config, digits, tmp_path / str(n), selector=str(selector))).verdict
        for n, config in enumerate((played, frozen))
    ]
    assert told == ["", "stalled (discriminator won)"]
