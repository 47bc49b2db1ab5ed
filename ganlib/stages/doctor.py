"""What a run needs of this machine, checked by doing it, each with the one setting to mend."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ganlib.errors import GanlibError
from ganlib.stages import reach
from ganlib.stages.values import Check
from ganlib.storage import Home

DISK_GB = 2.0
MEMORY_GB = 2.0
PATIENCE_S = 120.0


def doctor(
    home: Path | str | None = None, *, from_worker: bool = False, storage: str | None = None
) -> tuple[Check, ...]:
    """All checks, the cheap ones first; one that breaks is a check that failed.

    With `from_worker` those of a worker process on each node of the cluster instead.
    """
    place = Home.locate(home)
    if from_worker:
        from ganlib.stages import from_worker as workers

        return workers.checks(place, storage)
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("python", _python),
        ("pins", _pins),
        ("home", lambda: _home(place)),
        ("disk", lambda: _disk(place)),
        ("memory", _memory),
        ("threads", _threads),
        ("GANLIB_DATA", _data),
        ("extractors", _extractors),
        ("ports", _ports),
        ("torch", _torch),
        ("MLflow", lambda: _mlflow(place)),
        ("Prefect", _prefect),
        ("Ray", _ray),
    ]
    return tuple(_guarded(name, check) for name, check in checks)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except GanlibError as error:
        return Check(name=name, ok=False, found=error.message, fix=error.hint)
    except Exception as error:
        return Check(name=name, ok=False, found=f"{type(error).__name__}: {error}", fix=REINSTALL)


REINSTALL = "pip install -c constraints.txt -e . (or: make run)"


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    ok = sys.version_info >= (3, 11)
    return Check(name="python", ok=ok, found=found, fix="" if ok else "use Python 3.11 or later")


def _pins() -> Check:
    """Every requirement of the installed ganlib against what is installed."""
    from packaging.requirements import Requirement

    wrong = []
    for line in importlib.metadata.requires("ganlib") or []:
        need = Requirement(line)
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{need.name} is not installed")
            continue
        if not need.specifier.contains(version, prereleases=True):
            wrong.append(f"{need.name} {version} is not {need.specifier}")
    found = "; ".join(wrong) or "all requirements are met"
    return Check(name="pins", ok=not wrong, found=found, fix=REINSTALL if wrong else "")


def _home(place: Path) -> Check:
    """Opens one only where there is one already: looking must not make a home."""
    if (place / "home.json").exists():
        Home.open(place)
        return Check(name="home", ok=True, found=f"{place} can be written")
    with tempfile.TemporaryDirectory(dir=_existing(place)) as folder:
        Home.open(Path(folder) / "home")
    return Check(name="home", ok=True, found=f"{place} can be made")


def _existing(place: Path) -> Path:
    while not place.exists():
        place = place.parent
    return place


def _disk(place: Path) -> Check:
    free = shutil.disk_usage(_existing(place)).free / 1e9
    temporary = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if free < DISK_GB:
        fix = "--home DIR or GANLIB_HOME on a disk with more room"
    elif temporary < DISK_GB:
        fix = f"TMPDIR on a disk with more room than {tempfile.gettempdir()} (Ray works there)"
    else:
        fix = ""
    found = f"{free:.1f} GB free for the home, {temporary:.1f} GB for temporary files"
    return Check(name="disk", ok=not fix, found=found, fix=fix)


def _memory() -> Check:
    fields = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text("ascii").splitlines()
    )
    free = int(fields["MemAvailable"].split()[0]) / 1e6
    ok = free >= MEMORY_GB
    fix = "" if ok else f"stop other programs: a run wants {MEMORY_GB:.0f} GB"
    return Check(name="memory", ok=ok, found=f"{free:.1f} GB available", fix=fix)


def _threads() -> Check:
    """More threads than cores make every step slower; one thread per worker is the default."""
    cores = len(os.sched_getaffinity(0))
    asked = os.environ.get("OMP_NUM_THREADS", "")
    ok = not asked or (asked.isdigit() and 1 <= int(asked) <= cores)
    found = f"{cores} cores, OMP_NUM_THREADS {asked or 'not set'}"
    return Check(name="threads", ok=ok, found=found, fix="" if ok else "unset OMP_NUM_THREADS")


def _data() -> Check:
    folder = os.environ.get("GANLIB_DATA", "")
    if not folder:
        found = "not set: named datasets are downloaded from their publishers"
        return Check(name="GANLIB_DATA", ok=True, found=found)
    if not Path(folder).is_dir():
        fix = "GANLIB_DATA=DIR that exists, or unset it"
        return Check(name="GANLIB_DATA", ok=False, found=f"there is no folder {folder}", fix=fix)
    names = ("mnist", "fashion-mnist", "cifar10", "cifar-10-batches-bin")
    held = [name for name in names if (Path(folder) / name).is_dir()]
    return Check(
        name="GANLIB_DATA", ok=True, found=f"{folder} holds {', '.join(held) or 'no known dataset'}"
    )


def _extractors() -> Check:
    """What an evaluation can look through besides its judge; none of it is needed."""
    from ganlib.config import InceptionFeatures, PretrainedFeatures

    told, settings = [], (PretrainedFeatures(), InceptionFeatures())
    for extractor in settings:
        problem, hint = extractor.lacks(3)
        told.append(f"{extractor.kind}: {f'{problem} ({hint})' if problem else 'there'}")
    return Check(name="extractors", ok=True, found="; ".join(told))


def _ports() -> Check:
    """Ray, Prefect's in-process server and `ganlib ui` all listen on this machine alone."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError as error:
        fix = "allow connections on 127.0.0.1 (firewall or sandbox), and set no_proxy=127.0.0.1"
        return Check(name="ports", ok=False, found=f"127.0.0.1: {error.strerror}", fix=fix)
    return Check(name="ports", ok=True, found="127.0.0.1 takes connections")


