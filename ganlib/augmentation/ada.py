"""The changes of adaptive discriminator augmentation. N samples, C channels, H W pixels.

Karras et al. 2020, "Training generative adversarial networks with limited data", appendix B:
pixel blitting, general geometry and colour, which is what helped there. Left out are its filtering
of frequency bands, noise and cutout. Images are resampled once, bilinearly and without the paper's
supersampling, so that small ones cost little. Each change is made with probability p.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from ganlib.augmentation import colour, geometry
from ganlib.augmentation.draws import Draws

TRANSFORMS = (
    "mirror",
    "quarter_turn",
    "whole_shift",
    "scale",
    "turn_before",
    "stretch",
    "turn_after",
    "shift",
    "brightness",
    "contrast",
    "luma_mirror",
    "hue",
    "saturation",
)
REACH = 0.125  # of the side: the most a whole shift moves, and the deviation of a shift
LOG2_SCALE = 0.2  # deviation, as are those below
BRIGHTNESS = 0.2
LOG2_CONTRAST = 0.5
LOG2_SATURATION = 1.0


def ada(image_NCHW: Tensor, draws: Draws, p: Tensor) -> Tensor:
    """Images of any number of channels; three are taken for red, green and blue."""
    draw = _Happening(draws, p)
    image_NCHW = geometry.resample(image_NCHW, _map(draw, *image_NCHW.shape[2:]))
    return _coloured(image_NCHW, draw)


class _Happening:
    """The numbers of one transform after the other, neutral where it does not happen."""

    def __init__(self, draws: Draws, p: Tensor) -> None:
        self.draws, self.p = draws, p

    def uniform(self, name: str, axis: int = 0) -> Tensor:
        """In [0, 1)."""
        return self.draws.uniform_NT2[:, TRANSFORMS.index(name), axis]

    def normal(self, name: str, axis: int = 0) -> Tensor:
        return self.draws.normal_NT2[:, TRANSFORMS.index(name), axis]

    def or_else(
        self, neutral: float, name: str, number_N: Tensor, p: Tensor | None = None
    ) -> Tensor:
        chance_N = self.draws.chance_NT[:, TRANSFORMS.index(name)]
        return torch.where(chance_N < (self.p if p is None else p), number_N, neutral)


def _map(draw: _Happening, height: int, width: int) -> Tensor:
    """matrix_N33 of all geometric changes, the first leftmost."""
    mirror_N = draw.or_else(1.0, "mirror", 1 - 2 * (2 * draw.uniform("mirror")).floor())
    same_N = torch.ones_like(mirror_N)
    quarter_N = draw.or_else(0.0, "quarter_turn", (4 * draw.uniform("quarter_turn")).floor())
    whole_N2 = [
        draw.or_else(
            0.0, "whole_shift", (reach * (2 * draw.uniform("whole_shift", axis) - 1)).round()
        )
        for axis, reach in enumerate((REACH * width, REACH * height))
    ]
    scale_N = draw.or_else(1.0, "scale", torch.exp2(LOG2_SCALE * draw.normal("scale")))
    stretch_N = draw.or_else(1.0, "stretch", torch.exp2(LOG2_SCALE * draw.normal("stretch")))
    shift_N2 = [
        draw.or_else(0.0, "shift", reach * draw.normal("shift", axis))
        for axis, reach in enumerate((REACH * width, REACH * height))
    ]
    return geometry.chain(
        geometry.scaling(mirror_N, same_N),
        _quarter_turns(quarter_N),
        geometry.translation(*whole_N2),
        geometry.scaling(scale_N, scale_N),
        _turn(draw, "turn_before"),
        geometry.scaling(stretch_N, 1 / stretch_N),
        _turn(draw, "turn_after"),
        geometry.translation(*shift_N2),
    )


def _quarter_turns(quarter_N: Tensor) -> Tensor:
    """Of 0 to 3 quarters, in whole numbers: the cosine of a right angle is not quite 0."""
    cosine_N = (quarter_N == 0).to(quarter_N) - (quarter_N == 2).to(quarter_N)
    sine_N = (quarter_N == 1).to(quarter_N) - (quarter_N == 3).to(quarter_N)
    return geometry.rotation(cosine_N, sine_N)


def _turn(draw: _Happening, name: str) -> Tensor:
    """There are two turns, each with probability 1 - sqrt(1 - p): some turn has p."""
    angle_N = draw.or_else(0.0, name, pi * (2 * draw.uniform(name) - 1), 1 - torch.sqrt(1 - draw.p))
    return geometry.rotation(torch.cos(angle_N), torch.sin(angle_N))


def _coloured(image_NCHW: Tensor, draw: _Happening) -> Tensor:
    add_N = draw.or_else(0.0, "brightness", BRIGHTNESS * draw.normal("brightness"))
    image_NCHW = colour.brightness(image_NCHW, add_N)
    factor_N = torch.exp2(LOG2_CONTRAST * draw.normal("contrast"))
    image_NCHW = colour.contrast(image_NCHW, draw.or_else(1.0, "contrast", factor_N))
    if image_NCHW.shape[1] != 3:
        return image_NCHW
    luma_N = 1 - 2 * (2 * draw.uniform("luma_mirror")).floor()
    angle_N = pi * (2 * draw.uniform("hue") - 1)
    factor_N = torch.exp2(LOG2_SATURATION * draw.normal("saturation"))
    return colour.luma_hue_saturation(
        image_NCHW,
        draw.or_else(1.0, "luma_mirror", luma_N),
        draw.or_else(0.0, "hue", angle_N),
        draw.or_else(1.0, "saturation", factor_N),
    )
