"""Forward passes compiled where that works, and the reason where it does not."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol, assert_never

import torch
from torch import Tensor, nn

from ganlib.config import Compile
from ganlib.determinism import Replicas
from ganlib.models.custom import normalises_over_batch
from ganlib.training.feed import Batch

Pass = Callable[..., Tensor]


class Rehearsed(Protocol):
    """What a rehearsal needs of a task."""

    def step(self, batch: Batch, clock: int, replicas: Replicas) -> dict[str, Tensor]: ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...


class Passes:
    """The forward passes of a task's modules by name: all compiled, or none and a `reason`.

    The modules stay what they are, with their names, so what is saved, averaged, evaluated or
    differentiated twice goes through them as if nobody had asked. Statistics that span the images
    of several workers are sums over them in the middle of a pass, which are not compiled; nor is
    what `refused` gives a reason for.
    """

    def __init__(
        self,
        asked: Compile,
        device: torch.device,
        replicas: Replicas,
        refused: str = "",
        **modules: nn.Module,
    ) -> None:
        self.asked, self.device, self.replicas = asked, device, replicas
        self.modules = modules
        self.calls: dict[str, Pass] = dict(modules)
        self.reason = ""
        if asked == "none":
            return
        self.reason = _lacks(asked, device) or refused or self._spans()
        if not self.reason:
            # Each compiled variant of a forward counts for all networks of its class in a process.
            dynamo: Any = torch._dynamo.config
            dynamo.recompile_limit = max(dynamo.recompile_limit, 64)
            self.calls = {name: compiled(m.forward, asked) for name, m in modules.items()}

    @property
    def compiled(self) -> bool:
        return self.asked != "none" and not self.reason

    @property
    def facts(self) -> dict[str, Any]:
        """What was asked for, whether it was done, and why not."""
        return {"asked": self.asked, "compiled": self.compiled, "reason": self.reason}

    def __call__(self, name: str, *inputs: Tensor) -> Tensor:
        return self.calls[name](*inputs)

    def _spans(self) -> str:
        if self.replicas.world == 1:
            return ""
        norms = [name for name, m in self.modules.items() if normalises_over_batch(m)]
        return f"the batch norm of {' and '.join(norms)} is over all workers" if norms else ""

    def begin(self) -> None:
        """To be called before each step: CUDA graphs may use the memory of the one before again."""
        if self.compiled and self.asked == "cuda_graphs":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def rehearse(self, task: Rehearsed, batch: Batch) -> None:
        """One step of this rank alone, so that what cannot be compiled is found before training.

        Compiling happens here. The task's state is afterwards as it was before, and where any rank
        failed all ranks go on with the modules themselves.
        """
        if self.asked == "none":
            return
        if self.compiled:
            self.reason = _failure(task, batch)
        failed = torch.tensor(float(bool(self.reason)), device=self.device)
        if float(self.replicas.sum(failed)):
            self.reason = self.reason or "it failed on another worker"
            self.calls = dict(self.modules)


def compiled(forward: Pass, asked: Compile) -> Pass:
    """`forward` by torch.compile, for inputs of fixed shapes; compiled when it is first called."""
    match asked:
        case "none":
            return forward
        case "inductor":
            return torch.compile(forward, dynamic=False)
        case "cuda_graphs":
            return torch.compile(forward, dynamic=False, mode="reduce-overhead")
        case _:
            assert_never(asked)


def _lacks(asked: Compile, device: torch.device) -> str:
    """What this machine has not, or nothing."""
    if device.type == "cuda":
        return "" if find_spec("triton") else "there is no triton to compile for a GPU with"
    if asked == "cuda_graphs":
        return f"CUDA graphs need a CUDA device, and this is {device.type}"
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    return "" if shutil.which(compiler) else f"there is no C++ compiler {compiler} in PATH"


def _failure(task: Rehearsed, batch: Batch) -> str:
    before = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    reason = ""
    with torch.random.fork_rng():
        try:
            task.step(batch, 0, Replicas())
        except Exception as error:  # compilers fail in ways of their own
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    task.load_state_dict(before)
    return reason
