"""A range of workers: as many train as there are places, also on a real Ray that changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.train import ScalingConfig
from ray.train.v2._internal.execution.scaling_policy import (
    ElasticScalingPolicy,
    NoopDecision,
    ResizeDecision,
)

from ganlib.bench.ray_nodes import ray_nodes
from ganlib.cluster import elastic
from ganlib.cluster.elastic import Elastic
from ganlib.cluster.fit import _for
from ganlib.config import Budget, Cadence
from ganlib.data import Dataset
from ganlib.storage import read_json
from tests.cluster.conftest import small_gan, spec_of
from tests.cluster.on_nodes import driving, journal, newest, notes, places

REPORTING = Cadence(report=320, evaluate=10**9, sample=10**9, snapshot=1_600)
IMAGES = 40_000


class Group:
    """What Ray tells of a group of two that has trained for long."""

    start_time = -1e9
    num_workers = 2


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Elastic:
    """For one, two or four workers; nodes `a` to `d` have one CPU each, `d` was given notice."""
    monkeypatch.setattr(elastic.state, "get_draining_nodes", lambda: {"d": 0})
    monkeypatch.setattr(ElasticScalingPolicy, "_maybe_send_resource_request", lambda self: None)
    return Elastic(ScalingConfig(num_workers=(1, 4)), (4, 1, 2), tmp_path)


def has(policy: Elastic, monkeypatch: pytest.MonkeyPatch, nodes: str, cpus: float = 1.0) -> None:
    reserved = {name: {"CPU": cpus} for name in nodes}
    monkeypatch.setattr(policy, "_get_reserved_resources", lambda: reserved)


@pytest.mark.parametrize(
    ("nodes", "cpus", "expected"),
    [("a", 1.0, 1), ("abc", 1.0, 2), ("abcd", 1.0, 2), ("ab", 2.0, 4), ("ab", 9.0, 4)],
)
def test_a_group_is_of_as_many_as_have_places_and_share_the_batch(
    policy: Elastic, monkeypatch: pytest.MonkeyPatch, nodes: str, cpus: float, expected: int
) -> None:
    has(policy, monkeypatch, nodes, cpus)
    decision = policy.make_decision_for_non_running_worker_group()
    assert (type(decision), decision.num_workers) == (ResizeDecision, expected)


def test_without_a_place_for_the_fewest_it_waits(
    policy: Elastic, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(policy, monkeypatch, "d")
    assert isinstance(policy.make_decision_for_non_running_worker_group(), NoopDecision)


def test_numbers_that_do_not_share_the_batch_are_left_out(digits: Dataset, tmp_path: Path) -> None:
    spec = spec_of(small_gan(), digits, tmp_path)  # a batch of 32
    found = [_for(spec, workers, fewest) for workers, fewest in ((4, 1), (4, 3), (2, 9), (4, None))]
    assert [one.workers for one in found] == [4, 4, 2, 4]
    assert [one.elastic for one in found] == [(1, 2, 4), (), (), ()]


def published(folder: Path, clock: int) -> None:
    (folder / f"{clock:012d}").mkdir()
    (folder / f"{clock:012d}" / "meta.json").touch()


def test_a_healthy_group_grows_when_there_is_a_new_snapshot(
    policy: Elastic, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def asked() -> Any:
        return policy.make_decision_for_running_worker_group(Group(), None)

    published(tmp_path, 100)
    has(policy, monkeypatch, "ab", 2.0)
    for _ in range(3):
        assert isinstance(asked(), NoopDecision)
    published(tmp_path, 200)
    assert asked().num_workers == 4
    assert isinstance(asked(), NoopDecision)


def test_a_place_that_is_gone_before_the_snapshot_is_no_reason_to_stop(
    policy: Elastic, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    has(policy, monkeypatch, "ab", 2.0)
    policy.make_decision_for_running_worker_group(Group(), None)
    has(policy, monkeypatch, "abc")
    published(tmp_path, 100)
    decision = policy.make_decision_for_running_worker_group(Group(), None)
    assert isinstance(decision, NoopDecision)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_loses_a_node_goes_on_with_one_worker_to_its_end(
    digits: Dataset, tmp_path: Path
) -> None:
    config = small_gan(budget=Budget(images=IMAGES), cadence=REPORTING)
    outcome = tmp_path / "run" / "outcome.json"
    with ray_nodes(1, 1) as nodes, driving(nodes, "range", config, digits, tmp_path) as waiting:
        waiting(lambda: any((tmp_path / "run" / "snapshots").glob("*/meta.json")))
        assert len(places(nodes)) == 2
        nodes.kill(1)
        waiting(lambda: any("resuming with 1 workers" in note for note in notes(tmp_path)))
        assert not outcome.exists()
        waiting(lambda: len(places(nodes)) == 1)
        waiting(outcome.exists)
    first, *others = notes(tmp_path)
    assert "resuming with 1 workers a snapshot made by 2: equal up to rounding" in first
    assert others[0].startswith("resumed at ")
    assert read_json(outcome)["outcome"]["clock"] == IMAGES
    model = read_json(tmp_path / "run" / "model" / "network.json")
    assert model["meta"]["belongs"]["workers"] == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_began_with_one_worker_takes_a_node_that_comes(
    digits: Dataset, tmp_path: Path
) -> None:
    config = small_gan(budget=Budget(images=10**9), cadence=REPORTING)
    with ray_nodes(1) as nodes, driving(nodes, "range", config, digits, tmp_path) as waiting:
        waiting(lambda: newest(tmp_path) > 0)
        assert len(places(nodes)) == 1
        nodes.join(1)
        waiting(lambda: len(places(nodes)) == 2)
        waiting(lambda: any(note.startswith("resumed at") for note in notes(tmp_path)))
        said = [line for line in journal(tmp_path) if line["kind"] in ("note", "metrics")]
        back = next(n for n, line in enumerate(said) if "resumed at" in line.get("text", ""))
        clock = int(said[back]["text"].split()[2])
        assert "resuming with 2 workers a snapshot made by 1" in said[back - 1]["text"]
        trained = max(line["clock"] for line in said[:back] if line["kind"] == "metrics")
        assert trained < clock + config.cadence.snapshot  # the snapshot was waited for
        waiting(lambda: newest(tmp_path) > clock)
