"""What there is to run on, and what an autoscaler would bring."""

from __future__ import annotations

import pytest
import ray

from ganlib.cluster import devices
from ganlib.cluster.devices import Devices
from ganlib.config import ClusterConfig
from ganlib.errors import ConfigError

TWO = ClusterConfig(workers=2, threads=1)


def test_what_is_up_is_what_there_is() -> None:
    found = Devices.among({"CPU": 4.0, "GPU": 1.0}, TWO)
    assert (found.kind, found.cpus, found.gpus) == ("cuda", 4, 1)
    assert found.workers(2, batch=64) == 1
    with pytest.raises(ConfigError, match="Ray has 0"):
        Devices.among({}, TWO).workers(2, batch=64)


def test_the_fewest_of_a_range_are_enough() -> None:
    one, gpu = Devices.among({"CPU": 1.0}, TWO), Devices.among({"CPU": 4.0, "GPU": 1.0}, TWO)
    assert one.workers(4, batch=64, fewest=1) == gpu.workers(4, batch=64, fewest=1) == 4
    with pytest.raises(ConfigError, match="2 workers of 1 threads want 2 CPUs, and Ray has 1"):
        one.workers(4, batch=64, fewest=2)


def test_nodes_that_come_when_they_are_asked_for_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cluster that has scaled to nothing has neither CPU nor GPU."""
    monkeypatch.setenv("GANLIB_RAY_CPUS", "64")
    monkeypatch.setenv("GANLIB_RAY_GPUS", "8")
    found = Devices.among({}, TWO)
    assert (found.kind, found.cpus, found.gpus) == ("cuda", 64, 8)
    assert found.workers(2, batch=64) == 2
    assert found.of_worker() == {"CPU": 1.0, "GPU": 1.0}


def test_a_promise_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLIB_RAY_GPUS", "eight")
    with pytest.raises(ConfigError, match="GANLIB_RAY_GPUS='eight'"):
        Devices.among({"CPU": 4.0}, TWO)


@pytest.mark.parametrize(("ours", "cpus"), [(False, 2), (True, 1)])
def test_a_node_that_is_late_is_waited_for_on_a_cluster_that_was_joined(
    monkeypatch: pytest.MonkeyPatch, ours: bool, cpus: int
) -> None:
    up = iter([{"CPU": 1.0}, {"CPU": 1.0}, {"CPU": 2.0}])
    monkeypatch.setattr(ray, "cluster_resources", lambda: next(up))
    monkeypatch.setattr(devices, "is_local", lambda: ours)
    monkeypatch.setattr(devices, "POLL_S", 0.0)
    assert Devices.of(TWO).cpus == cpus


def test_where_fewer_are_enough_the_others_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    up = iter([{"CPU": 1.0}])
    monkeypatch.setattr(ray, "cluster_resources", lambda: next(up))
    monkeypatch.setattr(devices, "is_local", lambda: False)
    assert Devices.of(TWO, fewest=1).cpus == 1


def test_a_node_that_never_comes_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 1.0})
    monkeypatch.setattr(devices, "LATE_S", 0.0)
    with pytest.raises(ConfigError, match="Ray has 1"):
        Devices.of(TWO).workers(2, batch=64)
