"""The doctor names the one setting that mends what is wrong."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganlib.stages import doctor
from ganlib.stages.values import Check


def test_a_home_is_looked_at_without_being_made(tmp_path: Path) -> None:
    check = doctor._home(tmp_path / "home")
    assert check.ok
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    check = doctor._guarded("home", lambda: doctor._home(tmp_path / "home"))
    assert not check.ok


def test_a_home_of_a_newer_ganlib_is_named(tmp_path: Path) -> None:
    (tmp_path / "home.json").write_text('{"format": 99}')
    check = doctor._guarded("home", lambda: doctor._home(tmp_path))
    assert (check.ok, "format 99" in check.found) == (False, True)
    assert "newer ganlib" in check.fix


def test_the_installed_packages_meet_the_requirements() -> None:
    assert doctor._pins() == Check(name="pins", ok=True, found="all requirements are met")


@pytest.mark.parametrize(("value", "ok"), [("1", True), ("", True), ("9999", False), ("x", False)])
def test_threads(monkeypatch: pytest.MonkeyPatch, value: str, ok: bool) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    check = doctor._threads()
    assert check.ok is ok
    assert bool(check.fix) is not ok


def test_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path / "none"))
    check = doctor._data()
    assert (check.ok, check.fix.startswith("GANLIB_DATA=")) == (False, True)
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path))
    assert doctor._data().found.endswith("holds mnist")


def test_extractors_that_are_not_there_are_told_and_break_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GANLIB_INCEPTION", raising=False)
    check = doctor._extractors()
    assert check.ok
    assert "pretrained: there" in check.found
    assert "inception: GANLIB_INCEPTION is not set (set it to" in check.found


class Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(403 if self.path.startswith("/forbidden") else 200)
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_servers_are_asked(monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("PREFECT_API_URL", f"{server}/api")
    assert doctor._mlflow(tmp_path).ok
    assert doctor._prefect().ok
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{server}/forbidden")
    check = doctor._mlflow(tmp_path)
    assert (check.ok, "MLFLOW_SERVER_ALLOWED_HOSTS" in check.fix) == (False, True)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9")
    check = doctor._prefect()
    assert (check.ok, check.fix.startswith("PREFECT_API_URL")) == (False, True)


def test_a_module_that_does_not_import_is_told_with_its_last_line() -> None:
    check = doctor._guarded("x", lambda: doctor._importable("no_such_module") or doctor._python())
    assert not check.ok
    assert "No module named" in check.found
    assert check.fix == doctor.REINSTALL


@pytest.mark.parametrize("check", [doctor._python, doctor._memory, doctor._ports, doctor._torch])
def test_this_machine_will_do(check: doctor.Callable[[], Check]) -> None:
    assert check().ok


class Locked(http.server.BaseHTTPRequestHandler):
    """Lets in who has the login that was set, but says that it is well to anybody."""

    def do_GET(self) -> None:
        let_in = self.headers.get("Authorization") == "Basic YWRtaW46cmlnaHQ="  # admin:right
        self.send_response(200 if let_in or self.path.endswith("/health") else 401)
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


def test_logins_are_tried_and_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Locked) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{serving.server_port}"
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{address}")
        monkeypatch.setenv("PREFECT_API_URL", f"http://{address}/api")
        for password, ok in [("right", True), ("wrong-password", False)]:
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
            monkeypatch.setenv("PREFECT_API_AUTH_STRING", f"admin:{password}")
            found = doctor._mlflow(tmp_path), doctor._prefect()
            assert [check.ok for check in found] == [ok, ok]
        assert "MLFLOW_TRACKING_PASSWORD" in found[0].fix
        assert "PREFECT_API_AUTH_STRING" in found[1].fix
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://admin:wrong-password@{address}")
        assert "wrong-password" not in str((*found, doctor._mlflow(tmp_path)))
        serving.shutdown()
