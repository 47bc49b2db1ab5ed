"""The code behind a `build`: an edit anywhere in it is seen, and nothing of it is imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ganlib.config import Custom, GanConfig, GeneratorConfig, LeNet5
from ganlib.config.code import closure, code_of, fingerprint_of
from ganlib.errors import ConfigError

BUILD = "atelier.net:build"


@pytest.fixture
def atelier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's package beside a folder without `__init__.py`."""
    folder = tmp_path / "atelier"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "net.py").write_text(
        "from torch import nn\nfrom ganlib.models.layers import BatchNorm\n"
        "def build():\n    from .parts import tone\n    import loose.deep\n"
    )
    (folder / "parts.py").write_text("tone = 1\n")
    (folder / "unused.py").write_text("")
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose" / "deep.py").write_text("import json\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_the_files_and_what_they_import(atelier: Path) -> None:
    before = set(sys.modules)
    code = closure(BUILD)
    assert set(sys.modules) == before
    assert set(code.texts) == {"atelier", "atelier.net", "atelier.parts", "loose", "loose.deep"}
    assert code.path("atelier") == "atelier/__init__.py"
    assert code.path("loose.deep") == "loose/deep.py"
    assert "ganlib.models.layers" in code.ours["atelier.net"]
    assert {"torch", "torch.nn", "json"} <= code.outside


@pytest.mark.parametrize("name", ["net.py", "parts.py", "__init__.py", "../loose/deep.py"])
def test_an_edit_in_any_of_them_is_another_fingerprint(atelier: Path, name: str) -> None:
    before = fingerprint_of(BUILD)
    (atelier / "unused.py").write_text("x = 1")
    assert fingerprint_of(BUILD) == before
    path = atelier / name
    path.write_text(path.read_text() + "# edited\n")
    assert fingerprint_of(BUILD) != before


def test_every_custom_part_of_a_configuration_is_found(atelier: Path) -> None:
    gan = GanConfig(
        generator=GeneratorConfig(network=Custom(build=BUILD)), loss=Custom(build="json:loads")
    )
    assert code_of([gan, LeNet5()]) == {
        BUILD: fingerprint_of(BUILD),
        "json:loads": fingerprint_of("json:loads"),
    }
    assert code_of(GanConfig()) == {}


def test_what_is_no_python_is_named_with_its_line(atelier: Path) -> None:
    (atelier / "parts.py").write_text("tone = 1\nif\n")
    with pytest.raises(ConfigError, match=r"parts\.py, line 2"):
        closure(BUILD)
