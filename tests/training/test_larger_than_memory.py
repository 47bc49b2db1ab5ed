"""200,000 images of 614 MB train within a memory group of 400 MB, on the batches of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganlib.config import Arrays, DataConfig
from ganlib.data import Dataset, prepare
from tests.memory_limit import Group, memory_limit

IMAGES = 200_000
LIMIT = 400 << 20
TRAINED = 20_000

# A piece of an epoch is learnt from and then all of it read; what is printed names every byte of
# every batch, and the weights.
PROGRAM = """
import hashlib, json, sys, time
from pathlib import Path
import torch
from ganlib.config import *
from ganlib.data import open_images, open_set
from ganlib.determinism import Replicas
from ganlib.training import RunSpec, loop
from ganlib.training.execute import execute

asked = json.loads(sys.argv[1])
digest, feed, kinds = hashlib.sha256(), loop.feed, set()

def hashing(images, *rest, **more):
    kinds.add(type(images).__name__)
    for batch in feed(images, *rest, **more):
        digest.update(batch.image_NHWC.numpy())
        digest.update(batch.label_N.numpy())
        yield batch

loop.feed = hashing
far = 10**9
config = ClassifierConfig(
    batch_size=128,
    network=LeNet5(),
    budget=Budget(images=asked["images"]),
    precision="float32",
    cadence=Cadence(report=20_000, evaluate=far, sample=far, snapshot=far),
)
spec = RunSpec.of(
    config,
    dataset_folder=asked["folder"],
    dataset_fingerprint=asked["fingerprint"],
    run_folder=asked["run"],
    reading=asked["reading"],
    threads=2,
)
before = time.monotonic()
outcome = execute(spec)
weights = (Path(outcome.model) / "weights.safetensors").read_bytes()
told = {"images_per_second": outcome.clock / (time.monotonic() - before)}
dataset = open_set(spec.dataset_folder, spec.dataset_fingerprint, spec.reading)
images = open_images(dataset, "train", spec.reading, torch.device("cpu"))
before = time.monotonic()
for _ in hashing(images, Replicas(), seed=1, batch=128, clocks=range(0, len(images), 128)):
    pass
print(json.dumps(told | {
    "read_per_second": len(images) / (time.monotonic() - before),
    "kinds": sorted(kinds),
    "batches": digest.hexdigest(),
    "weights": hashlib.sha256(weights).hexdigest(),
}))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("large")
    draws = np.random.default_rng(0)
    np.save(folder / "labels.npy", np.arange(IMAGES) % 10)
    image_NHWC = draws.integers(0, 256, (IMAGES, 32, 32, 3), np.uint8)
    np.save(folder / "images.npy", image_NHWC)
    del image_NHWC
    config = DataConfig(
        source=Arrays(path=str(folder / "images.npy"), labels="labels.npy"),
        size=32,
        channels=3,
        validation_fraction=0.005,
        test_fraction=0.005,
    )
    dataset = prepare(config, folder / "data", workers=1)
    (folder / "images.npy").unlink()
    return dataset


def forget(dataset: Dataset) -> None:
    """Have the system drop what it keeps of the shards, so that reading them is counted anew."""
    for shard in dataset.shards:
        with (dataset.folder / "shards" / shard.file).open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def train(
    dataset: Dataset, run: Path, in_memory: str, group: Group | None = None
) -> subprocess.CompletedProcess[str]:
    asked = {
        "folder": str(dataset.folder),
        "fingerprint": dataset.fingerprint,
        "run": str(run),
        "images": TRAINED,
        "reading": {"in_memory": in_memory},
    }
    forget(dataset)
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(asked)],
        preexec_fn=group.join if group else None,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_set_larger_than_memory_trains_on_the_same_batches(
    large: Dataset, tmp_path: Path
) -> None:
    size = large.bytes_of("train")
    assert size > 1.4 * LIMIT
    with memory_limit(LIMIT) as group:
        mapped = train(large, tmp_path / "mapped", "auto", group)
        peak = group.peak()
    assert mapped.returncode == 0, mapped.stderr
    free = train(large, tmp_path / "free", "always")
    assert free.returncode == 0, free.stderr
    found, wanted = (json.loads(done.stdout.splitlines()[-1]) for done in (mapped, free))
    tell(size, peak, found, wanted)
    assert found["kinds"] == ["StoredImages"]
    assert wanted["kinds"] == ["Images"]
    assert found["batches"] == wanted["batches"]
    assert found["weights"] == wanted["weights"]
    assert peak <= LIMIT
    with memory_limit(LIMIT) as group:
        assert train(large, tmp_path / "killed", "always", group).returncode == -9


def tell(size: int, peak: int, mapped: dict[str, Any], free: dict[str, Any]) -> None:
    print(
        f"\n{size / 2**20:.0f} MB of images under {LIMIT / 2**20:.0f} MB, peak {peak / 2**20:.0f}:"
        f" {mapped['images_per_second']:.0f} images/s trained on and"
        f" {mapped['read_per_second']:.0f} read from shards,"
        f" {free['images_per_second']:.0f} and {free['read_per_second']:.0f} from memory"
    )
