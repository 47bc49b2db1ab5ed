"""One version of everything, and no file of `infra/` that no test knows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import ganlib
from tests.infra.kustomize import containers, render

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
)
CHECKED_BY = {
    "README.md": "test_readme.py",
    "prefect.yaml": "../flows/test_deployments.py",
    "images/Dockerfile": "test_images.py",
    "compose/compose.yaml": "test_compose.py",
    "compose/example.env": "test_compose.py",
    "aws/storage.yaml": "test_aws.py",
}


def test_every_file_is_named_in_a_test() -> None:
    """Those of kubernetes/ are reached through their kustomizations, which test_kubernetes says."""
    there = {str(path.relative_to(INFRA)) for path in INFRA.rglob("*") if path.is_file()}
    assert {name for name in there if not name.startswith("kubernetes/")} == set(CHECKED_BY)
    for name, test in CHECKED_BY.items():
        text = (Path(__file__).parent / test).read_text()
        assert name.rpartition("/")[2] in text, (name, test)


def test_ganlib_is_everywhere_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == ganlib.__version__
    image = f"ganlib:{ganlib.__version__}"
    assert f"${{GANLIB_IMAGE:-{image}}}" in (INFRA / "compose" / "compose.yaml").read_text()
    assert f"GANLIB_IMAGE={image}" in (INFRA / "compose" / "example.env").read_text()
    assert f"-t {image} " in (INFRA / "README.md").read_text()
    for place in ("base", "overlays/dev", "overlays/gpu"):
        images = {
            c["image"] for one in render(INFRA / "kubernetes" / place) for c in containers(one)
        }
        assert images == {image}


def test_ray_prefect_and_mlflow_are_of_the_pins() -> None:
    for one in render(INFRA / "kubernetes" / "overlays" / "gpu"):
        spec = one.get("spec", {})
        if one["kind"] in ("RayCluster", "RayJob"):
            assert spec.get("rayClusterSpec", spec)["rayVersion"] == PINS["ray"]
    told = yaml.safe_load((INFRA / "prefect.yaml").read_text())
    assert told["prefect-version"] == PINS["prefect"]
    # Servers run from the image of the pins: no other image of theirs may be named.
    texts = [path.read_text() for path in INFRA.rglob("*.yaml")]
    assert not [t for t in texts if re.search(r"image: .*(prefect|mlflow|rayproject)", t)]


def test_one_python_everywhere() -> None:
    text = (INFRA / "images" / "Dockerfile").read_text()
    (python,) = set(re.findall(r"^FROM python:(\d+\.\d+)", text, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert f">={python}" == project["project"]["requires-python"]
    assert python == project["tool"]["mypy"]["python_version"]


def test_one_work_pool_everywhere() -> None:
    told = yaml.safe_load((INFRA / "prefect.yaml").read_text())
    (pool,) = {one["work_pool"]["name"] for one in told["deployments"]}
    for file in ("compose/compose.yaml", "kubernetes/base/prefect-worker.yaml"):
        assert f"--pool={pool}, --type=process" in (INFRA / file).read_text()
    assert f"work-pool create {pool} --type process" in (INFRA / "README.md").read_text()
