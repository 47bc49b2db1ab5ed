"""The clock, the streams, and sums over ranks against one process on the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ganlib.determinism import FlatGradients, Replicas, due, stream, sub_seed, whole_batches


@given(st.integers(1, 50), st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_a_cadence_fires_once_per_multiple_however_the_clock_advances(
    every: int, steps: list[int]
) -> None:
    clock, fired = 0, 0
    for step in steps:
        fired += due(every, clock, clock + step)
        clock += step
    assert fired <= clock // every
    if all(step <= every for step in steps):
        assert fired == clock // every


def test_whole_batches_rounds_up() -> None:
    assert [whole_batches(n, 64) for n in (1, 64, 65)] == [64, 64, 128]


def test_a_stream_depends_on_seed_purpose_and_clock_alone() -> None:
    def draw(seed: int, purpose: str, clock: int) -> list[float]:
        return torch.rand(4, generator=stream(seed, purpose, clock)).tolist()

    here = draw(1, "noise", 64)
    torch.rand(100)
    assert draw(1, "noise", 64) == here
    assert len({sub_seed(s, p, c) for s in range(9) for p in "abc" for c in range(9)}) == 243


def _loss(x_N: Tensor, w: Tensor, replicas: Replicas, count: int) -> Tensor:
    """Nonlinear in a mean and a variance over the whole batch, as under a batch norm."""
    y_N = torch.tanh(w * x_N)
    mean = replicas.sum(y_N.sum()) / count
    variance = replicas.sum(((y_N - mean) ** 2).sum()) / count
    return ((y_N - mean) ** 3 / variance).mean()


def _images() -> Tensor:
    return torch.arange(4.0 * 3 * 5 * 5).view(4, 3, 5, 5).to(memory_format=torch.channels_last)


def _rank(rank: int, folder: str) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    replicas = Replicas.current()
    x_N = torch.tensor([1.0, 2.0, 4.0, 9.0], dtype=torch.float64)
    w = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    unused = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    mine_N = replicas.slice(x_N)
    gradients = FlatGradients([w, unused])
    gradients.zero()
    (_loss(mine_N, w, replicas, 4) / 2).backward()
    gradients.sum(replicas)

    torch.save(
        {
            "w": w.grad,
            "unused": unused.grad,
            "gathered": replicas.gather(mine_N),
            "images": replicas.gather(replicas.slice(_images())),
            "agreed": replicas.agree(10 + rank),
            "told": replicas.tell({"coverage": 0.1 * (1 + rank)}),
        },
        f"{folder}/{rank}.pt",
    )
    dist.destroy_process_group()


def test_two_ranks_sum_gather_and_differentiate_like_one(tmp_path: Path) -> None:
    mp.start_processes(_rank, args=(str(tmp_path),), nprocs=2, start_method="spawn")
    first, second = (torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in (0, 1))
    x_N = torch.tensor([1.0, 2.0, 4.0, 9.0], dtype=torch.float64)
    w = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    _loss(x_N, w, Replicas(), 4).backward()
    for found in (first, second):
        torch.testing.assert_close(found["w"], w.grad, rtol=1e-12, atol=0)
        assert found["unused"].tolist() == [0.0, 0.0]
        assert found["gathered"].tolist() == x_N.tolist()
        assert torch.equal(found["images"], _images())
        assert found["agreed"] == 10
        assert found["told"] == {"coverage": 0.1}
    assert torch.equal(first["w"], second["w"])


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="does not divide by 2"):
        Replicas(0, 2).slice(torch.zeros(3))


def test_what_is_gathered_lies_as_nccl_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_gather(parts: list[Tensor], mine: Tensor) -> None:
        assert all(tensor.is_contiguous() for tensor in (*parts, mine))
        for part in parts:
            part.copy_(mine)

    monkeypatch.setattr(dist, "all_gather", all_gather)
    assert torch.equal(Replicas(0, 2).gather(_images()), torch.cat([_images()] * 2))