def _torch() -> Check:
    import torch

    product = torch.ones(8, 8) @ torch.ones(8, 8)
    cuda = torch.cuda.is_available()
    found = f"torch {torch.__version__}, {torch.cuda.get_device_name() if cuda else 'no GPU used'}"
    if product.sum().item() != 512:
        return Check(name="torch", ok=False, found=f"{found}: wrong product", fix=REINSTALL)
    if not cuda and Path("/dev/nvidiactl").exists():
        fix = "install torch's CUDA build, or CUDA_VISIBLE_DEVICES= to use none"
        return Check(name="torch", ok=False, found=f"{found} though there is one", fix=fix)
    return Check(name="torch", ok=True, found=found)


def _mlflow(place: Path) -> Check:
    version = importlib.metadata.version("mlflow")
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri.startswith("http"):
        _importable("mlflow")
        where = uri or f"sqlite in {place}"
        return Check(name="MLflow", ok=True, found=f"{version}, {where}")
    return reach.mlflow(uri)


def _prefect() -> Check:
    version = importlib.metadata.version("prefect")
    url = os.environ.get("PREFECT_API_URL", "")
    if not url:
        _importable("prefect.server.api.server")  # what a wrong fastapi breaks
        return Check(name="Prefect", ok=True, found=f"{version}, in process")
    return reach.prefect(url)


def _importable(module: str) -> None:
    """In a process of its own: what it starts or breaks ends there."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise GanlibError(f"{module} cannot be imported: {last}", hint=REINSTALL)


def _ray() -> Check:
    from ganlib.cluster import ray_session
    from ganlib.config import ClusterConfig

    version = importlib.metadata.version("ray")
    address = os.environ.get("RAY_ADDRESS", "")
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            ray_session(ClusterConfig(), log=Path(folder) / "ray.log"),
        ):
            found = address or "local Ray starts and stops"
    except Exception as error:
        fix = "RAY_ADDRESS of a cluster that answers, or unset it" if address else REINSTALL
        return Check(name="Ray", ok=False, found=f"{version}: {error}", fix=fix)
    return Check(name="Ray", ok=True, found=f"{version}, {found}")
