"""The server of one command: ours alone, on loopback, gone with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from flows import server, settings
from ganlib.errors import ConfigError, StorageError
from ganlib.storage import Home
from ganlib.training import process_started
from tests.stages.test_doctor import Locked

PARENT = """
import sys, time
from pathlib import Path
from flows import server, settings
settings.apply(Path(sys.argv[1]))
started = server.start(Path(sys.argv[1]))
started.wait()
print(started._process.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home").root
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(home)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert process_started(pid) is not None
    assert os.getpgid(pid) != os.getpgid(parent.pid)  # Ctrl-C does not reach it
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 30
    while process_started(pid) is not None and time.monotonic() < end:
        time.sleep(0.05)
    assert process_started(pid) is None
    assert (home / "prefect" / "prefect.db").exists()


def test_a_server_that_is_named_is_used_and_not_stopped(
    prefect_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", os.environ["PREFECT_API_URL"])
    other = server.start(prefect_home)
    other.wait(5)
    other.stop()
    other.wait(5)


def test_a_server_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    started = server.Server("http://127.0.0.1:9/api", None, tmp_path / "log")
    monkeypatch.setattr(server, "PATIENCE_S", 0.2)
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:9.*does not answer") as caught:
        started.wait()
    assert "PREFECT_API_URL" in caught.value.hint


def test_a_login_that_a_server_does_not_take_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended with Prefect's own traceback."""
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY", "PREFECT_CLIENT_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Locked) as guarded:
        threading.Thread(target=guarded.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{guarded.server_port}/api"
        started = server.Server(url, None, tmp_path / "log")
        with pytest.raises(ConfigError, match="does not take our login") as caught:
            started.wait()
        assert "PREFECT_API_AUTH_STRING" in caught.value.hint
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:right")
        started.wait()
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:wrong")
        with pytest.raises(ConfigError) as caught:
            started.wait()
        assert "wrong" not in str(caught.value)
        monkeypatch.setenv("PREFECT_CLIENT_CUSTOM_HEADERS", '{"X-Token": "mine"}')
        started.wait()
        guarded.shutdown()


def test_what_the_environment_says_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*settings.QUIET, "PREFECT_HOME", "PREFECT_LOGGING_SETTINGS_PATH"]:
        monkeypatch.setenv(name, "mine")
    settings.apply(tmp_path)
    assert all(os.environ[name] == "mine" for name in settings.QUIET)
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "prefect")


def test_a_dollar_in_the_home_reaches_the_log_file(tmp_path: Path) -> None:
    home = tmp_path / "a$home"
    code = (
        "import sys, logging\nfrom pathlib import Path\nfrom flows import settings\n"
        "settings.apply(Path(sys.argv[1]))\n"
        "from prefect.logging.configuration import setup_logging\nsetup_logging()\n"
        "from prefect.logging import get_logger\nget_logger().warning('hello')\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    subprocess.run([sys.executable, "-c", code, str(home)], check=True, env=environment)
    assert "hello" in (home / "prefect" / "flows.log").read_text()
