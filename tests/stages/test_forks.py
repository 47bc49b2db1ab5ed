"""From a snapshot of another run: which there are, and what may be changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlib.config import GanConfig, PipelineConfig, load, overlay
from ganlib.errors import ConfigError, InputError, NotFound
from ganlib.stages import forks, pipelines
from ganlib.storage import Home, LocalStore
from ganlib.training import Journal, RunIdentity
from ganlib.training.snapshots import Snapshots

RESCUED = {"generator.optimiser.learning_rate": 1e-4}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A pipeline whose GAN left two snapshots and one of a collapse, with what a rescue changed."""
    home = Home.open(tmp_path / "home")
    config: PipelineConfig = load("digits")
    run = pipelines.begin(home, config, command="train")
    folder = home.runs / "gan-1"
    identity = RunIdentity(
        id=f"{run}.gan-1",
        key=f"{run}/1",
        parent_id=run,
        experiment="e",
        name="gan",
        stage="gan",
        tags={"ganlib.folder": str(folder)},
    )
    Journal(pipelines.journal_path(home, identity.id), identity)
    gan = overlay(config.gan, RESCUED)
    belongs = {"config": gan.model_dump(mode="json")}
    for place, clock in (("snapshots", 64_000), ("snapshots", 96_000), ("forensics/1", 32_000)):
        Snapshots(LocalStore(folder / place)).save(clock, {}, belongs, {})
    return home


def run_of(home: Home) -> str:
    return pipelines.everyone(home)[-1].id


@pytest.mark.parametrize("suffix", ["", ".gan-1"])
@pytest.mark.parametrize("clock", ["32000", "64,000"])
def test_a_run_goes_on_with_what_it_had_there(home: Home, suffix: str, clock: str) -> None:
    found = forks.fork(home, f"{run_of(home)}{suffix}@{clock}")
    assert found.name == f"{run_of(home)}.gan-1@{clock.replace(',', '')}"
    assert found.config == overlay(load("digits"), {f"gan.{k}": v for k, v in RESCUED.items()})
    forks.check(found.config.gan, found)


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("{run}", InputError, "names no snapshot"),
        ("{run}@late", InputError, "names no snapshot"),
        ("{run}@²", InputError, "names no snapshot"),
        ("p-000000000000@64000", NotFound, r"there is no run 'p-000000000000'"),
        ("{run}@50000", NotFound, r"no snapshot at 50,000 images"),
    ],
)
def test_what_is_not_there_is_named(
    home: Home, name: str, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told) as caught:
        forks.fork(home, name.format(run=run_of(home)))
    if "50000" in name:
        assert caught.value.hint == "there are those at 32,000, 64,000, 96,000 images"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"discriminator.network.width": 8}, "gan.discriminator.network"),
        ({"generator.network.latent_size": 8}, "gan.generator.network"),
        ({"batch_size": 60}, "gan.batch_size"),
        ({"budget.images": 50_000}, "gan.budget.images"),
    ],
)
def test_what_cannot_go_on_is_refused(home: Home, changes: dict[str, int], where: str) -> None:
    start = forks.fork(home, f"{run_of(home)}@64000")
    changed: GanConfig = overlay(start.config.gan, changes)
    with pytest.raises(ConfigError) as caught:
        forks.check(changed, start)
    assert caught.value.where == where


@pytest.mark.parametrize(("path", "value"), [("data.size", 16), ("data.channels", 3)])
def test_images_of_other_shapes_are_refused(home: Home, path: str, value: int) -> None:
    start = forks.fork(home, f"{run_of(home)}@64000")
    other = overlay(start.config, {path: value})
    forks.check(other.gan, start, start.config.data)
    with pytest.raises(ConfigError, match=f"{path} is {value}, and .*@64000 was trained with"):
        forks.check(other.gan, start, other.data)


def test_fewer_images_cannot_be_judged_together_and_more_can(home: Home) -> None:
    start = forks.fork(home, f"{run_of(home)}@64000")
    more = overlay(start.config.gan, {"discriminator.packing": 2})
    forks.check(more, start)
    packed = forks.Fork(
        start.name,
        start.run,
        overlay(start.config, {"gan.discriminator.packing": 2}),
        start.origin,
        start.digest,
    )
    with pytest.raises(ConfigError, match="judges 2 images together"):
        forks.check(start.config.gan, packed)
