"""A look at a generator's published weights, wherever it is taken: readings, or a picture.

Weights and what is found lie in `folder`, those of one clock together:

    <clock>/state.safetensors, meta.json     as a snapshot's
    <clock>/readings.json, picture.png       what a look found, whole or not there
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, assert_never

import torch
from torch import nn

from ganlib.config import Config, GanConfig
from ganlib.data import open_images, open_set
from ganlib.determinism import Replicas
from ganlib.models import build_generator
from ganlib.storage import open_store, read_json, write_bytes, write_json
from ganlib.training import ema, precision
from ganlib.training.memory import keep_freed
from ganlib.training.snapshots import Snapshots
from ganlib.training.spec import RunSpec
from ganlib.training.watch import GanWatch, finite, selector_of

What = Literal["readings", "picture"]
_FILES: dict[What, str] = {"readings": "readings.json", "picture": "picture.png"}


class Look(Config):
    """What is to be found out of the weights at `clock` in `folder`, by any process that sees it.

    `spec` is the run's, a GAN's; its threads and `device` are what the same bits take.
    """

    spec: RunSpec
    device: str
    folder: str
    clock: int
    what: What

    @property
    def path(self) -> Path:
        """Of the file that is there once the look is taken."""
        return Path(self.folder) / f"{self.clock:012d}" / _FILES[self.what]

    def readings(self) -> dict[str, float]:
        return {name: float(value) for name, value in read_json(self.path).items()}


def published(folder: Path) -> Snapshots:
    """The weights in `folder`; whoever published them also takes them away."""
    return Snapshots(open_store(str(folder)), keep=sys.maxsize)


def take(look: Look) -> None:
    """Write what is asked for: what an evaluation inside training finds, bit for bit on a CPU.

    Once it is there a second look takes no time. Raises Damaged if the weights are not whole.
    """
    if look.path.exists():
        return
    torch.set_num_threads(look.spec.threads)
    eye = _opened(_shown(look.spec), look.device)
    eye.average.load_state_dict(published(Path(look.folder)).read(look.clock).state)
    with eye.arithmetic.products():
        match look.what:
            case "readings":
                write_json(look.path, finite(eye.watch.read(Replicas())))
            case "picture":
                write_bytes(look.path, eye.watch.picture())
            case _:
                assert_never(look.what)


def serve() -> None:
    """Take looks, one JSON line of standard input each, until there are no more."""
    keep_freed()
    for line in sys.stdin:
        take(Look.model_validate_json(line))


@dataclass(frozen=True, eq=False)
class _Eye:
    average: nn.Module
    watch: GanWatch
    arithmetic: precision.Arithmetic


def _shown(spec: RunSpec) -> str:
    """All of a spec that a look depends on: another attempt of the run finds the eye open."""
    return spec.model_copy(update={"identity": None, "spool": None}).model_dump_json()


@lru_cache(maxsize=2)
def _opened(told: str, device_name: str) -> _Eye:
    """Real images and their features, kept for the next look of the same run."""
    spec, device = RunSpec.model_validate(json.loads(told)), torch.device(device_name)
    config = spec.config
    if not isinstance(config, GanConfig):
        raise ValueError(f"a look at a {spec.kind}")
    dataset = open_set(spec.dataset_folder, spec.dataset_fingerprint, spec.reading)
    arithmetic = precision.of(config, device, dataset.size)
    with torch.random.fork_rng(devices=[]):
        generator = build_generator(
            config.generator.network,
            size=dataset.size,
            channels=dataset.channels,
            classes=len(dataset.classes),
            replicas=Replicas(),
        )
    average = ema.start(arithmetic.place(generator, device))
    # Few of the training images are looked at, and none twice.
    reading = spec.reading.model_copy(update={"in_memory": "never"})
    selector = selector_of(spec.selector, dataset.channels, device)
    watch = GanWatch(
        average,
        dataset.classes,
        dataset.load("validation"),
        open_images(dataset, "train", reading, device),
        selector,
        spec.evaluation,
    )
    return _Eye(average, watch, arithmetic)
