"""A model by the name a person gives it: a folder, a registry URI, or just a name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from ganlib.errors import InputError, NotFound
from ganlib.storage import Home, read_json

Kind = Literal["generator", "classifier"]
MODEL = re.compile(
    r"(?P<scheme>models:/)?(?P<name>[a-z0-9][a-z0-9._-]{0,62}?)(?P<kind>-generator|-classifier)?"
    r"(?P<which>/\d+|@[\w-]+)?",
    re.ASCII,
)


def exported(home: Home, model: str, kind: Kind) -> Path:
    """The exported folder of `model`, fetched from the registry if need be.

    A bare name is a model's, even where a folder of images has the same name. `home` need not be
    there for a model in a folder. Raises NotFound for what is nowhere, InputError for a model of
    the other kind, HomeError where there is no registry to ask.
    """
    folder = Path(model).expanduser()
    if model and (folder / "network.json").is_file():
        return _checked(folder.absolute(), model, kind)
    if "/" in model and folder.is_dir():
        raise NotFound(
            f"{model} holds no exported model (no network.json)",
            where=model,
            hint="give the `model` folder of a run",
        )
    from ganlib.tracking import fetch

    wanted, place = uri(model, kind), registry(home.root)
    try:
        return _checked(fetch(place, wanted), model, kind)
    except NotFound as error:
        if kind == "classifier" and _without_classes(place, model):
            raise NotFound(
                error.message,
                where=error.where,
                hint="its generator learnt from images that have no classes, so no classifier was "
                "trained; ganlib sample shows what it makes",
            ) from None
        raise


def uri(model: str, kind: Kind) -> str:
    """`digits` and `digits-generator` are the champion of that name; a full URI stays itself.

    Raises NotFound for what cannot be a model's name, before any registry is asked.
    """
    found = _read(model)
    if found["scheme"]:
        return model
    return f"models:/{found['name']}{found['kind'] or f'-{kind}'}{found['which'] or '@champion'}"


def full(name: str) -> str:
    """The registered name, of a generator unless `name` says otherwise.

    Raises NotFound for what cannot be one, InputError where a version or alias is asked for.
    """
    found = _read(name)
    if found["which"]:
        raise InputError(f"{name} names one version; give the model's name", where=name)
    return f"{found['name']}{found['kind'] or '-generator'}"


def registry(place: Path | str | None) -> Home:
    """The home at `place`, which must be there unless MLFLOW_TRACKING_URI names another registry.

    Raises HomeError.
    """
    return Home.open(place) if os.environ.get("MLFLOW_TRACKING_URI") else Home.existing(place)


def short(model: str) -> str:
    """A name for files made with the model."""
    bare = model.removeprefix("models:/").partition("@")[0]
    path = Path(bare)
    last = path.parent.name if path.name in ("model", "") else path.name
    return last if not last.isdigit() else path.parent.name


def _without_classes(home: Home, model: str) -> bool:
    """Whether the generator of that name is one of images without classes."""
    from ganlib.tracking import champion_network

    found = champion_network(home, f"{_read(model)['name']}-generator")
    return found is not None and len(found["classes"]) == 1


def _read(model: str) -> re.Match[str]:
    found = MODEL.fullmatch(model)
    if found is None:
        raise NotFound(
            f"{model!r} is neither an exported folder nor a name that a model can have",
            where=model or "model",
            hint="give NAME, NAME@ALIAS, models:/NAME/VERSION or a folder; "
            "ganlib status lists the models",
        )
    return found


def _checked(folder: Path, model: str, kind: Kind) -> Path:
    found = read_json(folder / "network.json").get("kind")
    if found != kind:
        raise InputError(f"{model} is a {found}, not a {kind}", where=model)
    return folder
