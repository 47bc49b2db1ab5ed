"""Pairs by any number of workers: the same numbers as by one process; and what is kept of them."""

from __future__ import annotations

import inspect
import os

import pytest
import torch

from ganlib.config import DcganGenerator
from ganlib.evaluation import ClassifierExtractor, reference, repeated, sample_sets, tabulate
from ganlib.evaluation import kept as kept_module
from ganlib.evaluation.inception import InceptionExtractor
from ganlib.evaluation.kept import Kept
from ganlib.evaluation.networks import PretrainedExtractor, RandomExtractor
from ganlib.evaluation.pairs import DRAWN, ByWorkers, InRanks, InTurn, narrowed
from ganlib.evaluation.sampling import generate, render
from ganlib.metrics import class_coverage, class_distance, distance, of_class_fits, of_each_class
from ganlib.models import build_generator, load_model


def cloud(count, size, seed):
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=draws).relu()


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize(("count", "size"), [(700, 3), (400, 90)])
def test_workers_find_what_one_process_finds(tmp_path, width, count, size):
    real, fake = cloud(count, size, 0), cloud(count - 9, size, 1)
    alone, pairs = InRanks(), ByWorkers(InTurn(width), tmp_path / "shared")
    assert torch.equal(pairs.squared_radii(real, 5), alone.squared_radii(real, 5))
    radii = alone.squared_radii(real, 5), alone.squared_radii(fake, 5)
    expected = alone.compare(real, fake, *radii)
    found = pairs.compare(real, fake, *radii)
    for name in ("around_M", "covered_N", "recalled_N"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert expected.covered_N.any()
    draws = torch.Generator().manual_seed(2)
    own, asked = (torch.randint(4, (len(side),), generator=draws) for side in (real, fake))
    own[:3] = 4  # a class too small for its neighbourhoods
    inside = alone.class_radii(real, own, 5)
    assert torch.equal(pairs.class_radii(real, own, 5), inside)
    given = real, own, inside, fake, asked
    assert torch.equal(pairs.class_covered(*given), alone.class_covered(*given))
    shares = of_each_class(pairs.class_covered(*given), own, 5, 5)
    whole = class_coverage(real, own, fake, asked, classes=5, k=5)
    torch.testing.assert_close(shares, whole, rtol=0, atol=0, equal_nan=True)
    assert whole.isnan().tolist() == [False] * 4 + [True]
    assert 0 < float(whole[:4].min()) < 1
    near = float(radii[0].median())
    assert pairs.near_pairs(real, near) == alone.near_pairs(real, near) > 0
    other = ByWorkers(InTurn(5), tmp_path / "other")

    def frechet(side):
        return distance(side.fit(real), side.fit(fake))

    def kernel(side):
        value = side.kernel_distance(real, fake)
        assert side.kernel_distance(real, fake, side.kernel_side(real, len(fake))) == value
        return value

    for figure in (frechet, kernel):
        one, many = figure(alone), figure(pairs)
        assert many == pytest.approx(one, rel=1e-10), figure
        assert figure(other) == many, figure
    fits = pairs.class_fits(real, own)
    assert set(fits) == set(range(5))
    apart = class_distance(real, own, fake, asked, classes=5)
    found = of_class_fits(fits, pairs.class_fits(fake, asked), 5)
    torch.testing.assert_close(found, apart, rtol=0, atol=0, equal_nan=True)
    pairs.clear()
    assert not (tmp_path / "shared").exists()


def test_near_pairs_are_counted_once_each():
    line = torch.arange(300.0)[:, None]
    assert InRanks().near_pairs(line, 4.0) == 299 + 298


def test_features_travel_without_loss():
    double = torch.tensor([1 / 3], dtype=torch.float64)
    assert narrowed(double).dtype == torch.float64
    assert narrowed(double.float().double()).dtype == torch.float32


class Opened:
    """A generator of random weights and the judge, as a worker opens them."""

    def __init__(self, judge_folder):
        self.judge_folder = judge_folder

    def __call__(self):
        torch.manual_seed(0)
        network = build_generator(
            DcganGenerator(width=8, latent_size=8), size=8, channels=1, classes=10
        )
        return network, ClassifierExtractor(load_model(self.judge_folder), "judge:features")


def test_an_evaluation_by_workers_is_that_of_one_process(tmp_path, digits, judge_folder):
    """More than one block of images is drawn; no number differs but in its last digits."""
    train, _, _, _ = digits
    opened = Opened(judge_folder)
    generator, judge = opened()
    seeds, settings = [1, 2], {"neighbours": 5, "present_share": 0.02}
    count = DRAWN + 100
    one = reference.build(train, digits[1], judge, count, 0)
    alone = repeated(generator, one, judge, seeds=seeds, **settings)
    by = ByWorkers(InTurn(3), tmp_path, opened)
    real = reference.build(train, digits[1], judge, count, 0, pairs=by)
    sets = sample_sets(generator, real, judge, seeds=seeds, neighbours=5, draw=by.draw)
    shared = tabulate(real, sets, **settings)
    assert shared.readings() == pytest.approx(alone.readings(), rel=1e-9)
    assert [row.floor for row in shared.rows] == [
        row.floor if row.floor is None else pytest.approx(row.floor, rel=1e-9) for row in alone.rows
    ]


@pytest.mark.parametrize(
    "sees",
    [ClassifierExtractor, InceptionExtractor, PretrainedExtractor, RandomExtractor, generate,
     render],
)  # fmt: skip
def test_a_block_of_images_is_whole_batches(sees):
    """Otherwise workers would see other batches than one process, which other last digits have."""
    assert DRAWN % inspect.signature(sees).parameters["batch"].default == 0


def test_workers_without_a_generator_draw_nothing(tmp_path):
    with pytest.raises(ValueError, match="given no generator"):
        ByWorkers(InTurn(), tmp_path).draw(torch.arange(3), torch.zeros(3, dtype=torch.int64))


class Once(InRanks):
    """Counts what is asked about the real images."""

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "asked", [])

    def fit(self, feature_NF):
        self.asked.append(("fit", feature_NF.data_ptr()))
        return super().fit(feature_NF)

    def class_fits(self, feature_NF, label_N):
        self.asked.append(("class fits", feature_NF.data_ptr()))
        return super().class_fits(feature_NF, label_N)

    def kernel_side(self, feature_NF, others):
        self.asked.append(("kernel", feature_NF.data_ptr()))
        return super().kernel_side(feature_NF, others)


