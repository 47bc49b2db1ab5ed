"""Which errors of MLflow are worth another try."""

from __future__ import annotations

import json

import pytest
import requests

from ganlib.tracking.connection import is_permanent


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
