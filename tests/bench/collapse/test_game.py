"""Many seeds in one network learn what each learns alone, whatever the method."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from ganlib.bench.collapse import batched
from ganlib.bench.collapse.batched import Discriminator, Generator, Linear
from ganlib.bench.collapse.drawing import BLOCK, Drawing
from ganlib.bench.collapse.game import At, Game
from ganlib.bench.collapse.gaussians import mixture
from ganlib.bench.collapse.methods import Method, Smoothing, method
from ganlib.bench.names import Name
from ganlib.config import overlay
from ganlib.determinism import stream
from ganlib.errors import ConfigError

SEEDS = (3, 11, 4)
NAMES = get_args(Name)


def tiny(name: Name, **changes: object) -> Method:
    """As the command has it, only small."""
    one = method(name, "ours")
    small: dict[str, object] = {"batch": 20, "iterations": 40}
    for player in ("generator", "discriminator"):
        small[f"{player}.widths"] = [8] * len(getattr(one, player).widths)
    return overlay(one, small | changes)


def double(game: Game) -> Game:
    """In float64, where rounding does not hide what differs."""
    game.generator.double()
    game.discriminator.double()
    game.average.double()
    return game


@pytest.fixture
def _float64(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("real", "latent", "smoothing", "mix", "judged"):
        drawn = getattr(Drawing, name)
        monkeypatch.setattr(Drawing, name, lambda *a, drawn=drawn: drawn(*a).double())


def of_seed(state: dict[str, torch.Tensor], seed: int, seeds: int) -> dict[str, torch.Tensor]:
    """Batch norm's are flat, all others have the seed's axis first."""
    return {
        name: tensor if tensor.ndim == 0 else tensor.unflatten(0, (seeds, -1))[seed]
        for name, tensor in state.items()
    }


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("name", NAMES)
def test_a_seed_among_others_learns_what_it_learns_alone(name: Name) -> None:
    one = tiny(name)
    together = double(Game(one, mixture("ring"), SEEDS))
    alone = [double(Game(one, mixture("ring"), [seed])) for seed in SEEDS]
    for iteration in range(4):
        for game in (together, *alone):
            game.step(iteration)
        whole = together.state_dict()
        for place, game in enumerate(alone):
            for key, tensor in of_seed(game.state_dict(), 0, 1).items():
                mine = of_seed(whole, place, len(SEEDS))[key]
                assert torch.allclose(mine, tensor, rtol=1e-9, atol=1e-12), (iteration, key)
    samples = [game.samples(50) for game in (together, *alone)]
    assert torch.allclose(samples[0], torch.cat(samples[1:]), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_both_players_move_and_nothing_else_is_left_out_of_the_state(name: Name) -> None:
    """What is restored in the middle goes on to the very same weights."""
    one = tiny(name)
    game = Game(one, mixture("ring"), SEEDS)
    begun = {key: tensor.clone() for key, tensor in game.state_dict().items()}
    for iteration in range(BLOCK + 2):
        if iteration == BLOCK - 1:
            kept = {key: tensor.clone() for key, tensor in game.state_dict().items()}
        game.step(iteration)
    for player in ("generator", "discriminator", "average"):
        key = f"{player}.body.0.linear.weight_SIO"
        assert not torch.equal(game.state_dict()[key], begun[key])
    again = Game(one, mixture("ring"), SEEDS)
    again.load_state_dict(kept)
    for iteration in range(BLOCK - 1, BLOCK + 2):
        again.step(iteration)
    for key, tensor in game.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key]), key
    assert torch.equal(game.samples(10), again.samples(10))


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("paid", [("r1",), ("r2",), ("r1", "r2")])
def test_slopes_from_the_same_pass_are_those_of_passes_of_their_own(paid: tuple[str, ...]) -> None:
    one = overlay(tiny("plain"), {f"penalties.{name}.gamma": 0.7 for name in paid})
    same, own, without = (double(Game(one, mixture("ring"), SEEDS)) for _ in range(3))
    assert same.sides is not None
    own.sides = None
    without.penalties = ()
    for game in (same, own, without):
        game.step(0)
    key = "discriminator_optimiser.exp_avg.body.0.linear.weight_SIO"
    moments = [game.state_dict()[key] for game in (same, own, without)]
    assert torch.allclose(moments[0], moments[1], rtol=1e-9)
    assert not torch.allclose(moments[0], moments[2], rtol=1e-3)


def test_linear_layers_and_maxout_are_torchs() -> None:
    layer = Linear(3, 5, [stream(s, "test") for s in SEEDS], std=0.5)
    x = torch.randn(3, 7, 3)
    for seed in range(3):
        by_torch = x[seed] @ layer.weight_SIO[seed] + layer.bias_S1O[seed]
        assert torch.allclose(layer(x)[seed], by_torch, atol=1e-6)
    player = method("plain", "paper").discriminator.model_copy(update={"widths": (4,)})
    hidden = batched.Hidden(2, 4, player, [stream(0, "test")])
    x = torch.randn(1, 6, 2)
    pieces = hidden.linear(x).view(1, 6, 5, 4)
    assert torch.equal(hidden(x), pieces.max(2).values)


def test_batch_norm_is_torchs_for_each_seed() -> None:
    ours = batched.BatchNorm(3, 4)
    theirs = [torch.nn.BatchNorm1d(4, momentum=0.05) for _ in SEEDS]
    scale_S11 = torch.tensor([1.0, 5.0, 0.2])[:, None, None]
    for trains in (True, True, False):
        x_SNF = torch.randn(3, 10, 4) * scale_S11 + 1
        for norm in (ours, *theirs):
            norm.train(trains)
        by_torch = torch.stack([norm(x_NF) for norm, x_NF in zip(theirs, x_SNF, strict=True)])
        assert torch.allclose(ours(x_SNF), by_torch, atol=1e-5)


def test_packs_hold_points_of_one_seed_and_minibatch_deviation_sees_its_group_alone() -> None:
    game = Game(tiny("pacgan2"), mixture("ring"), SEEDS)
    point_SKD = torch.arange(3 * 40 * 2.0).view(3, 40, 2)
    seen = game._seen(point_SKD, "real", At(0, 0, 1.0, 1.0, 0.0))
    assert seen.shape == (3, 20, 4)
    assert torch.equal(seen[1, 5], point_SKD[1, 10:12].flatten())

    player = tiny("minibatch_stddev").discriminator
    network = Discriminator(player, 1, 4, [stream(s, "test") for s in SEEDS])
    x = torch.randn(3, 8, 2)
    before = network(x)
    x[1, 5] += 1
    changed = (network(x) != before).nonzero().tolist()
    assert {(s, n // 4) for s, n in changed} == {(1, 1)}
    assert len(changed) == 4


def test_steps_at_once_differ_from_turns_by_who_looks_at_whom() -> None:
    """The generator's first step goes down the slope of the discriminator as it was, or is."""
    for at_once in (True, False):
        game = Game(tiny("plain", simultaneous=at_once), mixture("ring"), [0])
        first = Game(tiny("plain", simultaneous=at_once), mixture("ring"), [0])
        game.step(0)
        if not at_once:
            first.discriminator.load_state_dict(game.discriminator.state_dict())
        fake = first.generator(first.drawing.latent(0, 0))
        first.loss.generator(first.discriminator(fake), None).mean().backward()
        key = "finish.weight_SIO"
        slope = dict(first.generator.named_parameters())[key].grad
        moment = game.generator_optimiser.state_dict()[f"exp_avg.{key}"]
        assert torch.allclose(moment, 0.2 * slope, rtol=1e-4, atol=1e-9)


