"""The image: no lint, no root, and its install lines install what the pins say."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import site
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "infra" / "images" / "Dockerfile"


def hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    binary = Path(sys.executable).parent / "hadolint"
    return subprocess.run([str(binary), str(file)], capture_output=True, text=True)


def test_hadolint_finds_nothing_and_would_find_a_planted_mistake(tmp_path: Path) -> None:
    found = hadolint(DOCKERFILE)
    assert found.returncode == 0, found.stdout
    planted = tmp_path / "Dockerfile"
    planted.write_text(DOCKERFILE.read_text().replace("WORKDIR /src", "RUN cd /src"))
    assert "DL3003" in hadolint(planted).stdout


def test_the_last_user_is_not_root() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    assert users
    assert users[-1].isdigit()
    assert int(users[-1]) > 0


def test_every_file_the_image_copies_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source not in ignored


def test_every_dependency_is_pinned_without_a_local_version() -> None:
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    names = {re.split(r"[=\[]", pin)[0].lower().replace("_", "-") for pin in pins if "==" in pin}
    assert not [pin for pin in pins if "+" in pin.partition("==")[2]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in chain(project["dependencies"], *project["optional-dependencies"].values()):
        name = re.split(r"[<>=\[;]", requirement)[0].strip().lower().replace("_", "-")
        assert name in names, f"{name} has no pin in constraints.txt"


def build_steps() -> list[tuple[str, str]]:
    """Instruction and text of the first stage's lines, in order."""
    stage = DOCKERFILE.read_text().split("\nFROM ")[1].replace("\\\n", " ")
    lines = [line for line in stage.splitlines()[1:] if line and not line.startswith("#")]
    return [(word, text) for word, _, text in (line.partition(" ") for line in lines)]


@pytest.mark.slow
def test_its_install_steps_in_a_fresh_folder_make_a_ganlib_that_runs(tmp_path: Path) -> None:
    """From what is copied alone. pip leaves the dependencies out (2 GB), which are those here."""
    source, opt = tmp_path / "src", tmp_path / "opt"
    source.mkdir()
    python = Path(sys.executable).parent
    env = {"PATH": f"{python}:/usr/bin:/bin", "HOME": str(tmp_path), "PIP_NO_DEPS": "1"}
    env |= {name: value for name, value in os.environ.items() if "PROXY" in name.upper()}
    env |= {name: value for name, value in os.environ.items() if "INDEX_URL" in name}
    for word, text in build_steps():
        told = text.replace("/opt/ganlib", str(opt))
        match word:
            case "ENV":
                for pair in shlex.split(told):
                    name, _, value = pair.partition("=")
                    env[name] = value.replace("$PATH", env["PATH"])
            case "ARG":
                env.setdefault(*told.split("=", 1))
            case "COPY":
                *names, to = told.split()
                for name in names:
                    copied = source / to / ("" if (ROOT / name).is_dir() else name)
                    command = ["cp", "-r", str(ROOT / name), str(copied)]
                    subprocess.run(command, check=True)
            case "RUN":
                command = ["sh", "-c", told]
                subprocess.run(command, cwd=source, env=env, check=True, timeout=280)
            case "WORKDIR":
                pass
            case _:
                raise AssertionError(f"what does {word} do?")
    shutil.rmtree(source)
    (dependencies,) = site.getsitepackages()
    env |= {"PYTHONPATH": dependencies, "GANLIB_HOME": str(tmp_path / "home")}

    def said(name: str, *words: str) -> str:
        command = [str(opt / "bin" / name), *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert "Usage: ganlib" in said("ganlib", "--help")
    recipes = json.loads(said("ganlib", "recipes", "list", "--json"))["result"]["recipes"]
    assert "mnist" in {one["name"] for one in recipes}
    assert said("python", "-P", "-c", "import ganlib; print(ganlib.__file__)").startswith(str(opt))
    pages = {path.name for path in (ROOT / "ganlib").rglob("*.html")}
    assert pages == {path.name for path in opt.rglob("ganlib/**/*.html")} != set()


def test_both_devices_install_the_same_torch_and_another_is_refused(tmp_path: Path) -> None:
    """The step as the shell runs it, with a pip that tells what it was asked for."""
    (step,) = re.findall(r"^RUN (case .*?esac)$", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL)
    pip = tmp_path / "pip"
    pip.write_text('#!/bin/sh\necho "$@"\n')
    pip.chmod(0o755)

    def run(device: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "DEVICE": device}
        command = ["sh", "-c", step.replace("\\\n", " ")]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    assert run("cuda").stdout == ""
    assert run("cpu").stdout.split()[:3] == ["install", "-c", "constraints.txt"]
    assert run("cpu").stdout.split()[-1] == "torch"
    # PyTorch's index has not the pinned versions of what torch needs.
    assert "--no-deps" in run("cpu").stdout.split()
    wrong = run("rocm")
    assert wrong.returncode != 0
    assert "DEVICE is cuda or cpu" in wrong.stderr
