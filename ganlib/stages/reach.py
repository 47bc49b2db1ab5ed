"""Whether the servers that the environment names answer, with the credentials it holds."""

from __future__ import annotations

import base64
import os
import urllib.error
import urllib.request
from urllib.parse import urlsplit, urlunsplit

from ganlib.stages.values import Check

PATIENCE_S = 10.0
REFUSED = (401, 403)
PREFECT_LOGIN = "PREFECT_API_AUTH_STRING as the server has it in PREFECT_SERVER_API_AUTH_STRING"
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def mlflow(uri: str, found: str = "answers") -> Check:
    """Asked for experiments, since its /health answers whatever name and password one has."""
    status, text = _get(f"{uri.rstrip('/')}{SEARCH}", _mlflow_login(uri))
    plain = without_login(uri)
    if status == 200:
        return Check(name="MLflow", ok=True, found=f"{plain} {found}")
    told, fix = f"{plain} {_told(status, text)}", "MLFLOW_TRACKING_URI of a server that answers"
    if status == 401:
        fix = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN)"
    elif status == 403 and "PERMISSION_DENIED" in text:
        fix = "give this MLflow user the right to read experiments"
    elif status == 403:
        host = urlsplit(uri).netloc.rpartition("@")[2]
        fix = f"start the server with MLFLOW_SERVER_ALLOWED_HOSTS={host.split(':')[0]},{host}"
    return Check(name="MLflow", ok=False, found=told, fix=fix)


def prefect(url: str, found: str = "answers") -> Check:
    """Asked for its version, which wants the login of `PREFECT_API_AUTH_STRING` or a key."""
    status, text = _version(url)
    plain = without_login(url)
    if status == 200:
        return Check(name="Prefect", ok=True, found=f"{plain} {found}")
    fix = (
        PREFECT_LOGIN
        if status in REFUSED
        else "PREFECT_API_URL of a server that answers, or unset it"
    )
    return Check(name="Prefect", ok=False, found=f"{plain} {_told(status, text)}", fix=fix)


def prefect_refuses(url: str) -> bool:
    """Whether it wants another login than ours."""
    return _version(url)[0] in REFUSED


def _version(url: str) -> tuple[int, str]:
    headers = {}
    if login := os.environ.get("PREFECT_API_AUTH_STRING"):
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    elif key := os.environ.get("PREFECT_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    return _get(f"{url.rstrip('/')}/admin/version", headers)


def without_login(uri: str) -> str:
    """A URI that may be shown: a name and password in it are left out."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _mlflow_login(uri: str) -> dict[str, str]:
    parts = urlsplit(uri)
    name = parts.username or os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = parts.password or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if name:
        told = base64.b64encode(f"{name}:{password}".encode()).decode()
        return {"Authorization": f"Basic {told}"}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _get(url: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and the beginning of the text; 0 and the reason where nobody answers."""
    try:
        request = urllib.request.Request(without_login(url), headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return int(response.status), ""
    except urllib.error.HTTPError as error:
        return error.code, error.read(1000).decode(errors="replace")
    except (OSError, ValueError) as error:
        return 0, str(getattr(error, "reason", error))


def _told(status: int, text: str) -> str:
    line = " ".join(text.split())[:200]
    return f"answers {status}: {line}" if status else f"does not answer: {line}"
