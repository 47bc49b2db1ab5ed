"""The home's own MLflow database: there whole or not at all.

MLflow sets a new sqlite file up by some fifty migrations that commit statement by statement, and
cannot go on where it was killed. So a new one is made beside its place and moved there.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from ganlib.storage import Home, holding

LONGEST_S = 600.0
HOLDING = ("experiments", "registered_models")
"""The last act of a set-up is the experiment `Default`; a user's own come after it."""
BESIDE = ("-journal", "-wal", "-shm")


def ensure(home: Home) -> None:
    """Make the database if it is not there, some ten seconds; one process does, others wait.

    One whose set-up was broken off is moved aside: nothing is in it, and MLflow cannot mend it.
    """
    if _is_there(home.mlflow_db):
        return
    with holding(home.locks / "mlflow-db.lock", "setting up MLflow", wait=LONGEST_S):
        if _is_there(home.mlflow_db):
            return
        if home.mlflow_db.exists():
            _move(home.mlflow_db, _free(home.mlflow_db))
        part = home.mlflow_db.with_name(f"{home.mlflow_db.name}.part")
        _remove(part)
        _build(part, home.artifacts)
        for suffix in BESIDE:  # of a database that somebody deleted: not for this one
            Path(f"{home.mlflow_db}{suffix}").unlink(missing_ok=True)
        os.replace(part, home.mlflow_db)


def is_unfinished(path: Path) -> bool:
    """Whether the sqlite file `path` was never set up to the end; not so if it cannot be read."""
    try:
        # Writable: what a kill left in the journal can only be undone by one who may write.
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {str(row[0]) for row in found}
            return not any(
                database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
                for table in HOLDING
                if table in tables
            )
    except sqlite3.Error:
        return False


def _is_there(path: Path) -> bool:
    return path.exists() and not is_unfinished(path)


def _build(path: Path, artifacts: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(f"sqlite:///{path}", artifacts.as_uri())
    store.engine.dispose()


def _free(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.stem}-unfinished-{number}{path.suffix}")).exists():
        number += 1
    return aside


def _move(path: Path, to: Path) -> None:
    for suffix in ("", *BESIDE):
        if Path(f"{path}{suffix}").exists():
            os.replace(f"{path}{suffix}", f"{to}{suffix}")


def _remove(path: Path) -> None:
    for suffix in ("", *BESIDE):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
