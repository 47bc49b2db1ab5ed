"""One GAN on stacks: trained for so long, looked at on the way, and continued where it was cut.

N stacks, H W pixels, C = 3 channels.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ganlib.bench import kept
from ganlib.bench.kept import Say, Told
from ganlib.bench.stacked.digits import JUDGED, Stacks
from ganlib.bench.stacked.judge import Classify, Score, judged
from ganlib.config import GanConfig
from ganlib.determinism import Replicas, stream
from ganlib.evaluation import generate
from ganlib.evaluation.sampling import sample_seeds
from ganlib.training import precision
from ganlib.training.feed import Batch
from ganlib.training.gan_task import GanTask

FIRST = 10_000
"""Images before the first look; the next comes when half as many more have been shown."""
SAVED = 60.0
"""Seconds of training after which what has been learnt is kept."""


@dataclass(frozen=True)
class Limit:
    """Training ends with the first of these; a minute is one of processor time, of the clock where
    a GPU trains.
    """

    minutes: float
    images: int

    def reached(self, spent: Told) -> bool:
        return bool(spent["images"] >= self.images or spent["seconds"] >= 60 * self.minutes)


class Learner:
    """A GAN and the stacks it is shown, a function of its seed and of how many it has seen."""

    def __init__(self, config: GanConfig, stacks: Stacks) -> None:
        self.config, self.stacks = config, stacks
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.task = GanTask(
            config,
            size=28,
            channels=3,
            classes=("stack",),
            arithmetic=precision.of(config, self.device, 28),
            replicas=Replicas(),
            device=self.device,
        )

    def step(self, clock: int) -> int:
        """One turn; -> the images shown after it."""
        count = self.config.batch_size * self.config.discriminator.steps
        image_NHWC, _ = self.stacks.draw(count, stream(self.config.seed, "stacked/real", clock))
        label_N = torch.zeros(count, dtype=torch.int64, device=self.device)
        self.task.step(Batch(image_NHWC.to(self.device), label_N), clock, Replicas())
        return clock + count

    def seconds(self) -> float:
        if self.device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def samples(self, count: int = JUDGED) -> Tensor:
        """-> image_NHWC uint8 of the averaged generator, the same noise at every call."""
        seed_N = sample_seeds(self.config.seed, torch.arange(count))
        return generate(self.task.average, seed_N, torch.zeros(count, dtype=torch.int64))


def trained(
    learner: Learner, limit: Limit, classify: Classify, place: Path, key: str, say: Say
) -> Told:
    """What it took and what was seen; `place` holds what a cut run goes on from, if it is of `key`.

    Looking counts neither as time nor as images. The last look is at what comes out.
    """
    spent: Told = {"images": 0, "seconds": 0.0, "load_average": 0.0, "looks": []}
    if (left := kept.left(place, key, say)) is not None:
        spent, state = left
        learner.task.load_state_dict(state)
    following = _following(spent)
    begun, saved = learner.seconds(), spent["seconds"]
    before = spent["seconds"]
    while not limit.reached(spent):
        spent["images"] = learner.step(spent["images"])
        spent["seconds"] = before + learner.seconds() - begun
        due = spent["images"] >= following or limit.reached(spent)
        if due:
            spent["load_average"] = max(spent["load_average"], os.getloadavg()[0])
            found = judged(learner.samples(), classify)
            spent["looks"].append(_look(spent, found))
            following = _following(spent)
            say(_said(spent, found))
        if due or spent["seconds"] - saved >= SAVED:
            kept.keep(place, key, spent, learner.task.state_dict())
            saved = before = spent["seconds"]
            begun = learner.seconds()
    return spent


def _following(spent: Told) -> int:
    if not spent["looks"]:
        return FIRST
    return int(spent["looks"][-1]["images"]) * 3 // 2


def _look(spent: Told, found: Score) -> Told:
    return {"images": spent["images"], "seconds": spent["seconds"], **asdict(found)}


def _said(spent: Told, found: Score) -> str:
    return (
        f"{spent['images']:,} images, {spent['seconds']:.0f} s, modes {found.modes} "
        f"({found.sure_modes} for sure), KL {found.divergence:.3f}, "
        f"sure of {100 * found.sure_share:.0f} %"
    )
