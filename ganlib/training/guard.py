"""Whether a GAN collapses while it trains: small readings at a cadence of their own.

N samples, H W pixels, C channels
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ganlib.collapse import FEWEST, WARMING_UP, Eye, Following, Judge, Reading, Verdict
from ganlib.config import Collapse
from ganlib.data import Images, StoredImages
from ganlib.determinism import Replicas, due, stream, sub_seed
from ganlib.evaluation import Extractor, balanced_labels, generate
from ganlib.evaluation.sampling import blind
from ganlib.metrics import class_shares
from ganlib.training.gan_task import GanTask
from ganlib.training.spec import Selector
from ganlib.training.watch import selector_of

# What of a report is kept beside a reading, and by which name.
BESIDE = {
    "loss_discriminator": "losses/discriminator",
    "loss_generator": "losses/generator",
    "win_rate": "play/win_rate",
    "slope_discriminator": "play/slope_discriminator",
    "slope_generator": "play/slope_generator",
}


def _features(extractor: Extractor) -> Judge:
    """What it sees, and nothing of the classes it may know: they are none of these images'."""
    return lambda image_NHWC: (extractor(image_NHWC)[0], None)


@dataclass
class Guard:
    """Holds the average generator against training images, with the selector where there is one.

    A reading is taken at the first report after each `every` images, from the same noise each time,
    so that what changes between readings is the generator. `series` is all it remembers. Real
    images are looked at when the first reading is taken.
    """

    task: GanTask
    train: Images | StoredImages
    selector: Selector | None
    settings: Collapse
    reported: int = 0
    series: list[Reading] = field(default_factory=list)

    def read(
        self, clock: int, window: Mapping[str, float], replicas: Replicas, *, last: bool
    ) -> bool:
        """Whether a reading was due at this report, and taken; every rank takes part.

        The last report of a run has one too, unless the run was too short for any, and none has one
        where there are too few images.
        """
        before, self.reported = self.reported, clock
        if self.idle:
            return False
        if not due(self.settings.every, before, clock) and not (last and self.series):
            return False
        image_NHWC, label_N = self._fakes(replicas)
        found = self.eye.read(image_NHWC, label_N)
        beside = {name: window[key] for key, name in BESIDE.items() if key in window}
        self.series.append((clock, found | beside))
        return True

    @property
    def idle(self) -> str:
        """Why nothing is read, if so."""
        if len(self.train) >= FEWEST:
            return ""
        few = f"{len(self.train)} training images are too few to watch for collapse"
        return f"{few}: it takes {FEWEST}"

    @property
    def verdict(self) -> Verdict:
        """After the last reading, and before any that it is warming up."""
        return (WARMING_UP, *self._verdicts)[-1]

    @property
    def before(self) -> Verdict:
        """The verdict before the last reading."""
        return (WARMING_UP, WARMING_UP, *self._verdicts)[-2]

    def well(self, clock: int) -> bool:
        """Whether the readings up to `clock` say that the generator had learnt and not lost it."""
        past = [said for (read, _), said in self._pairs() if read <= clock]
        return bool(past) and past[-1].state in ("healthy", "recovered")

    @property
    def _verdicts(self) -> list[Verdict]:
        return self._following.of(self.series)

    def _pairs(self) -> Iterator[tuple[Reading, Verdict]]:
        return zip(self.series, self._verdicts, strict=True)

    @cached_property
    def _following(self) -> Following:
        return Following(self.eye.null, self.settings.detector)

    def spared(self, since: int) -> bool:
        """Whether what had collapsed at the clock `since` has not had its time from there on yet.

        That is a warm-up, and the readings that end a collapse after it.
        """
        past = [said for (read, _), said in self._pairs() if read <= since]
        time = self.settings.detector.grace + self.settings.detector.recover
        had = bool(past) and past[-1].state == "collapsed"
        return had and len(self.series) - len(past) <= time

    def told(self) -> dict[str, float]:
        """The last reading: what compares by quotient as a share of what real images score."""
        return self.eye.null.ratios(self.series[-1][1])

    def resume(self, clock: int, series: list[Reading]) -> None:
        self.reported, self.series = clock, series

    @cached_property
    def eye(self) -> Eye:
        seed, reals = self.task.config.seed, self.settings.detector.reals
        order = torch.randperm(len(self.train), generator=stream(seed, "collapse/images"))[:reals]
        judge = selector_of(self.selector, self.train.image_NHWC.shape[-1], self.task.device)
        classes = len(self.task.classes) > 1
        return Eye.on(
            self.train.image_NHWC[order.to(self._place)].cpu(),
            self.train.label_N.cpu()[order] if classes else None,
            judge if classes or judge is None else _features(judge),
            config=self.settings.detector,
            seed=seed,
        )

    @property
    def _place(self) -> torch.device:
        rows = self.train.image_NHWC
        return rows.device if isinstance(rows, Tensor) else torch.device("cpu")

    def _fakes(self, replicas: Replicas) -> tuple[Tensor, Tensor | None]:
        """Each rank makes its share, and all get everything: image_NHWC, label_N.

        The labels are those asked for, none of a generator that does not look at them.
        """
        task, count = self.task, self.eye.samples
        share_K = class_shares(self.train.label_N.cpu(), len(task.classes))
        label_N = balanced_labels(count, share_K)
        first = sub_seed(task.config.seed, "collapse/noise") % 2**31
        padded = -(-count // replicas.world) * replicas.world
        row_N = replicas.slice(torch.arange(padded) % count)
        image_NHWC = generate(task.average, first + row_N, label_N[row_N])
        everyone = replicas.gather(image_NHWC.to(task.device))[:count].cpu()
        heedless = blind(task.average, min(2, len(task.classes)))
        return everyone, None if heedless else label_N
