"""The image: no lint, no root, and its install lines install what the pins say."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

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
