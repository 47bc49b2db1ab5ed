"""The services of compose.yaml as plain processes: what they ask for, and what they give."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.stack import PASSWORDS, VALUES, Stack, running_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as started:
        yield started


def test_no_server_answers_without_a_credential(stack: Stack) -> None:
    prefect = f"http://127.0.0.1:{stack.ports['prefect']}/api/flows/filter"
    mlflow = f"http://127.0.0.1:{stack.ports['mlflow']}/api/2.0/mlflow/experiments/search"
    for url, body, password in [
        (prefect, {}, VALUES["PREFECT_PASSWORD"]),
        (mlflow, {"max_results": 1}, VALUES["MLFLOW_PASSWORD"]),
    ]:
        assert stack.ask(url, body)[0] == 401
        assert stack.ask(url, body, "admin:wrong")[0] == 401
        assert stack.ask(url, body, f"admin:{password}")[0] == 200


def test_a_worker_reaches_all_of_it_and_artifacts_are_in_the_bucket(stack: Stack) -> None:
    code = (
        "import mlflow, boto3\n"
        "from prefect.client.orchestration import get_client\n"
        "with mlflow.start_run() as run:\n"
        "    mlflow.log_metric('x', 1.0)\n"
        "    mlflow.log_text('hello', 'greeting.txt')\n"
        "assert mlflow.artifacts.load_text(run.info.artifact_uri + '/greeting.txt') == 'hello'\n"
        "assert boto3.client('s3').list_objects_v2(Bucket='ganlib')['KeyCount'] >= 1\n"
        "with get_client(sync_client=True) as client:\n"
        "    client.hello().raise_for_status()\n"
        "    client.create_flow_from_name('hello')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=stack.worker, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (kept,) = (stack.folder / "s3" / "ganlib" / "mlflow").rglob("greeting.txt")
    assert kept.read_text() == "hello"


def test_no_secret_is_in_a_log_or_on_a_command_line(stack: Stack) -> None:
    texts = {log.name: log.read_text(errors="replace") for log in stack.folder.glob("*.log")}
    assert set(texts) >= {"mlflow.log", "prefect.log", "postgres.log"}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts[str(path)] = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
    found = [(name, p) for name, text in texts.items() for p in PASSWORDS if p in text]
    assert found == []
