"""DiffAugment and ADA: what they draw, what they do, and that ranks and p do not disturb either."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from pydantic import ValidationError

from ganlib import augmentation
from ganlib.augmentation import Draws, ada, diffaugment
from ganlib.config import Custom
from ganlib.config.augmentation import Ada, DiffAugment, DiscriminatorAugmentation
from ganlib.determinism import Replicas, stream
from ganlib.errors import ConfigError

KINDS = [kind for kind in get_args(get_args(DiscriminatorAugmentation)[0]) if kind is not Custom]
COLOR, TRANSLATION, CUTOUT = (
    DiffAugment(**{"color": False, "translation": False, "cutout": False, name: True})
    for name in ("color", "translation", "cutout")
)


def images(count, channels=3, size=8, dtype=torch.float64):
    return torch.rand(count, channels, size, size, dtype=dtype) * 2 - 1


def only(name, *, chance=0.0, uniform=0.5, normal=0.0, table=ada):
    """One sample for which this transform has these numbers and no other transform happens."""
    place = table.TRANSFORMS.index(name)
    draws = Draws(
        torch.ones(1, len(table.TRANSFORMS)),
        torch.full((1, len(table.TRANSFORMS), 2), 0.5),
        torch.zeros(1, len(table.TRANSFORMS), 2),
    )
    draws.chance_NT[0, place] = chance
    draws.uniform_NT2[0, place] = torch.as_tensor(uniform)
    draws.normal_NT2[0, place] = torch.as_tensor(normal)
    return draws


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_ada_at_probability_0_is_nothing_at_all(channels):
    image = images(16, channels, dtype=torch.float32)
    draws = augmentation.build(Ada()).draw(16, stream(0, "test"))
    assert torch.equal(augmentation.build(Ada()).apply(image, draws, 0.0), image)
    assert torch.equal(augmentation.build(Ada()).apply(image, draws, torch.tensor(0.0)), image)


def test_diffaugment_with_nothing_on_is_refused():
    with pytest.raises(ValidationError, match="would change nothing"):
        DiffAugment(color=False, translation=False, cutout=False)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_shape_and_type_stay_and_every_image_changes(kind, dtype, channels):
    image = images(32, channels).to(dtype)
    draws = augmentation.build(kind()).draw(32, stream(0, "test"))
    out = augmentation.build(kind()).apply(image, draws, 1.0)
    assert (out.shape, out.dtype) == (image.shape, dtype)
    assert out.isfinite().all()
    assert ((out != image).flatten(1).any(1)).all()


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_slices_of_ranks_are_the_whole(kind, world):
    image, draws = images(8), augmentation.build(kind()).draw(8, stream(0, "test"))
    whole = augmentation.build(kind()).apply(image, draws, 0.6)
    parts = []
    for rank in range(world):
        take = Replicas(rank, world).slice
        parts.append(augmentation.build(kind()).apply(take(image), draws.slice(take), 0.6))
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_gradients_are_those_of_finite_differences(kind, channels):
    image = images(2, channels, 4).requires_grad_()
    draws = augmentation.build(kind()).draw(2, stream(3, "test"))
    seen = lambda x: augmentation.build(kind()).apply(x, draws, 0.9)  # noqa: E731
    assert torch.autograd.gradcheck(seen, image)
    assert torch.autograd.gradgradcheck(lambda x: seen(x).pow(3), image, fast_mode=True)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_the_same_whatever_is_switched_and_uniform(kind):
    one = augmentation.build(kind()).draw(4000, stream(0, "test"))
    other = {DiffAugment: COLOR, Ada: Ada(fixed=0.1)}[kind]
    two = augmentation.build(other).draw(4000, stream(0, "test"))
    for name in ("chance_NT", "uniform_NT2", "normal_NT2"):
        assert torch.equal(getattr(one, name), getattr(two, name))
    assert (one.uniform_NT2.mean((0, 2)) - 0.5).abs().max() < 0.02
    assert (one.normal_NT2.std((0, 2)) - 1).abs().max() < 0.05
    assert one.uniform_NT2.min() >= 0
    assert one.uniform_NT2.max() < 1


def test_ada_changes_the_share_p_of_images_and_a_higher_p_changes_these_and_more():
    draws = augmentation.build(Ada()).draw(4000, stream(0, "test"))
    image = torch.zeros(4000, 1, 2, 2)  # without shape, so only brightness shows
    low, high = (
        augmentation.build(Ada()).apply(image, draws, p).flatten(1)[:, 0] for p in (0.3, 0.6)
    )
    assert abs((low != 0).double().mean() - 0.3) < 0.03
    assert abs((high != 0).double().mean() - 0.6) < 0.03
    # A contrast that is added at the higher p scales what was there.
    assert ((high != 0) | (low == 0)).all()


RAMP = torch.arange(64, dtype=torch.float64).view(1, 1, 8, 8) / 32 - 1


@pytest.mark.parametrize(
    ("name", "numbers", "expected"),
    [
        ("mirror", {"uniform": 0.4}, RAMP),
        ("mirror", {"uniform": 0.6}, RAMP.flip(3)),
        ("quarter_turn", {"uniform": 0.1}, RAMP),
        ("quarter_turn", {"uniform": 0.3}, RAMP.rot90(1, (2, 3))),
        ("quarter_turn", {"uniform": 0.99}, RAMP.rot90(3, (2, 3))),
        ("whole_shift", {"uniform": 0.5}, RAMP),
        ("whole_shift", {"uniform": [0.99, 0.5]}, RAMP[..., [1, 0, 1, 2, 3, 4, 5, 6]]),
        ("whole_shift", {"uniform": [0.5, 0.01]}, RAMP[:, :, [1, 2, 3, 4, 5, 6, 7, 6]]),
        ("shift", {"normal": [1.0, 0.0]}, RAMP[..., [1, 0, 1, 2, 3, 4, 5, 6]]),
        ("turn_before", {"uniform": 0.5}, RAMP),
        ("brightness", {"normal": 2.0}, RAMP + 0.4),
        ("contrast", {"normal": 2.0}, RAMP * 2),
        ("contrast", {"normal": 2.0, "chance": 0.5}, RAMP),
        ("hue", {"uniform": 0.1}, RAMP),  # grey has none
        ("saturation", {"normal": 1.0}, RAMP),
        ("luma_mirror", {"uniform": 0.9}, RAMP),
    ],
)  # fmt: skip
def test_each_change_of_ada_by_hand(name, numbers, expected):
    out = augmentation.build(Ada()).apply(RAMP, only(name, **numbers), 0.5)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-6)
    if name in ("mirror", "quarter_turn", "whole_shift"):
        assert torch.equal(out, expected)


@pytest.mark.parametrize(
    ("name", "normal", "u", "v"),
    [("scale", 5.0, 2.0, 2.0), ("scale", -5.0, 0.5, 0.5), ("stretch", 5.0, 2.0, 0.5)],
)
def test_scale_and_stretch_double_and_halve(name, normal, u, v):
    x = torch.arange(9.0, dtype=torch.float64) - 4
    out = augmentation.build(Ada()).apply(x.expand(1, 1, 9, 9), only(name, normal=normal), 0.5)
    torch.testing.assert_close(out[0, 0, 0, 2:7], x[2:7] / u, rtol=1e-6, atol=1e-6)
    out = augmentation.build(Ada()).apply(
        x[:, None].expand(1, 1, 9, 9), only(name, normal=normal), 0.5
    )
    torch.testing.assert_close(out[0, 0, 2:7, 0], x[2:7] / v, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["turn_before", "turn_after"])
def test_a_turn_by_half_a_right_angle_and_how_often(name):
    x = torch.arange(9.0, dtype=torch.float64) - 4
    ramp = x.expand(1, 1, 9, 9)
    out = augmentation.build(Ada()).apply(ramp, only(name, uniform=0.625), 0.5)
    expected = (x - x[:, None]) / 2**0.5  # the source's x for anticlockwise
    torch.testing.assert_close(out[0, 0, 2:7, 2:7], expected[2:7, 2:7], rtol=1e-6, atol=1e-6)
    rare = only(name, uniform=0.625, chance=0.3)  # of two turns each has 1 - sqrt(.5) = .293
    assert torch.equal(augmentation.build(Ada()).apply(ramp, rare, 0.5), ramp)


@pytest.mark.parametrize("name", ["luma_mirror", "hue", "saturation"])
def test_colours_of_three_channels_keep_what_they_should(name):
    image = images(1)
    out = augmentation.build(Ada()).apply(image, only(name, uniform=0.9, normal=1.0), 0.5)
    grey = image.mean(1, keepdim=True)
    sign = -1 if name == "luma_mirror" else 1
    factor = 2 if name == "saturation" else 1
    torch.testing.assert_close(out.mean(1, keepdim=True), sign * grey)
    rest = (out - out.mean(1, keepdim=True)).square().sum(1).sqrt()
    torch.testing.assert_close(rest, factor * (image - grey).square().sum(1).sqrt())
    assert not torch.allclose(out, image)


def diff_draws(name, uniform):
    return only(name, uniform=uniform, table=diffaugment)


def test_colours_of_diffaugment_stay_in_the_papers_ranges():
    image = images(1)
    half = 0.5 * torch.ones_like(image)
    for uniform, low in ((0.0, -0.5), (1.0, 0.5)):
        out = augmentation.build(COLOR).apply(half, diff_draws("brightness", uniform), 1.0)
        torch.testing.assert_close(out, half + low)
    grey = augmentation.build(COLOR).apply(image, diff_draws("saturation", 0.0), 1.0)
    torch.testing.assert_close(grey, image.mean(1, keepdim=True).expand_as(image))
    flat = augmentation.build(COLOR).apply(image, diff_draws("contrast", 0.0), 1.0)
    torch.testing.assert_close(flat - flat.mean(), (image - image.mean()) * 0.5)


def test_translations_of_diffaugment_are_whole_pixels_up_to_an_eighth_with_grey_outside():
    image = torch.ones(1, 1, 16, 16)
    right = augmentation.build(TRANSLATION).apply(
        image, diff_draws("translation", [0.99, 0.5]), 1.0
    )
    assert right[0, 0].sum(0).tolist() == [0, 0] + [16] * 14
    up = augmentation.build(TRANSLATION).apply(image, diff_draws("translation", [0.5, 0.01]), 1.0)
    assert up[0, 0].sum(1).tolist() == [16] * 14 + [0, 0]
    ramp = torch.arange(256.0).view(1, 1, 16, 16)
    out = augmentation.build(TRANSLATION).apply(ramp, diff_draws("translation", [0.99, 0.5]), 1.0)
    assert torch.equal(out[..., 2:], ramp[..., :-2])
    draws = augmentation.build(TRANSLATION).draw(5000, stream(0, "test"))
    moved = augmentation.build(TRANSLATION).apply(image.expand(5000, -1, -1, -1), draws, 1.0)
    lost = (moved[:, 0, 7] == 0).sum(1)
    share = torch.bincount(lost) / 5000
    torch.testing.assert_close(share, torch.tensor([0.2, 0.4, 0.4]), rtol=0, atol=0.03)


@pytest.mark.parametrize("size", [8, 9, 10])
def test_cutout_is_a_grey_square_of_half_the_side_anywhere(size):
    image = torch.ones(2000, 1, size, size)
    draws = augmentation.build(CUTOUT).draw(2000, stream(0, "test"))
    out = augmentation.build(CUTOUT).apply(image, draws, 1.0)[:, 0] == 0
    side = int(size / 2 + 0.5)
    rows, columns = out.any(2).sum(1), out.any(1).sum(1)
    assert rows.max() == columns.max() == side
    assert torch.equal(out.sum((1, 2)), rows * columns)
    assert rows.min() == columns.min() == (side + 1) // 2  # half of it beyond the edge
    middle = augmentation.build(CUTOUT).apply(image[:1], diff_draws("cutout", 0.5), 1.0)[0, 0] == 0
    assert middle.sum() == side**2


@pytest.mark.parametrize("size", [8, 32, 49, 256])
def test_the_largest_draw_stays_within_reach(size):
    last = torch.tensor(1.0).nextafter(torch.tensor(0.0)).item()
    image, reach = torch.arange(1.0 + size**2)[1:].view(1, 1, size, size), int(size / 8 + 0.5)
    out = augmentation.build(TRANSLATION).apply(image, diff_draws("translation", last), 1.0)
    assert torch.equal(out[..., reach:, reach:], image[..., :-reach, :-reach])


def test_p_starts_where_the_kind_says():
    assert augmentation.start(DiffAugment()) == 1
    assert augmentation.start(Custom(build="own:build")) == 1
    assert augmentation.start(Ada()) == 0
    assert augmentation.start(Ada(fixed=0.25)) == 0.25


def test_p_goes_up_above_the_target_and_down_below_it_at_the_stated_speed():
    config = Ada(target=0.5, images_to_full=1000, maximum=0.8)
    p = torch.tensor(0.5)
    assert augmentation.adapt(p, torch.tensor(60.0), 100, config) == pytest.approx(0.6)
    assert augmentation.adapt(p, torch.tensor(40.0), 100, config) == pytest.approx(0.4)
    assert augmentation.adapt(p, torch.tensor(50.0), 100, config) == 0.5
    assert augmentation.adapt(p, torch.tensor(0.0), torch.tensor(0), config) == 0.5
    p = augmentation.start(config)
    for _ in range(8):
        p = augmentation.adapt(p, torch.tensor(100.0), torch.tensor(100.0), config)
    assert p == pytest.approx(0.8)
    assert augmentation.adapt(p, torch.tensor(100.0), 100, config) == pytest.approx(0.8)
    assert augmentation.adapt(torch.tensor(0.05), torch.tensor(-100.0), 100, config) == 0


def test_a_fixed_p_and_that_of_diffaugment_do_not_move():
    p = torch.tensor(0.3)
    assert augmentation.adapt(p, torch.tensor(100.0), 100, Ada(fixed=0.3)) is p
    assert augmentation.adapt(p, torch.tensor(100.0), 100, DiffAugment()) is p
    assert augmentation.adapt(p, torch.tensor(100.0), 100, Custom(build="own:build")) is p


def test_a_fixed_p_above_the_maximum_is_refused_with_the_reason():
    with pytest.raises(ValidationError, match="raise maximum as well"):
        Ada(fixed=0.9)
    assert Ada(fixed=0.9, maximum=1.0).fixed == 0.9


def dimmed(image_NCHW, draws, p):
    """Each image times its own number below 1, where p is 1."""
    return image_NCHW * (1 - p * draws.uniform_NT2[:, 1, 0])[:, None, None, None]


def own(halved=False):
    return augmentation.Augmentation(2, (lambda x, *_: x[..., ::2]) if halved else dimmed)


def wrong():
    return dimmed


def test_an_augmentation_of_ones_own_draws_by_place_like_ours():
    built = augmentation.build(Custom(build=f"{__name__}:own"))
    image, draws = images(8), built.draw(8, stream(0, "test"))
    assert draws.uniform_NT2.shape == (8, 2, 2)
    whole = built.apply(image, draws, 1.0)
    factor = 1 - draws.uniform_NT2[:, 1, 0].double()
    torch.testing.assert_close(whole, image * factor[:, None, None, None])
    take = Replicas(1, 2).slice
    assert torch.equal(built.apply(take(image), draws.slice(take), 1.0), take(whole))
    assert built.apply(image.bfloat16(), draws, 1.0).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        ("no_such_module:f", {}, "cannot be imported"),
        (f"{__name__}:own", {"halfed": True}, "halfed"),
        (f"{__name__}:wrong", {}, "not a ganlib.augmentation.Augmentation"),
    ],
)
def test_a_bad_augmentation_of_ones_own_is_refused_by_name(build, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        augmentation.build(Custom(build=build, options=options))
    assert caught.value.where == "build"


def test_an_augmentation_of_ones_own_that_changes_the_shape_is_refused():
    built = augmentation.build(Custom(build=f"{__name__}:own", options={"halved": True}))
    image, draws = images(4), built.draw(4, stream(0, "test"))
    with pytest.raises(ConfigError, match=r"own makes images of shape \(4, 3, 8, 4\)"):
        built.apply(image, draws, 1.0)
