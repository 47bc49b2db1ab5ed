"""infra/README.md: the commands it gives are there, and it says what it must."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from ganlib.cli.main import ganlib

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "infra" / "README.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
LINES = "\n".join(BLOCKS).replace("\\\n", " ").splitlines()


def ganlib_commands() -> list[list[str]]:
    """What follows the command ganlib, or its image."""
    told = (re.search(r"(?:^|\s)ganlib(?::\S+)? ((?:schedule|run) .*)$", line) for line in LINES)
    return [shlex.split(one[1]) for one in told if one]


@pytest.mark.parametrize("words", ganlib_commands(), ids=" ".join)
def test_its_ganlib_commands_parse(words: list[str]) -> None:
    with click.Context(ganlib, info_name="ganlib") as context:
        _, command, rest = ganlib.resolve_command(context, words)
        assert command is not None
        while isinstance(command, click.Group):
            _, command, rest = command.resolve_command(context, rest)
            assert command is not None
        command.make_parser(context).parse_args(rest)


def test_it_gives_commands_for_every_place() -> None:
    assert len(ganlib_commands()) >= 5
    for place in ("One machine", "compose", "Kubernetes", "AWS"):
        assert re.search(rf"^## .*{place}", TEXT, re.MULTILINE), place


def test_the_files_it_names_are_there() -> None:
    named = set(re.findall(r"infra/[\w./-]*\w", " ".join(LINES)))
    assert len(named) >= 4
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_folder_has_its_line() -> None:
    for path in (ROOT / "infra").iterdir():
        name = f"{path.name}/" if path.is_dir() else path.name
        assert name == "README.md" or f"| `{name}` |" in TEXT
