"""Batches from memory, from shards and from S3: the same ones, and so the same weights."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganlib.config import (
    Budget,
    Cadence,
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorConfig,
    GanConfig,
    GeneratorConfig,
    Reading,
)
from ganlib.data import Dataset, Images, StoredImages
from ganlib.determinism import Replicas
from ganlib.errors import Damaged
from ganlib.models import load_model
from ganlib.training.execute import execute
from ganlib.training.feed import Batch, feed
from tests.ranks import on_ranks
from tests.s3 import S3Server
from tests.training.conftest import spec_of

CLOCKS = range(32, 1632, 32)


def batches(images: Images | StoredImages, replicas: Replicas = Replicas()) -> list[Batch]:  # noqa: B008
    return list(feed(images, replicas, seed=3, batch=16, clocks=CLOCKS))


def test_stored_images_come_in_the_same_order(digits: Dataset) -> None:
    memory, stored = digits.load("train"), digits.stored("train")
    found = batches(stored)
    assert len(found) == len(CLOCKS)
    for left, right in zip(found, batches(memory), strict=True):
        assert torch.equal(left.image_NHWC, right.image_NHWC)
        assert torch.equal(left.label_N, right.label_N)


def test_batches_of_images_beside_their_device_are_sent_there_ahead(digits: Dataset) -> None:
    """The meta device stands for a GPU that is too small for them: it keeps shapes alone."""
    memory = digits.load("train")
    rows = Watched(memory)
    rows.device = memory.image_NHWC.device
    beside = Images(rows, memory.label_N.to("meta"))  # type: ignore[arg-type]
    assert not beside.in_memory
    for found, whole in zip(batches(beside), batches(memory), strict=True):
        assert found.image_NHWC.device.type == found.label_N.device.type == "meta"
        assert found.image_NHWC.shape == whole.image_NHWC.shape
    assert rows.threads == {"next-batch_0"}


def test_ranks_share_a_batch(digits: Dataset) -> None:
    """Of each global batch, two to a turn, a rank has its half, whatever the images lie in."""
    stored = digits.stored("train")
    whole = batches(digits.load("train"))
    halves = [batches(stored, Replicas(rank, 2)) for rank in range(2)]
    for one, *parts in zip(whole, *halves, strict=True):
        assert torch.equal(one.label_N, shuffled([part.label_N for part in parts]))
        assert torch.equal(one.image_NHWC, shuffled([part.image_NHWC for part in parts]))


def shuffled(parts: list[Tensor]) -> Tensor:
    """Two turns of two halves, as they stand in the global batches."""
    turns = zip(*(part.chunk(2) for part in parts), strict=True)
    return torch.cat([half for turn in turns for half in turn])


class Watched:
    """Rows that say how far they were read, by which thread, and fail at a chosen batch."""

    def __init__(self, images: Images, bad: int = 10**9) -> None:
        self.images, self.bad = images.image_NHWC, bad
        self.read = 0
        self.threads = set[str]()
        self.shape = tuple(self.images.shape)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, wanted: Tensor) -> Tensor:
        if self.read == self.bad:
            raise Damaged("the shard x.arrow is damaged", where="x.arrow")
        self.threads.add(threading.current_thread().name)
        self.read += 1
        return self.images[wanted]


def watched(digits: Dataset, bad: int = 10**9) -> tuple[StoredImages, Watched]:
    memory = digits.load("train")
    rows = Watched(memory, bad)
    return StoredImages(rows, memory.label_N), rows  # type: ignore[arg-type]


def test_one_batch_is_prepared_ahead_and_no_more(digits: Dataset) -> None:
    images, rows = watched(digits)
    made = feed(images, Replicas(), seed=3, batch=16, clocks=CLOCKS)
    for turn in range(1, 4):
        next(made)
        time.sleep(0.05)
        assert rows.read == turn + 1
    assert rows.threads == {"next-batch_0"}
    made.close()  # type: ignore[attr-defined]
    assert "next-batch_0" not in {thread.name for thread in threading.enumerate()}


def test_what_cannot_be_read_is_told_at_its_own_batch(digits: Dataset) -> None:
    images, _ = watched(digits, bad=3)
    made = feed(images, Replicas(), seed=3, batch=16, clocks=CLOCKS)
    wanted = batches(digits.load("train"))
    for turn in range(3):
        assert torch.equal(next(made).image_NHWC, wanted[turn].image_NHWC)
    with pytest.raises(Damaged, match=r"x\.arrow"):
        next(made)


GAN = GanConfig(
    batch_size=32,
    budget=Budget(images=32 * 30),
    cadence=Cadence(report=320, evaluate=960, sample=960, snapshot=320),
    generator=GeneratorConfig(network=DcganGenerator(width=4, latent_size=4)),
    discriminator=DiscriminatorConfig(network=DcganDiscriminator(width=4)),
)


def trained(
    digits: Dataset, folder: Path, reading: Reading, selector: Path | None = None
) -> tuple[dict[str, Tensor], dict[str, float]]:
    spec = spec_of(
        GAN, digits, folder, reading=reading, selector=str(selector) if selector else None
    )
    outcome = execute(spec)
    return load_model(Path(outcome.model)).module.state_dict(), outcome.readings


def test_weights_and_readings_do_not_depend_on_where_images_are(
    digits: Dataset, selector: Path, tmp_path: Path
) -> None:
    memory, shards = (
        trained(digits, tmp_path / how, Reading.model_validate({"in_memory": how}), selector)
        for how in ("always", "never")
    )
    assert memory[0].keys() == shards[0].keys()
    for name, value in memory[0].items():
        assert torch.equal(value, shards[0][name]), name
    assert memory[1] == shards[1] != {}


def test_weights_are_the_same_from_s3(digits: Dataset, s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket("training")
    s3.put_folder(bucket, "digits", digits.folder)
    away = spec_of(
        GAN,
        digits,
        tmp_path / "away",
        reading=Reading(copy_at=f"s3://{bucket}/digits", in_memory="never", cache_bytes=0),
    )
    away = away.model_copy(update={"dataset_folder": "/not/on/this/machine"})
    found = load_model(Path(execute(away).model)).module.state_dict()
    for name, value in trained(digits, tmp_path / "here", Reading())[0].items():
        assert torch.equal(value, found[name]), name


def test_a_shard_damaged_under_way_ends_the_run_by_name(digits: Dataset, tmp_path: Path) -> None:
    shutil.copytree(digits.folder, tmp_path / "data")
    spoilt = Dataset.open(tmp_path / "data", digits.fingerprint)
    path = spoilt.folder / "shards" / spoilt.shards[0].file
    places = spoilt.stored("train").image_NHWC.places
    data = bytearray(path.read_bytes())
    data[int(places.offset_N[7])] ^= 1
    path.write_bytes(data)
    # An epoch and a bit more: every image is read.
    longer = GAN.model_copy(update={"budget": Budget(images=1_500)})
    with pytest.raises(Damaged, match=path.name):
        execute(spec_of(longer, spoilt, tmp_path / "run", reading=Reading(in_memory="never")))


def _light(replicas: Replicas, folder: str, fingerprint: str) -> Tensor:
    """The sum of each global batch's pixels."""
    found = batches(Dataset.open(Path(folder), fingerprint).stored("train"), replicas)
    light_B = torch.stack([batch.image_NHWC.sum() for batch in found])
    return replicas.gather(light_B).reshape(replicas.world, -1).sum(0)


def test_processes_read_the_same_shards(digits: Dataset) -> None:
    one, two = (on_ranks(world, _light, str(digits.folder), digits.fingerprint) for world in (1, 2))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[0], two[1])
