"""The services of compose.yaml as plain processes, with its own commands and settings.

PostgreSQL, MLflow and Prefect are the real ones; rclone, which checks signatures, stands for the S3
server. Names of services become loopback with a free port.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.infra.test_compose import ENV, SERVICES, STACK, filled
from tests.s3 import KEY, SECRET, free_port, rclone

BIN = Path(sys.executable).parent
VALUES = {name: value or f"planted-{name.lower()}" for name, value in ENV.items()} | {
    "S3_ACCESS_KEY": KEY,
    "S3_SECRET_KEY": SECRET,
}
PASSWORDS = [value for value in VALUES.values() if value.startswith("planted-")]


@dataclass(frozen=True)
class Stack:
    """Where things are, and the environment of a worker."""

    folder: Path
    ports: dict[str, int]
    worker: dict[str, str]

    def ask(self, url: str, body: Any = None, login: str = "") -> tuple[int, Any]:
        request = urllib.request.Request(
            url,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        if login:
            request.add_header(
                "Authorization", f"Basic {base64.b64encode(login.encode()).decode()}"
            )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, None


@contextmanager
def running_stack() -> Iterator[Stack]:
    """All of it, and an empty bucket; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ganlib-stack-"))
    ports = {name: free_port() for name in ("postgres", "mlflow", "prefect")}
    try:
        with ExitStack() as running:
            (folder / "s3").mkdir()
            s3 = running.enter_context(rclone(folder / "s3", "--dir-cache-time=5s"))
            ports["s3"] = int(s3.endpoint.rpartition(":")[2])
            running.enter_context(postgres(folder, ports["postgres"]))
            bucket = [sys.executable, "-c", SERVICES["bucket"]["command"][0]]
            for _ in range(2):  # the second finds it made
                subprocess.run(bucket, env=environment("bucket", ports, folder), check=True)
            for name in ("mlflow", "prefect"):
                running.enter_context(service(name, ports, folder))
            yield Stack(folder, ports, environment("worker", ports, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def local(text: str, ports: dict[str, int]) -> str:
    """Compose's text with services on loopback."""
    text = filled(text, VALUES)
    text = text.replace("@postgres/", f"@127.0.0.1:{ports['postgres']}/")
    for name, inside in (("s3", 8333), ("mlflow", 5000), ("prefect", 4200)):
        text = text.replace(f"http://{name}:{inside}", f"http://127.0.0.1:{ports.get(name)}")
        text = text.replace(f":{inside}", f":{ports.get(name)}")
        text = text.replace(f"--port={inside}", f"--port={ports.get(name)}")
    return text.replace("0.0.0.0", "127.0.0.1")


def environment(name: str, ports: dict[str, int], folder: Path) -> dict[str, str]:
    told = SERVICES[name]["environment"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "MLFLOW", "AWS"))}
    ours = {key: local(str(value), ports) for key, value in told.items()}
    ours = {key: value.replace("/etc/", f"{folder}/etc/") for key, value in ours.items()}
    return kept | ours | {"HOME": str(folder), "PREFECT_HOME": str(folder / "prefect")}


@contextmanager
def service(name: str, ports: dict[str, int], folder: Path) -> Iterator[None]:
    """Started as compose would, with what it mounts, until it answers."""
    for config in SERVICES[name].get("configs", ()):
        file = Path(f"{folder}{config['target']}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(local(STACK["configs"][config["source"]]["content"], ports))
    program, *words = SERVICES[name]["entrypoint"]
    command = [str(BIN / program), *words, *(local(w, ports) for w in SERVICES[name]["command"])]
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment(name, ports, folder),
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 240
        while not answers(f"http://127.0.0.1:{ports[name]}/{'api/' * (name == 'prefect')}health"):
            assert process.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() < end, log.read_text()[-4000:]
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return True


@contextmanager
def postgres(folder: Path, port: int) -> Iterator[None]:
    """With the databases that the compose file makes."""
    import psycopg

    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    place, tools = folder / "postgres", found[-1].parent
    place.mkdir()
    as_user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to be root
        folder.chmod(0o755)
        shutil.chown(place, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    password = folder / "pw"
    password.write_text(VALUES["POSTGRES_PASSWORD"])
    password.chmod(0o644)
    init = [str(tools / "initdb"), "-D", str(place), "-U", "ganlib", "-A", "scram-sha-256"]
    subprocess.run([*as_user, *init, f"--pwfile={password}"], check=True, capture_output=True)
    password.unlink()
    options = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(place)]
    with (folder / "postgres.log").open("wb") as output:
        process = subprocess.Popen(
            [*as_user, str(tools / "postgres"), "-D", str(place), *options],
            stdout=output,
            stderr=output,
        )
    url = f"postgresql://ganlib:{VALUES['POSTGRES_PASSWORD']}@127.0.0.1:{port}/postgres"
    try:
        end = time.monotonic() + 60
        while True:
            try:
                connection = psycopg.connect(url, autocommit=True)
                break
            except psycopg.OperationalError:
                assert time.monotonic() < end, (folder / "postgres.log").read_text()
                time.sleep(0.1)
        with connection:
            connection.execute(
                f"CREATE DATABASE {SERVICES['postgres']['environment']['POSTGRES_DB']}"
            )
            for line in STACK["configs"]["databases"]["content"].splitlines():
                connection.execute(line)
        connection.close()
        yield
    finally:
        process.terminate()
        process.wait(30)