def test_the_real_side_of_distances_is_found_once_for_all_sample_sets(
    tmp_path, digits, judge_folder
):
    """And not again by the next evaluation, but for what is of each class."""
    generator, judge = Opened(judge_folder)()

    def asked():
        pairs = Once()
        real = reference.build(
            digits[2], digits[3], judge, 200, 0, other_NHWC=digits[0], other_label_N=digits[1],
            pairs=pairs, kept=Kept.of(tmp_path, "data", "judge"),
        )  # fmt: skip
        table = repeated(generator, real, judge, seeds=[1, 2, 3], neighbours=5, present_share=0.02)
        place = real.real.feature_NF.data_ptr()
        return table, sorted(what for what, where in pairs.asked if where == place)

    first, found = asked()
    assert found == ["class fits", "fit", "kernel"]
    again, found = asked()
    assert found == ["class fits"]
    assert again == first


class Counting:
    """An extractor that counts the images it is shown."""

    def __init__(self, extractor):
        self.extractor, self.name, self.images = extractor, extractor.name, 0

    def __call__(self, image_NHWC):
        self.images += len(image_NHWC)
        return self.extractor(image_NHWC)


def test_the_real_side_is_found_once(tmp_path, digits, judge_folder):
    """The second evaluation is shown no real image, and says the same to the last digit."""
    train, train_label, held_out, label = digits
    generator, judge = Opened(judge_folder)()
    counting, said = Counting(judge), []

    def evaluated():
        kept = Kept.of(tmp_path, "data", "judge", say=said.append)
        real = reference.build(
            held_out, label, counting, 200, 0,
            other_NHWC=train, other_label_N=train_label, kept=kept,
        )  # fmt: skip
        return repeated(generator, real, judge, seeds=[1], neighbours=5, present_share=0.02)

    first = evaluated()
    assert counting.images == 400
    assert said == []
    again = evaluated()
    assert counting.images == 400
    assert said == ["what was found of the real images before is used again"]
    assert again == first
    for number, name in enumerate(("real-200-0", "200-0-200-like-floor-5"), start=1):
        (path,) = tmp_path.glob(f"*/{name}.safetensors")
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        assert evaluated() == first
        assert counting.images == 600  # the real ones again, then nothing but the floor
        assert sum("is damaged; it is made again" in text for text in said) == number
        assert evaluated() == first


def test_what_is_kept_is_of_these_images_and_this_extractor(tmp_path):
    def number(dataset, extractor, value):
        kept = Kept.of(tmp_path, dataset, extractor)
        return kept.numbers("one", lambda: {"value": value})["value"]

    assert number("a", "x", 1.0) == 1.0 == number("a", "x", 2.0)
    assert number("b", "x", 3.0) == 3.0
    assert number("a", "y", 4.0) == 4.0
    assert number("a", "x", 6.0) == 1.0
    assert Kept().numbers("one", lambda: {"value": 6.0}) == {"value": 6.0}


def test_those_used_longest_ago_make_room_and_the_one_in_use_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_module, "MOST_BYTES", 3_000)

    def held(dataset, age):
        kept = Kept.of(tmp_path, dataset, "x")
        kept.tensors("some", lambda: {"row_N": torch.zeros(250)})  # 1,000 bytes and its header
        os.utime(kept.folder, (1e9 - age, 1e9 - age))
        return kept.folder

    oldest, middle, _ = (held(name, age) for name, age in (("a", 3), ("b", 2), ("c", 1)))
    assert held("b", 0) == middle  # used again
    Kept.of(tmp_path, "d", "x")
    assert not oldest.exists()
    assert middle.exists()
    monkeypatch.setattr(kept_module, "MOST_BYTES", 10)
    mine = Kept.of(tmp_path, "b", "x").folder
    assert [folder for folder in tmp_path.iterdir() if any(folder.iterdir())] == [mine]
