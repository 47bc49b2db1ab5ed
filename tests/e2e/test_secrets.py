"""Tokens planted in the environment of a real run, and looked for everywhere it writes."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.e2e.test_pipeline import GANLIB, TINY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# Encoded as they travel in a header, they would give the secret away as well.
PLANTED = {
    name: f"planted{name.replace('_', '').lower()}{secrets.token_hex(8)}"
    for name in (
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "PREFECT_PASSWORD",
        "RAY_AUTH_TOKEN",
    )
}
ENVIRONMENT = {name: value for name, value in PLANTED.items() if "PREFECT" not in name} | {
    "AWS_ACCESS_KEY_ID": "a-key",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "MLFLOW_TRACKING_USERNAME": "ann",
    "PREFECT_API_AUTH_STRING": f"admin:{PLANTED['PREFECT_PASSWORD']}",
    "PREFECT_SERVER_API_AUTH_STRING": f"admin:{PLANTED['PREFECT_PASSWORD']}",
}


@dataclass
class Run:
    """A home, and all that its commands said."""

    home: Path
    said: dict[str, bytes] = field(default_factory=dict)

    def ganlib(self, *words: str, **env: str) -> int:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "MLFLOW"))}
        done = subprocess.run(
            [GANLIB, *words, "--home", str(self.home), "--json"],
            env=kept | ENVIRONMENT | env,
            capture_output=True,
            timeout=400,
        )
        self.said[" ".join(words)] = done.stdout + done.stderr
        return done.returncode


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained and promoted with a login at every service, then each failing: minutes of waiting."""
    folder = tmp_path_factory.mktemp("secrets")
    recipe = folder / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(TINY))
    run = Run(folder / "home")
    code = run.ganlib("model", "promote", str(recipe), "--no-sweep", "--set", "cluster.workers=1")
    assert code == 0, run.said
    password = PLANTED["MLFLOW_TRACKING_PASSWORD"]
    for words, env in [
        (("mirror", "push", "s3://nowhere/x"), {}),
        (("status",), {"MLFLOW_TRACKING_URI": f"http://ann:{password}@127.0.0.1:9"}),
        (("doctor",), {"MLFLOW_TRACKING_URI": f"http://ann:{password}@127.0.0.1:9"}),
        (("data", "prepare", "digits"), {"PREFECT_API_URL": "http://127.0.0.1:9/api"}),
        (("train", str(recipe), "--fresh"), {"RAY_ADDRESS": "127.0.0.1:9"}),
    ]:
        code = run.ganlib(*words, **env)
        # What runs there are, the home knows without MLflow.
        assert (code == 0) == (words == ("status",)), (words, run.said[" ".join(words)])
    return run


def found(data: bytes) -> list[str]:
    return [name for name, value in PLANTED.items() if value.encode() in data]


def test_the_tokens_were_there(run: Run) -> None:
    """Or nothing could be found: a process that is started as these were has them."""
    code = "import os; print(dict(os.environ))"
    told = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True)
    assert set(found(told.stdout)) == set(PLANTED)


def test_no_token_is_anywhere_in_the_home(run: Run) -> None:
    """Journals, records, logs, the databases of MLflow and Prefect, artifacts, models."""
    files = [path for path in run.home.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    written = {"mlflow.db", "prefect.db", "flows.log", "worker-0.log", "record.json", "report.html"}
    assert written <= names
    leaks = {
        str(path.relative_to(run.home)): leaked
        for path in files
        if (leaked := found(path.read_bytes()))
    }
    assert leaks == {}


def test_no_token_is_in_what_was_said(run: Run) -> None:
    assert {words: leaked for words, text in run.said.items() if (leaked := found(text))} == {}
    assert b"does not answer" in run.said["doctor"]
