"""Which losses, penalties and norms go together, and how a user writes them."""

from __future__ import annotations

from itertools import combinations, product
from typing import get_args

import pytest

from ganlib.config import (
    R1,
    R2,
    AdversarialLoss,
    Custom,
    Penalties,
    PipelineConfig,
    Wasserstein,
    WganGp,
    overlay,
)
from ganlib.config.losses import refuse
from ganlib.errors import ConfigError

LOSSES = [
    Custom(build="own:loss") if member is Custom else member()
    for member in get_args(get_args(AdversarialLoss)[0])
]
NAMES = tuple(Penalties.model_fields)
CHOICES = [
    Penalties.model_validate({name: {} for name in names})
    for count in range(len(NAMES) + 1)
    for names in combinations(NAMES, count)
]
NORMS = ["none", "batch", "instance", "layer", "spectral"]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
def test_what_does_not_combine_is_refused_with_the_reason(loss):
    for penalties, norm in product(CHOICES, NORMS):
        refusal = refuse(loss, penalties, norm)
        at, reason = (refusal.at, refusal.reason) if refusal else ("", "")
        if norm == "batch" and penalties != Penalties():
            assert at == "discriminator.network.norm"
            assert "batch norm" in reason
            assert all(name in reason for name in penalties.names())
        elif loss.kind == "wasserstein" and penalties.wgan_gp is None and norm != "spectral":
            assert at == "penalties"
            assert "wgan_gp" in reason
            assert "spectral" in reason
        else:
            assert refusal is None, (penalties, norm)


BASE = PipelineConfig(name="base")


def test_a_penalty_is_opened_by_one_of_its_settings_and_closed_by_null():
    opened = overlay(BASE, {"gan.penalties.r1.gamma": 2, "gan.penalties.r2.every": 16})
    assert opened.gan.penalties == Penalties(r1=R1(gamma=2), r2=R2(every=16))
    assert overlay(opened, {"gan.penalties.r1": None}).gan.penalties.names() == ("r2",)
    assert overlay(BASE, {"gan.penalties.wgan_gp": {}}).gan.penalties.wgan_gp == WganGp()


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("gan.penalties.r1.gamma", 0),
        ("gan.penalties.r2.gamma", float("nan")),
        ("gan.penalties.wgan_gp.weight", -1),
        ("gan.penalties.r1.every", 0),
        ("gan.penalties.r1.every", 65),
        ("gan.penalties.wgan_gp.gamma", 1),
        ("gan.penalties.r3.gamma", 1),
    ],
)
def test_a_setting_out_of_range_or_misspelt_is_refused_by_its_path(path, setting):
    with pytest.raises(ConfigError) as refused:
        overlay(BASE, {path: setting})
    assert refused.value.where == path


def test_the_configuration_of_a_gan_gives_the_reason():
    free = {"gan.loss.kind": "wasserstein", "gan.discriminator.network.norm": "none"}
    with pytest.raises(ConfigError, match="Wasserstein loss falls without end") as caught:
        overlay(BASE, free)
    assert caught.value.where == "gan.penalties"
    assert overlay(BASE, free | {"gan.penalties.wgan_gp": {}}).gan.loss == Wasserstein()
    tied = {"gan.penalties.r1": {}, "gan.discriminator.network.norm": "batch"}
    with pytest.raises(ConfigError, match="r1 looks at the slope at each image alone") as caught:
        overlay(BASE, tied)
    assert caught.value.where == "gan.discriminator.network.norm"


def test_defaults_are_those_of_the_papers():
    assert (WganGp().weight, R1().gamma, R2().gamma) == (10, 1, 1)
    assert {WganGp().every, R1().every, R2().every} == {1}
