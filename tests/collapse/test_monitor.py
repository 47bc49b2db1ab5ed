"""A verdict in anybody's own loop: real digits stand for a good generator's images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ganlib.collapse import Monitor, detect
from ganlib.config import DetectorConfig

CONFIG = DetectorConfig(samples=128, reals=600, grace=1)


def draws(image_NHWC, seed):
    drawn = torch.randperm(len(image_NHWC), generator=torch.Generator().manual_seed(seed))
    return image_NHWC[drawn[:128]]


def run(monitor, images, spoil):
    """Four readings of images as they are, then four of spoilt ones."""
    for n in range(4):
        verdict = monitor(draws(images, n), images=1000 * n)
    assert verdict.state == "healthy"
    for n in range(4, 8):
        verdict = monitor(spoil(draws(images, n)), images=1000 * n)
    return verdict


@pytest.mark.parametrize("floating", [False, True])
def test_few_images_are_a_collapse_without_a_judge(digits, floating):
    image = digits[0].permute(0, 3, 1, 2) / 127.5 - 1 if floating else digits[0]
    monitor = Monitor(image[:700], config=CONFIG)
    verdict = run(monitor, image[700:], lambda x: x[:6].repeat(22, 1, 1, 1)[:128])
    assert (verdict.state, verdict.since) == ("collapsed", 4000)
    assert {name.partition("/")[0] for name in verdict.signals} == {"pixels"}
    assert detect(monitor.series, monitor.eye.null, CONFIG) == verdict


def test_a_dropped_class_needs_a_judge(digits, judge):
    image, label = digits
    kept = image[700:][label[700:] != 3]

    def spoil(x):
        return draws(kept, int(x.sum()))

    assert run(Monitor(image[:700], config=CONFIG), image[700:], spoil).state == "healthy"
    verdict = run(Monitor(image[:700], judge=judge, config=CONFIG), image[700:], spoil)
    assert verdict.state == "collapsed"
    assert {name.partition("/")[2] for name in verdict.signals} <= {"classes", "least_share"}


def test_losses_are_kept_and_too_few_fakes_are_refused(digits):
    monitor = Monitor(digits[0][:700], config=CONFIG)
    with pytest.raises(ValueError, match="128 samples, and here are 9"):
        monitor(digits[0][:9], images=0)
    verdict = monitor(digits[0][-128:], images=0, discriminator=float("nan"))
    assert (verdict.state, verdict.signals) == ("diverged", ("losses/discriminator",))


def test_the_example_of_the_readme_runs(digits):
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    _, _, rest = readme.partition("from ganlib.collapse import Monitor")
    code, _, _ = rest.partition("```")
    told = []
    known = {
        "real_images": digits[0],
        "generator": lambda noise: digits[0][: len(noise)].permute(0, 3, 1, 2) / 127.5 - 1,
        "steps": range(0, 5000, 500),
        "train": lambda step: None,
        "print": told.append,
    }
    exec(compile("from ganlib.collapse import Monitor" + code, "README.md", "exec"), known)
    assert known["verdict"].state == "healthy"
    assert told == []
