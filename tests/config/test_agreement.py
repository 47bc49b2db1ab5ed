"""What of a GAN or a classifier does not go together is refused, with the reason."""

from __future__ import annotations

import pytest

from ganlib.config import load_recipe, overlay
from ganlib.errors import ConfigError

GENERATOR = "gan.generator.network.conditioning"
DISCRIMINATOR = "gan.discriminator.network.conditioning"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({GENERATOR: "none"}, "discriminator.network.conditioning is projection .* generator"),
        ({DISCRIMINATOR: "none"}, "generator.network.conditioning is concatenation .* none"),
        ({"cluster.min_workers": 3}, "min_workers is 3, more than the 2 workers"),
        ({"cluster": {"workers": 4, "min_workers": 3}}, "by no number of workers from 3 to 3"),
        ({"gan.batch_size": 10**9}, "one step takes 1000000000 images"),
        ({"classifier.batch_size": 10**9}, "one step takes 1000000000 images"),
        ({"gan.schedule.warmup_images": 10**8}, "warmup_images is 100000000"),
        ({"classifier.schedule.warmup_images": 10**8}, "warmup_images is 100000000"),
    ],
)
def test_it_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        overlay(load_recipe("digits"), changes)


def test_neither_player_need_know_the_class() -> None:
    gan = overlay(load_recipe("digits"), {GENERATOR: "none", DISCRIMINATOR: "none"}).gan
    assert gan.generator.network.conditioning == gan.discriminator.network.conditioning == "none"
