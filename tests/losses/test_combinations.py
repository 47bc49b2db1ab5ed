"""Which losses, penalties and norms go together, and how a user writes them."""

from __future__ import annotations

from itertools import combinations, product
from typing import get_args

import pytest

from ganlib.config import R1, R2, AdversarialLoss, Config, Custom, Penalties, WganGp, overlay
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
        reason = refuse(loss, penalties, norm)
        if norm == "batch" and penalties != Penalties():
            assert "batch norm" in reason
            assert all(name in reason for name in penalties.names())
        elif loss.kind == "wasserstein" and penalties.wgan_gp is None and norm != "spectral":
            assert "wgan_gp" in reason
            assert "spectral" in reason
        else:
            assert reason == "", (penalties, norm)


class Holder(Config):
    penalties: Penalties = Penalties()


def test_a_penalty_is_opened_by_one_of_its_settings_and_closed_by_null():
    opened = overlay(Holder(), {"penalties.r1.gamma": 2, "penalties.r2.every": 16})
    assert opened.penalties == Penalties(r1=R1(gamma=2), r2=R2(every=16))
    assert overlay(opened, {"penalties.r1": None}).penalties.names() == ("r2",)
    assert overlay(Holder(), {"penalties.wgan_gp": {}}).penalties.wgan_gp == WganGp()


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("penalties.r1.gamma", 0),
        ("penalties.r2.gamma", float("nan")),
        ("penalties.wgan_gp.weight", -1),
        ("penalties.r1.every", 0),
        ("penalties.r1.every", 65),
        ("penalties.wgan_gp.gamma", 1),
        ("penalties.r3.gamma", 1),
    ],
)
def test_a_setting_out_of_range_or_misspelt_is_refused_by_its_path(path, setting):
    with pytest.raises(ConfigError) as refused:
        overlay(Holder(), {path: setting})
    assert refused.value.where == path


def test_defaults_are_those_of_the_papers():
    assert (WganGp().weight, R1().gamma, R2().gamma) == (10, 1, 1)
    assert {WganGp().every, R1().every, R2().every} == {1}
