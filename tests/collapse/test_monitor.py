"""A verdict in anybody's own loop: real digits stand for a good generator's images."""

from __future__ import annotations

import math
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


def test_a_discriminator_that_has_won_stalls_what_has_not_come_up(digits):
    monitor = Monitor(digits[0][:700], config=CONFIG)
    dark = draws(digits[0][700:], 0) // 2
    said = [monitor(dark, images=n, win_rate=1.0).state for n in range(4)]
    assert (said[0], said[-1]) == ("warming_up", "stalled")
    assert Monitor(digits[0][:700], config=CONFIG)(dark, images=0).state == "warming_up"


def test_what_is_not_finite_is_diverged_and_what_went_back_begins_anew(digits):
    image = digits[0].permute(0, 3, 1, 2) / 127.5 - 1
    monitor = Monitor(image[:700], config=CONFIG)
    torn = draws(image[700:], 0)
    torn[3, 0, 0, 0] = math.nan
    monitor(draws(image[700:], 1), images=1000, discriminator=torch.ones((), requires_grad=True))
    assert type(monitor.series[-1][1]["losses/discriminator"]) is float
    verdict = monitor(torn, images=2000)
    assert (verdict.state, verdict.signals, verdict.since) == ("diverged", ("samples",), 2000)
    with pytest.raises(ValueError, match="images are 1,500 and were 2,000"):
        monitor(draws(image[700:], 1), images=1500)
    del monitor.series[-1]
    assert monitor(draws(image[700:], 1), images=1500).state == "healthy"


BYTES = torch.randint(0, 256, (90, 8, 8, 1), dtype=torch.uint8)
FLOATS = BYTES.permute(0, 3, 1, 2) / 127.5 - 1
CLASSES = torch.arange(90) % 10


@pytest.mark.parametrize(
    ("reals", "more", "told"),
    [
        (BYTES.numpy(), {}, "reals are ndarray"),
        (BYTES[..., 0], {}, r"reals are uint8 \(90, 8, 8\): give uint8 images"),
        (BYTES.long(), {}, "reals are int64"),
        (BYTES.permute(0, 3, 1, 2), {}, r"give reals\.permute\(0, 2, 3, 1\)"),
        (FLOATS.permute(0, 2, 3, 1), {}, r"give reals\.permute\(0, 3, 1, 2\)"),
        (FLOATS / 0, {}, "reals hold NaN or infinity"),
        (FLOATS[:1].expand(90, -1, -1, -1), {}, "reals are all alike"),
        (FLOATS[:17], {}, "17 real images are too few"),
        (FLOATS, {"labels": [0] * 90}, "labels are list"),
        (FLOATS, {"labels": CLASSES[:80]}, r"labels are int64 \(80,\): give \(90,\) whole"),
        (FLOATS, {"labels": CLASSES - 1}, "whole numbers from 0 on"),
        (FLOATS, {"labels": torch.eye(10)[CLASSES]}, "labels are float32"),
    ],
)
def test_reals_that_cannot_be_held_against_are_refused_by_name(reals, more, told):
    with pytest.raises((TypeError, ValueError), match=told):
        Monitor(reals, **more)


@pytest.mark.parametrize(
    ("fakes", "more", "told"),
    [
        (BYTES, {}, r"fakes are uint8 \(90, 8, 8, 1\) and reals float32 \(90, 1, 8, 8\)"),
        (torch.zeros(90, 3, 8, 8), {}, "as many channels"),
        (torch.zeros(90, 1, 12, 12), {}, "of one size"),
        (torch.zeros(90, 64), {}, "in one form"),
        (FLOATS, {"images": -1}, "images are -1 and were 0"),
        (FLOATS, {"labels": CLASSES[:64]}, r"give \(90,\) whole numbers"),
    ],
)
def test_fakes_of_another_form_are_refused_by_name(fakes, more, told):
    monitor = Monitor(FLOATS)
    with pytest.raises((TypeError, ValueError), match=told):
        monitor(fakes, **{"images": 0} | more)
    assert monitor.series == []


def test_another_scale_is_warned_of_and_one_colour_is_not(recwarn):
    monitor = Monitor(FLOATS)
    monitor(torch.ones_like(FLOATS), images=0)
    assert not recwarn
    with pytest.warns(UserWarning, match="fakes lie between 0 and 1, reals between -1 and 1"):
        monitor((FLOATS + 1) / 2, images=0)
    wide = torch.rand(90, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    assert Monitor(wide)(wide[:, :, ::2, ::2], images=0).state != "diverged"


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
