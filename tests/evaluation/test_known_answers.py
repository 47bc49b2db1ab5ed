"""Every metric before generators whose faults are known: which sees what, and which is blind.

The features are principal components of scikit-learn's digits, the judge its class means.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from ganlib.evaluation import (
    EvaluationTable,
    Reference,
    Row,
    SampleSet,
    Seen,
    copy_distance,
    memorisation,
    memorisation_rows,
    tabulate,
)
from ganlib.evaluation.teaching import METRIC
from ganlib.metrics import distance, kernel_distance, of_share

SIZE, K = 500, 5


class World:
    """Three parts of the digits: held out, trained on, and fresh ones that nobody has seen."""

    def __init__(self) -> None:
        raw = load_digits()
        order = torch.randperm(len(raw.images), generator=torch.Generator().manual_seed(0))
        image = torch.from_numpy(raw.images).double()[order] / 16
        label = torch.from_numpy(raw.target).long()[order]
        self.mean = image.flatten(1).mean(0)
        centred = image.flatten(1) - self.mean
        self.axes = torch.linalg.svd(centred[:1000], full_matrices=False).Vh[:20]
        feature = centred @ self.axes.mT
        self.centres = torch.stack([feature[label == own].mean(0) for own in range(10)])
        self.parts = [
            (image[rows], label[rows])
            for rows in (slice(SIZE), slice(SIZE, 2 * SIZE), slice(2 * SIZE, None))
        ]
        held, train, _ = (self.seen(*part) for part in self.parts)
        self.reference = Reference(held, train, torch.arange(SIZE), 10, "centres:components")
        self.train = train

    def seen(self, image, label):
        feature = (image.flatten(1) - self.mean) @ self.axes.mT
        return Seen(feature, -2 * torch.cdist(feature, self.centres).square(), label)

    def remembered(self, fake):
        held, train = self.reference.real.feature_NF, self.train.feature_NF
        return memorisation(fake.feature_NF, train, held, copy_distance(held, train))

    def faulty(self, fault):
        """image, label of SIZE samples, made of fresh images but where the fault is otherwise."""
        generator = torch.Generator().manual_seed(1)
        (held, own), (train, learnt), (every, each) = self.parts
        image, label = every[:SIZE], each[:SIZE]
        match fault:
            case "identical":
                return held, own
            case "real":
                return image, label
            case "class dropped":
                eight = (label == 8).nonzero()[:, 0]
                row = torch.arange(SIZE)
                row[label == 3] = eight[torch.arange(int((label == 3).sum())) % len(eight)]
                return image[row], label
            case "half of each class":
                feature, kept = self.seen(every, each).feature_NF, []
                for digit in range(10):
                    rows = (each == digit).nonzero()[:, 0]
                    x = feature[rows] - feature[rows].mean(0)
                    side = x @ torch.linalg.svd(x, full_matrices=False).Vh[0]
                    kept.append(rows[side.argsort()[: len(rows) // 2]])
                return every[torch.cat(kept)], each[torch.cat(kept)]
            case "200 repeated":
                row = torch.randint(200, (SIZE,), generator=generator)
                return image[row], label[row]
            case "copies":
                return train, learnt
            case "noise":
                return torch.rand(image.shape, generator=generator).double(), label
            case "blurred":
                return F.avg_pool2d(image[:, None], 3, 1, 1)[:, 0], label

    def table(self, image, label) -> EvaluationTable:
        """As an evaluation of one sample set tells it."""
        fake = self.seen(image, label)
        taken = SampleSet(1, fake, fake.label_N, self.reference.compare(fake.feature_NF, K))
        table = tabulate(self.reference, [taken], neighbours=K, present_share=0.02)
        memory = memorisation_rows(self.remembered(fake), None, "centres:components")
        return replace(table, rows=(*table.rows, *memory, self.taught(image, label)))

    def taught(self, image, label) -> Row:
        """What is right of the held-out images by the nearest image of those given."""
        held, own = self.parts[0]
        asked, known = (one.flatten(1) for one in (held, image))
        right = label[torch.cdist(asked, known).argmin(1)] == own
        told = float(right.double().mean())
        return Row.of(
            METRIC, told, (told, told), count=SIZE, extractor="taught:output", over="samples"
        )


FAULTS = (
    "identical", "real", "class dropped", "half of each class", "200 repeated", "copies", "noise",
    "blurred",
)  # fmt: skip


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def tables(world) -> dict[str, EvaluationTable]:
    return {fault: world.table(*world.faulty(fault)) for fault in FAULTS}


DRAWS = 24
# Two-sided, a chance of one in twenty that any of a hundred pairs of metric and fault exceeds it.
DEVIATIONS = 3.5


def unshared(world: World) -> float:
    """Of the deviation of independent draws, what is left where draws of SIZE overlap."""
    return float((1 - SIZE / len(world.parts[2][1])) ** 0.5)


@pytest.fixture(scope="module")
def faultless(world) -> list[EvaluationTable]:
    """What sets of fresh real images are told: DRAWS choices of SIZE from all that nobody saw."""
    image, label = world.parts[2]
    rows = [
        torch.randperm(len(label), generator=torch.Generator().manual_seed(100 + draw))[:SIZE]
        for draw in range(DRAWS)
    ]
    return [world.table(image[row], label[row]) for row in rows]


DROPPED, HALF, FEW, COPIES, NOISE, BLURRED = FAULTS[2:]
# Which faults each metric tells from real images, at SIZE of each.
SEES = {
    "scaled_distance": {DROPPED, HALF, FEW, NOISE, BLURRED},
    "frechet_distance": {DROPPED, HALF, FEW, NOISE, BLURRED},
    "kernel_distance": {DROPPED, NOISE, BLURRED},
    "precision": {NOISE, BLURRED},
    "density": {NOISE, BLURRED},
    "recall": {DROPPED, HALF, FEW, NOISE, BLURRED},
    "coverage": {DROPPED, HALF, FEW, NOISE, BLURRED},
    "relative_coverage": {DROPPED, HALF, FEW, NOISE, BLURRED},
    "intra_class_coverage": {DROPPED, HALF, FEW, NOISE, BLURRED},
    "intra_class_coverage_min": {DROPPED, HALF, FEW, NOISE, BLURRED},
    "intra_class_distance": {DROPPED, HALF, FEW, NOISE, BLURRED},
    "intra_class_distance_max": {DROPPED, HALF, FEW, NOISE, BLURRED},
    "inception_score": {DROPPED, NOISE, BLURRED},
    "class_entropy": {DROPPED, NOISE, BLURRED},
    "class_divergence": {DROPPED, NOISE, BLURRED},
    "confident_share": {NOISE, BLURRED},
    "classes_present": {DROPPED, NOISE},
    "label_agreement": {DROPPED, NOISE, BLURRED},
    "memorisation": {COPIES},
    "copied_share": {COPIES},
    "classification_accuracy": {DROPPED, HALF, NOISE, BLURRED},
}
# The same of those that have a row for each class, all classes together.
SEES_BY_CLASS = {
    "intra_class_coverage": {DROPPED, HALF, FEW, NOISE, BLURRED},
    "intra_class_distance": {DROPPED, HALF, FEW, NOISE, BLURRED},
    "class_share": {DROPPED, NOISE, BLURRED},
}
# What faultless sets have no number of, and what is of the real images alone.
TOLD_APART = {"support", "split_half_distance"}
# What is farther from the training images than real ones are has learnt nothing by heart.
ONLY_MORE = ("memorisation", "copied_share")


def test_no_metric_of_the_table_is_left_out(tables):
    told = [row.metric for row in tables["real"].rows]
    assert {metric for metric in told if "/" not in metric} == set(SEES) | TOLD_APART
    assert {metric.partition("/")[0] for metric in told if "/" in metric} == set(SEES_BY_CLASS)


@pytest.mark.parametrize("metric", SEES)
def test_what_it_sees_and_what_it_is_blind_to(tables, faultless, world, metric):
    """Seen is what stands out from sets of real images by their own deviation, which no fault has
    a say in. The draws overlap, so it is that of a finite population, corrected for it."""
    real = torch.tensor([table[metric].value for table in faultless]).double()
    allowed = DEVIATIONS * float(real.std()) / unshared(world)
    off = {fault: tables[fault][metric].value - float(real.mean()) for fault in FAULTS[1:]}
    if metric not in ONLY_MORE:
        off = {fault: abs(value) for fault, value in off.items()}
    seen = {fault for fault, value in off.items() if value > allowed}
    assert seen == SEES[metric], (off, allowed)


@pytest.mark.parametrize("metric", SEES_BY_CLASS)
def test_what_the_classes_see_together(tables, faultless, world, metric):
    """By how far off they are in sum, which is something for sets of real images as well."""

    def classes(table: EvaluationTable) -> torch.Tensor:
        return torch.tensor([table[f"{metric}/{digit}"].value for digit in range(10)]).double()

    real_DK = torch.stack([classes(table) for table in faultless])
    middle_K = real_DK.mean(0)
    real_D = (real_DK - middle_K).abs().sum(1) / unshared(world)
    allowed = float(real_D.mean() + DEVIATIONS * real_D.std())
    off = {fault: float((classes(tables[fault]) - middle_K).abs().sum()) for fault in FAULTS[1:]}
    assert {fault for fault, far in off.items() if far > allowed} == SEES_BY_CLASS[metric], (
        off,
        allowed,
    )


def test_halves_of_the_real_images_know_no_fault(tables):
    assert len({tables[fault]["split_half_distance"].value for fault in FAULTS}) == 1


def test_a_set_before_itself(tables):
    told = tables["identical"]
    assert told["scaled_distance"].value == pytest.approx(0, abs=1e-9)
    assert told["intra_class_distance_max"].value == pytest.approx(0, abs=1e-9)
    for metric in ("precision", "recall", "coverage", "intra_class_coverage_min"):
        assert told[metric].value == 1, metric
    assert told["kernel_distance"].value < 0  # unbiased: each sample's own pair is left out


def test_coverage_inside_the_class_that_was_dropped(tables):
    told = tables[DROPPED]
    worst = min(range(10), key=lambda digit: told[f"intra_class_coverage/{digit}"].value)
    assert worst == 3
    assert told["intra_class_coverage/3"].value == told["intra_class_coverage_min"].value
    assert told["intra_class_coverage/3"].count < told["coverage"].count / 5
    assert told["class_share/3"].value < 0.02


def test_the_support_of_few_images_is_their_number(tables):
    """Blurring draws images together, and is taken for repetition as well; where one class is
    dropped the images of another repeat in its place."""
    few = tables[FEW]["support"]
    assert few.low < 200 < few.high
    assert few.value == pytest.approx(200, rel=0.1)
    assert tables[BLURRED]["support"].high < 300
    eights = tables[DROPPED]["support"]
    assert 1_000 < eights.low < eights.high < 5_000
    assert tables["identical"]["support"].low > 10_000
    for fault in ("real", HALF, COPIES, NOISE):
        assert tables[fault]["support"].value is None, fault
        assert tables[fault]["support"].low > 20_000, fault
        assert tables[fault]["support"].high is None, fault


def test_copies_are_seen_though_held_out_images_were_trained_on_too(world):
    """The nearest training image of one in fifty is itself, and 0 would be no distance."""
    held, train = world.reference.real.feature_NF, world.train.feature_NF
    leaked = torch.cat([held[:10], train[10:]])
    copy = copy_distance(held, leaked)
    assert copy.distance == pytest.approx(copy_distance(held, train).distance, rel=0.3)
    assert memorisation(leaked, leaked, held, copy).copied == 1
    assert memorisation(held, held, held, copy_distance(held, held)).copied == 1


def test_memorisation_without_a_tenth_is_that_of_what_is_left(world):
    """By hand: the same tenth of samples, held-out and training images is left out at a time."""
    held, train = world.reference.real.feature_NF, world.train.feature_NF
    fake = world.seen(*world.faulty("200 repeated")).feature_NF
    copy = copy_distance(held, train[:300])
    found = memorisation(fake, train[:300], held, copy)
    assert (len(found.nearer_without), len(found.copied_without)) == (10, 10)
    for tenth in (0, 7):
        kept = [torch.arange(len(side)) % 10 != tenth for side in (fake, held, train[:300])]
        asked, real, learnt = fake[kept[0]], held[:300][kept[1][:300]], train[:300][kept[2]]
        again = memorisation(asked, learnt, real, copy)
        assert found.nearer_without[tenth] == pytest.approx(again.nearer)
        far = copy_distance(held[kept[1]], train[:300]).distance
        assert copy.without[tenth] == far
        near = torch.cdist(asked, train[:300]).amin(1) <= far
        assert found.copied_without[tenth] == pytest.approx(float(near.double().mean()))
    row = memorisation_rows(found, None, "by:hand")[0]
    # Two hundred images that repeat say less than five hundred would.
    independent = of_share(found.nearer, SIZE)
    assert row.high - row.low > independent[1] - independent[0]


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_shifted_gaussians_have_their_closed_form(shift):
    """N(0, I) and N(shift, 4 I): F shift^2 + F (2 - 1)^2, and the kernel's own expectation."""
    generator, size = torch.Generator().manual_seed(0), 4
    real = torch.randn(40_000, size, generator=generator, dtype=torch.float64)
    fake = 2 * torch.randn(40_000, size, generator=generator, dtype=torch.float64) + shift
    assert distance(real, fake) == pytest.approx(size * (shift**2 + 1), rel=0.03)

    # E (x.y / F + 1)^3 = 1 + 3 m + 3 (v + m^2) + third moment, of x.y / F over independent pairs.
    def expected(mean_a, scale_a, mean_b, scale_b):
        x, y = Moment(mean_a, scale_a), Moment(mean_b, scale_b)
        m1 = x.one * y.one
        m2 = (x.two * y.two + (size - 1) * m1**2) / size
        m3 = (
            x.three * y.three
            + 3 * (size - 1) * x.two * y.two * m1
            + (size - 1) * (size - 2) * m1**3
        ) / size**2
        return 1 + 3 * m1 + 3 * m2 + m3

    closed = expected(0, 1, 0, 1) + expected(shift, 2, shift, 2) - 2 * expected(0, 1, shift, 2)
    assert kernel_distance(real, fake) == pytest.approx(closed, rel=0.05)


class Moment:
    """The raw moments of a normal number."""

    def __init__(self, mean, scale):
        self.one = mean
        self.two = mean**2 + scale**2
        self.three = mean**3 + 3 * mean * scale**2
