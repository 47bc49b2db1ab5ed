"""Runs in MLflow: found again by their key, nested under their parent, opened once."""

from __future__ import annotations

import getpass
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.errors import StorageError
from ganlib.storage import Home, read_json, write_json
from ganlib.tracking.connection import error_code, is_own
from ganlib.training import RunIdentity

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY = "ganlib.key"
HEARTBEAT = "ganlib.heartbeat"
PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class RunRef:
    """A run in MLflow; `uri` is the MLflow it is in, `url` its page (empty without a server)."""

    run_id: str
    experiment_id: str
    uri: str
    url: str


def run_of(home: Home, journal_id: str) -> RunRef | None:
    """The run that a journal has become; none until the writer has opened it."""
    try:
        return RunRef(**read_json(home.spool / f"{journal_id}.run.json"))
    except (OSError, StorageError, TypeError):
        return None


def report_of(home: Home, journal_id: str) -> tuple[str, str] | None:
    """Of the run whose artifact the report is: its `runs:/` URI and a link for MLflow's pages.

    None until the writer has opened the run.
    """
    run = run_of(home, journal_id)
    if run is None:
        return None
    page = run.url or f"#/experiments/{run.experiment_id}/runs/{run.run_id}"
    return f"runs:/{run.run_id}/report.html", f"{page}/artifacts/report.html"


def remember(home: Home, journal_id: str, run: RunRef) -> None:
    write_json(home.spool / f"{journal_id}.run.json", asdict(run))


def forget(home: Home, journal_id: str) -> None:
    (home.spool / f"{journal_id}.run.json").unlink(missing_ok=True)


def experiment_id(client: MlflowClient, home: Home, name: str, uri: str) -> str:
    """Of the experiment, which is made if need be; a home's own keeps its artifacts in the home."""
    found = client.get_experiment_by_name(name)
    if found is None:
        place = (home.artifacts / name.replace("/", "-")).as_uri() if is_own(home, uri) else None
        try:
            tags = {"mlflow.experimentKind": "custom_model_development"}  # the pages that fit
            return str(client.create_experiment(name, artifact_location=place, tags=tags))
        except Exception as error:
            if error_code(error) != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def find(client: MlflowClient, experiment: str, key: str) -> Any | None:
    """The oldest run with this key in the experiment."""
    found = client.search_runs(
        [experiment],
        filter_string=f"tags.`{KEY}` = '{key}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    return found[0] if found else None


def open_run(
    client: MlflowClient,
    home: Home,
    identity: RunIdentity,
    *,
    parent: RunRef | None,
    opened: float,
    uri: str,
) -> RunRef:
    """Find or create the run of `identity`; `opened` is when its journal began, in unix seconds."""
    experiment = experiment_id(client, home, identity.experiment, uri)
    run = find(client, experiment, identity.key)
    if run is None:
        run = client.create_run(
            experiment,
            start_time=round(opened * 1000),
            tags=_tags(home, identity, parent),
            run_name=identity.name,
        )
    run_id = str(run.info.run_id)
    url = ""
    if uri.startswith("http"):
        url = f"{uri.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
    ref = RunRef(run_id, experiment, uri, url)
    remember(home, identity.id, ref)
    return ref


def _tags(home: Home, identity: RunIdentity, parent: RunRef | None) -> dict[str, str]:
    tags = {
        **identity.tags,
        KEY: identity.key,
        "ganlib.stage": identity.stage,
        "ganlib.journal": identity.id,
        "ganlib.home": str(home.root),
        "mlflow.source.name": "ganlib",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
    }
    if commit := git_commit():
        tags["mlflow.source.git.commit"] = commit
    if parent is not None:
        tags[PARENT] = parent.run_id
    return tags


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@cache
def git_commit() -> str:
    """Of the checkout this code runs from; empty when it is installed without one."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "log", "-1", "--format=%H", "--", str(here.parent)],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
