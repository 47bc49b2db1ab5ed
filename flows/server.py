"""Prefect's server for the length of one command: our own child, on loopback, gone with us.

Prefect would start one itself at the first flow. Ours starts at once, beside the imports, ignores
the terminal's Ctrl-C so that an interrupted flow can still report its state, and ends when the
pipe from its parent closes, however the parent died.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from flows import settings
from ganlib.errors import ConfigError, StorageError
from ganlib.stages import reach
from ganlib.storage import holding

# A server for one command needs no pages and no schedules; one for `ganlib ui` has both.
EPHEMERAL = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}


PATIENCE_S = 20.0  # with a server somebody else started


class Server:
    """A started server. `api_url` is known at once; `wait` returns when it answers."""

    def __init__(self, api_url: str, process: subprocess.Popen[bytes] | None, log: Path) -> None:
        self.api_url = api_url
        self._process = process
        self._log = log

    def wait(self, timeout_s: float = 300.0) -> None:
        """Raises StorageError when the server does not answer in time or has died.

        And ConfigError where one that somebody else started does not take our login.
        """
        end = time.monotonic() + (timeout_s if self._process else PATIENCE_S)
        while True:
            reason = _answers(self.api_url)
            if not reason:
                self._let_in()
                return
            self.check()
            if time.monotonic() > end:
                raise StorageError(
                    f"Prefect's server at {self.api_url} does not answer: {reason}",
                    where=self.api_url,
                    hint=f"its log is {self._log}"
                    if self._process
                    else "start it, or unset PREFECT_API_URL to run without one",
                )
            time.sleep(0.05)

    def _let_in(self) -> None:
        """A login in headers of one's own is not looked at."""
        own = self._process is not None or "PREFECT_CLIENT_CUSTOM_HEADERS" in os.environ
        if not own and reach.prefect_refuses(self.api_url):
            raise ConfigError(
                f"Prefect's server at {reach.without_login(self.api_url)} does not take our login",
                where="PREFECT_API_AUTH_STRING",
                hint=f"set {reach.PREFECT_LOGIN}",
            )

    def check(self) -> None:
        """Raises StorageError when our own server has ended."""
        if self._process and self._process.poll() is not None:
            raise StorageError(
                f"Prefect's server ended with code {self._process.returncode}",
                where=str(self._log),
                hint=f"its log is {self._log}; ganlib doctor checks the environment",
            )

    @property
    def page(self) -> str:
        """Where a browser goes."""
        return self.api_url.removesuffix("/api")

    def stop(self, timeout_s: float = 10.0) -> None:
        """Let it write what it was told and end; nothing to do for a server that is not ours."""
        process, self._process = self._process, None
        if process is None:
            return
        if os.environ.get("PREFECT_API_URL") == self.api_url:
            del os.environ["PREFECT_API_URL"]  # or the next one would look for it there
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start(home: Path, *, pages: bool = False, port: int = 0) -> Server:
    """Start one and name it in `PREFECT_API_URL`; one that is named there already is used.

    On `port`, or on a free one when that is taken. With `pages` it serves Prefect's UI too.
    """
    log = home / "prefect" / "server.log"
    named = os.environ.get("PREFECT_API_URL")
    if named:
        return Server(named.rstrip("/"), None, log)
    with _listen(port) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        kind = {"PREFECT_UI_ENABLED": "1", "PREFECT_UI_API_URL": url} if pages else EPHEMERAL
        kind = kind | {"PREFECT_UI_URL": url.removesuffix("/api")}  # in messages
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flows.server", str(home), str(listener.fileno())],
                env={**os.environ, **kind},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=(listener.fileno(),),
                start_new_session=True,
            )
    os.environ["PREFECT_API_URL"] = url
    return Server(url, process, log)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=128)
    except OSError:
        return socket.create_server(("127.0.0.1", 0), backlog=128)


def _answers(api_url: str) -> str:
    """Nothing when the server is well, else why not."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=5) as response:
            return "" if response.status == 200 else f"status {response.status}"
    except urllib.error.HTTPError as error:
        # A server with a login answers 401 to a question without one: it is there.
        return "" if error.code in (401, 403) else f"status {error.code}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def _serve(home: Path, descriptor: int) -> None:
    """The child: one process at a time migrates the home's database."""
    settings.apply(home, server=True)
    listener = socket.socket(fileno=descriptor)
    import uvicorn
    from prefect.server.api.server import create_app

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            with holding(home / "locks" / "prefect.lock", "starting Prefect's server", wait=300):
                await super().startup(sockets)

    server = Announced(uvicorn.Config(create_app(), log_config=None, lifespan="on"))
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    server.run(sockets=[listener])


def _end_with_parent(server: object) -> None:
    while os.read(0, 4096):
        pass
    server.should_exit = True  # type: ignore[attr-defined]
    time.sleep(8)
    os._exit(1)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
