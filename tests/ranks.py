"""Run a function on several ranks over gloo, as training does, and give what each returned."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from ganlib.determinism import Replicas


def on_ranks(world: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """`function(replicas, *arguments)` of an importable module, its results by rank.

    One rank runs here; several in processes of their own, one thread each.
    """
    if world == 1:
        return [function(Replicas(), *arguments)]
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_rank, (world, folder, function, arguments), nprocs=world)
        return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(world)]


def _rank(rank: int, world: int, folder: str, function: Any, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=world)
    try:
        torch.save(function(Replicas.current(), *arguments), Path(folder) / f"{rank}.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()
