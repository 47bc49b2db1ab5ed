"""The home: one folder that holds everything a project makes, with a format version."""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ganlib.errors import HomeError, StorageError
from ganlib.storage import atomic

FORMAT = 1
FOLDERS = ("data", "stages", "runs", "artifacts", "prefect", "spool", "locks", "cache")


@dataclass(frozen=True)
class Home:
    """Absolute paths below `root`; `open` is the way to get one."""

    root: Path

    @staticmethod
    def default() -> Path:
        """`GANLIB_HOME`, or `.ganlib` in the current folder."""
        return Path(os.environ.get("GANLIB_HOME") or ".ganlib")

    @classmethod
    def locate(cls, path: Path | str | None = None) -> Path:
        """The absolute path that is meant, without `~` and `..`; nothing is created.

        Raises HomeError for a URI, which would be taken for a folder called `s3:`.
        """
        told = Path(path or cls.default())
        if re.match(r"\w+:/", str(told)):
            raise HomeError(
                f"the home {told} is no folder of this machine",
                where=str(told),
                hint="give one with --home DIR or GANLIB_HOME; GANLIB_MIRROR=s3://bucket/prefix "
                "keeps what is made in it in a bucket as well",
            )
        return Path(os.path.abspath(told.expanduser()))

    @classmethod
    def existing(cls, path: Path | str | None = None) -> Home:
        """As `open`, but raises HomeError where no home is yet: nothing is created."""
        root = cls.locate(path)
        if not root.exists() or (root.is_dir() and not (root / "home.json").exists()):
            _refuse_foreign(root)
            raise HomeError(
                f"there is no home at {root}",
                where=str(root),
                hint="ganlib run makes one; name another with --home DIR or GANLIB_HOME",
            )
        return cls.open(root)

    @classmethod
    def open(cls, path: Path | str | None = None) -> Home:
        """Create or check the home at `path`.

        Raises HomeError when it is a file, cannot be written, holds something else, or was made by
        a newer version.
        """
        root = cls.locate(path)
        if root.exists() and not root.is_dir():
            raise HomeError(
                f"{root} is not a folder", where=str(root), hint="give another --home DIR"
            )
        marker = root / "home.json"
        try:
            if not marker.exists():
                _refuse_foreign(root)
                for name in FOLDERS:
                    (root / name).mkdir(parents=True, exist_ok=True)
                atomic.write_json(marker, {"format": FORMAT})
            with tempfile.TemporaryFile(dir=root):
                pass
        except OSError as error:
            raise HomeError(
                f"the home {root} cannot be written: {error.strerror}",
                where=str(root),
                hint="give another place with --home DIR or GANLIB_HOME",
            ) from None
        except StorageError as error:
            raise HomeError(error.message, where=str(root), hint=error.hint) from None
        _check_format(root, marker)
        return cls(root)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def stages(self) -> Path:
        return self.root / "stages"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def mlflow_db(self) -> Path:
        return self.root / "mlflow.db"


def _refuse_foreign(root: Path) -> None:
    """A folder with other things in it is not turned into a home by a slip of the hand.

    A beginner killed while it wrote `home.json` leaves a part of it, which is nothing foreign.
    """
    if root.is_dir():
        names = sorted(path.name for path in root.iterdir())
        others = [n for n in names if n not in FOLDERS and not n.startswith(".home.json.")]
        if others:
            raise HomeError(
                f"{root} is not empty and not a ganlib home (it holds {others[0]})",
                where=str(root),
                hint="give an empty or new folder with --home DIR",
            )


def _check_format(root: Path, marker: Path) -> None:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))["format"]
    except (OSError, ValueError, KeyError, TypeError):
        raise HomeError(
            f"{marker} is damaged",
            where=str(root),
            hint=f'write {{"format": {FORMAT}}} into it, or give another --home DIR',
        ) from None
    if not isinstance(found, int) or found > FORMAT:
        raise HomeError(
            f"the home {root} has format {found}; this ganlib reads up to {FORMAT}",
            where=str(root),
            hint="install a newer ganlib, or give another --home DIR",
        )
    for version in range(found, FORMAT):
        MIGRATIONS[version](root)
    if found < FORMAT:
        atomic.write_json(marker, {"format": FORMAT})
    for name in FOLDERS:
        (root / name).mkdir(exist_ok=True)


def _from_0(root: Path) -> None:
    """Format 0 called the spool `journals`."""
    old = root / "journals"
    if old.is_dir() and not (root / "spool").exists():
        old.rename(root / "spool")


MIGRATIONS = {0: _from_0}
