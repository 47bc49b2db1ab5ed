"""Who is champion: one transaction per decision, finished or undone by the next call if it dies.

    gate -> claim a number -> check digest, load, sample -> evidence on the version
         -> move aliases -> read them back -> close the entry

Until the entry is `verified` the next caller undoes it; from there on the next caller finishes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.config import Config, fingerprint
from ganlib.errors import Busy, GanlibError, NotFound
from ganlib.storage import Home, holding
from ganlib.tracking import history as log_of
from ganlib.tracking.aliases import project, write_evidence
from ganlib.tracking.connection import connect, explained
from ganlib.tracking.gate import Evidence, Gate, Verdict, decide
from ganlib.tracking.history import Act, Entry, champions, claim, entries, is_alive, mark, owning
from ganlib.tracking.registry import RegisteredVersion, fetch, get_version, versions_of

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

WAIT_S = 900.0
Outcome = log_of.Outcome


class Decision(Config):
    """`champion` and `previous` are the versions that hold these aliases now.

    `known`: nothing was evaluated or loaded, the history had this very answer.
    """

    outcome: Outcome
    name: str
    version: int
    champion: int | None
    previous: int | None
    reasons: tuple[str, ...]
    number: int
    known: bool = False


def promote(
    home: Home,
    candidate: RegisteredVersion,
    evidence: Evidence,
    gate: Gate,
    *,
    reevaluate: Callable[[RegisteredVersion], Evidence],
    load_and_sample: Callable[[Path], None],
    also: tuple[str, ...] = (),
    again: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
    on_wait: Callable[[str], None] | None = None,
) -> Decision:
    """Make `candidate` champion, or say why not.

    `reevaluate` measures the champion as the candidate was measured, by the same judge, and is
    called if there is another champion. `load_and_sample` gets the exported folder as the registry
    holds it and raises if it is unusable; its error ends the call and nothing was promoted. A
    version that was rolled back from is refused on the same evidence, unless `again`. `also` is
    what the decision says after its reasons. `on_wait` is told for whom it waits.
    """
    asked = fingerprint(evidence, gate)
    with _transaction(home, candidate.name, on_wait) as (client, owner):
        while True:
            log, stack = _settled(client, candidate.name)
            known = None if again else _known(log, stack, candidate, asked)
            if known is not None:
                return known
            on_step("gate")
            champion = stack[-1] if stack else None
            verdict, theirs = _judge(client, candidate, champion, evidence, gate, reevaluate)
            act = Act(
                outcome=verdict.outcome,
                version=candidate.version,
                before=champion,
                reasons=(*verdict.reasons, *also),
                asked=asked,
                evidence=evidence,
                champion_evidence=theirs,
                owner=owner,
                at=time.time(),
            )
            refused = verdict.outcome != "promoted"
            entry = claim(client, candidate.name, act, verified=refused)
            on_step("claimed")
            if not _is_turn(client, candidate.name, entry, champion):
                continue
            if refused:  # nothing to load: it only has to be written down
                _complete(client, candidate.name, entry, on_step)
                return _decision(candidate.name, entry, stack)
            return _carry_out(home, client, candidate.name, entry, load_and_sample, on_step)


def rollback(
    home: Home,
    name: str,
    *,
    load_and_sample: Callable[[Path], None],
    reason: str = "asked for",
    on_step: Callable[[str], None] = lambda step: None,
    on_wait: Callable[[str], None] | None = None,
) -> Decision:
    """Make the champion before the present one champion again; raises NotFound if there is none."""
    with _transaction(home, name, on_wait) as (client, owner):
        while True:
            _, stack = _settled(client, name)
            if len(stack) < 2:
                raise NotFound(
                    f"{name} has no champion before the present one",
                    where=name,
                    hint="ganlib status shows its history",
                )
            act = Act(
                outcome="rolled_back",
                version=stack[-2],
                before=stack[-1],
                reasons=(f"rolled back from version {stack[-1]}: {reason}",),
                owner=owner,
                at=time.time(),
            )
            entry = claim(client, name, act)
            on_step("claimed")
            if not _is_turn(client, name, entry, stack[-1]):
                continue
            return _carry_out(home, client, name, entry, load_and_sample, on_step)


def history(home: Home, name: str) -> pd.DataFrame:
    """All decisions on the registered model `name`, in order; empty if there were none."""
    import pandas as pd

    with explained(f"the history of {name}"):
        rows = log_of.rows(entries(connect(home), name))
    columns = ["number", "state", "outcome", "version", "before", "at", "reasons", "judge"]
    frame = pd.DataFrame(rows, columns=[*columns, "evidence"])
    frame["at"] = pd.to_datetime(frame["at"], unit="s")
    return frame.astype({"before": "Int64"})


# -- the transaction -----------------------------------------------------------------------------


@contextmanager
def _transaction(
    home: Home, name: str, on_wait: Callable[[str], None] | None
) -> Iterator[tuple[MlflowClient, str]]:
    """One at a time on this home; between homes the numbers decide."""
    lock = home.locks / f"promote-{name}.lock"
    with (
        holding(lock, f"promotion of {name}", wait=WAIT_S, on_wait=on_wait),
        explained(f"promoting {name}"),
        owning() as owner,
    ):
        yield connect(home), owner


def _settled(client: MlflowClient, name: str) -> tuple[list[Entry], list[int]]:
    """Finish or undo what dead callers left, put the aliases right; the history and champions."""
    log = entries(client, name)
    for index, entry in enumerate(log):
        if entry.state != "open" or is_alive(entry):
            continue
        if entry.verified:
            log[index] = _complete(client, name, entry, lambda step: None)
        else:
            mark(client, name, entry, "state", "abandoned")
            log[index] = replace(entry, state="abandoned")
    stack = _champions(client, name, log)
    if not any(entry.state == "open" for entry in log):
        project(client, name, stack)
    return log, stack


def _champions(client: MlflowClient, name: str, log: list[Entry]) -> list[int]:
    """Those that nobody deleted from the registry."""
    there = {int(version.version) for version in versions_of(client, name)}
    found = (version for version in champions(log) if version in there)
    return [version for version, _ in groupby(found)]


def _is_turn(client: MlflowClient, name: str, entry: Entry, champion: int | None) -> bool:
    """Wait for lower numbers; false, and the entry is abandoned, if they changed the champion."""
    end = time.monotonic() + WAIT_S
    while True:
        log = entries(client, name)
        ahead = [e for e in log if e.number < entry.number and e.state == "open"]
        if not ahead:
            break
        if any(not is_alive(e) for e in ahead):
            _settled(client, name)
        elif time.monotonic() > end:
            mark(client, name, entry, "state", "abandoned")
            raise Busy(
                f"promotion of {name} is being done by {ahead[0].act.owner}",
                where=name,
                hint="wait for it and run again",
            )
        time.sleep(0.1)
    stack = _champions(client, name, log)
    if (stack[-1] if stack else None) == champion:
        return True
    mark(client, name, entry, "state", "abandoned")
    return False


def _carry_out(
    home: Home,
    client: MlflowClient,
    name: str,
    entry: Entry,
    load_and_sample: Callable[[Path], None],
    on_step: Callable[[str], None],
) -> Decision:
    try:
        target = get_version(client, name, entry.act.version)
        folder = fetch(home, target.uri, fresh=True)
        on_step("digest")
        load_and_sample(folder)
    except GanlibError:
        mark(client, name, entry, "state", "abandoned")
        raise
    on_step("loaded")
    mark(client, name, entry, "verified", "true")
    on_step("verified")
    _complete(client, name, entry, on_step)
    return _decision(name, entry, _champions(client, name, entries(client, name)))


def _complete(
    client: MlflowClient, name: str, entry: Entry, on_step: Callable[[str], None]
) -> Entry:
    """From a verified entry to a closed one; each step may be repeated."""
    write_evidence(client, name, entry)
    on_step("evidence")
    closed = replace(entry, state="closed")
    log = [closed if e.number == entry.number else e for e in entries(client, name)]
    refused = entry.act.outcome in ("refused", "cannot_tell")
    project(
        client,
        name,
        _champions(client, name, log),
        challenger=entry.act.version if refused else None,
    )
    on_step("aliases")
    mark(client, name, entry, "state", "closed")
    on_step("closed")
    return closed


# -- the decision --------------------------------------------------------------------------------


def _judge(
    client: MlflowClient,
    candidate: RegisteredVersion,
    champion: int | None,
    evidence: Evidence,
    gate: Gate,
    reevaluate: Callable[[RegisteredVersion], Evidence],
) -> tuple[Verdict, Evidence | None]:
    if champion is None or champion == candidate.version:
        return decide(evidence, None, gate), None
    alone = decide(evidence, None, gate)
    if alone.outcome != "promoted":
        return alone, None
    try:
        theirs = reevaluate(get_version(client, candidate.name, champion))
    except GanlibError as error:
        reason = f"the champion, version {champion}, cannot be evaluated: {error.message}"
        reason += f" ({error.hint})" if error.hint else ""
        return Verdict(outcome="cannot_tell", reasons=(reason,)), None
    return decide(evidence, theirs, gate), theirs


def _known(
    log: list[Entry], stack: list[int], candidate: RegisteredVersion, asked: str
) -> Decision | None:
    """The answer that the history has already: same version, same evidence, same champion."""
    champion = stack[-1] if stack else None
    for entry in reversed(log):
        act = entry.act
        if entry.state != "closed":
            continue
        if act.outcome == "rolled_back" and act.before == candidate.version:
            return _gone_back_from(log, stack, entry, candidate, asked)
        if act.version != candidate.version or act.asked != asked:
            continue
        holds = act.outcome == "promoted" and champion == candidate.version
        refused = act.outcome != "promoted" and act.before == champion
        if holds or refused:
            return _decision(candidate.name, entry, stack, known=True)
    return None


def _gone_back_from(
    log: list[Entry], stack: list[int], back: Entry, candidate: RegisteredVersion, asked: str
) -> Decision | None:
    same = any(e.act.version == candidate.version and e.act.asked == asked for e in log)
    if not same:
        return None
    return Decision(
        outcome="refused",
        name=candidate.name,
        version=candidate.version,
        champion=stack[-1] if stack else None,
        previous=stack[-2] if len(stack) > 1 else None,
        reasons=(f"version {candidate.version} was rolled back from, and nothing new is known",),
        number=back.number,
        known=True,
    )


def _decision(name: str, entry: Entry, stack: list[int], *, known: bool = False) -> Decision:
    return Decision(
        outcome=entry.act.outcome,
        name=name,
        version=entry.act.version,
        champion=stack[-1] if stack else None,
        previous=stack[-2] if len(stack) > 1 else None,
        reasons=entry.act.reasons,
        number=entry.number,
        known=known,
    )
