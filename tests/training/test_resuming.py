"""Stopped at any snapshot and continued, a run ends with the same bits."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ganlib.config import (
    Budget,
    Cadence,
    ClassifierConfig,
    Cosine,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorConfig,
    Distortion,
    GanConfig,
    GeneratorConfig,
    SmallResNet,
    overlay,
)
from ganlib.data import Dataset
from ganlib.errors import ConfigError
from ganlib.losses import adversarial
from ganlib.training import MemoryTracker, Outcome, RunSpec
from ganlib.training.execute import execute
from ganlib.training.loop import Moment, Snapshot
from tests.training.conftest import often, spec_of

GAN = GanConfig(
    generator=GeneratorConfig(network=DcganGenerator(width=8, latent_size=8), steps=2),
    discriminator=DiscriminatorConfig(network=DcganDiscriminator(width=8), steps=2),
    schedule=Cosine(warmup_images=64),
    batch_size=16,
    budget=Budget(images=256),
    cadence=often(64),
)
CLASSIFIER = ClassifierConfig(
    network=SmallResNet(width=8),
    distortion=Distortion(shift=1, flip=True),
    batch_size=16,
    budget=Budget(images=256),
    cadence=often(64),
)


class Killed(BaseException):
    """As sudden as a kill, as far as the code in the process can tell."""


def killed_at(clock: int) -> object:
    def look(moment: Moment) -> None:
        if isinstance(moment, Snapshot) and moment.clock == clock:
            raise Killed

    return look


def weights(outcome: Outcome) -> dict[str, Tensor]:
    return load_file(Path(outcome.model) / "weights.safetensors")


def last_state(spec: RunSpec) -> dict[str, Tensor]:
    newest = max((Path(spec.run_folder) / "snapshots").iterdir())
    return load_file(newest / "state.safetensors")


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("config", [GAN, CLASSIFIER], ids=["gan", "classifier"])
def test_continued_equals_uninterrupted_bit_for_bit(
    config: GanConfig | ClassifierConfig,
    precision: str,
    digits: Dataset,
    selector: Path,
    tmp_path: Path,
) -> None:
    config = overlay(config, {"precision": precision})
    fields = {"selector": str(selector)} if isinstance(config, GanConfig) else {}
    whole = spec_of(config, digits, tmp_path / "whole", **fields)
    expected = execute(whole)
    for clock in (64, 128, 192, 256):
        spec = spec_of(config, digits, tmp_path / str(clock), **fields)
        with pytest.raises(Killed):
            execute(spec, on_moment=killed_at(clock))
        found = execute(spec)
        assert_same(last_state(spec), last_state(whole))
        assert_same(weights(found), weights(expected))
        assert found.series == expected.series
        assert found.readings == expected.readings


def test_a_killed_process_continues_to_the_same_weights(digits: Dataset, tmp_path: Path) -> None:
    config = overlay(GAN, {"budget.images": 2_048, "cadence": Cadence(snapshot=128)})
    expected = execute(spec_of(config, digits, tmp_path / "whole"))
    spec = spec_of(config, digits, tmp_path / "killed")
    code = (
        "import sys; from ganlib.training import RunSpec; "
        "from ganlib.training.execute import execute; "
        "execute(RunSpec.model_validate_json(sys.argv[1]))"
    )
    snapshots = Path(spec.run_folder) / "snapshots"
    for number in (1, 3):
        process = subprocess.Popen([sys.executable, "-c", code, spec.model_dump_json()])
        while process.poll() is None and len(_published(snapshots)) < number:
            time.sleep(0.005)
        process.kill()
        process.wait()
    assert not (Path(spec.run_folder) / "outcome.json").exists()
    assert_same(weights(execute(spec)), weights(expected))


def _published(snapshots: Path) -> set[str]:
    """Clocks seen so far in this folder, those thinned out included."""
    newest = max((int(p.parent.name) for p in snapshots.glob("*/meta.json")), default=0)
    return {str(clock) for clock in range(128, newest + 1, 128)}


def test_a_notice_saves_a_snapshot_from_which_training_goes_on_bit_for_bit(
    digits: Dataset, tmp_path: Path
) -> None:
    config = overlay(GAN, {"cadence": Cadence(report=32, evaluate=64, sample=128, snapshot=4_096)})
    whole = spec_of(config, digits, tmp_path / "whole")
    expected = execute(whole)
    spec, asked = spec_of(config, digits, tmp_path / "left"), 0

    def third() -> bool:
        nonlocal asked
        asked += 1
        return asked == 3

    with pytest.raises(Killed):
        execute(spec, on_moment=killed_at(96), leaving=third)
    (kept,) = (tmp_path / "left" / "snapshots").glob("*/meta.json")
    assert int(kept.parent.name) == 96
    found = execute(spec)
    assert_same(last_state(spec), last_state(whole))
    assert found.series == expected.series


def test_what_a_killed_save_left_is_gone(digits: Dataset, tmp_path: Path) -> None:
    spec = spec_of(CLASSIFIER, digits, tmp_path)
    left = tmp_path / "snapshots" / "000000000064" / ".state.safetensors.k2x9q1"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    execute(spec)
    assert not left.exists()


def test_a_damaged_snapshot_is_named_and_the_one_before_is_taken(
    digits: Dataset, tmp_path: Path
) -> None:
    whole = execute(spec_of(GAN, digits, tmp_path / "whole"))
    spec = spec_of(GAN, digits, tmp_path / "damaged")
    with pytest.raises(Killed):
        execute(spec, on_moment=killed_at(192))
    state = tmp_path / "damaged/snapshots/000000000192/state.safetensors"
    state.write_bytes(state.read_bytes()[:-7] + b"garbage")
    tracker = MemoryTracker()
    found = execute(spec, tracker=tracker)
    notes = [line["text"] for line in tracker.of("note")]
    assert "000000000192/state.safetensors is damaged" in notes[0]
    assert notes[1] == "resumed at 128 images"
    assert_same(weights(found), weights(whole))


def test_another_configuration_is_refused_by_the_names_that_differ(
    digits: Dataset, tmp_path: Path
) -> None:
    spec = spec_of(GAN, digits, tmp_path)
    with pytest.raises(Killed):
        execute(spec, on_moment=killed_at(128))
    other = overlay(GAN, {"generator.optimiser.learning_rate": 0.5})
    with pytest.raises(ConfigError, match=r"config.generator.optimiser.learning_rate \(0.001, now"):
        execute(spec_of(other, digits, tmp_path))
    with pytest.raises(ConfigError, match="threads"):
        execute(spec_of(GAN, digits, tmp_path, threads=2))


def test_a_snapshot_of_networks_that_were_built_otherwise_is_refused(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that knew no discriminator without a last bias would have left it."""
    spec = spec_of(GAN, digits, tmp_path)
    with monkeypatch.context() as then:
        build = adversarial.build
        then.setattr(adversarial, "build", lambda loss: replace(build(loss), differences=True))
        with pytest.raises(Killed):
            execute(spec, on_moment=killed_at(128))
    with pytest.raises(
        ConfigError, match=r"at 128 images in .* holds other tensors.*bias"
    ) as caught:
        execute(spec)
    assert "--fresh" in str(caught.value.hint)


