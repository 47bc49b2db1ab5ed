"""What of kustomize `infra/kubernetes` uses, so that its overlays are tested where no kubectl is.

Resources, a namespace, an image's tag, and JSON patches by kind and name. Anything else in a
kustomization is refused; `test_kubernetes` holds the outcome against kubectl's where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

KNOWN = {"apiVersion", "kind", "namespace", "resources", "images", "patches"}
UNPLACED = {"Namespace"}


def render(folder: Path) -> list[dict[str, Any]]:
    """The objects of a base or overlay. Raises ValueError for what is not understood."""
    told = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(told) - KNOWN:
        raise ValueError(f"{folder}: kustomize.py does not know {sorted(unknown)}")
    objects = [one for name in told["resources"] for one in _read(folder / name)]
    objects = [_patched(one, told.get("patches", ()), folder) for one in objects]
    for one in objects:
        if "namespace" in told and one["kind"] not in UNPLACED:
            one["metadata"]["namespace"] = told["namespace"]
        for image in told.get("images", ()):
            _tag(one, image["name"], image["newTag"])
    return objects


def _read(path: Path) -> list[dict[str, Any]]:
    return render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))


def _patched(one: dict[str, Any], patches: Any, folder: Path) -> dict[str, Any]:
    for patch in patches:
        target = patch["target"]
        if (one["kind"], one["metadata"]["name"]) == (target["kind"], target["name"]):
            text = patch.get("patch") or (folder / patch["path"]).read_text()
            one = jsonpatch.JsonPatch(yaml.safe_load(text)).apply(one)
    return one


def _tag(one: dict[str, Any], name: str, tag: str) -> None:
    for container in containers(one):
        if container["image"].partition(":")[0] == name:
            container["image"] = f"{name}:{tag}"


def containers(one: Any) -> Iterator[dict[str, Any]]:
    """Every container, wherever it stands."""
    for pod in pods(one):
        yield from pod.get("initContainers", ())
        yield from pod["containers"]


def pods(one: Any) -> Iterator[dict[str, Any]]:
    """Every pod's specification, wherever it stands."""
    if isinstance(one, dict):
        if "containers" in one:
            yield one
        for value in one.values():
            yield from pods(value)
    elif isinstance(one, list):
        for value in one:
            yield from pods(value)
