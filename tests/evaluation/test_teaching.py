"""What a classifier learns from generated images, with the nearest image's label for a classifier.

N samples, M training images, K classes.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ganlib.config import DcganGenerator
from ganlib.data import ImageRows, Images
from ganlib.data.sources.digits import DigitsSource
from ganlib.determinism import Replicas
from ganlib.evaluation import (
    balanced_labels,
    generated_images,
    mixed,
    sample_seeds,
    taught_accuracy,
)
from ganlib.evaluation.teaching import METRIC, teaching_rows
from ganlib.metrics import of_share
from ganlib.models import build_generator


class Nearest:
    """Takes every image for what its nearest training image is."""

    name = "nearest"

    def __init__(self, images: Images) -> None:
        self.train_MP = images.image_NHWC.flatten(1).float()
        self.label_M = images.label_N

    def __call__(self, image_NHWC: ImageRows) -> tuple[Tensor, Tensor]:
        asked_NP = image_NHWC[:].flatten(1).float()
        nearest_N = torch.cdist(asked_NP, self.train_MP).argmin(1)
        return asked_NP, torch.nn.functional.one_hot(self.label_M[nearest_N], 10).float()


@pytest.fixture(scope="module")
def digits() -> Images:
    source = DigitsSource()
    return Images(torch.from_numpy(source.image_NHWC), torch.from_numpy(source.label_N).long())


def test_a_teacher_is_worth_what_its_pupils_get_right(digits: Images) -> None:
    half, rest = (
        Images(digits.image_NHWC[part], digits.label_N[part])
        for part in (slice(None, 900), slice(900, None))
    )
    told = taught_accuracy(half, Nearest, rest)
    assert told.accuracy > 0.9
    assert told.samples == len(rest)
    liar = Images(half.image_NHWC, (half.label_N + 1) % 10)
    assert taught_accuracy(liar, Nearest, rest).accuracy < 0.05


def test_as_many_of_each_class_from_noise_of_their_own() -> None:
    torch.manual_seed(0)
    network = DcganGenerator(width=4, latent_size=8)
    generator = build_generator(network, size=8, channels=1, classes=3, replicas=Replicas())
    for weight in generator.parameters():  # as they are drawn they make one flat grey
        torch.nn.init.normal_(weight)
    label_N = balanced_labels(15, 3)
    made = generated_images(generator, label_N, seed=4)
    assert made.label_N.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert made.image_NHWC.shape == (15, 8, 8, 1)
    assert len({image.numpy().tobytes() for image in made.image_NHWC}) == 15
    again = generated_images(generator, label_N, seed=4)
    assert torch.equal(made.image_NHWC, again.image_NHWC)
    other = generated_images(generator, label_N, seed=5)
    assert not torch.equal(made.image_NHWC, other.image_NHWC)


@pytest.mark.parametrize("seed", [0, 4, 2000])
def test_pupils_learn_from_noise_that_nobody_judges_or_selects_by(seed: int) -> None:
    row_N = torch.arange(60_000)
    mine = set(sample_seeds(seed, row_N, "teaching").tolist())
    for turn in range(-2, 6):
        for purpose in ("evaluation", "selection"):
            assert not mine & set(sample_seeds(max(seed + turn, 0), row_N, purpose).tolist())


def test_rows_have_the_mean_of_their_classifiers_and_the_floor_of_those_real_images_taught() -> (
    None
):
    taught = [{METRIC: a, f"{METRIC}/cat": b, f"{METRIC}/dog": math.nan}
              for a, b in ((0.8, 1.0), (0.9, 1.0), (0.7, 1.0))]  # fmt: skip
    real = [{METRIC: 0.95, f"{METRIC}/cat": 1.0, f"{METRIC}/dog": math.nan}] * 3
    whole, cat, dog = teaching_rows(
        taught,
        real,
        learnt={METRIC: 60, f"{METRIC}/cat": 50, f"{METRIC}/dog": 10},
        tested={METRIC: 20, f"{METRIC}/cat": 20, f"{METRIC}/dog": 0},
    )
    assert (whole.value, whole.floor, whole.count) == (pytest.approx(0.8), pytest.approx(0.95), 60)
    assert whole.low < 0.8 < whole.high < 1
    assert (whole.extractor, whole.layer, whole.over) == ("taught", "logits", "taught classifiers")
    # Three that agree prove nothing: it is the interval of 60 answers.
    assert (cat.low, cat.high) == pytest.approx(of_share(1.0, 60))
    assert (dog.value, dog.low, dog.floor) == (None, None, None)


@pytest.mark.parametrize(("share", "times"), [(0.5, 4), (0.8, 1), (0.25, 12), (0.99, 1)], ids=str)
def test_real_images_are_repeated_until_the_share_is_right(
    digits: Images, share: float, times: int
) -> None:
    real = Images(digits.image_NHWC[:10], digits.label_N[:10])
    fake = Images(digits.image_NHWC[100:140], digits.label_N[100:140])
    both = mixed(real, fake, share)
    assert len(both) == 10 * times + 40
    for start in range(0, 10 * times, 10):
        assert torch.equal(both.image_NHWC[start : start + 10], real.image_NHWC)
        assert torch.equal(both.label_N[start : start + 10], real.label_N)
    assert torch.equal(both.image_NHWC[-40:], fake.image_NHWC)
    assert torch.equal(both.label_N[-40:], fake.label_N)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_that_leaves_one_of_them_out_is_refused(digits: Images, share: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        mixed(digits, digits, share)
