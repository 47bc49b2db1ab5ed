"""A verdict in anybody's own training loop, with nothing but torch.

N samples
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganlib.collapse.detector import Reading, detect
from ganlib.collapse.null import Null, split
from ganlib.collapse.signals import Reference, Sample, pixels
from ganlib.collapse.verdict import Verdict
from ganlib.config import DetectorConfig
from ganlib.determinism import stream

Judge = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""images -> feature_NF, logits_NK, as an `Extractor` of ganlib.evaluation gives them; no logits of
one that knows no class of these images."""


@dataclass(frozen=True, eq=False)
class Eye:
    """Real samples and their null: what turns generated samples into values to be scored."""

    reference: Reference
    null: Null
    judge: Judge | None

    @staticmethod
    def on(
        real_N: Tensor,
        label_N: Tensor | None = None,
        judge: Judge | None = None,
        *,
        config: DetectorConfig,
        seed: int = 0,
    ) -> Eye:
        """Of at most `config.reals` of the real samples at random; see `pixels` for what they are.

        Raises ValueError for fewer than 18.
        """
        chosen = torch.randperm(len(real_N), generator=stream(seed, "collapse/chosen"))
        chosen = chosen[: config.reals]
        known_N = None if label_N is None else label_N.cpu()[chosen]
        reals = look(real_N[chosen.to(real_N.device)], known_N, judge)
        fixed, others = split(reals, config.samples, seed)
        reference = Reference.of(fixed, reals)
        return Eye(reference, Null.of(reference, others, draws=config.draws, seed=seed), judge)

    @property
    def samples(self) -> int:
        """How many generated samples a reading takes."""
        return self.reference.count

    def read(self, fake_N: Tensor, label_N: Tensor | None = None) -> dict[str, float]:
        """Every signal of the first `samples` of them, as it is. Raises ValueError for fewer."""
        if len(fake_N) < self.samples:
            raise ValueError(f"a reading takes {self.samples} samples, and here are {len(fake_N)}")
        known_N = None if label_N is None else label_N.cpu()[: self.samples]
        return self.reference.measure(look(fake_N[: self.samples], known_N, self.judge))


@torch.no_grad()
def look(sample_N: Tensor, label_N: Tensor | None, judge: Judge | None) -> Sample:
    pixel_NF = pixels(sample_N)
    if judge is None:
        return Sample(pixel_NF, label_N)
    feature_NF, logits_NK = judge(sample_N)
    known_NK = None if logits_NK is None else logits_NK.float().cpu()
    return Sample(pixel_NF, label_N, feature_NF.float().cpu(), known_NK)


@dataclass
class Monitor:
    """`monitor(fakes, images)` gives the verdict on a generator after so many training images.

    Samples are uint8 NHWC images, floating NCHW images or (N, F) features, real and fake alike.
    `labels` are the classes of the real ones; with them or a `judge` classes are watched too.
    `series` is all that was read, so `detect(monitor.series, monitor.eye.null)` says it again.

        monitor = Monitor(real_images)
        verdict = monitor(generator(noise), images=20_000)
        if verdict.state == "collapsed":
            print(verdict)
    """

    reals: Tensor
    labels: Tensor | None = None
    judge: Judge | None = None
    config: DetectorConfig = field(default_factory=DetectorConfig)
    seed: int = 0
    series: list[Reading] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.eye = Eye.on(self.reals, self.labels, self.judge, config=self.config, seed=self.seed)

    def __call__(
        self,
        fakes: Tensor,
        images: int,
        labels: Tensor | None = None,
        **losses: float,
    ) -> Verdict:
        """`labels` are the classes the fakes were asked for, `losses` what the loop has at hand."""
        values = self.eye.read(fakes, labels) | {f"losses/{n}": x for n, x in losses.items()}
        self.series.append((images, values))
        return detect(self.series, self.eye.null, self.config)
