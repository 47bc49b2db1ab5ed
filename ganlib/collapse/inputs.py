"""What anybody's own loop hands to a monitor, looked at before it is measured.

N samples, C channels, H W pixels, F features
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganlib.collapse.signals import WIDEST

FORMS = "uint8 images (N, H, W, C), floating images (N, C, H, W) or features (N, F)"
MOST_CHANNELS = 4  # by which channels are told from pixels
ROWS = 4_096
VARIED = 0.1  # of a range: what is all of one colour does not say which


def check_form(sample_N: Tensor, name: str) -> None:
    """Raises TypeError or ValueError naming what is none of the `FORMS`."""
    if not isinstance(sample_N, Tensor):
        raise TypeError(f"{name} are {type(sample_N).__name__} and have to be a torch tensor")
    byte, axes = sample_N.dtype == torch.uint8, sample_N.dim()
    if axes not in (2, 4) or not (byte or sample_N.is_floating_point()):
        raise ValueError(f"{name} are {_told(sample_N)}: give {FORMS}")
    if axes == 4:
        _, second, third, last = sample_N.shape
        small, large = (second, last) if byte else (last, second)
        if small <= MOST_CHANNELS < min(large, third):
            order = "(0, 2, 3, 1)" if byte else "(0, 3, 1, 2)"
            raise ValueError(
                f"{name} are {_told(sample_N)}, with channels where pixels are looked for: give "
                f"{name}.permute{order}"
            )


def check_alike(fake_N: Tensor, real_N: Tensor) -> None:
    """Raises ValueError where both cannot be held against each other, pixel by pixel."""
    if _grain(fake_N) != _grain(real_N):
        raise ValueError(
            f"fakes are {_told(fake_N)} and reals {_told(real_N)}: give both in one form, of one "
            "size and with as many channels"
        )


def check_labels(label_N: Tensor, count: int, name: str) -> None:
    """Raises TypeError or ValueError for what is not a class from 0 on for each of `count`."""
    if not isinstance(label_N, Tensor):
        raise TypeError(f"{name} are {type(label_N).__name__} and have to be a torch tensor")
    whole = not (label_N.is_floating_point() or label_N.is_complex())
    if not whole or label_N.shape != (count,) or (count and int(label_N.min()) < 0):
        raise ValueError(f"{name} are {_told(label_N)}: give ({count},) whole numbers from 0 on")


def finite(sample_N: Tensor) -> bool:
    return all(bool(part.isfinite().all()) for part in torch.split(sample_N, ROWS))


def scale_of(image_NCHW: Tensor) -> str | None:
    """Between which numbers floating images seem to lie; none where they do not tell."""
    if image_NCHW.dim() != 4 or not image_NCHW.is_floating_point() or not len(image_NCHW):
        return None
    image_NCHW = image_NCHW.detach().float()
    low, high, spread = (float(x) for x in (image_NCHW.min(), image_NCHW.max(), image_NCHW.std()))
    if low >= 0 and high > 100 and spread > 255 * VARIED:
        return "0 and 255"
    if low >= 0 and high <= 1.5 and spread > VARIED:
        return "0 and 1"
    return "-1 and 1" if -1.5 <= low < -0.5 and high <= 1.5 else None


def _grain(sample_N: Tensor) -> tuple[int | bool, ...]:
    """What has to be equal: kind, axes, channels, and the size as it is looked at."""
    byte = sample_N.dtype == torch.uint8
    if sample_N.dim() == 2:
        return (byte, sample_N.shape[1])
    _, *sides, last = sample_N.shape
    channels, *pixels = (last, *sides) if byte else (*sides, last)
    if max(pixels) > WIDEST:
        pixels = [min(side, WIDEST) for side in pixels]
    return (byte, channels, *pixels)


def _told(sample_N: Tensor) -> str:
    return f"{str(sample_N.dtype).removeprefix('torch.')} {tuple(sample_N.shape)}"
