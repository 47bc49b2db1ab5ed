"""Messages on bad ends: real automations of a real server, and a receiver of webhooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows import notices
from flows.notices import CAUSES, Cause
from ganlib.errors import Collapsed, Diverged, NotFound
from ganlib.stages.values import Decision, EvaluationResult, RegisteredModel

TOKEN = "planted-webhook-token"
MODEL = RegisteredModel(
    name="digits-generator", version="2", uri="models:/digits-generator/2", aliases=(),
    verdict="refused",
)  # fmt: skip


class Receiver:
    """What arrived, in order, and with which authorization."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.tokens: set[str] = set()
        self._more = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(json.loads(body), self.headers["Authorization"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *told: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def take(self, message: dict[str, str], token: str) -> None:
        with self._more:
            self.messages.append(message)
            self.tokens.add(token)
            self._more.notify_all()

    def wait(self, text: str, timeout_s: float = 60.0) -> dict[str, str]:
        """The message whose subject has `text`."""

        def found() -> list[dict[str, str]]:
            return [one for one in self.messages if text in one["subject"]]

        with self._more:
            assert self._more.wait_for(lambda: bool(found()), timeout_s), self.messages
            return found()[0]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    threading.Thread(target=one.server.serve_forever, daemon=True).start()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def block(prefect_home: Path, receiver: Receiver) -> Iterator[str]:
    """A webhook whose address and token only the block knows."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    CustomWebhookNotificationBlock(
        name="pager",
        url=f"http://127.0.0.1:{receiver.server.server_port}/hook",
        headers={"Authorization": "Bearer {{token}}"},
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
        secrets={"token": TOKEN},  # type: ignore[arg-type]
    ).save("pager", overwrite=True)
    name = "custom-webhook/pager"
    yield name
    notices.withdraw(name)


def run(name: str, call: Callable[[], Any]) -> None:
    """A run of a deployment, as far as Prefect sees: its tag, its name and how it ends."""
    from prefect import flow, tags

    from flows.endings import ended

    @flow(name="scheduled", flow_run_name=name, persist_result=False)
    def night() -> Any:
        return ended(call)

    with tags("ganlib"):
        night(return_state=True)


def failing(error: Exception) -> Callable[[], Any]:
    def call() -> Any:
        raise error

    return call


def refused(home: Path, report: Path) -> Any:
    from flows.chain import PipelineResult

    evaluation = EvaluationResult.model_construct(report=str(report), candidate=_Candidate())
    decision = Decision(
        verdict="refused", reasons=("Coverage fell.",), generator=MODEL, judge=MODEL
    )
    done = PipelineResult(pipeline="p-0", home=str(home), name="digits", decision=decision)
    return done.model_copy(update={"evaluation": evaluation})


class _Candidate:
    """As far as a message needs one."""

    run = "p-0.evaluate"


def test_each_bad_end_is_told_with_its_reasons_and_a_good_one_is_not(
    prefect_home: Path, block: str, receiver: Receiver, tmp_path: Path
) -> None:
    from flows.chain import PipelineResult

    assert [one.cause for one in notices.notify(block, CAUSES)] == list(CAUSES)
    report = tmp_path / "report.html"
    well = PipelineResult(pipeline="p-1", home=str(prefect_home), name="fine")
    run("good night", lambda: well)
    run("lost its variety", failing(Collapsed(4_000, "collapsed (variance)")))
    run("left for infinity", failing(Diverged(64, "loss")))
    run("had no disk", failing(OSError("No space left on device")))
    run("was worse", lambda: refused(prefect_home, report))

    collapse = receiver.wait("lost its variety")
    assert collapse["subject"] == "ganlib: lost its variety collapsed"
    assert "collapsed (variance), seen at 4,000 images" in collapse["body"]
    assert "/runs/flow-run/" in collapse["body"]
    gate = receiver.wait("was worse")
    assert gate["subject"] == "ganlib: was worse was not promoted"
    assert "refused: Coverage fell." in gate["body"]
    assert f"The report: {report.as_uri()}" in gate["body"]
    assert receiver.wait("left for infinity")["subject"] == "ganlib: left for infinity failed"
    assert "No space left on device" in receiver.wait("had no disk")["body"]
    # The good one was first. Prefect's server delivers again what it could not write down.
    assert len({one["subject"] for one in receiver.messages}) == 4
    assert receiver.tokens == {f"Bearer {TOKEN}"}


def test_the_same_again_changes_nothing_and_other_causes_replace(
    prefect_home: Path, block: str
) -> None:
    first = notices.notify(block, CAUSES)
    assert notices.notify(block, CAUSES) == first
    assert notices.notices() == sorted(first, key=lambda one: f"{one.cause} to {one.block}")
    wanted: tuple[Cause, ...] = ("failure",)
    (kept,) = notices.notify(block, wanted)
    assert kept.automation == next(one for one in first if one.cause == "failure").automation
    assert notices.notices() == [kept]
    assert notices.withdraw(block) == [kept]
    assert notices.notices() == []


def test_one_that_was_disabled_in_the_page_stays_so(prefect_home: Path, block: str) -> None:
    from prefect.client.orchestration import get_client

    (made,) = notices.notify(block, ("failure",))
    with get_client(sync_client=True) as client:
        client.pause_automation(made.automation)  # type: ignore[arg-type]
    (again,) = notices.notify(block, ("failure",))
    assert (again.automation, again.enabled) == (made.automation, False)


def test_no_secret_of_the_block_is_in_an_automation(prefect_home: Path, block: str) -> None:
    from prefect.client.orchestration import get_client

    notices.notify(block, CAUSES)
    with get_client(sync_client=True) as client:
        text = client.request("POST", "/automations/filter", json={}).text
    assert "lost" not in text
    assert TOKEN not in text
    assert "/hook" not in text


def test_a_block_that_is_not_there_is_named_with_those_that_are(
    prefect_home: Path, block: str
) -> None:
    with pytest.raises(NotFound, match="slack-webhook/team") as caught:
        notices.notify("slack-webhook/team", CAUSES)
    assert caught.value.hint == f"there are {block}"


@pytest.mark.slow
def test_a_run_that_falls_silent_is_ended_and_told(
    prefect_home: Path, block: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import flow, tags
    from prefect.client.orchestration import get_client
    from prefect.events import emit_event
    from prefect.states import Running

    monkeypatch.setattr(notices, "SILENCE", timedelta(seconds=10))
    notices.notify(block, ("dead-run",))

    @flow(name="scheduled")
    def night() -> None: ...

    with get_client(sync_client=True) as client, tags("ganlib"):
        made = client.create_flow_run(night, name="lost its node", tags=["ganlib"])
        client.set_flow_run_state(made.id, Running(), force=True)
    tag = {"prefect.resource.id": "prefect.tag.ganlib", "prefect.resource.role": "tag"}
    emit_event(
        "prefect.flow-run.heartbeat",
        resource={"prefect.resource.id": f"prefect.flow-run.{made.id}"},
        related=[tag],
    )
    told = receiver.wait("lost its node", 120)
    assert told["subject"] == "ganlib: lost its node died"
    assert "Nothing was heard of it" in told["body"]
    end = time.monotonic() + 10
    with get_client(sync_client=True) as client:
        while not (state := client.read_flow_run(made.id).state).is_crashed():
            assert time.monotonic() < end, state


@pytest.mark.slow
def test_the_command_makes_lists_and_removes(block: str, prefect_home: Path) -> None:
    def ganlib(*words: str) -> dict[str, Any]:
        command = [str(Path(sys.executable).parent / "ganlib"), "schedule", "notify", *words]
        done = subprocess.run(
            [*command, "--home", str(prefect_home), "--json"],
            capture_output=True,
            text=True,
            env=os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value()},
        )
        assert done.returncode == 0, done.stderr
        assert "temporary server" not in done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    from prefect.settings import PREFECT_API_URL

    made = ganlib(block, "--on", "collapse,dead-run")["result"]["notices"]
    assert [one["cause"] for one in made] == ["collapse", "dead-run"]
    assert ganlib()["result"]["notices"] == made
    assert ganlib(block, "--remove")["result"]["notices"] == made
    assert ganlib()["result"]["notices"] == []


def test_looking_at_causes_imports_no_prefect() -> None:
    """Settings must be in the environment before Prefect is."""
    code = "import sys; from flows import notices; sys.exit('prefect' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
