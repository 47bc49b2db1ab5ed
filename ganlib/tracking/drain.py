"""One journal into one run: what is sent, and how far, survives any crash between the two.

A parcel is sent, then the offset is written. A crash in between sends the parcel again, which
changes nothing: MLflow drops a metric it has with the same time, step and value (the times are the
journal's), and pictures and tables have names that are functions of their place.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.errors import StorageError
from ganlib.storage import Home, read_json, write_json
from ganlib.tracking import media
from ganlib.tracking.connection import error_code, is_permanent
from ganlib.tracking.lines import METRICS_PER_CALL, PARAMS_PER_CALL, TAGS_PER_CALL, Parcel, add
from ganlib.tracking.runs import PARENT, RunRef, forget, open_run, run_of
from ganlib.training import RunIdentity, follow

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass
class Progress:
    """How far a journal has been sent: `spool/<id>.offset`."""

    offset: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    orphan: bool = False
    """Opened before its parent had a journal."""


def progress_of(home: Home, journal_id: str) -> Progress:
    try:
        return Progress(**read_json(home.spool / f"{journal_id}.offset"))
    except (OSError, StorageError, TypeError):
        return Progress()


def whole_lines(path: Path) -> int:
    """The offset after the last finished line."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        while end:
            start = max(0, end - 4096)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0