def test_another_number_of_workers_is_allowed_and_said(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        execute(spec_of(GAN, digits, tmp_path, workers=2), on_moment=killed_at(128))
    tracker = MemoryTracker()
    execute(spec_of(GAN, digits, tmp_path, workers=1), tracker=tracker)
    assert "with 1 workers a snapshot made by 2" in tracker.of("note")[0]["text"]


def test_a_finished_run_answers_without_training(digits: Dataset, tmp_path: Path) -> None:
    spec = spec_of(CLASSIFIER, digits, tmp_path)
    first = execute(spec)
    shutil.rmtree(tmp_path / "snapshots")
    tracker = MemoryTracker()
    assert execute(spec, tracker=tracker) == first
    assert tracker.lines == []
    with pytest.raises(ConfigError, match="another configuration"):
        execute(spec_of(overlay(CLASSIFIER, {"seed": 1}), digits, tmp_path))


def test_a_lost_model_folder_is_exported_again(digits: Dataset, tmp_path: Path) -> None:
    spec = spec_of(CLASSIFIER, digits, tmp_path)
    first = weights(execute(spec))
    shutil.rmtree(tmp_path / "model")
    tracker = MemoryTracker()
    assert_same(weights(execute(spec, tracker=tracker)), first)
    assert tracker.of("metrics") == []
