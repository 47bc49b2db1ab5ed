"""Errors in files come back as themselves."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

from ganlib.cluster.verdicts import (
    Unwritten,
    Verdicts,
    from_dict,
    is_lost_peer,
    to_dict,
    unwritten,
)
from ganlib.errors import (
    ConfigError,
    Damaged,
    Diverged,
    GanlibError,
    Refused,
    StageFailed,
    StorageError,
)


@pytest.mark.parametrize(
    "error",
    [
        Diverged(640, "generator_loss"),
        ConfigError("wrong", hint="mend it", where="gan.seed"),
        Damaged("torn", where="/x"),
        Refused("no", ("one", "two")),
    ],
)
def test_an_error_of_ours_comes_back_as_itself(error: GanlibError):
    back = from_dict(to_dict(error))
    assert type(back) is type(error)
    assert vars(back) == vars(error)
    assert str(back) == str(error)


def test_any_other_error_comes_back_with_its_name_and_place():
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        back = from_dict(to_dict(error))
    assert isinstance(back, StageFailed)
    assert "ZeroDivisionError: division by zero" in back.message
    assert "test_verdicts.py" in back.message


def test_the_lowest_rank_speaks_for_all(tmp_path: Path):
    verdicts = Verdicts(tmp_path / "v")
    assert verdicts.first() is None
    assert not verdicts.unanimous(2, wait_s=0.0)
    verdicts.say(1, ConfigError("one"))
    verdicts.say(0, ConfigError("zero"))
    assert verdicts.unanimous(2, wait_s=0.0)
    first = verdicts.first()
    assert first is not None
    assert first.message == "zero"


def test_what_no_file_could_take_is_found_in_rays_report(tmp_path: Path):
    (tmp_path / "v").touch()
    full = StorageError("disk is full", hint="make room", where="/x")
    assert not Verdicts(tmp_path / "v").say(1, full)
    try:
        raise Unwritten.of(full) from full
    except Unwritten as error:
        report = UserExceptionWithTraceback(error, traceback.format_exc())
    found = unwritten({0: RuntimeError("Connection closed by peer"), 1: report})
    assert isinstance(found, StorageError)
    assert vars(found) == vars(full)
    assert unwritten({0: RuntimeError("Unwritten: {")}) is None


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Closed"), True),
        (RuntimeError("Connection closed by peer [127.0.0.1]:4242"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ConfigError("socket"), False),
        (ValueError("gloo"), False),
    ],
)
def test_the_shadow_of_a_lost_rank_is_told_from_an_error(error: Exception, lost: bool):
    assert is_lost_peer(error) is lost