class Drain:
    """Sends journals of one home to one MLflow; only the leading writer may hold one."""

    def __init__(self, client: MlflowClient, home: Home, uri: str) -> None:
        self.client = client
        self.home = home
        self.uri = uri
        self._done: dict[str, int] = {}

    def pending(self) -> list[str]:
        """Journals with bytes that were not sent, oldest name first."""
        ids = []
        for path in sorted(self.home.spool.glob("*.jsonl")):
            size = path.stat().st_size
            if self._done.get(path.stem) != size:
                ids.append(path.stem)
        return ids

    def send_some(self, journal_id: str) -> bool:
        """Send one parcel; whether there may be more. Raises what MLflow raises in an outage."""
        path = self.home.spool / f"{journal_id}.jsonl"
        size = path.stat().st_size
        run = self._run(journal_id)
        progress = progress_of(self.home, journal_id)
        lines: list[dict[str, Any]] = []
        offset = progress.offset
        parcel = Parcel(seen=dict(progress.seen))
        for line, after in follow(path, progress.offset):
            if line["kind"] == "open" and lines:
                break
            lines.append(line)
            offset = after
            add(parcel, line)
            if parcel.full:
                break
        if run is None or not lines:
            self._done[journal_id] = size
            return False
        try:
            self._send(run, parcel)
        except Exception as error:
            if not is_permanent(error):
                raise
            if self._run_is_gone(run, error):
                self._start_over(journal_id)
                return True
            self._send_singly(journal_id, run, progress, lines)
        progress.orphan = progress.orphan and not self._adopt(run, journal_id)
        self._write(journal_id, Progress(offset, parcel.seen, progress.orphan))
        return True

    def _write(self, journal_id: str, progress: Progress) -> None:
        write_json(self.home.spool / f"{journal_id}.offset", asdict(progress))

    # -- the run ---------------------------------------------------------------------------

    def _run(self, journal_id: str) -> RunRef | None:
        """The run of a journal, its parents' before it; none while it holds no whole `open`."""
        run = run_of(self.home, journal_id)
        if run is not None and run.uri == self.uri:
            return run
        if run is not None:
            self._start_over(journal_id)  # sent to another MLflow before: all of it, here too
        first = next(iter(follow(self._path(journal_id), 0)), None)
        if first is None or first[0]["kind"] != "open":
            return None
        identity = RunIdentity.model_validate(first[0]["identity"])
        parent = None
        if identity.parent_id is not None:
            parent = self._run(identity.parent_id)
            if parent is None:
                self._write(journal_id, Progress(orphan=True))
        return open_run(
            self.client, self.home, identity, parent=parent, opened=first[0]["t"], uri=self.uri
        )

    def _path(self, journal_id: str) -> Path:
        return self.home.spool / f"{journal_id}.jsonl"

    def _adopt(self, run: RunRef, journal_id: str) -> bool:
        """Nest an orphan under its parent once that has a journal."""
        first, _ = next(iter(follow(self._path(journal_id), 0)))
        parent_id = first["identity"].get("parent_id")
        parent = self._run(parent_id) if parent_id else None
        if parent is None:
            return False
        self.client.set_tag(run.run_id, PARENT, parent.run_id)
        return True

    def _run_is_gone(self, run: RunRef, error: Exception) -> bool:
        """Somebody deleted the database: the journal still has everything."""
        if error_code(error) != "RESOURCE_DOES_NOT_EXIST":
            return False
        try:
            self.client.get_run(run.run_id)
        except Exception as missing:
            return error_code(missing) == "RESOURCE_DOES_NOT_EXIST"
        return False

    def _start_over(self, journal_id: str) -> None:
        forget(self.home, journal_id)
        (self.home.spool / f"{journal_id}.offset").unlink(missing_ok=True)
        self._done.pop(journal_id, None)

    # -- the parcel ------------------------------------------------------------------------

    def _send(self, run: RunRef, parcel: Parcel) -> None:
        if parcel.attempt > 1:
            self.client.update_run(run.run_id, status="RUNNING")
        self._send_values(run, parcel)
        if parcel.datasets:
            inputs = [
                media.dataset_input(d["name"], d["fingerprint"], d["uri"]) for d in parcel.datasets
            ]
            self.client.log_inputs(run.run_id, datasets=inputs)
        if parcel.images:
            self._send_images(run, parcel)
        if parcel.tables:
            self._send_tables(run, parcel)
        for line in parcel.artifacts:
            path = Path(line["path"])
            log = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
            log(run.run_id, str(path), line["folder"] or None)
        if parcel.close is not None:
            ended = round(parcel.close["t"] * 1000)
            self.client.set_terminated(run.run_id, parcel.close["status"], ended)

    def _send_values(self, run: RunRef, parcel: Parcel) -> None:
        from mlflow.entities import Metric, Param, RunTag

        params: list[tuple[str, str]] = []
        if parcel.params:
            # The first value stays: MLflow refuses to change one.
            known = self.client.get_run(run.run_id).data.params
            params = [(k, v) for k, v in parcel.params.items() if k not in known]
        metrics = [Metric(*values) for values in parcel.metrics]
        tags = [RunTag(k, v) for k, v in parcel.tags.items()]
        log = partial(self.client.log_batch, run.run_id)
        log(metrics=metrics[:METRICS_PER_CALL], tags=tags[:TAGS_PER_CALL])
        for start in range(METRICS_PER_CALL, len(metrics), METRICS_PER_CALL):
            log(metrics=metrics[start : start + METRICS_PER_CALL])
        for start in range(TAGS_PER_CALL, len(tags), TAGS_PER_CALL):
            log(tags=tags[start : start + TAGS_PER_CALL])
        for start in range(0, len(params), PARAMS_PER_CALL):
            log(params=[Param(k, v) for k, v in params[start : start + PARAMS_PER_CALL]])

    def _send_images(self, run: RunRef, parcel: Parcel) -> None:
        with tempfile.TemporaryDirectory(prefix="ganlib-images-") as name:
            for line in parcel.images:
                media.put_image(
                    self.home.spool / line["path"],
                    Path(name),
                    run_id=run.run_id,
                    name=line["name"],
                    step=line["clock"],
                    at=line["t"],
                )
            self.client.log_artifacts(run.run_id, name, "images")
        self.client.set_tag(run.run_id, media.LOGGED_IMAGES, "True")

    def _send_tables(self, run: RunRef, parcel: Parcel) -> None:
        with tempfile.TemporaryDirectory(prefix="ganlib-tables-") as name:
            for line in parcel.tables:
                media.put_table(self.home.spool / line["path"], Path(name), line["name"])
            self.client.log_artifacts(run.run_id, name, "tables")
        files = [item.path for item in self.client.list_artifacts(run.run_id, "tables")]
        self.client.set_tag(run.run_id, media.LOGGED_ARTIFACTS, media.tables_tag(sorted(files)))

    def _send_singly(
        self, journal_id: str, run: RunRef, progress: Progress, lines: list[dict[str, Any]]
    ) -> None:
        """Some line is one that MLflow will never take: send the others, and note that one."""
        seen = dict(progress.seen)
        for line in lines:
            parcel = Parcel(seen=seen)
            add(parcel, line)
            try:
                self._send(run, parcel)
            except Exception as error:
                if not is_permanent(error):
                    raise
                with (self.home.spool / f"{journal_id}.refused").open("a") as file:
                    file.write(f"{line}: {error}\n")
