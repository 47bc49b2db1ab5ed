"""Which errors of MLflow are worth another try."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import requests

from ganlib.storage import Home
from ganlib.tracking.connection import is_permanent, tracking_uri


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (ValueError("not a step"), True),
        (FileNotFoundError("gone.png"), True),
        (requests.exceptions.JSONDecodeError("a proxy's page", "<html>", 0), False),
        (json.JSONDecodeError("half an answer", "{", 1), False),
        (requests.exceptions.ConnectionError("refused"), False),
    ],
)
def test_a_garbled_answer_is_asked_for_again(error: Exception, permanent: bool) -> None:
    assert is_permanent(error) is permanent


def test_a_login_in_the_address_moves_to_its_own_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ann:p%40ss@mlflow.team:5000/base")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    assert tracking_uri(Home(tmp_path)) == "https://mlflow.team:5000/base"
    assert os.environ["MLFLOW_TRACKING_URI"] == "https://mlflow.team:5000/base"
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "ann"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "p@ss"
