"""A server in front of an S3 server that does to answers what networks and busy servers do."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

from tests.s3 import S3Server

Fault = str
"""`busy`, `expired`, `refused`, `truncated`, `slow`, `lost` (done, but not told), or nothing."""
CODES = {
    "busy": (503, "SlowDown"),
    "expired": (400, "ExpiredToken"),
    "refused": (403, "AccessDenied"),
}
SLOW_S = 0.02


@dataclass
class Faults:
    """`decide(number, method, headers)` says what becomes of a request; they are counted."""

    decide: Callable[[int, str, Any], Fault]
    asked: list[tuple[str, str]] = field(default_factory=list)
    done: dict[Fault, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, method: str, path: str, headers: Any) -> Fault:
        with self.lock:
            self.asked.append((method, path))
            fault = self.decide(len(self.asked) - 1, method, headers)
            self.done[fault] = self.done.get(fault, 0) + 1
            return fault


@contextmanager
def faulty(server: S3Server, faults: Faults) -> Iterator[S3Server]:
    """`server` as seen through `faults`."""
    upstream = server.endpoint.removeprefix("http://")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = faults.of(self.command, self.path, self.headers)
            if fault in CODES:
                status, code = CODES[fault]
                text = f"<Error><Code>{escape(code)}</Code><Message>{code}</Message></Error>"
                self.say(status, {"Content-Type": "application/xml"}, text.encode())
                return
            connection = http.client.HTTPConnection(upstream, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            told = connection.getresponse()
            data = told.read()
            connection.close()
            if fault == "lost":
                self.close_connection = True
                self.connection.close()
                return
            self.say(told.status, dict(told.getheaders()), data, fault)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

        def say(self, status: int, headers: dict[str, str], data: bytes, fault: Fault = "") -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = headers.get("Content-Length") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            if self.command == "HEAD":
                return
            if fault == "truncated" and data:
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
            elif fault == "slow":
                step = max(1, len(data) // 8)
                for start in range(0, len(data), step):
                    self.wfile.write(data[start : start + step])
                    time.sleep(SLOW_S)
            else:
                self.wfile.write(data)

        def log_message(self, *told: Any) -> None: ...

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *told: Any) -> None:
            """A client that went away is what is tested here."""

    front = Quiet(("127.0.0.1", 0), Handler)
    threading.Thread(target=front.serve_forever, daemon=True).start()
    try:
        yield S3Server(f"faulty {server.name}", f"http://127.0.0.1:{front.server_port}")
    finally:
        front.shutdown()
        front.server_close()
