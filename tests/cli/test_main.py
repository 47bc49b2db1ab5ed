"""The command line's manners: help at once, one document, true exit codes, errors with a hint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ganlib.cli.group import LazyGroup
from ganlib.cli.main import COMMANDS, ganlib
from ganlib.cli.pipeline import taken
from ganlib.storage import Home

GANLIB = str(Path(sys.executable).parent / "ganlib")
CONTRACT = {
    "run": (),
    "data": ("prepare",),
    "train": (),
    "sweep": (),
    "evaluate": (),
    "model": ("promote", "rollback"),
    "sample": (),
    "predict": (),
    "recipes": ("list", "show"),
    "status": (),
    "cancel": (),
    "logs": (),
    "schedule": (
        "add",
        "list",
        "pause",
        "resume",
        "remove",
        "simulate",
        "backfill",
        "notify",
        "serve",
    ),
    "ui": (),
    "gc": (),
    "mirror": ("push", "pull"),
    "doctor": (),
    "bench": ("data",),
}
HEAVY = ("torch", "ray", "mlflow", "prefect", "pandas", "pyarrow", "pydantic", "numpy", "rich")


def call(
    *arguments: str, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GANLIB, *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=120,
        env={**os.environ, **environment},
    )


def leaves(group: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(group, click.Group):
        return [path]
    context = click.Context(group)
    found: list[tuple[str, ...]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found += leaves(command, (*path, name))
    return found


LEAVES = leaves(ganlib)


def test_every_promised_command_is_there() -> None:
    promised = {(name, *([part] if part else [])) for name, parts in CONTRACT.items()
                for part in (parts or ("",))}  # fmt: skip
    assert promised <= set(LEAVES)
    assert set(COMMANDS) == set(CONTRACT)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_helps_and_takes_the_four_options(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(ganlib, [*path, "--help"])
    assert done.exit_code == 0
    for option in ("--set", "--home", "--fresh", "--json"):
        assert option in done.output


def test_the_help_answers_at_once() -> None:
    took = []
    for _ in range(5):
        before = time.perf_counter()
        done = call("--help")
        took.append(time.perf_counter() - before)
        assert done.returncode == 0
    assert min(took) < 0.5, took


@pytest.mark.parametrize("command", [(), ("bench", "collapse")], ids=" ".join)
def test_the_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    asked = [*command, "--help"]
    code = (
        f"import sys\nfrom ganlib.cli.main import main\nmain({asked!r})\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# arguments, what the message names, what the hint offers
BAD: list[tuple[list[str], str, str]] = [
    (["rn"], "'rn'", "did you mean run?"),
    (["run", "digits", "--sett", "a=1"], "--sett", ""),
    (["run", "digits", "extra"], "extra", ""),
    (["run", "digts"], "'digts'", "did you mean digits?"),
    (["run", "nowhere.yaml"], "nowhere.yaml", ""),
    (["run", "digits", "--set", "gan.budget.image=5"], "gan.budget.image", "gan.budget.images"),
    (["run", "digits", "--set", "gan.budget.images=many"], "gan.budget.images", ""),
    (["run", "digits", "--set", "gan.budget.images"], "gan.budget.images", "--set"),
    (["run", "digits", "--set", "data.size=7"], "data.size", ""),
    (["train", "digits", "--only", "judge"], "judge", ""),
    (["sweep", "digits", "--set", "sweep.trials=0"], "sweep.trials", ""),
    (["recipes", "show", "minst"], "'minst'", "did you mean mnist?"),
    (["status", "--why", "gna"], "'gna'", ""),
    (["cancel", "p-nothing"], "p-nothing", "ganlib status"),
    (["logs", "p-nothing"], "p-nothing", "ganlib status"),
    (["sample"], "MODEL", ""),
    (["predict", "digits"], "FOLDER", ""),
]


@pytest.mark.parametrize(("arguments", "names", "hint"), BAD, ids=[" ".join(b[0]) for b in BAD])
def test_bad_input_ends_with_2_and_says_what_to_do(
    tmp_path: Path, arguments: list[str], names: str, hint: str
) -> None:
    home = Home.open(tmp_path / "home").root
    done = call(*arguments, "--json", GANLIB_HOME=str(home))
    assert done.returncode == 2, done.stderr
    document = json.loads(done.stdout)
    assert document["exit"] == 2
    assert document["ok"] is False
    told = document["error"]["message"] + document["error"]["hint"]
    assert names in told
    assert hint in told
    assert "Traceback" not in done.stderr


def test_a_name_that_is_a_recipe_and_a_folder_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert taken("digits") == ""
    (tmp_path / "digits").mkdir()
    assert "taken for the recipe; the folder of that name is digits/" in taken("digits")
    assert taken("digits/") == ""


def test_a_run_that_is_refused_makes_no_home(tmp_path: Path) -> None:
    done = call("run", "digits", "--set", "gan.x=1", "--home", str(tmp_path / "home"))
    assert done.returncode == 2
    assert not (tmp_path / "home").exists()


def test_a_home_that_is_a_file_or_holds_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("x")
    for name in ("file", "photos"):
        done = call("run", "digits", "--json", "--home", str(tmp_path / name))
        assert done.returncode == 2
        assert json.loads(done.stdout)["error"]["type"] == "HomeError"


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        (["recipes"], "ganlib.recipes/1"),
        (["recipes", "list"], "ganlib.recipes.list/1"),
        (["recipes", "show", "digits"], "ganlib.recipes.show/1"),
        (["recipes", "show"], "ganlib.recipes.show/1"),
        (["nothing"], "ganlib/1"),
    ],
)
def test_json_is_one_document_and_nothing_else(arguments: list[str], schema: str) -> None:
    done = call(*arguments, "--json")
    assert len(done.stdout.splitlines()) == 1
    document = json.loads(done.stdout)
    assert list(document) == ["schema", "ok", "exit", "result", "error"]
    assert document["schema"] == schema
    assert document["exit"] == done.returncode
    assert document["ok"] == (done.returncode == 0) == (document["error"] is None)


def test_a_shown_recipe_is_a_file_that_runs(tmp_path: Path) -> None:
    shown = call("recipes", "show", "digits", "--set", "gan.budget.images=1000")
    mine = tmp_path / "mine.yaml"
    mine.write_text(shown.stdout)
    again = call("recipes", "show", str(mine), "--json")
    assert json.loads(again.stdout)["result"]["config"]["gan"]["budget"]["images"] == 1000


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [GANLIB, "recipes", "show", "digits"], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_terminal_without_unicode_gets_ascii() -> None:
    done = call("recipes", PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "digits" in done.stdout


def test_recipes_tell_parameters_sources_and_dashes_for_what_was_never_timed(
    tmp_path: Path,
) -> None:
    home = tmp_path / "none"
    done = call("recipes", "list", "--home", str(home))
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["digits", "77,754", "-", "129,410", "-", "-"] in rows
    assert "He et al. 2015, section 4.2" in done.stdout
    told = json.loads(call("recipes", "list", "--home", str(home), "--json").stdout)
    digits = next(r for r in told["result"]["recipes"] if r["name"] == "digits")
    counted = {"classifier": 77_754, "generator": 84_993, "discriminator": 44_417}
    assert (digits["parameters"], digits["cost"]) == (counted, None)
    assert not home.exists()


def test_options_without_a_use_are_named() -> None:
    done = call("recipes", "list", "--set", "gan.budget.images=3", "--fresh")
    assert done.returncode == 0
    assert "--set and --fresh" in done.stderr


def test_a_lazy_group_imports_what_is_called_only() -> None:
    group = LazyGroup(name="g", lazy={"broken": ("no.such.module:x", "Breaks.")})
    done = CliRunner().invoke(group, ["--help"])
    assert done.exit_code == 0
    assert "Breaks." in done.output
