"""A verdict in anybody's own training loop, whatever it is made of.

N samples
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganlib.collapse import inputs
from ganlib.collapse.detector import Following, Reading
from ganlib.collapse.null import Null, split
from ganlib.collapse.signals import Reference, Sample, pixels, variance
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

    Samples are uint8 images (N, H, W, C), floating images (N, C, H, W) or features (N, F), real and
    fake alike and on one scale, on any device. `labels` (N,) are the classes of the real ones, from
    0 on; with them or a `judge` classes are watched too. `series` is all that was read, so
    `detect(monitor.series, monitor.eye.null, monitor.config)` says it again; a loop that goes back
    drops from it what is later. Raises TypeError or ValueError for fewer than 18 real samples, for
    some that are not finite or all alike, and for samples or labels of any other form.

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
        inputs.check_form(self.reals, "reals")
        if self.labels is not None:
            inputs.check_labels(self.labels, len(self.reals), "labels")
        if not inputs.finite(self.reals):
            raise ValueError("reals hold NaN or infinity, beside which nothing can be told")
        self.eye = Eye.on(self.reals, self.labels, self.judge, config=self.config, seed=self.seed)
        if not variance(self.eye.reference.pixels.real_NF):
            raise ValueError("reals are all alike: nothing is less varied than they are")
        self._scale = inputs.scale_of(self.reals[: self.config.reals])
        self._said = Following(self.eye.null, self.config)

    def __call__(
        self,
        fakes: Tensor,
        images: int,
        labels: Tensor | None = None,
        *,
        win_rate: float | None = None,
        **losses: float,
    ) -> Verdict:
        """`labels` (N,) are the classes the fakes were asked for.

        `win_rate` is the share of pairs in which the discriminator gives the real image the higher
        logit: without it nothing is told `stalled`. Of `losses` the one of the name `discriminator`
        is held against its past; others have to be finite alone. Fakes that are not are `diverged`.
        Raises ValueError for fewer fakes than `eye.samples` and for `images` below 0 or the last,
        TypeError or ValueError for another form than the reals'.
        """
        inputs.check_form(fakes, "fakes")
        inputs.check_alike(fakes, self.reals)
        if labels is not None:
            inputs.check_labels(labels, len(fakes), "labels")
        before = self.series[-1][0] if self.series else 0
        if images < before:
            raise ValueError(
                f"images are {images:,} and were {before:,}: after going back drop from `series` "
                "what is later"
            )
        self._warn(fakes)
        values = self.eye.read(fakes, labels) if inputs.finite(fakes) else {"samples": math.nan}
        told = {f"losses/{name}": loss for name, loss in losses.items()}
        told |= {} if win_rate is None else {"play/win_rate": win_rate}
        self.series.append((int(images), values | {name: _number(x) for name, x in told.items()}))
        return self._said.of(self.series)[-1]

    def _warn(self, fakes: Tensor) -> None:
        """No error: a generator may come to this by itself."""
        scale = inputs.scale_of(fakes)
        if None not in (scale, self._scale) and scale != self._scale:
            warnings.warn(
                f"fakes lie between {scale}, reals between {self._scale}: give both on one scale",
                stacklevel=3,
            )


def _number(value: float | Tensor) -> float:
    return float(value.detach() if isinstance(value, Tensor) else value)