def test_smoothing_falls_geometrically_and_stays() -> None:
    one = Smoothing(first=1.0, last=0.01, share=0.5)
    assert one.at(0) == 1
    assert one.at(0.25) == pytest.approx(0.1)
    assert one.at(0.5) == one.at(0.75) == one.at(1) == pytest.approx(0.01)


def test_draws_depend_on_seed_purpose_iteration_and_turn_alone() -> None:
    one = tiny("plain")
    many, few = (Drawing(one, mixture("ring"), seeds) for seeds in (SEEDS, (11,)))
    for iteration in (0, BLOCK - 1, BLOCK, 5):
        assert torch.equal(many.real(iteration, 0)[1], few.real(iteration, 0)[0])
        assert torch.equal(many.latent(iteration, 1)[1], few.latent(iteration, 1)[0])
    drawn = [many.latent(i, t)[s] for i in (0, 1, BLOCK) for t in (0, 1) for s in range(3)]
    drawn += [many.smoothing(p, 0, 0)[0] for p in ("real", "fake")]
    for place, one_draw in enumerate(drawn):
        assert not any(torch.equal(one_draw, other) for other in drawn[:place])


def test_signs_stand_behind_the_normal_latents_and_are_fair_and_unlike() -> None:
    one = tiny("plain", latent=3, signs=4)
    drawing = Drawing(one, mixture("ring"), SEEDS)
    z_SNZ = drawing.judged(4_000)
    assert z_SNZ.shape == (3, 4_000, 7)
    assert z_SNZ[..., :3].abs().unique().numel() > 30_000
    sign_SNZ = z_SNZ[..., 3:]
    assert sign_SNZ.unique().tolist() == [-1, 1]
    assert sign_SNZ.mean((0, 1)).abs().max() < 0.05
    together_ZZ = sign_SNZ.flatten(0, 1).T.corrcoef()
    assert (together_ZZ - torch.eye(4)).abs().max() < 0.05
    game = Game(one, mixture("ring"), SEEDS)
    assert game.generator(z_SNZ).shape == (3, 4_000, 2)
    assert drawing.latent(0, 0).shape == (3, one.batch, 7)


