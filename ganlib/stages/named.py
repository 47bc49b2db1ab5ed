"""A model by the name a person gives it: a folder, a registry URI, or just a name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ganlib.errors import InputError, NotFound
from ganlib.storage import Home, read_json

Kind = Literal["generator", "classifier"]


def exported(home: Home, model: str, kind: Kind) -> Path:
    """The exported folder of `model`, fetched from the registry if need be.

    Raises NotFound for what is nowhere, InputError for a model of the other kind.
    """
    folder = Path(model).expanduser()
    if (folder / "network.json").is_file():
        return _checked(folder.absolute(), model, kind)
    if folder.is_dir():
        raise NotFound(
            f"{model} holds no exported model (no network.json)",
            where=model,
            hint="give the `model` folder of a run",
        )
    from ganlib.tracking import fetch

    return _checked(fetch(home, uri(model, kind)), model, kind)


def uri(model: str, kind: Kind) -> str:
    """`digits` and `digits-generator` are the champion of that name; a full URI stays itself."""
    if model.startswith("models:/"):
        return model
    name, mark, alias = model.partition("@")
    if not name.endswith(("-generator", "-classifier")):
        name = f"{name}-{kind}"
    return f"models:/{name}@{alias if mark else 'champion'}"


def short(model: str) -> str:
    """A name for files made with the model."""
    bare = model.removeprefix("models:/").partition("@")[0]
    path = Path(bare)
    last = path.parent.name if path.name in ("model", "") else path.name
    return last if not last.isdigit() else path.parent.name


def _checked(folder: Path, model: str, kind: Kind) -> Path:
    found = read_json(folder / "network.json").get("kind")
    if found != kind:
        raise InputError(f"{model} is a {found}, not a {kind}", where=model)
    return folder
