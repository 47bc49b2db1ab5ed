"""The stream of epochs is a function of the position alone."""

from __future__ import annotations

import pytest
import torch

from ganlib.data import order


def test_every_epoch_shows_each_image_once() -> None:
    stream = order.indices(7, seed=3, start=0, count=21).reshape(3, 7)
    assert torch.equal(stream.sort(dim=1).values, torch.arange(7).expand(3, 7))
    assert not torch.equal(stream[0], stream[1])


def test_pieces_make_the_whole() -> None:
    whole = order.indices(10, seed=0, start=0, count=45)
    pieces = [order.indices(10, seed=0, start=s, count=9) for s in range(0, 45, 9)]
    assert torch.equal(torch.cat(pieces), whole)
    assert whole.dtype == torch.int64


def test_seeds_differ_and_nothing_cannot_be_ordered() -> None:
    assert not torch.equal(order.indices(50, 0, 0, 50), order.indices(50, 1, 0, 50))
    assert len(order.indices(5, 0, 3, 0)) == 0
    with pytest.raises(ValueError, match="no order of 0 images"):
        order.indices(0, 0, 0, 1)