def test_sines_of_coordinates_by_hand() -> None:
    x = torch.tensor([[[0.1, -0.2]]])
    seen = batched.waved(x, (3.0,))[0, 0].tolist()
    angle = torch.tensor([0.3, -0.6])
    assert seen == pytest.approx([0.1, -0.2, *angle.sin().tolist(), *angle.cos().tolist()])


def test_the_papers_networks_have_their_size() -> None:
    one = method("plain", "paper")
    generator = Generator(one.generator, one.latent, [stream(0, "test")])
    discriminator = Discriminator(one.discriminator, 1, 0, [stream(0, "test")])
    hidden = 2 * 400 + 3 * 400 * 400 + 4 * 2 * 400
    assert sum(p.numel() for p in generator.parameters()) == hidden + 400 * 2 + 2
    pieces = 2 * 1000 + 2 * 200 * 1000 + 3 * 1000
    assert sum(p.numel() for p in discriminator.parameters()) == pieces + 200 + 1


def test_each_player_follows_a_schedule_of_its_own() -> None:
    """A generator whose rate is nothing by the end stands still while the discriminator learns."""
    one = tiny("plain", discriminator_schedule={"kind": "constant"}, iterations=2)
    one = overlay(one, {"schedule": {"kind": "step", "milestones": [0.5], "gamma": 1e-30}})
    game = Game(one, mixture("ring"), [0])
    game.step(0)
    before = {key: tensor.clone() for key, tensor in game.state_dict().items()}
    game.step(1)
    after, key = game.state_dict(), "finish.weight_SIO"
    assert torch.equal(after[f"generator.{key}"], before[f"generator.{key}"])
    assert not torch.equal(after[f"discriminator.{key}"], before[f"discriminator.{key}"])


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("plain", {"generator.pieces": 2}, "generator.pieces.*relu has none"),
        ("plain", {"generator.waves": [4.0]}, "generator.waves.*a generator sees no points"),
        ("minibatch_stddev", {"batch": 7}, "minibatch_stddev.*groups of 4 do not divide"),
        ("r1", {"unrolled": 2}, "unrolled.*by the loss alone, and r1 is paid"),
        ("r3gan", {"discriminator.norm": "batch"}, "discriminator.norm.*r1 and r2 looks at"),
        ("wgan_gp", {"penalties.wgan_gp": None}, "penalties.*falls without end"),
    ],
)
def test_settings_that_do_not_combine_are_refused_by_name(
    name: Name, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        overlay(method(name, "ours"), changes)
