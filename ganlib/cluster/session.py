"""A Ray to run on: one of our own that ends with us, or the one at RAY_ADDRESS."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganlib.cluster import leftovers, surroundings
from ganlib.cluster.talk import RayTalk
from ganlib.config import ClusterConfig
from ganlib.errors import ConfigError, StageFailed

OBJECT_STORE_BYTES = 100 * 2**20  # only small values travel; images are read from shards
POLL_S = 0.2
PROBE_S = 5.0
LOOK_S = 60.0  # a cluster that grows with its work starts a node first
_LOCK = threading.RLock()
_current: _Session | None = None
_keepers = 0


@contextmanager
def ray_session(cluster: ClusterConfig, *, log: Path) -> Iterator[None]:
    """Ray is up inside; inside another session nothing new is started.

    With RAY_ADDRESS it is joined and left. Otherwise a local one is started, without dashboard,
    with at least as many CPUs as `cluster` needs, and every process of it has ended when this
    returns, whatever ends the body. What an earlier driver of the same home left behind when it was
    killed is ended first. Ray's own messages go to `log`. Raises ConfigError when RAY_ADDRESS
    cannot be joined, StageFailed when no local Ray comes up.
    """
    session = _enter(cluster, log)
    try:
        yield
    finally:
        _leave(session)


@contextmanager
def keeping_ray() -> Iterator[None]:
    """A session begun inside is kept for the next one and ends with this: starting costs seconds.

    It starts nothing itself: where no session is asked for there is no Ray.
    """
    global _keepers
    with _LOCK:
        _keepers += 1
    try:
        yield
    finally:
        with _LOCK:
            _keepers -= 1
            idle = not _keepers and _current is not None and _current.depth == 0
        if idle:
            stop_now()


def stop_now() -> None:
    """End the session under way, if any, whoever entered it: what a signal asks for."""
    global _current
    with _LOCK:
        session, _current = _current, None
    if session is not None:
        session.stop()


def is_local() -> bool:
    """Whether the session under way is one of our own."""
    return _current is not None and _current.footprint is not None


def in_threads(calls: Sequence[tuple[Any, tuple[Any, ...]]]) -> list[Future[Any]]:
    """Run the calls side by side until all have ended.

    The caller's thread stays free for signals: whatever is raised in it ends Ray at once. (Train
    and Tune in the main thread would replace its handlers.)
    """
    futures: list[Future[Any]] = []
    for function, arguments in calls:
        future: Future[Any] = Future()
        futures.append(future)
        threading.Thread(target=_into, args=(future, function, arguments), daemon=True).start()
    try:
        while wait(futures, timeout=POLL_S).not_done:
            pass
    except BaseException:
        stop_now()
        raise
    return futures


def _into(future: Future[Any], function: Any, arguments: tuple[Any, ...]) -> None:
    try:
        future.set_result(function(*arguments))
    except BaseException as error:
        future.set_exception(error)


class _Session:
    """Ray, connected; `footprint` is none when it was joined."""

    def __init__(self, cluster: ClusterConfig, log: Path) -> None:
        self.cluster = cluster
        self.log = log
        self.depth = 1
        self.footprint: leftovers.Footprint | None = None
        self.talk: RayTalk | None = None
        self.signals = _handlers()

    def serves(self, cluster: ClusterConfig) -> bool:
        """Whether it is what would be started for `cluster`."""
        return _cpus(self.cluster) >= _cpus(cluster) and self.cluster.threads == cluster.threads

    def join(self, address: str) -> None:
        if "://" in address:
            raise ValueError("this command joins Ray itself: on a node, name the head, HOST:6379")
        probe(address)
        use_given_token()
        self._connect(address=address)
        _look_from_there(self.log.absolute().parent)

    def start(self) -> None:
        folder = leftovers.records_folder(self.log)
        leftovers.end_leftovers(folder)
        self.footprint = leftovers.Footprint.in_folder(folder)
        self.footprint.write([])
        os.environ[leftovers.MARK] = self.footprint.mark
        node = self._connect(
            address="local",
            num_cpus=_cpus(self.cluster),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
        )
        self.footprint.session = node.get_session_dir_path()
        self.footprint.write(leftovers.describe(node))

    def _connect(self, **settings: Any) -> Any:
        import ray

        self.talk = RayTalk(self.log)
        ray.init(
            log_to_driver=False,
            configure_logging=False,
            runtime_env={"env_vars": surroundings.of_workers(self.cluster.threads)},
            **settings,
        )
        self.talk.listen()
        # Ray turns SIGTERM into SystemExit, so that `with` blocks end; whoever had a handler of
        # their own keeps it.
        _put_back({n: h for n, h in self.signals.items() if h not in (signal.SIG_DFL, None)})
        return ray._private.worker._global_node

    def stop(self) -> None:
        """Twice is harmless."""
        try:
            import ray

            ray.shutdown()
        finally:
            _put_back(self.signals)
            if self.footprint is not None:
                self.footprint.end()
                os.environ.pop(leftovers.MARK, None)
            if self.talk is not None:
                self.talk.close()


def _enter(cluster: ClusterConfig, log: Path) -> _Session:
    global _current
    with _LOCK:
        if _current is not None and _current.depth == 0 and not _current.serves(cluster):
            stop_now()
        if _current is None:
            _current = _begin(cluster, log)
        else:
            _current.depth += 1
        return _current


def _begin(cluster: ClusterConfig, log: Path) -> _Session:
    address = os.environ.get("RAY_ADDRESS")
    surroundings.settle(local=not address)
    session = _Session(cluster, log)
    try:
        if address:
            session.join(address)
        else:
            session.start()
    except BaseException as error:
        session.stop()
        if isinstance(error, Exception):
            raise _explain(error, address, log) from error
        raise
    return session


def _leave(session: _Session) -> None:
    with _LOCK:
        session.depth -= 1
        over = session.depth == 0 and _current is session and not _keepers
    if over:
        stop_now()


def _explain(error: Exception, address: str | None, log: Path) -> ConfigError | StageFailed:
    reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    if address:
        return ConfigError(
            f"RAY_ADDRESS={address} cannot be joined: {reason}",
            where="RAY_ADDRESS",
            hint="check that it runs and sees the home, give its token in RAY_AUTH_TOKEN, or unset "
            "RAY_ADDRESS",
        )
    return StageFailed(f"Ray did not start: {reason}", where="ray", hint=f"its messages: {log}")


def probe(address: str) -> None:
    """Ray itself tries for minutes; raises OSError where nobody listens."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=PROBE_S).close()


def _look_from_there(folder: Path) -> None:
    """Raises FileNotFoundError if a node there does not see what we write into `folder`."""
    import ray

    with tempfile.NamedTemporaryFile(dir=folder, prefix=".seen-") as file:
        seen = ray.remote(num_cpus=0, max_retries=0)(os.path.exists).remote(file.name)
        if not ray.get(seen, timeout=LOOK_S):
            raise FileNotFoundError(
                f"a node there does not see {folder}: the home must be on a file system they share"
            )


def use_given_token() -> None:
    """Ray sends a token to a local cluster of itself, but not to an address unless told so."""
    if {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        from ray._private.authentication import authentication_token_setup as setup

        setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _cpus(cluster: ClusterConfig) -> int:
    """What is there, or what is asked for: two workers share one core rather than wait for ever.

    Train's controller and its like ask for none.
    """
    asked = max(cluster.workers, cluster.classifier_workers) * cluster.threads
    return max(len(os.sched_getaffinity(0)), asked)


def _handlers() -> dict[int, Any]:
    """The handlers of the signals Ray may take over; none outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}


def _put_back(handlers: dict[int, Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            signal.signal(number, handler)
