"""The network of the Frechet inception distance: Inception v3 of 2015-12-05, with its own resize.

Szegedy et al. 2016, as TensorFlow ran it and Heusel et al. 2017 use it: averages do not count
padding, the last block takes a maximum, and there are 1008 classes. N images, H W pixels, C
channels. Weights are named as in the file weights-inception-2015-12-05-6726825d.pth.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.config import INCEPTION, INCEPTION_FILE, extractors
from ganlib.data import ImageRows
from ganlib.errors import ConfigError

VARIABLE = INCEPTION
SIDE, FEATURES, CLASSES = 299, 2048, 1008

Kernel = int | tuple[int, int]
# A convolution: its name, output channels, kernel; a stride above 1 pads nothing.
Step = tuple[str, int, Kernel] | tuple[str, int, Kernel, int]
Pool = Literal["average", "maximum"]


class _Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int, pad: bool) -> None:
        super().__init__()
        high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (high // 2, wide // 2) if pad else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, (high, wide), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x_NCHW)))


class _Mixed(nn.Module):
    """Ways side by side: chains of convolutions, which may end in a fork of two, and a pool."""

    def __init__(
        self,
        inputs: int,
        ways: tuple[tuple[tuple[Step, ...], tuple[Step, ...]], ...],
        pool: Pool,
        pool_outputs: int,
    ) -> None:
        super().__init__()
        self.pool, self.ways, self.outputs = pool, [], pool_outputs or inputs
        for chain, fork in ways:
            width = inputs
            for step in chain:
                self._add(width, step)
                width = step[1]
            for step in fork:
                self._add(width, step)
            self.ways.append(([step[0] for step in chain], [step[0] for step in fork]))
            self.outputs += sum(step[1] for step in fork) if fork else width
        if pool_outputs:
            self._add(inputs, ("branch_pool", pool_outputs, 1))

    def _add(self, inputs: int, step: Step) -> None:
        stride = step[3] if len(step) == 4 else 1
        self.add_module(step[0], _Convolution(inputs, step[1], step[2], stride, stride == 1))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        parts = []
        for chain, fork in self.ways:
            way_NCHW = x_NCHW
            for name in chain:
                way_NCHW = self.get_submodule(name)(way_NCHW)
            parts += [self.get_submodule(name)(way_NCHW) for name in fork] or [way_NCHW]
        if hasattr(self, "branch_pool"):
            pooled_NCHW = (
                F.avg_pool2d(x_NCHW, 3, 1, 1, count_include_pad=False)
                if self.pool == "average"
                else F.max_pool2d(x_NCHW, 3, 1, 1)
            )
            parts.append(self.get_submodule("branch_pool")(pooled_NCHW))
        else:
            parts.append(F.max_pool2d(x_NCHW, 3, 2))
        return torch.cat(parts, 1)


def _chain(*steps: Step) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    return steps, ()


def _block_35(inputs: int, pool_outputs: int) -> _Mixed:
    double = (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3))
    ways = (
        _chain(("branch1x1", 64, 1)),
        _chain(("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
        _chain(*double),
    )
    return _Mixed(inputs, ways, "average", pool_outputs)


def _to_17(inputs: int) -> _Mixed:
    double = (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2))
    return _Mixed(inputs, (_chain(("branch3x3", 384, 3, 2)), _chain(*double)), "maximum", 0)


def _block_17(inputs: int, width: int) -> _Mixed:
    row, column = (1, 7), (7, 1)
    ways = (
        _chain(("branch1x1", 192, 1)),
        _chain(
            ("branch7x7_1", width, 1), ("branch7x7_2", width, row), ("branch7x7_3", 192, column)
        ),
        _chain(
            ("branch7x7dbl_1", width, 1),
            ("branch7x7dbl_2", width, column),
            ("branch7x7dbl_3", width, row),
            ("branch7x7dbl_4", width, column),
            ("branch7x7dbl_5", 192, row),
        ),
    )
    return _Mixed(inputs, ways, "average", 192)


def _to_8(inputs: int) -> _Mixed:
    ways = (
        _chain(("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, 2)),
        _chain(
            ("branch7x7x3_1", 192, 1),
            ("branch7x7x3_2", 192, (1, 7)),
            ("branch7x7x3_3", 192, (7, 1)),
            ("branch7x7x3_4", 192, 3, 2),
        ),
    )
    return _Mixed(inputs, ways, "maximum", 0)


def _block_8(inputs: int, pool: Pool) -> _Mixed:
    def fork(name: str) -> tuple[Step, ...]:
        return (f"{name}a", 384, (1, 3)), (f"{name}b", 384, (3, 1))

    ways = (
        _chain(("branch1x1", 320, 1)),
        ((("branch3x3_1", 384, 1),), fork("branch3x3_2")),
        ((("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3)), fork("branch3x3dbl_3")),
    )
    return _Mixed(inputs, ways, pool, 192)


class InceptionV3(nn.Module):
    """image_NCHW in 0..255 -> feature_NF after the last average, logits_NK without their bias."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, 2, False)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3, 1, False)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3, 1, True)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1, 1, False)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3, 1, False)
        width = 192
        for name, build in (
            ("5b", lambda n: _block_35(n, 32)),
            ("5c", lambda n: _block_35(n, 64)),
            ("5d", lambda n: _block_35(n, 64)),
            ("6a", _to_17),
            ("6b", lambda n: _block_17(n, 128)),
            ("6c", lambda n: _block_17(n, 160)),
            ("6d", lambda n: _block_17(n, 160)),
            ("6e", lambda n: _block_17(n, 192)),
            ("7a", _to_8),
            ("7b", lambda n: _block_8(n, "average")),
            ("7c", lambda n: _block_8(n, "maximum")),
        ):
            block = build(width)
            self.add_module(f"Mixed_{name}", block)
            width = block.outputs
        self.fc = nn.Linear(width, CLASSES)

    def forward(self, image_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        x_NCHW = (resize(image_NCHW, SIDE) - 128) / 128
        for name, part in self.named_children():
            if name == "fc":
                break
            x_NCHW = part(x_NCHW)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x_NCHW = F.max_pool2d(x_NCHW, 3, 2)
        feature_NF = x_NCHW.mean((2, 3))
        return feature_NF, feature_NF @ self.fc.weight.mT


def resize(image_NCHW: Tensor, side: int) -> Tensor:
    """Bilinear as TensorFlow 1 has it: pixel i of the result lies at i * H / side, unfiltered.

    So nothing is half a pixel in, and the last rows repeat the edge.
    """

    def weights(length: int) -> tuple[Tensor, Tensor, Tensor]:
        place = torch.arange(side, device=image_NCHW.device, dtype=torch.float32) * (length / side)
        low = place.floor().long().clamp(max=length - 1)
        share = (place - low).to(image_NCHW.dtype)
        return low, (low + 1).clamp(max=length - 1), share

    top, bottom, down = weights(image_NCHW.shape[2])
    left, right, along = weights(image_NCHW.shape[3])
    across_NCHW = torch.lerp(image_NCHW[..., left], image_NCHW[..., right], along)
    return torch.lerp(across_NCHW[:, :, top], across_NCHW[:, :, bottom], down[:, None])


class InceptionExtractor:
    """Features of 2048 numbers by the weights in a file; only with these is a distance an FID."""

    name = "inception-2015-12-05:pool"

    def __init__(self, weights: Path, *, batch: int = 64, device: str = "cpu") -> None:
        """Raises ConfigError for a file that is missing or is not the published one.

        Other weights of the same shape would give a distance that is no FID.
        """
        self.module = InceptionV3()
        try:
            data = weights.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            if not digest.startswith(extractors.PUBLISHED):
                raise ValueError(f"its sha256 is {digest}, not {extractors.PUBLISHED}...")
            read = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            self.module.load_state_dict(read)
        except (OSError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError) as error:
            raise ConfigError(
                f"{VARIABLE}={weights} is not the inception network: {str(error)[:200]}",
                where=VARIABLE,
                hint=f"name the file {INCEPTION_FILE}",
            ) from None
        self.module.eval().requires_grad_(False).to(device)
        self.batch = batch

    @staticmethod
    def from_environment(*, device: str = "cpu") -> InceptionExtractor | None:
        """None where the variable is not set."""
        named = os.environ.get(VARIABLE, "")
        return InceptionExtractor(Path(named).expanduser(), device=device) if named else None

    @torch.no_grad()
    def __call__(self, image_NHWC: ImageRows) -> tuple[Tensor, Tensor]:
        """uint8, grey or colour, of any size."""
        device, parts = next(self.module.parameters()).device, []
        for start in range(0, max(len(image_NHWC), 1), self.batch):
            part_NHWC = image_NHWC[start : start + self.batch].to(device)
            x_NCHW = part_NHWC.permute(0, 3, 1, 2).float()
            parts.append(self.module(x_NCHW.expand(-1, 3, -1, -1)))
        feature, logits = zip(*parts, strict=True)
        return torch.cat(feature), torch.cat(logits)
