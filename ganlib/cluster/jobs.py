"""Ray's job server, over HTTP: whoever names a job again attaches to it. Nothing here joins Ray."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

from ganlib.cluster import holdings, surroundings
from ganlib.cluster.holdings import Holdings, Release
from ganlib.cluster.session import probe, use_given_token
from ganlib.config import Config
from ganlib.errors import ConfigError

ANSWER_S = 20.0
AGENT_S = 60.0  # a head that has just started takes no jobs yet
STOP_S = 12
REPORT_S = 8.0  # resources are reported every five seconds
POLL_S = 0.3
INSIDE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets it for the process of a job."""

State = Literal["pending", "running", "succeeded", "failed", "stopped"]


class Job(Config):
    """`ray_id`, Ray's own number, and `driver`, host and pid, are there once its process joined."""

    id: str
    state: State
    message: str = ""
    exit_code: int | None = None
    ray_id: str = ""
    driver: tuple[str, int] | None = None

    @property
    def over(self) -> bool:
        return self.state not in ("pending", "running")


def address() -> str:
    """Of the Ray on which stages run as jobs; empty where they run in this process.

    That is without RAY_ADDRESS, and inside a job.
    """
    return "" if inside() else os.environ.get("RAY_ADDRESS", "")


def inside() -> bool:
    """Whether this process is a job's."""
    return INSIDE in os.environ


class JobServer:
    """Of a head, by its HTTP address or by the one that Ray's nodes join.

    Every method raises ConnectionError while it does not answer, and ConfigError where it does not
    take our token.
    """

    def __init__(self, where: str) -> None:
        """Raises ConfigError for an address of Ray's client."""
        if where.startswith("ray://"):
            raise ConfigError(
                f"RAY_ADDRESS={where} is of Ray's client, and no images travel over that",
                where="RAY_ADDRESS",
                hint="name the job server, http://HOST:8265, or the head, HOST:6379",
            )
        self.where = where

    @cached_property
    def _client(self) -> Any:
        surroundings.settle(local=False)
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient
        from requests.exceptions import RequestException

        class Impatient(JobSubmissionClient):  # type: ignore[misc]
            """Ray's own waits for ever for a machine that went away."""

            def _do_request(self, method: str, endpoint: str, **more: Any) -> Any:
                try:
                    return super()._do_request(method, endpoint, **({"timeout": ANSWER_S} | more))
                except RequestException as error:
                    raise ConnectionError(f"{endpoint}: {_first_line(error)}") from error

        use_given_token()
        try:
            if "://" not in self.where:
                probe(self.where)
            return Impatient(self.where)
        except OSError as error:
            raise ConnectionError(f"{self.where}: {_first_line(error)}") from error
        except (AuthenticationError, RuntimeError) as error:
            raise ConfigError(
                f"RAY_ADDRESS={self.where} has no job server for us: {_first_line(error)}",
                where="RAY_ADDRESS",
                hint="start the head with its dashboard, and give its token in RAY_AUTH_TOKEN",
            ) from error

    def job(self, job_id: str) -> Job | None:
        """None for one it does not know."""
        answer = self._ask(f"/api/jobs/{job_id}", missing=True)
        if answer is None:
            return None
        driver = answer.get("driver_info")
        return Job(
            id=job_id,
            state=answer["status"].lower(),
            message=answer.get("message") or "",
            exit_code=answer.get("driver_exit_code"),
            ray_id=answer.get("job_id") or "",
            driver=(driver["node_ip_address"], int(driver["pid"])) if driver else None,
        )

    def submit(self, job_id: str, command: Sequence[str]) -> None:
        """Start it on the head; one that is there already is left as it is.

        Ray's page shows all that it is given, so it is given no variables and no settings: what it
        is to know lies in a file that `command` names, and credentials are the nodes' own.
        """
        request = {
            "entrypoint": f"exec {shlex.join(command)}",
            "submission_id": job_id,
            "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S)}},
        }
        end = time.monotonic() + AGENT_S
        while True:
            try:
                self._client.submit_job(**request)
                return
            except RuntimeError as error:
                if self.job(job_id) is not None:
                    return
                if time.monotonic() > end:
                    raise ConnectionError(f"{self.where}: {_first_line(error)}") from error
            time.sleep(POLL_S)

    def log(self, job_id: str) -> str:
        """What it has printed so far."""
        answer = self._ask(f"/api/jobs/{job_id}/logs", missing=True)
        return str((answer or {}).get("logs") or "")

    def stop(self, job_id: str, patience_s: float) -> Release:
        """Stop it, and wait at most `patience_s` until it has ended and nothing is held by it.

        SIGTERM first, SIGKILL after twelve seconds. Then resources are waited for to be reported.
        """
        begun, asked = time.monotonic(), False
        before = after = self._held(self.job(job_id))
        stopped = over = released = None
        while released is None and time.monotonic() - begun < patience_s:
            job = self.job(job_id)
            over = job is None or job.over
            if job is not None and not over and not asked:
                asked = bool(self._client.stop_job(job_id))
            if over:
                stopped = stopped or time.monotonic() - begun
                after = self._held(job, before)
                released = time.monotonic() - begun if after.nothing else None
            if released is None:
                time.sleep(POLL_S)
        seconds, end = time.monotonic() - begun, time.time()
        while released and after.at < end and time.time() - end < REPORT_S:
            time.sleep(POLL_S)
            after = self._held(self.job(job_id), before)
        return Release(
            job=job_id,
            before=before,
            after=after,
            seconds_to_stop=round(stopped or seconds, 2),
            seconds=round(seconds, 2),
            free=end,
            released=released is not None,
        )

    def _held(self, job: Job | None, before: Holdings | None = None) -> Holdings:
        known = {(one.host, one.pid) for one in before.processes} if before else set()
        if job is not None and job.driver is not None:
            known.add(job.driver)
        return holdings.of(self._ask, job.ray_id if job else "", known)

    def _ask(self, path: str, *, missing: bool = False) -> Any:
        response = self._client._do_request("GET", path)
        if missing and response.status_code == 404:
            return None
        if response.status_code != 200:
            raise ConnectionError(f"{self.where}{path}: status {response.status_code}")
        return response.json()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
