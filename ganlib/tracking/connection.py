"""Which MLflow is meant, how it is reached, and what its errors mean for a caller."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from ganlib.errors import GanlibError, NotFound, StorageError
from ganlib.storage import Home
from ganlib.tracking import database

if TYPE_CHECKING:
    from mlflow import MlflowClient

PERMANENT = frozenset(
    {
        "BAD_REQUEST",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "MALFORMED_REQUEST",
        "PERMISSION_DENIED",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
    }
)


def tracking_uri(home: Home) -> str:
    """`MLFLOW_TRACKING_URI` if it is set, else the sqlite file of the home.

    A name and password in it move to MLflow's own variables, since URIs are shown and kept.
    """
    _part_login()
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.mlflow_db}"


def _part_login() -> None:
    parts = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", ""))
    login, at, server = parts.netloc.rpartition("@")
    if at and parts.scheme in ("http", "https"):
        name, _, password = login.partition(":")
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(name)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(password)
        os.environ["MLFLOW_TRACKING_URI"] = urlunsplit(parts._replace(netloc=server))


def is_own(home: Home, uri: str) -> bool:
    """Whether the home's own sqlite file is meant: then its artifacts are in the home as well."""
    return uri == f"sqlite:///{home.mlflow_db}"


def connect(home: Home, uri: str | None = None) -> MlflowClient:
    """A client, and MLflow's own functions pointed at the same place.

    The first use of a new sqlite file takes some ten seconds (schema migrations). A server that is
    away is given up after some seconds, not MLflow's minutes: whoever calls retries.
    """
    uri = uri or tracking_uri(home)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    import mlflow

    _quieten()
    if is_own(home, uri):
        database.ensure(home)
    if mlflow.get_tracking_uri() != uri or mlflow.get_registry_uri() != uri:
        with _same_environment():
            mlflow.set_tracking_uri(uri)
            mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient(uri, registry_uri=uri)


@contextmanager
def _same_environment() -> Iterator[None]:
    """MLflow exports what it is set to, and the next home would take that for the user's wish."""
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _quieten() -> None:
    """MLflow and alembic tell of every migration; a user's terminal is not the place."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="mlflow.*")


def error_code(error: Exception) -> str:
    """MLflow's name for what went wrong; empty for anything that is not MLflow's."""
    return str(getattr(error, "error_code", ""))


def is_permanent(error: Exception) -> bool:
    """Whether the same call would fail again for ever, whatever the server does.

    A ValueError is ours, of the arguments; one of requests or json is of a garbled answer.
    """
    if isinstance(error, ValueError) and _module(error) in {"requests", "json", "simplejson"}:
        return False
    return error_code(error) in PERMANENT or isinstance(error, FileNotFoundError | ValueError)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """MLflow's errors as NotFound (it is not there) or StorageError (anything else)."""
    try:
        yield
    except GanlibError:
        raise
    except Exception as error:
        if not _is_foreign(error):
            raise
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if error_code(error) == "RESOURCE_DOES_NOT_EXIST":
            raise NotFound(
                f"{what}: {first}", where=what, hint="ganlib status lists the models"
            ) from error
        raise StorageError(
            f"{what}: MLflow answered: {first}",
            where=what,
            hint="is the server of MLFLOW_TRACKING_URI running and reachable?",
        ) from error


def _is_foreign(error: Exception) -> bool:
    return _module(error) in {"mlflow", "requests", "sqlalchemy", "urllib3"}


def _module(error: Exception) -> str:
    return type(error).__module__.split(".")[0]
