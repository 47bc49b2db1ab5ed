"""In which numbers to compute: a rule from hardware and configuration, never from a timing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.config import ClassifierConfig, GanConfig, Precision
from ganlib.models import to_float


@dataclass(frozen=True)
class Arithmetic:
    """`dtype` of weights and losses, bfloat16 autocast or not, memory layout of convolutions.

    `tf32` lets a GPU round float32 factors to ten bits of mantissa in products and convolutions.
    """

    dtype: torch.dtype = torch.float32
    bfloat16: bool = False
    channels_last: bool = False
    tf32: bool = False

    @property
    def name(self) -> str:
        """As the configuration would say it."""
        if self.bfloat16:
            return "bfloat16"
        return "tf32" if self.tf32 else str(self.dtype).removeprefix("torch.")

    def place(self, module: nn.Module, device: torch.device) -> nn.Module:
        """`module` in these numbers and layout, on `device`."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return module.to(device=device, dtype=self.dtype).to(memory_format=layout)  # type: ignore[call-overload,no-any-return]

    def images(self, image_NHWC: Tensor) -> Tensor:
        """uint8 -> image_NCHW in [-1, 1], in these numbers and layout."""
        image_NCHW = to_float(image_NHWC, self.dtype)
        return image_NCHW if self.channels_last else image_NCHW.contiguous()

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        if not self.bfloat16:
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)

    @contextmanager
    def products(self) -> Iterator[None]:
        """What a GPU multiplies float32 by meanwhile; as it was before, afterwards.

        It belongs to the process. Without `tf32` convolutions are exact too, which torch's own
        default does not make them. A CPU takes no notice.
        """
        places: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
        before = [place.fp32_precision for place in places]
        try:
            for place in places:
                place.fp32_precision = "tf32" if self.tf32 else "ieee"
            yield
        finally:
            for place, value in zip(places, before, strict=True):
                place.fp32_precision = value


def of(config: GanConfig | ClassifierConfig, device: torch.device, size: int) -> Arithmetic:
    """What a task of `config` computes in, for images of `size` pixels."""
    slopes = isinstance(config, GanConfig) and bool(config.penalties.names())
    return resolve(config.precision, device, size, slopes=slopes)


def resolve(
    precision: Precision, device: torch.device, size: int, *, slopes: bool = False
) -> Arithmetic:
    """What `precision` means on `device` for images of `size` pixels.

    auto is bfloat16 where the hardware multiplies it faster than float32 (from 1.2 times for
    8 pixels to 1.7 for 32 on one core with avx512_bf16), and float32 elsewhere. Convolutions run
    in channels_last from 32 pixels on and on GPUs; below, the reordering costs what it gains.
    tf32 is float32 on a CPU and on GPUs that have none, and what is left of float32 under auto
    and bfloat16 is tf32 on those that do, unless a penalty on `slopes` is among it: they lose too
    much by it, and have it only where tf32 itself is asked for.
    """
    if precision == "float64":
        return Arithmetic(torch.float64)
    fast = precision == "bfloat16" or (precision == "auto" and _gains_from_bfloat16(device))
    cuda = device.type == "cuda"
    return Arithmetic(
        torch.float32,
        bfloat16=fast,
        channels_last=size >= 32 or cuda,
        tf32=cuda
        and (precision == "tf32" or (precision != "float32" and not slopes))
        and _is_ampere(device),
    )


def _is_ampere(device: torch.device) -> bool:
    """Or later: the first GPUs with bfloat16 and tf32."""
    return torch.cuda.get_device_capability(device) >= (8, 0)


def _gains_from_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return _is_ampere(device)
    if device.type != "cpu":
        return False
    return bool(_cpu_flags() & {"avx512_bf16", "amx_bf16"})


def _cpu_flags() -> set[str]:
    """As Linux names them; none where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())
