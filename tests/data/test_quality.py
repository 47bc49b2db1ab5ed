"""Copies, label errors, outliers and drift on digits and made-up numbers."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ganlib.config import DataConfig
from ganlib.data import prepare
from ganlib.data.quality import copies, drift, labels, outliers
from ganlib.data.quality.balance import rare
from ganlib.data.quality.features import PatchFeatures, shrunk
from ganlib.data.quality.views import View
from ganlib.data.sources.digits import DigitsSource

COUNT = 400


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> View:
    """The first digits, side 8, and what they are called."""
    source, root = DigitsSource(), tmp_path_factory.mktemp("digits")
    path = root / "digits.npz"
    np.savez(path, images=source.image_NHWC[:COUNT, ..., 0], labels=source.label_N[:COUNT])
    config = DataConfig.model_validate({"source": {"kind": "arrays", "path": str(path)}})
    return View.of(prepare(config, root / "data", workers=1))


def textures(count: int, side: int = 32) -> np.ndarray:
    """Smooth random pictures with some detail, uint8 (N, S, S, 3)."""
    random = np.random.default_rng(0)
    out = []
    for _ in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        fine = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        size = (side, side)
        smooth = Image.Resampling.BICUBIC
        out.append(np.asarray(Image.blend(coarse.resize(size, smooth), fine.resize(size), 0.35)))
    return np.stack(out)


def in_memory(image_NHWC: np.ndarray) -> View:
    count = len(image_NHWC)
    zero_N = torch.zeros(count, dtype=torch.int64)
    files = tuple(map(str, range(count)))
    digest_N = np.array([image.tobytes()[:16] for image in image_NHWC], "V16")
    return View(torch.from_numpy(image_NHWC), zero_N, zero_N, digest_N, files, ("a", "b"))


def again(image: Image.Image, quality: int) -> np.ndarray:
    out = io.BytesIO()
    image.save(out, format="JPEG", quality=quality)
    return np.asarray(Image.open(out).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC))


EDITS = {
    "recompressed": lambda image: again(image, 50),
    "smaller": lambda image: again(image.resize((24, 24), Image.Resampling.BICUBIC), 90),
    "darker": lambda image: again(image.point(lambda value: int(value * 0.8)), 90),
    "mirrored": lambda image: again(ImageOps.mirror(image), 90),
}


@pytest.mark.parametrize("edit", EDITS)
def test_copies_are_found_and_nothing_else(edit: str) -> None:
    originals = textures(120)
    copied = np.stack([EDITS[edit](Image.fromarray(image)) for image in originals[:20]])
    found = copies.find(in_memory(np.concatenate([originals, copied])), torch.arange(140))
    pairs = {tuple(pair) for pair in found.pair_P2.tolist()}
    assert pairs <= {(i, 120 + i) for i in range(20)}
    assert len(pairs) >= 18
    assert found.mirrored_P.tolist() == [edit == "mirrored"] * len(pairs)


@pytest.mark.parametrize("copied", [3, 10, 30])
@pytest.mark.parametrize("turned", [False, True])
def test_a_picture_that_is_there_many_times_is_found_every_time(copied: int, turned: bool) -> None:
    """Beside a hundred others, and with no other beside it."""
    originals = textures(101)
    often = Image.fromarray(originals[0])
    some = [again(often, 95 - 2 * number) for number in range(copied)]
    if turned:
        some[0] = some[0][:, ::-1]
    expected = {(a, b) for a in range(copied + 1) for b in range(a + 1, copied + 1)}
    for others in (originals[101:], originals[1:]):
        view = in_memory(np.concatenate([originals[:1], np.stack(some), others]))
        found = copies.find(view, torch.arange(len(view)))
        pairs = {tuple(pair) for pair in found.pair_P2.tolist()}
        assert pairs == expected
        assert int(found.mirrored_P.sum()) == (copied if turned else 0)


def test_a_picture_among_many_alike_must_stand_out_from_the_first_that_is_no_copy() -> None:
    detail_AJ = torch.tensor([[0.9, 0.99, 0.5, *[0.4] * 6], [0.95] * 9, [0.95] * 8 + [0.7]])
    like_copy_AJ = detail_AJ >= 0.88
    assert copies._crowd(detail_AJ, like_copy_AJ).tolist() == pytest.approx([0.4, 0.0, 0.7])
    assert copies._crowd(detail_AJ[:, :7], like_copy_AJ[:, :7]).tolist() == [0, 0, 0]


def test_rows_that_are_left_out_are_not_compared() -> None:
    originals = textures(30)
    view = in_memory(np.concatenate([originals, originals[:5]]))
    assert len(copies.find(view, torch.arange(30)).pair_P2) == 0
    rows = torch.cat([torch.arange(5, 30), torch.arange(30, 35)])
    assert len(copies.find(view, rows).pair_P2) == 0
    assert len(copies.find(view, torch.arange(35)).pair_P2) == 5


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_handful_of_images_has_no_copies(count: int) -> None:
    found = copies.find(in_memory(textures(2)), torch.arange(count))
    assert found.pair_P2.shape == (0, 2)


def test_flat_images_are_copies_of_nothing() -> None:
    flat = np.full((4, 32, 32, 3), 7, np.uint8)
    flat[1] = 200
    assert len(copies.find(in_memory(flat), torch.arange(4)).pair_P2) == 0


def test_handwriting_is_alike_and_yet_no_copy(view: View) -> None:
    assert len(copies.find(view, torch.arange(len(view))).pair_P2) <= len(view) // 100


def test_groups_join_pairs() -> None:
    assert copies.groups(torch.tensor([[4, 7], [1, 2], [2, 4]])) == [[1, 2, 4, 7]]
    assert copies.groups(torch.tensor([[5, 6], [0, 3]])) == [[0, 3], [5, 6]]


def test_the_view_keeps_files_splits_and_images_together(view: View) -> None:
    source = DigitsSource()
    for row in (0, 17, len(view) - 1):
        number = int(view.files[row].rpartition("/")[2])
        assert (view.image_NHWC[torch.tensor([row])][0].numpy() == source.image_NHWC[number]).all()
        assert view.class_of(row) == str(source.label_N[number])
    assert {view.split(0), view.split(len(view) - 1)} == {"train", "test"}
    assert view.image_NHWC[0:3].shape == (3, 8, 8, 1)


@pytest.fixture(scope="module")
def learnt(view: View) -> torch.Tensor:
    return PatchFeatures.learn(view.image_NHWC)(view.image_NHWC)


def test_features_are_the_same_again_and_of_unit_scale(view: View, learnt: torch.Tensor) -> None:
    assert torch.equal(PatchFeatures.learn(view.image_NHWC)(view.image_NHWC), learnt)
    assert learnt.isfinite().all()
    assert float(learnt.var(0).mean()) == pytest.approx(0.9, abs=0.15)


def test_mirrored_features_cannot_tell_left_from_right() -> None:
    image_NHWC = torch.from_numpy(textures(40))
    blind = PatchFeatures.learn(image_NHWC, mirrored=True)
    seeing = PatchFeatures.learn(image_NHWC)
    turned_NHWC = image_NHWC.flip(2)
    apart = [float((f(turned_NHWC) - f(image_NHWC)).square().mean()) for f in (blind, seeing)]
    assert apart[0] < apart[1]
    with pytest.raises(ValueError, match="need images"):
        PatchFeatures.learn(image_NHWC[:0])


def test_shrunk_gives_the_side_and_channels_asked_for() -> None:
    image_NHWC = torch.from_numpy(textures(2))
    assert shrunk(image_NHWC, 16, 1).shape == (2, 1, 16, 16)
    assert shrunk(image_NHWC[..., :1], 8, 3).shape == (2, 3, 8, 8)
    assert float(shrunk(image_NHWC, 32, 3).max()) <= 1


def test_wrong_labels_are_found(view: View, learnt: torch.Tensor) -> None:
    random = torch.Generator().manual_seed(3)
    wrong = torch.randperm(len(view), generator=random)[: len(view) // 20]
    label_N = view.label_N.clone()
    label_N[wrong] = (label_N[wrong] + torch.randint(1, 10, wrong.shape, generator=random)) % 10
    fold_N = labels.folds(torch.arange(len(view)))
    judged = labels.judged(learnt, label_N, fold_N, 10)
    found = labels.suspects(judged.probability_NK, label_N)
    hit = set(found.index.tolist()) & set(wrong.tolist())
    assert judged.accuracy > 0.85
    assert len(hit) >= 0.7 * len(wrong)
    assert len(hit) >= 0.8 * len(found.index)
    assert found.margin.tolist() == sorted(found.margin.tolist(), reverse=True)
    right = [view.label_N[i] == s for i, s in zip(found.index, found.suggested, strict=True)]
    assert sum(map(bool, right)) >= 0.9 * len(hit)


def test_labels_are_judged_by_the_features_they_agree_with_best(
    view: View, learnt: torch.Tensor
) -> None:
    noise_NF = torch.randn(learnt.shape, generator=torch.Generator().manual_seed(5))
    fold_N = labels.folds(torch.arange(len(view)))
    given = {"noise": noise_NF, "seen": learnt, "part": learnt[:, ::40]}
    name, found = labels.judged_best(given, view.label_N, fold_N, 10)
    assert name == "seen"
    alone = labels.judged(learnt, view.label_N, fold_N, 10)
    assert torch.equal(found.probability_NK, alone.probability_NK)
    taken = found.probability_NK.gather(1, view.label_N[:, None]).log().mean()
    assert found.loss == pytest.approx(-float(taken), rel=1e-4)


def test_out_of_fold_scores_are_those_of_ridge_regression_without_the_fold() -> None:
    random = torch.Generator().manual_seed(0)
    feature_NF = torch.randn(60, 4, generator=random, dtype=torch.float64)
    target_NK = torch.nn.functional.one_hot(torch.arange(60) % 3, 3).double()
    fold_N = labels.folds(torch.arange(60))
    length = float(feature_NF.square().sum(1).mean())
    from sklearn.linear_model import Ridge

    for strength, score_NK in zip(
        labels.STRENGTHS, labels._scores(feature_NF, target_NK, fold_N), strict=True
    ):
        for fold in range(labels.FOLDS):
            held = (fold_N == fold).numpy()
            ridge = Ridge(alpha=strength * length + 1e-6)
            ridge.fit(feature_NF.numpy()[~held], target_NK.numpy()[~held])
            assert np.allclose(score_NK[held], ridge.predict(feature_NF.numpy()[held]), atol=1e-8)


def test_copies_share_a_fold() -> None:
    group_N = torch.arange(100) // 2
    fold_N = labels.folds(group_N)
    assert torch.equal(fold_N[::2], fold_N[1::2])
    assert sorted(set(fold_N.tolist())) == list(range(labels.FOLDS))


def test_the_confident_joint_of_equation_1_by_hand() -> None:
    probability_NK = torch.tensor(
        [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9], [0.85, 0.15]]
    )
    label_N = torch.tensor([0, 0, 0, 1, 1, 1])
    # Means of the given class: (.9 + .7 + .2) / 3 = .6 and (.6 + .9 + .15) / 3 = .55.
    count_KK, class_N = labels.confident_joint(probability_NK, label_N)
    assert count_KK.tolist() == [[2, 1], [1, 2]]
    assert class_N.tolist() == [0, 0, 1, 1, 1, 0]
    found = labels.suspects(probability_NK, label_N, margin=0.5)
    assert found.index.tolist() == [5, 2]
    assert found.suggested.tolist() == [0, 1]
    assert found.margin.tolist() == pytest.approx([0.7, 0.6])


def test_a_class_that_nobody_was_given_is_never_suggested() -> None:
    probability_NK = torch.tensor([[0.1, 0.2, 0.7], [0.1, 0.3, 0.6], [0.5, 0.3, 0.2]])
    _, class_N = labels.confident_joint(probability_NK, torch.tensor([0, 1, 0]))
    assert 2 not in class_N.tolist()


def test_distances_are_those_of_a_full_matrix() -> None:
    feature_NF = torch.randn(700, 5, generator=torch.Generator().manual_seed(1))
    square_NN = torch.cdist(feature_NF, feature_NF)
    ordered_NN = square_NN.sort(1).values
    assert torch.allclose(outliers.distances(feature_NF), ordered_NN[:, 20], atol=1e-3)
    assert torch.allclose(outliers.distances(feature_NF, 5), ordered_NN[:, 5], atol=1e-3)
    assert outliers.distances(feature_NF[:5], 5).tolist() == [0.0] * 5


def test_components_are_the_same_from_either_matrix() -> None:
    wide_NF = torch.randn(40, 60, generator=torch.Generator().manual_seed(5))
    centred_NF = wide_NF - wide_NF.mean(0)
    turned_NF = centred_NF @ torch.linalg.svd(centred_NF, full_matrices=False).Vh.mT
    tall_NF = torch.cat([wide_NF, wide_NF])
    for found_NF in (outliers.components(wide_NF, 10), outliers.components(tall_NF, 10)[:40]):
        assert torch.allclose(found_NF.abs(), turned_NF[:, :10].abs(), atol=1e-2)


def test_ordinary_distances_hold_no_outliers_and_far_ones_are_found() -> None:
    ordinary_N = torch.randn(2000, generator=torch.Generator().manual_seed(2)).mul(0.2).exp()
    index, _ = outliers.surprising(ordinary_N)
    assert len(index) <= 1
    index, score = outliers.surprising(torch.cat([ordinary_N, torch.full((20,), 5.0)]))
    assert set(range(2000, 2020)) <= set(index.tolist())
    assert len(index) <= 23
    assert float(score.min()) > 3
    assert len(outliers.surprising(torch.zeros(50))[0]) == 0


def test_halves_of_one_set_do_not_drift_and_another_set_does(learnt: torch.Tensor) -> None:
    halves = learnt[::2], learnt[1::2]
    same = drift.compare(*halves)
    other = drift.compare(halves[0], halves[1] + 0.5)
    assert same is not None
    assert other is not None
    assert same.p_value > 0.01
    assert other.p_value < 1e-6
    assert other.accuracy > 0.9
    assert drift.compare(learnt[:19], learnt) is None


def test_the_two_sample_test_is_right_as_often_as_it_says() -> None:
    random = torch.Generator().manual_seed(4)
    small = 0
    for turn in range(100):
        here_MF, other_NF = torch.randn(2, 100, 5, generator=random)
        found = drift.compare(here_MF, other_NF, seed=turn)
        assert found is not None
        small += found.p_value < 0.1
    assert abs(small - 10) <= 3 * math.sqrt(9)


def test_rare_classes() -> None:
    found = rare({"train": (90, 29, 31, 5)}, ("a", "b", "c", "d"))
    assert [(one.name, one.few) for one in found] == [("b", False), ("d", True)]
    assert found[0].ratio == pytest.approx(90 / 29)
    assert rare({"train": (100, 60)}, ("a", "b")) == []


@pytest.mark.slow
@pytest.mark.data
def test_handwriting_of_sixty_thousand(test_data: Path, tmp_path: Path) -> None:
    """No ones in the same hand among the copies, and no matrix of all pairs in memory."""
    config = DataConfig.model_validate({"source": {"kind": "idx", "dataset": "mnist"}, "size": 28})
    view = View.of(prepare(config, tmp_path, search=(test_data,), offline=True))
    found = copies.find(view, torch.arange(len(view)))
    assert len(found.pair_P2) <= 70  # one in a thousand
