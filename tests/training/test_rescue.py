"""A collapsed run goes on from before its collapse by another policy; a killed rescue is ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganlib.config import (
    R1,
    DiffAugment,
    FasterDiscriminator,
    GanConfig,
    HigherGamma,
    LessMomentum,
    LowerRate,
    MoreAugmentation,
    MorePacking,
    OtherNoise,
    Rescue,
    Stop,
    overlay,
)
from ganlib.data import Dataset
from ganlib.errors import Collapsed
from ganlib.storage import LocalStore
from ganlib.training import MemoryTracker, RunSpec, rescue
from ganlib.training.execute import execute
from ganlib.training.loop import Report, Snapshot
from ganlib.training.snapshots import Snapshots
from tests.training.conftest import often, spec_of
from tests.training.test_guard import DETECTOR, FEW, GAN

LOWER = LowerRate(factor=0.5)
AGAIN = Rescue(every=1_024, detector=DETECTOR, policies=(LOWER, OtherNoise()), attempts=2)
LOST = overlay(GAN, FEW | {"collapse": AGAIN})


class Killed(BaseException):
    pass


def kill_at(clock: int) -> Callable[[object], None]:
    def kill(moment: object) -> None:
        if isinstance(moment, Snapshot) and moment.clock == clock:
            raise Killed

    return kill


def attempt(policy: object, clock: int = 0) -> rescue.Attempt:
    told = {"policy": policy, "clock": clock, "collapsed_at": 900, "seen": "collapsed"}
    return rescue.Attempt.model_validate(told)


def test_policies_change_what_they_say() -> None:
    gan = GanConfig()
    slower = rescue.changed(gan, LowerRate(factor=0.5)).generator.optimiser.learning_rate
    assert slower == gan.generator.optimiser.learning_rate / 2
    paid = rescue.changed(gan, HigherGamma(start=3.0))
    assert paid.penalties.r1 == R1(gamma=3.0)
    lazy = overlay(gan, {"penalties.r1": R1(gamma=2.0, every=4)})
    assert rescue.changed(lazy, HigherGamma(factor=5.0)).penalties.r1 == R1(gamma=10.0, every=4)
    assert rescue.changed(gan, MoreAugmentation()).augmentation == DiffAugment()
    assert rescue.changed(gan, OtherNoise()).seed == gan.seed + 1
    slow = overlay(gan, {"discriminator.optimiser.learning_rate": 1e-6})
    raised = rescue.changed(slow, FasterDiscriminator()).discriminator.optimiser.learning_rate
    assert raised == 4 * gan.generator.optimiser.learning_rate
    quick = overlay(gan, {"discriminator.optimiser.learning_rate": 0.5})
    assert rescue.changed(quick, FasterDiscriminator()) == quick
    heavy = overlay(gan, {"generator.optimiser.beta1": 0.9, "discriminator.optimiser.beta1": 0.5})
    calm = rescue.changed(heavy, LessMomentum())
    assert calm.generator.optimiser.beta1 == calm.discriminator.optimiser.beta1 == 0


def test_a_pack_grows_to_what_divides_the_batch() -> None:
    def then(changes: dict[str, object], workers: tuple[int, ...] = (1,)) -> int | None:
        gan = overlay(GanConfig(batch_size=24), changes)
        settings = Rescue(policies=(MorePacking(),))
        if rescue.upcoming(gan, [], settings, workers) is None:
            return None
        return rescue.changed(gan, MorePacking()).discriminator.packing

    assert then({}) == 2
    assert then({"discriminator.packing": 2}) == 3
    assert then({"discriminator.packing": 2, "batch_size": 64}) == 4
    assert then({"discriminator.network.minibatch_stddev": 4, "batch_size": 32}) == 2
    assert then({"discriminator.packing": 4}) is None
    assert then({}, workers=(8,)) is None  # three images each
    assert then({}, workers=(2, 8)) is None  # where there may be eight as well
    own = {"kind": "custom", "build": "nets:build"}
    assert then({"discriminator.network": own}) is None


def test_the_list_is_walked_once_and_what_is_refused_or_idle_is_passed_over() -> None:
    settings = Rescue(policies=(HigherGamma(), MoreAugmentation(), OtherNoise()), attempts=3)
    batched = overlay(GanConfig(), {"discriminator.network.norm": "batch"})
    augmented = overlay(batched, {"augmentation": DiffAugment()})
    assert rescue.upcoming(GanConfig(), [], settings) == HigherGamma()
    assert rescue.upcoming(batched, [], settings) == MoreAugmentation()
    assert rescue.upcoming(augmented, [], settings) == OtherNoise()
    assert rescue.upcoming(augmented, [attempt(OtherNoise())], settings) is None
    steep = overlay(GanConfig(), {"penalties.r1": R1(gamma=5e5)})  # a gamma is at most 1e6
    assert rescue.upcoming(steep, [], settings) == MoreAugmentation()
    once = settings.model_copy(update={"attempts": 1})
    assert rescue.upcoming(GanConfig(), [attempt(HigherGamma())], once) is None


def test_snapshots_are_those_of_the_attempt(tmp_path: Path) -> None:
    snapshots = Snapshots(LocalStore(tmp_path), keep=4)
    old, new = {"config": {"seed": 1}}, {"config": {"seed": 2}}
    for clock in (100, 200, 300, 400):
        snapshots.save(clock, {}, old, {"ended": None})
    assert rescue.before(snapshots, 300, lambda clock: True) == 200
    assert rescue.before(snapshots, 300, lambda clock: clock < 200) == 100
    assert rescue.before(snapshots, 100, lambda clock: True) == 0
    going = attempt(OtherNoise(), 200)
    for _ in range(2):  # as after a kill in between
        rescue.settle(snapshots, going, new)
        assert snapshots.clocks() == [100, 200]
    found = snapshots.latest(new)
    assert found is not None
    assert found.clock == 200
    snapshots.save(300, {}, new, {})
    rescue.settle(snapshots, going, new)
    assert snapshots.clocks() == [100, 200, 300]


def test_what_a_rescue_would_go_back_to_stays_however_old(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganlib.training.guard.Guard.well", lambda guard, clock: clock <= 256)
    for kind, stays in (("rescue", [256]), ("stop", [])):
        gan = overlay(GAN, {"collapse": {"kind": kind, "every": 256, "detector": DETECTOR}})
        spec = spec_of(gan, digits, tmp_path / kind)
        execute(spec)
        kept = Snapshots(LocalStore(tmp_path / kind / "snapshots")).clocks()
        assert kept == [*stays, 768, 896, 1_024]


@dataclass(frozen=True)
class Lost:
    spec: RunSpec
    tracker: MemoryTracker
    error: Collapsed


@pytest.fixture(scope="module")
def lost(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Lost:
    """Neither half the rate nor other noise mends a generator fifty times too fast."""
    torch.set_num_threads(1)
    spec, tracker = spec_of(LOST, digits, tmp_path_factory.mktemp("lost")), MemoryTracker()
    with pytest.raises(Collapsed) as caught:
        execute(spec, tracker=tracker)
    return Lost(spec, tracker, caught.value)


def test_each_policy_is_tried_and_then_the_run_has_failed(lost: Lost) -> None:
    spec, tracker, folder = lost.spec, lost.tracker, Path(lost.spec.run_folder)
    made = rescue.made(spec)
    assert [one.policy for one in made] == [LOWER, OtherNoise()]
    tags = {k: v for line in tracker.of("tags") for k, v in line["values"].items()}
    assert tags["ganlib.rescue.1"] == str(made[0])
    assert tags["ganlib.rescue.2"].endswith("images with other_noise")
    titles = {line["name"]: line for line in tracker.of("image") if "rescue" in line["name"]}
    assert {title: line["clock"] for title, line in titles.items()} == {
        "rescue-1-before": made[0].collapsed_at,
        "rescue-1-after": made[1].collapsed_at,
        "rescue-2-before": made[1].collapsed_at,
        "rescue-2-after": lost.error.clock,
    }
    assert titles["rescue-1-before"]["png"] != titles["rescue-2-after"]["png"]
    (kept, *_) = tracker.of("artifact")
    assert kept["path"] == str(folder / rescue.FILE)
    model = json.loads((folder / "model" / "network.json").read_text())
    trained = model["meta"]["belongs"]["config"]
    assert trained["generator"]["optimiser"]["learning_rate"] == pytest.approx(5e-3)
    assert trained["seed"] == LOST.seed + 1
    again = MemoryTracker()
    with pytest.raises(Collapsed, match="the generator collapsed") as repeated:
        execute(spec, tracker=again)
    assert repeated.value.told == lost.error.told
    assert not again.of("metrics")


def ends_as(lost: Lost, spec: RunSpec) -> None:
    """To the same attempts, at the same clocks, and the same end."""
    with pytest.raises(Collapsed) as caught:
        execute(spec)
    assert (caught.value.told, caught.value.clock) == (lost.error.told, lost.error.clock)
    assert rescue.made(spec) == rescue.made(lost.spec)


def test_a_rescue_that_was_cut_is_ended_by_the_next_start(
    lost: Lost, digits: Dataset, tmp_path: Path
) -> None:
    """Just after its first rollback."""
    spec, clocks = spec_of(LOST, digits, tmp_path), list[int]()

    def kill(moment: object) -> None:
        if isinstance(moment, Report):
            if clocks and moment.clock < clocks[-1]:
                raise Killed
            clocks.append(moment.clock)

    with pytest.raises(Killed):
        execute(spec, on_moment=kill)
    assert len(rescue.made(spec)) == 1
    ends_as(lost, spec)


@pytest.mark.slow
def test_a_process_that_was_killed_in_a_rescue_is_ended_by_the_next_one(
    lost: Lost, digits: Dataset, tmp_path: Path
) -> None:
    """SIGKILL as soon as an attempt is written down, before or while its snapshots follow it."""
    spec = spec_of(LOST, digits, tmp_path)
    code = (
        "import sys; from ganlib.training import RunSpec; "
        "from ganlib.training.execute import execute; "
        "execute(RunSpec.model_validate_json(sys.argv[1]))"
    )
    for attempts in (1, 2):
        process = subprocess.Popen([sys.executable, "-c", code, spec.model_dump_json()])
        while process.poll() is None and len(rescue.made(spec)) < attempts:
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "outcome.json").exists()
    ends_as(lost, spec)


def test_a_grown_run_is_whole(digits: Dataset, tmp_path: Path) -> None:
    """From one image to two at 512 images, killed once more after that, and the same as not."""
    gan = overlay(LOST, {"cadence": often(256), "budget.images": 1_024})

    def grown(folder: Path, stop: int | None = None) -> dict[str, Tensor]:
        spec = spec_of(gan, digits, folder)
        if not rescue.made(spec):
            with suppress(Killed):
                execute(spec, on_moment=kill_at(768))
            rescue.note(spec, [attempt(MorePacking(), 512)])
        with suppress(Killed):
            execute(spec, on_moment=None if stop is None else kill_at(stop))
        return Snapshots(LocalStore(folder / "snapshots")).read(stop or 1_024).state

    whole = grown(tmp_path / "whole")
    assert whole["discriminator.body.0.weight"].shape[1] == 2
    grown(tmp_path / "parts", stop=768)
    again = grown(tmp_path / "parts")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    model = json.loads((tmp_path / "whole" / "model" / "network.json").read_text())
    assert model["meta"]["belongs"]["config"]["discriminator"]["packing"] == 2


def test_attempts_of_other_settings_count_for_nothing(digits: Dataset, tmp_path: Path) -> None:
    spec = spec_of(LOST, digits, tmp_path)
    rescue.note(spec, [attempt(OtherNoise())])
    assert len(rescue.made(spec)) == 1
    other = overlay(LOST, {"collapse": Stop(detector=DETECTOR)})
    assert rescue.made(spec_of(other, digits, tmp_path)) == ()
