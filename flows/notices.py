"""Who is told when a run of a schedule ends badly: automations on Prefect's server.

Where a message goes to, and every secret in that, is a notification block of the server (Slack,
Teams, e-mail, any webhook), named as Prefect names it: TYPE/NAME. An automation watches the final
states of runs of our deployments, which carry the tag `ganlib`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, assert_never, get_args

from flows.schedules import COLLAPSED, DIVERGED, NOT_PROMOTED, SKIPPED
from ganlib.config import Config
from ganlib.errors import NotFound

Cause = Literal["collapse", "refusal", "failure", "dead-run"]
CAUSES: tuple[Cause, ...] = get_args(Cause)
PREFIX = "ganlib: "
FINDER = f"{PREFIX}find dead runs"
SILENCE = timedelta(minutes=10)
"""A run that has sent none of Prefect's heartbeats (every 3 minutes) for so long is dead."""
ENDS = ("Completed", "Failed", "Crashed", "Cancelling", "Cancelled", "TimedOut", "Paused")
OWN_ENDS = (SKIPPED, NOT_PROMOTED, COLLAPSED, DIVERGED)
PAGE = 200

SUBJECTS: dict[Cause, str] = {
    "collapse": "collapsed",
    "refusal": "was not promoted",
    "failure": "failed",
    "dead-run": "died",
}
BODY = "{{ flow_run.state.message }}\n\n{{ flow_run|ui_url or '' }}"


class Notice(Config):
    """One automation: what it is told of, and the block it is told to."""

    cause: Cause
    block: str
    automation: str
    enabled: bool = True


def notify(block: str, causes: Sequence[Cause]) -> list[Notice]:
    """Tell `block` of `causes`, and of no others from now on; the same twice changes nothing.

    Raises NotFound for a block that is not on the server, with those that are.
    """
    with _client() as client:
        target = _block(client, block)
        there = _ours(client)
        made = []
        for cause in CAUSES:
            name = _name(cause, block)
            if cause not in causes:
                _delete(client, there.get(name))
                continue
            made.append(_notice(cause, block, _put(client, there, _telling(cause, block, target))))
        _finder(client)
    return made


def notices() -> list[Notice]:
    """What the server has of ours, by name."""
    with _client() as client:
        return [told for _, one in sorted(_ours(client).items()) if (told := _read(one))]


def withdraw(block: str) -> list[Notice]:
    """`block` is told of nothing any more; what it was told of. The block itself stays."""
    with _client() as client:
        gone = []
        for _, one in sorted(_ours(client).items()):
            told = _read(one)
            if told and told.block == block:
                _delete(client, one)
                gone.append(told)
        _finder(client)
    return gone


def _name(cause: Cause, block: str) -> str:
    return f"{PREFIX}{cause} to {block}"


def _states(cause: Cause) -> tuple[str, ...]:
    match cause:
        case "collapse":
            return (COLLAPSED,)
        case "refusal":
            return (NOT_PROMOTED,)
        case "failure":
            return ("Failed", "TimedOut", DIVERGED)
        case "dead-run":
            return ("Crashed",)
        case _:
            assert_never(cause)


def _telling(cause: Cause, block: str, target: Any) -> Any:
    from prefect.events.actions import SendNotification
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name=_name(cause, block),
        description=f"Made by ganlib schedule notify {block}",
        trigger=EventTrigger(
            expect={f"prefect.flow-run.{state}" for state in _states(cause)},
            match=_any_run(),
            match_related=_tagged(),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            SendNotification(
                block_document_id=target.id,
                subject=f"ganlib: {{{{ flow_run.name }}}} {SUBJECTS[cause]}",
                body=BODY,
            )
        ],
    )


def _finding() -> Any:
    """A run whose worker died with it says nothing: its silence is turned into Crashed."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name=FINDER,
        description="Made by ganlib schedule notify: runs that fell silent are ended as Crashed.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={f"prefect.flow-run.{told}" for told in ("heartbeat", *ENDS, *OWN_ENDS)},
            match=_any_run(),
            match_related=_tagged(),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"Nothing was heard of it for {SILENCE.seconds // 60} minutes; the next "
                "run continues it.",
            )
        ],
    )


def _any_run() -> Any:
    from prefect.events.schemas.events import ResourceSpecification

    return ResourceSpecification.model_validate({"prefect.resource.id": "prefect.flow-run.*"})


def _tagged() -> Any:
    from prefect.events.schemas.events import ResourceSpecification

    related = {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.ganlib"}
    return ResourceSpecification.model_validate(related)


def _put(client: Any, there: dict[str, Any], wanted: Any) -> Any:
    """Made, or changed to what is wanted; one that was disabled in Prefect's page stays so."""
    found = there.get(wanted.name)
    if found is None:
        return client.read_automation(client.create_automation(wanted))
    wanted = wanted.model_copy(update={"enabled": found.enabled})
    if _same(found, wanted):
        return found
    client.update_automation(found.id, wanted)
    return client.read_automation(found.id)


def _same(found: Any, wanted: Any) -> bool:
    told = {"name", "description", "trigger", "actions"}
    return bool(found.model_dump(include=told) == wanted.model_dump(include=told))


def _finder(client: Any) -> None:
    """There while somebody is told of dead runs."""
    there = _ours(client)
    if any((told := _read(one)) and told.cause == "dead-run" for one in there.values()):
        _put(client, there, _finding())
    else:
        _delete(client, there.get(FINDER))


def _delete(client: Any, found: Any) -> None:
    if found is not None:
        client.delete_automation(found.id)


def _ours(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for offset in range(0, 100 * PAGE, PAGE):
        page = client.read_automations(limit=PAGE, offset=offset)
        found |= {one.name: one for one in page if one.name.startswith(PREFIX)}
        if len(page) < PAGE:
            break
    return found


def _read(automation: Any) -> Notice | None:
    for cause in CAUSES:
        start = _name(cause, "")
        if automation.name.startswith(start):
            return _notice(cause, automation.name.removeprefix(start), automation)
    return None


def _notice(cause: Cause, block: str, automation: Any) -> Notice:
    return Notice(
        cause=cause, block=block, automation=str(automation.id), enabled=automation.enabled
    )


def _block(client: Any, block: str) -> Any:
    """Without its secrets, which stay on the server."""
    documents = client.read_block_documents(include_secrets=False)
    named = {
        f"{one.block_type.slug}/{one.name}": one
        for one in documents
        if one.name and "notify" in one.block_schema.capabilities
    }
    if block not in named:
        known = ", ".join(sorted(named))
        raise NotFound(
            f"there is no notification block {block!r} on this Prefect server",
            where=block,
            hint=f"there are {known}"
            if known
            else "make one in Prefect's page under Blocks, as Slack Webhook or Custom Webhook; it "
            "is then called slack-webhook/NAME",
        )
    return named[block]


def _client() -> Any:
    from prefect.client.orchestration import get_client

    return get_client(sync_client=True)
