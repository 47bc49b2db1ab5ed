"""What a registered model says of numbers that are none. B rows, C channels, H W pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from ganlib.config import DcganGenerator, SmallResNet
from ganlib.models import build_classifier, build_generator, latent, pixels
from ganlib.tracking.served import Classifier, Generator

TABLE = pd.DataFrame({"seed": range(300), "class": [2] * 300})
IMAGES = np.zeros((300, 8, 8, 1), np.uint8)


def served(model: Generator | Classifier) -> Generator | Classifier:
    """As `load_context` leaves it, with weights from nowhere."""
    model.network, model.latent, model.pixels = {"classes": ["a", "b", "c"]}, latent, pixels
    if isinstance(model, Generator):
        network = DcganGenerator(width=4, latent_size=8)
        model.module = build_generator(network, size=8, channels=1, classes=3).eval()
    else:
        network = SmallResNet(width=4)
        model.module = build_classifier(network, size=8, channels=1, classes=3).eval()
    return model


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("make", "given", "told"),
    [
        (Generator, TABLE, "the image of seed 0, class 2 is not finite"),
        (Classifier, IMAGES, "probabilities of image 0 are not finite"),
    ],
)
def test_a_diverged_model_gives_no_picture_of_it(
    make: Callable[[], Generator | Classifier], given: object, told: str, value: float
) -> None:
    model = served(make())
    assert len(model.predict(None, given)) == 300
    with torch.no_grad():
        for weight in model.module.parameters():
            weight.fill_(value)
    with pytest.raises(ValueError, match=f"{told}: the model's weights diverged"):
        model.predict(None, given)


def test_the_row_that_is_not_finite_is_named() -> None:
    model = served(Generator())
    inner = model.module

    class Breaking(torch.nn.Module):
        latent_size = inner.latent_size

        def forward(self, z_BZ: torch.Tensor, label_B: torch.Tensor) -> torch.Tensor:
            image_BCHW = inner(z_BZ, label_B)
            image_BCHW[label_B == 1, 0, 3, 3] = torch.nan
            return image_BCHW

    model.module = Breaking()
    table = TABLE.copy()
    assert len(model.predict(None, table)) == 300
    table.loc[280, "class"] = 1
    with pytest.raises(ValueError, match="seed 280, class 1"):
        model.predict(None, table)
