"""What workers are started with, which Ray shows to whoever sees its page."""

from __future__ import annotations

import pytest

from ganlib.cluster import surroundings


def test_workers_are_told_where_things_are_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in surroundings.STORAGE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GANLIB_MIRROR", "s3://bucket/team")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example:9000")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://me:planted@s3.example:9000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "planted")
    told = surroundings.of_workers(3)
    assert told["OMP_NUM_THREADS"] == "3"
    assert told["GANLIB_MIRROR"] == "s3://bucket/team"
    assert told["AWS_ENDPOINT_URL_S3"] == "https://s3.example:9000"
    assert "AWS_ENDPOINT_URL" not in told
    assert "planted" not in repr(told)
