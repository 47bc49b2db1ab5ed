"""Data parallelism as a small value: who I am, my slice, and sums over all.

One flat all-reduce for a player's gradients after its backward pass (FlatGradients) is exact with
double backward too, where wrapping in DistributedDataParallel is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Replicas:
    """`rank` of `world` copies of the same model; the default process group carries the sums."""

    rank: int = 0
    world: int = 1

    @staticmethod
    def current() -> Replicas:
        """Of the initialised process group, or the only one."""
        if dist.is_available() and dist.is_initialized():
            return Replicas(dist.get_rank(), dist.get_world_size())
        return Replicas()

    def slice(self, tensor_N: Tensor) -> Tensor:
        """This rank's equal share of a global batch; raises ValueError if it does not divide."""
        size, rest = divmod(len(tensor_N), self.world)
        if rest:
            raise ValueError(f"{len(tensor_N)} does not divide by {self.world} workers")
        return tensor_N[self.rank * size : (self.rank + 1) * size]

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over ranks, differentiable once: the gradient is summed over ranks as well."""
        if self.world == 1:
            return tensor
        return cast(Tensor, _Sum.apply(tensor))  # type: ignore[no-untyped-call]

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over ranks of a detached tensor."""
        return self.sum(tensor.detach()) / self.world

    def gather(self, tensor_N: Tensor) -> Tensor:
        """All ranks' equally long slices, in rank order; without gradient."""
        if self.world == 1:
            return tensor_N
        whole_N = tensor_N.detach().contiguous()
        # NCCL takes no other layout, and what is sent and received lies alike.
        parts = [torch.empty_like(whole_N) for _ in range(self.world)]
        dist.all_gather(parts, whole_N)
        return torch.cat(parts)

    def sum_(self, tensor: Tensor) -> None:
        """Replace a dense tensor by its sum over ranks, where it lies."""
        if self.world > 1:
            dist.all_reduce(tensor)

    def agree(self, value: int) -> int:
        """Rank 0's integer, on every rank."""
        return self.tell(value)

    def tell(self, value: T) -> T:
        """Rank 0's small value (numbers, texts, dictionaries of them), on every rank."""
        if self.world == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        return cast(T, box[0])

    def barrier(self) -> None:
        """Return when every rank is here."""
        if self.world > 1:
            dist.barrier()


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.detach().clone().contiguous()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        # Through itself, so that double backward sums as well.
        return cast(Tensor, _Sum.apply(grads[0].contiguous()))  # type: ignore[no-untyped-call]
