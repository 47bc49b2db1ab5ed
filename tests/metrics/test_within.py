"""Likeness inside classes: by the whole set's metric on each class alone."""

from __future__ import annotations

import math

import pytest
import torch

from ganlib.metrics import (
    class_coverage,
    class_distance,
    class_radii,
    coverage,
    least_of,
    mean_of,
    prdc,
    scaled_distance,
)


def clouds(count, seed):
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(3, (count,), generator=generator)
    x = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return x + 10 * label[:, None], label


def test_each_class_alone():
    (real, own), (fake, asked) = clouds(200, 0), clouds(150, 1)
    covered = class_coverage(real, own, fake, asked, classes=3, k=5)
    radii = class_radii(real, own, 5)
    given = class_coverage(real, own, fake, asked, classes=3, k=5, real_squared_radius_N=radii)
    assert torch.equal(given, covered)
    apart = class_distance(real, own, fake, asked, classes=3)
    for label in range(3):
        a, b = real[own == label], fake[asked == label]
        assert covered[label] == prdc(a, b, 5).coverage == coverage(a, b, 5)
        assert apart[label] == pytest.approx(scaled_distance(a, b))
    assert mean_of(covered) == pytest.approx(float(covered.mean()))
    assert least_of(covered) == covered.min()


def test_classes_that_are_absent_or_too_small():
    real, own = clouds(200, 0)
    kept = (own != 2) | (torch.arange(200) == (own == 2).nonzero()[0, 0])
    fake, asked = clouds(150, 1)
    fake, asked = fake[asked != 1], asked[asked != 1]
    covered = class_coverage(real[kept], own[kept], fake, asked, classes=4, k=5)
    assert covered[0] > 0.5
    assert covered[1] == 0  # nothing generated
    assert covered[2:].isnan().all()  # one real sample; none at all
    apart = class_distance(real[kept], own[kept], fake, asked, classes=4)
    assert apart[1] == mean_of(apart) == -least_of(-apart) == math.inf
    assert apart[2:].isnan().all()
    nothing = torch.full((2,), math.nan)
    assert math.isnan(mean_of(nothing))
    assert math.isnan(least_of(nothing))


def test_a_class_that_lost_half_is_found_though_the_whole_is_covered_by_its_neighbours():
    """Two classes lie on each other: one drops a half, which the other's samples fill globally."""
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(600, 2, generator=generator).double() for _ in range(2))
    own = torch.arange(600) % 2
    asked = own.clone()
    fake[asked == 0, 0] = fake[asked == 0, 0].abs()
    whole = prdc(real, fake, 5).coverage
    inside = class_coverage(real, own, fake, asked, classes=2, k=5)
    assert whole > 0.85
    assert inside[0] < 0.65 < 0.9 < inside[1]
