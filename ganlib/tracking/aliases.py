"""What MLflow's pages show of a decision: aliases, and the evidence on the version itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from ganlib.errors import StorageError
from ganlib.tracking.card import LONGEST
from ganlib.tracking.connection import error_code
from ganlib.tracking.history import Entry, Outcome
from ganlib.tracking.registry import CANDIDATE, aliases_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"


def project(
    client: MlflowClient, name: str, stack: list[int], *, challenger: int | None = None
) -> None:
    """Make the aliases say what the history says, and read them back.

    champion and previous are the last two of `stack`; challenger is the last that was judged and
    not promoted; a champion is neither candidate nor challenger. Raises StorageError if MLflow does
    not keep them.
    """
    held = aliases_of(client, name)
    champion = stack[-1] if stack else None
    wanted = {
        CHAMPION: champion,
        PREVIOUS: stack[-2] if len(stack) > 1 else None,
        CHALLENGER: challenger if challenger is not None else held.get(CHALLENGER),
        CANDIDATE: held.get(CANDIDATE),
    }
    for alias in (CHALLENGER, CANDIDATE):
        if wanted[alias] == champion:
            wanted[alias] = None
    if wanted[CANDIDATE] == wanted[CHALLENGER]:
        wanted[CANDIDATE] = None
    for alias, version in wanted.items():
        if held.get(alias) == version:
            continue
        if version is None:
            client.delete_registered_model_alias(name, alias)
        else:
            client.set_registered_model_alias(name, alias, str(version))
    found = aliases_of(client, name)
    if {alias: found.get(alias) for alias in wanted} != wanted:
        raise StorageError(
            f"the aliases of {name} are {found}, and {wanted} was written",
            where=name,
            hint="somebody else moves them: run again",
        )


def write_evidence(client: MlflowClient, name: str, entry: Entry) -> None:
    """The decision and its evidence as tags, the first line of the card, and a JSON artifact."""
    act, number = entry.act, str(entry.act.version)
    version = client.get_model_version(name, number)
    tags = {
        "ganlib.decision": act.outcome,
        "ganlib.history": str(entry.number),
        "ganlib.reasons": "; ".join(act.reasons),
    }
    if act.evidence is not None:
        tags["ganlib.judge"] = act.evidence.judge
        tags["ganlib.evidence"] = act.evidence.model_dump_json()
        for key, value in act.evidence.metrics.items():
            tags[f"ganlib.metric.{key}"] = "not measured" if value is None else f"{value:.6g}"
    for key, text in tags.items():
        client.set_model_version_tag(name, number, key, text)
    sentence = f"{_words(act.outcome)}: {'; '.join(act.reasons)}."
    body = version.description or ""
    if body.startswith(tuple(f"{_words(outcome)}: " for outcome in get_args(Outcome))):
        body = body.partition("\n\n")[2]
    client.update_model_version(name, number, f"{sentence}\n\n{body}"[:LONGEST])
    if version.run_id:
        try:
            told = act.model_dump(mode="json")
            client.log_dict(version.run_id, told, f"promotion/{name}-{entry.number}.json")
        except Exception as error:
            if error_code(error) != "RESOURCE_DOES_NOT_EXIST":
                raise  # a run that was deleted takes no evidence, and needs none


def _words(outcome: str) -> str:
    return outcome.replace("_", " ").capitalize()
