"""What a worker process sees on each node of the cluster, each with the one setting that mends it.

The same function runs in every node's own environment: credentials are those a worker there has.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from ganlib.config import ClusterConfig, Config
from ganlib.errors import GanlibError, NotFound, StorageError
from ganlib.stages import reach
from ganlib.stages.values import Check
from ganlib.storage import Home, S3Store, default_cache

PACKAGES = ("mlflow", "numpy", "pillow", "pyarrow", "pydantic", "ray", "safetensors", "torch")
SKEW_S = 30.0
DISK_GB = 2.0
SEVERAL_PARTS = (8 << 20) + 1000
SAME = "the same image, or pip install -c constraints.txt with the same commit, on that node"


class Asked(Config):
    """What the driver wants looked at, and what it has itself. No secret is in it."""

    storage: str = ""
    mlflow: str = ""
    home: str = ""
    versions: dict[str, str] = Field(default_factory=dict)


def checks(home: Path | str | None = None, storage: str | None = None) -> tuple[Check, ...]:
    """Each node's, then how they compare. Nodes that do not answer are checks that failed.

    `storage` is s3://bucket/prefix; by default that of `GANLIB_MIRROR`.
    """
    from ganlib.cluster.nodes import each_node

    place = Home.locate(home)
    there = (place / "home.json").exists()
    asked = Asked(
        storage=os.environ.get("GANLIB_MIRROR", "") if storage is None else storage,
        mlflow=reach.without_login(os.environ.get("MLFLOW_TRACKING_URI", "")),
        home=str(place) if there else "",
        versions=versions(),
    )
    try:
        with tempfile.TemporaryDirectory(dir=_existing(place)) as folder:  # all nodes see it
            log = Path(folder) / "ray.log"
            told = each_node(look, (asked,), cluster=ClusterConfig(), log=log)
    except GanlibError as error:
        return (Check(name="Ray", ok=False, found=error.message, fix=error.hint),)
    found = []
    for one in told:
        if one.trouble:
            fix = "look at the Ray logs of that node; it may have too little memory"
            found.append(Check(name=f"{one.node} worker", ok=False, found=one.trouble, fix=fix))
            continue
        seen, clock = one.value
        found += [
            check.model_copy(update={"name": f"{one.node} {check.name}"})
            for check in (*seen, _clock(clock, one.ended - one.seconds, one.ended))
        ]
    return tuple(found)


def look(asked: Asked) -> tuple[list[Check], float]:
    """In a worker: its checks, and its clock."""
    clock = time.time()
    steps: list[tuple[str, Callable[[], Check]]] = [
        ("versions", lambda: _versions(asked.versions, versions())),
        ("storage", lambda: storage(asked.storage)),
        ("MLflow", lambda: _mlflow(asked.mlflow)),
        ("home", lambda: _home(asked.home)),
        ("disk", _disk),
    ]
    return [_guarded(name, step) for name, step in steps], clock


def versions() -> dict[str, str]:
    """Of Python, of what computes, and of ganlib's own sources."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return found | {"ganlib": digest.hexdigest()[:12]}


def storage(uri: str) -> Check:
    """An object written, read, written in parts and deleted, as training and reading do."""
    if not uri:
        return Check(name="storage", ok=True, found="no s3:// is named: --storage s3://bucket/x")
    step = "finding credentials for"
    try:
        store = S3Store(uri, deadline=20.0)
        key = f"doctor-{uuid.uuid4().hex}"
        step = "put"
        store.write(key, b"ganlib")
        try:
            step = "get"
            if store.read(key) != b"ganlib":
                raise StorageError(f"{store.name(key)} came back otherwise", where=uri)
            step = "multipart"
            data = bytes(SEVERAL_PARTS)
            store.write(key, data)
            if store.read_range(key, SEVERAL_PARTS - 10, 100) != data[-10:]:
                raise StorageError(f"{store.name(key)} came back otherwise", where=uri)
        finally:
            step, before = "delete", step
            store.delete(key)
            step = before
    except NotFound as error:
        fix = (
            error.hint
            or f"make the bucket: aws s3 mb s3://{uri.removeprefix('s3://').split('/')[0]}"
        )
        return Check(name="storage", ok=False, found=f"{step}: {error.message}", fix=fix)
    except GanlibError as error:
        fix = error.hint or "AWS_ENDPOINT_URL_S3 of a server that speaks S3"
        return Check(name="storage", ok=False, found=f"{step}: {error.message}", fix=fix)
    return Check(name="storage", ok=True, found=f"put, get, multipart and delete at {uri}")


def _mlflow(uri: str) -> Check:
    if not uri.startswith("http"):
        return Check(
            name="MLflow", ok=True, found="a file of the home, written by the driver alone"
        )
    return reach.mlflow(uri, "answers there")


def _home(place: str) -> Check:
    if not place:
        return Check(name="home", ok=True, found="there is none yet")
    with tempfile.TemporaryFile(dir=place):
        return Check(name="home", ok=True, found=f"{place} is seen and can be written")


def _disk() -> Check:
    """Where Ray spills and where shards from S3 are kept."""
    cache = default_cache()
    places = (Path(tempfile.gettempdir()), _existing(cache))
    free = {place: shutil.disk_usage(place).free / 1e9 for place in places}
    full = [str(place) for place, gigabytes in free.items() if gigabytes < DISK_GB]
    found = ", ".join(f"{gigabytes:.1f} GB free at {place}" for place, gigabytes in free.items())
    fix = "TMPDIR and GANLIB_CACHE on a disk with more room" if full else ""
    return Check(name="disk", ok=not full, found=found, fix=fix)


def _existing(place: Path) -> Path:
    while not place.exists():
        place = place.parent
    return place


def _versions(wanted: dict[str, str], found: dict[str, str]) -> Check:
    other = [
        f"{name} {found.get(name, 'unknown')} instead of {version}"
        for name, version in wanted.items()
        if found.get(name) != version
    ]
    if other:
        return Check(name="versions", ok=False, found="; ".join(other), fix=SAME)
    return Check(name="versions", ok=True, found="equal to the driver's")


def _clock(clock: float, begun: float, ended: float) -> Check:
    """A worker's clock was read between two of ours."""
    off = max(begun - clock, clock - ended, 0.0)
    ok = off <= SKEW_S
    found = f"{off:.0f} s off the driver's" if off else "equal to the driver's"
    fix = "" if ok else "set the clocks by NTP: leases and signatures to S3 depend on them"
    return Check(name="clock", ok=ok, found=found, fix=fix)


def _guarded(name: str, step: Callable[[], Check]) -> Check:
    try:
        return step()
    except Exception as error:
        fix = f"look at {name} on that node"
        if isinstance(error, OSError) and name == "home":
            fix = "--home DIR or GANLIB_HOME on a file system that all nodes share"
        return Check(name=name, ok=False, found=f"{type(error).__name__}: {error}", fix=fix)
