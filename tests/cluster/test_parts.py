"""Parts on Ray's processes: in order, after a loss too, and with errors that say what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlib.cluster import RayWorkers
from ganlib.errors import ConfigError, StageFailed, WorkersLost
from tests.cluster import pieces
from tests.cluster.conftest import CLUSTER


@pytest.mark.usefixtures("ray_up")
def test_parts_come_in_order_a_lost_one_again_and_errors_as_themselves(tmp_path: Path) -> None:
    workers = RayWorkers(CLUSTER, tmp_path / "ray.log")
    assert workers.width == 2
    assert workers.each(pieces.double, [(number,) for number in range(5)]) == [0, 2, 4, 6, 8]
    assert workers.each(pieces.double, []) == []
    assert workers.spent
    assert all(0 < spent.idle_mb <= spent.peak_mb for spent in workers.spent.values())
    jobs = [(tmp_path, number) for number in range(5)]
    assert workers.each(pieces.killed_once, jobs) == [0, 2, 4, 6, 8]
    assert (tmp_path / "killed").exists()
    with pytest.raises(ConfigError, match="1 is none") as caught:
        workers.each(pieces.refused, [(1,)])
    assert (caught.value.where, caught.value.hint) == ("number", "take another")
    with pytest.raises(ConfigError, match="0 is none"):
        workers.each(pieces.refused_beside, [(tmp_path, 0), (tmp_path, 1)])
    assert (tmp_path / "ended").exists()  # nothing that runs is cancelled
    with pytest.raises(StageFailed, match=r"a part of the evaluation failed: .*division"):
        workers.each(pieces.broken, [(1,)])
    with pytest.raises(WorkersLost, match="a part of the evaluation failed"):
        workers.each(pieces.killed, [(1,)])
