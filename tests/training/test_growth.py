"""A discriminator that looks at more images says at first what it said before."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ganlib.config import (
    Adam,
    DcganDiscriminator,
    DiscriminatorNetwork,
    MlpDiscriminator,
    R3ganDiscriminator,
    SnResNetDiscriminator,
)
from ganlib.determinism import Replicas
from ganlib.models import build_discriminator
from ganlib.training.growth import widened
from ganlib.training.optimiser import Optimiser
from ganlib.training.state import join

COUNT, CLASSES = 6, 4
NETWORKS = [
    DcganDiscriminator(width=8, norm="spectral"),
    DcganDiscriminator(width=8, norm="batch", conditioning="concatenation"),
    MlpDiscriminator(widths=(16, 16), norm="spectral", conditioning="concatenation"),
    SnResNetDiscriminator(width=8, max_width=16),
    R3ganDiscriminator(width=16, max_width=16, conditioning="concatenation"),
]


def made(network: DiscriminatorNetwork, packing: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build_discriminator(
        network, size=8, channels=3, classes=CLASSES, packing=packing
    ).double()


def learnt(
    network: DiscriminatorNetwork, packing: int, pack: Tensor, label: Tensor
) -> tuple[nn.Module, Optimiser]:
    """After one step, so that there are moments."""
    module = made(network, packing, 0).train()
    optimiser = Optimiser(module, Adam(learning_rate=1e-2))
    optimiser.step(module(pack, label).square().mean(), 1.0, Replicas())
    return module, optimiser


@pytest.mark.parametrize("before", [1, 2])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: f"{n.kind}-{n.norm}")
def test_logits_are_those_of_the_images_before(network: DiscriminatorNetwork, before: int) -> None:
    """Whatever the new image is; of its class, which a pack has the mean of."""
    image_NCHW = torch.rand(COUNT, 3 * (before + 1), 8, 8, dtype=torch.float64) * 2 - 1
    label_N = torch.arange(COUNT) % CLASSES
    label_NM = label_N[:, None].expand(-1, before + 1)
    old_NCHW, old_N = image_NCHW[:, : 3 * before], label_NM[:, :before]
    old_N = label_N if before == 1 else old_N
    small, optimiser = learnt(network, before, old_NCHW, old_N)
    state = join(
        {
            "discriminator": small.state_dict(),
            "discriminator_optimiser": optimiser.state_dict(),
            "generator": {"weight": torch.ones(1)},
        }
    )
    large = made(network, before + 1, 1)
    grown = widened(state, large)
    own = {k.removeprefix("discriminator."): v for k, v in grown.items() if k[13] == "."}
    large.load_state_dict(own)
    expected_N, logit_N = small.eval()(old_NCHW, old_N), large.eval()(image_NCHW, label_NM)
    torch.testing.assert_close(logit_N, expected_N, rtol=1e-11, atol=1e-12)
    other_NCHW = torch.cat([old_NCHW, -image_NCHW[:, 3 * before :]], 1)
    torch.testing.assert_close(large(other_NCHW, label_NM), expected_N, rtol=1e-11, atol=1e-12)
    gone = {key.partition(".")[2].partition(".")[2] for key in state.keys() - grown.keys()}
    assert gone == {k for k in own if own[k].shape != small.state_dict()[k].shape}
    assert len(gone) >= 1
    assert widened(grown, large).keys() == grown.keys()


def test_any_other_difference_is_refused() -> None:
    small = made(DcganDiscriminator(width=8), 1, 0)
    state = join({"discriminator": small.state_dict()})
    with pytest.raises(RuntimeError, match=r"body\.0\.weight is \[8, 3"):
        widened(state, made(DcganDiscriminator(width=16), 1, 0))
