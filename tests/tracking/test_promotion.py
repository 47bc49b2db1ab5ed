"""One champion, whoever dies where and however many promote at once."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
import torch

from ganlib.config import DcganGenerator, PromotionConfig
from ganlib.errors import Damaged, NotFound
from ganlib.models import build_generator, load_model, save_model
from ganlib.storage import Home, holding
from ganlib.tracking import (
    Decision,
    Evidence,
    RegisteredVersion,
    generator_gate,
    history,
    promote,
    register,
    rollback,
)
from ganlib.tracking.connection import connect
from ganlib.tracking.registry import aliases_of

NAME = "digits-generator"
GATE = generator_gate(PromotionConfig(), classes=2)


def evidence(coverage: float = 0.9) -> Evidence:
    return Evidence(
        judge="j",
        samples=500,
        metrics={
            "judge_accuracy": 0.99,
            "relative_coverage": coverage,
            "coverage": coverage,
            "scaled_distance": 0.01,
            "label_agreement": 0.98,
            "classes_present": 2,
        },
        spreads={"coverage": 0.005},
    )


def version(home: Home, seed: int) -> RegisteredVersion:
    torch.manual_seed(seed)
    network = DcganGenerator(width=4, latent_size=4, embedding_size=2)
    folder = home.root / "cache" / f"exported-{seed}"
    module = build_generator(network, size=8, channels=1, classes=2)
    save_model(module, folder, kind="generator", classes=["a", "b"], meta={})
    return register(
        home,
        folder,
        name=NAME,
        run_id=None,
        metrics={},
        dataset_fingerprint="d" * 16,
        config={},
    )


@pytest.fixture(scope="session")
def registered(
    tmp_path_factory: pytest.TempPathFactory, migrated: Path
) -> tuple[Path, list[RegisteredVersion]]:
    """A database with three versions, to be copied: their files stay where they are."""
    home = Home.open(tmp_path_factory.mktemp("registered") / "home")
    shutil.copyfile(migrated, home.mlflow_db)
    return home.mlflow_db, [version(home, seed) for seed in (1, 2, 3)]


@pytest.fixture
def three(home: Home, registered: tuple[Path, list[RegisteredVersion]]) -> list[RegisteredVersion]:
    shutil.copyfile(registered[0], home.mlflow_db)
    return registered[1]


def load(folder: Path) -> None:
    load_model(folder)


def offer(
    home: Home,
    candidate: RegisteredVersion,
    coverage: float = 0.9,
    *,
    champion: float = 0.9,
    **also: object,
) -> Decision:
    return promote(
        home,
        candidate,
        evidence(coverage),
        GATE,
        **{
            "reevaluate": lambda version: evidence(champion),
            "load_and_sample": load,
            **also,
        },
    )


def aliases(home: Home) -> dict[str, int]:
    return aliases_of(connect(home), NAME)


def nothing(*args: object) -> None:
    raise AssertionError("must not be called")


def test_first_second_refused_and_back(home: Home, three: list[RegisteredVersion]) -> None:
    one, two, last = three
    assert aliases(home) == {"candidate": 3}
    first = offer(home, one, reevaluate=nothing)
    assert (first.outcome, first.champion, first.previous, first.number) == ("promoted", 1, None, 1)
    second = offer(home, two)
    assert (second.outcome, second.champion, second.previous) == ("promoted", 2, 1)
    third = offer(home, last, 0.5)
    assert (third.outcome, third.champion) == ("refused", 2)
    assert "coverage is 0.5 and the champion's 0.9" in third.reasons[0]
    assert aliases(home) == {"champion": 2, "previous": 1, "challenger": 3}
    back = rollback(home, NAME, load_and_sample=load, reason="it looks wrong")
    assert (back.outcome, back.champion, back.previous) == ("rolled_back", 1, None)
    assert aliases(home) == {"champion": 1, "challenger": 3}
    with pytest.raises(NotFound, match="no champion before"):
        rollback(home, NAME, load_and_sample=load)
    frame = history(home, NAME)
    assert list(frame["number"]) == [1, 2, 3, 4]
    assert list(frame["outcome"]) == ["promoted", "promoted", "refused", "rolled_back"]
    assert set(frame["state"]) == {"closed"}


def test_a_champion_promoted_again_on_new_evidence_keeps_the_one_before(
    home: Home, three: list[RegisteredVersion]
) -> None:
    one, two, _ = three
    offer(home, one)
    offer(home, two)
    again = offer(home, two, 0.95, reevaluate=nothing)
    assert (again.outcome, again.champion, again.previous) == ("promoted", 2, 1)
    assert aliases(home) == {"champion": 2, "previous": 1, "candidate": 3}
    back = rollback(home, NAME, load_and_sample=load)
    assert (back.champion, back.previous) == (1, None)


def test_who_waits_for_another_promotion_says_so(
    home: Home, three: list[RegisteredVersion]
) -> None:
    taken, let_go = threading.Event(), threading.Event()

    def other() -> None:
        with holding(home.locks / f"promote-{NAME}.lock", "promoting"):
            taken.set()
            let_go.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    assert taken.wait(60)
    said: list[str] = []

    def wait(text: str) -> None:
        said.append(text)
        let_go.set()

    assert offer(home, three[0], on_wait=wait).outcome == "promoted"
    thread.join()
    assert len(said) == 1
    assert said[0].startswith("waiting for process")


def test_the_evidence_is_on_the_version(home: Home) -> None:
    one = version(home, 1)
    offer(home, one)
    offer(home, one, again=True)  # another decision takes the place of the first
    found = connect(home).get_model_version(NAME, "1")
    assert found.tags["ganlib.decision"] == "promoted"
    assert found.tags["ganlib.metric.coverage"] == "0.9"
    assert Evidence.model_validate_json(found.tags["ganlib.evidence"]) == evidence()
    assert found.description.startswith("Promoted: it reaches every limit")
    assert found.description.count("it reaches every limit") == 1
    assert "Generator of 8 x 8 x 1 images" in found.description


def test_asked_again_it_answers_from_the_history_without_loading(
    home: Home, three: list[RegisteredVersion]
) -> None:
    one, two, _ = three
    quiet = {"reevaluate": nothing, "load_and_sample": nothing}
    offer(home, one)
    again = offer(home, one, **quiet)
    assert (again.outcome, again.known, again.number) == ("promoted", True, 1)
    offer(home, two, 0.5)
    refused = offer(home, two, 0.5, **quiet)
    assert (refused.outcome, refused.known, refused.number) == ("refused", True, 2)
    assert len(history(home, NAME)) == 2
    better = offer(home, two, 0.95)
    assert (better.outcome, better.known) == ("promoted", False), "other evidence, another decision"


def test_what_was_rolled_back_from_does_not_return_by_the_next_schedule(
    home: Home, three: list[RegisteredVersion]
) -> None:
    one, two, _ = three
    offer(home, one)
    offer(home, two)
    rollback(home, NAME, load_and_sample=load)
    refused = offer(home, two, load_and_sample=nothing)
    assert (refused.outcome, refused.champion) == ("refused", 1)
    assert "rolled back" in refused.reasons[0]
    assert offer(home, one, load_and_sample=nothing).outcome == "promoted"
    assert offer(home, two, again=True).champion == 2


def test_a_champion_that_cannot_be_evaluated_leaves_it_open(
    home: Home, three: list[RegisteredVersion]
) -> None:
    one, two, _ = three
    offer(home, one)

    def broken(version: RegisteredVersion) -> Evidence:
        hint = "give the pipeline another name: --set name=..."
        raise Damaged("weights.safetensors is damaged", where="weights.safetensors", hint=hint)

    told = offer(home, two, reevaluate=broken)
    assert told.outcome == "cannot_tell"
    assert "the champion, version 1, cannot be evaluated" in told.reasons[0]
    assert "--set name=..." in told.reasons[0], "what to do is part of the answer"
    assert aliases(home)["champion"] == 1


def test_changed_bytes_are_never_promoted(home: Home) -> None:
    one = version(home, 1)
    weights = next(home.artifacts.rglob("weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(Damaged):
        offer(home, one)
    assert aliases(home) == {"candidate": 1}
    assert list(history(home, NAME)["state"]) == ["abandoned"]


def test_aliases_moved_or_dropped_by_hand_are_put_back(home: Home) -> None:
    one, two = version(home, 1), version(home, 2)
    offer(home, one)
    client = connect(home)
    client.set_registered_model_alias(NAME, "champion", "2")
    client.set_registered_model_alias(NAME, "previous", "2")
    offer(home, one)
    assert aliases(home) == {"champion": 1, "candidate": 2}
    offer(home, two)
    client.delete_model_version(NAME, "2")
    assert "champion" not in aliases(home)
    offer(home, one, again=True)
    assert aliases(home)["champion"] == 1


class Crash(BaseException):
    """Nothing may catch it: like SIGKILL."""


STEPS = ["gate", "claimed", "digest", "loaded", "verified", "evidence", "aliases", "closed"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", ["promote", "rollback", "refuse"])
def test_a_crash_between_any_two_steps_is_completed_or_undone(
    home: Home, three: list[RegisteredVersion], step: str, kind: str
) -> None:
    one, two, last = three
    offer(home, one)
    if kind == "rollback":
        offer(home, two)

    def die(at: str) -> None:
        if at == step:
            raise Crash

    died = False
    try:
        if kind == "rollback":
            rollback(home, NAME, load_and_sample=load, on_step=die)
        else:
            offer(home, two, 0.9 if kind == "promote" else 0.3, on_step=die)
    except Crash:
        died = True
    assert died or kind != "promote"
    # The next caller does something else altogether, and finds things whole.
    offer(home, last, 0.1)
    frame = history(home, NAME)
    assert not (frame["state"] == "open").any()
    assert frame["number"].is_unique
    closed = frame[frame["state"] == "closed"]
    done = STEPS.index(step) >= STEPS.index("verified")
    wanted = {
        ("promote", True): (2, 1),
        ("promote", False): (1, None),
        ("rollback", True): (1, None),
        ("rollback", False): (2, 1),
    }
    held = aliases(home)
    if kind == "refuse":
        assert (held["champion"], held.get("previous")) == (1, None)
    else:
        known = died and not done
        assert (held["champion"], held.get("previous")) == wanted[kind, not known]
    decision = connect(home).get_model_version(NAME, str(held["champion"])).tags["ganlib.decision"]
    assert decision in ("promoted", "rolled_back")
    # And the same command again ends as if nothing had happened.
    if kind == "promote":
        assert offer(home, two).champion == 2
        assert list(closed["outcome"]).count("promoted") == (2 if done else 1)


@pytest.mark.parametrize("homes", [1, 2])
def test_two_at_once_end_with_one_champion(
    home: Home, tmp_path: Path, homes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one home they queue at its lock, of two homes (two machines) by their numbers."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home.mlflow_db}")
    places = [home, home if homes == 1 else Home.open(tmp_path / "other")]
    offered = [version(home, seed) for seed in range(4)]
    decisions: list[Decision] = []
    start = threading.Barrier(4)

    def one(index: int) -> None:
        start.wait()
        decisions.append(offer(places[index % 2], offered[index]))

    threads = [threading.Thread(target=one, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [decision.outcome for decision in decisions] == ["promoted"] * 4
    frame = history(home, NAME)
    closed = frame[frame["state"] == "closed"]
    assert not (frame["state"] == "open").any()
    assert frame["number"].is_unique
    assert len(closed) == 4
    chain = [None if pd_missing(before) else int(before) for before in closed["before"]]
    assert chain == [None, *list(closed["version"])[:-1]], "each was compared with the one before"
    held = aliases(home)
    assert held["champion"] == closed["version"].iloc[-1]
    assert held["previous"] == closed["version"].iloc[-2]


def pd_missing(value: object) -> bool:
    import pandas as pd

    return value is pd.NA
