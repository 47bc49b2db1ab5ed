"""Recipes: complete configurations by name, shipped as YAML, or a user's own file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ganlib.config.layout import layout
from ganlib.config.overlay import nearest, parse
from ganlib.config.pipeline import PipelineConfig
from ganlib.errors import ConfigError, NotFound


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with ganlib, sorted."""
    folder = resources.files("ganlib") / "recipes"
    return tuple(
        sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))
    )


def recipe_text(name: str) -> str:
    """The YAML of recipe `name`, comments and all; raises NotFound with the nearest name."""
    if name not in recipe_names():
        close = nearest(name, recipe_names())
        raise NotFound(
            f"there is no recipe, file or folder {name!r}",
            where=name,
            hint=(f"did you mean {close}? " if close else "")
            + f"recipes: {', '.join(recipe_names())}",
        )
    return (resources.files("ganlib") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")


def load_recipe(name: str) -> PipelineConfig:
    """Recipe `name`, validated."""
    return _read(recipe_text(name), f"recipe {name}")


def load(target: str) -> PipelineConfig:
    """A recipe's name, a YAML file, or a folder of images: with that path the recipe `folder`, or
    `unlabelled` where no subfolders name classes (`layout` decides). s3://bucket/prefix is a folder
    with a subfolder for each class.

    A recipe is meant by its bare name, so `digits/` and `./digits` are folders. Raises NotFound for
    what is none of them and ConfigError for a file that is not valid.
    """
    if not target.strip():
        raise NotFound(
            "an empty text names no recipe, file or folder",
            where="target",
            hint="ganlib recipes lists the recipes",
        )
    if target.startswith("s3://"):
        return _folder_recipe("folder", target.rstrip("/"))
    path = Path(target)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise NotFound(f"there is no file {target}", where=target)
        return _read(path.read_text(encoding="utf-8", errors="replace"), target)
    if target in recipe_names():
        return load_recipe(target)
    if path.is_dir():
        return _folder(path)
    if path.exists():
        raise ConfigError(
            f"{target} is neither a recipe nor a folder", where=target, hint="give a .yaml file"
        )
    recipe_text(target)
    raise AssertionError(target)


def _folder(path: Path) -> PipelineConfig:
    return _folder_recipe(
        "unlabelled" if layout(path) == "unlabelled" else "folder", path.resolve()
    )


def _folder_recipe(recipe: str, path: Path | str) -> PipelineConfig:
    tree: dict[str, Any] = yaml.safe_load(recipe_text(recipe))
    tree["data"]["source"]["path"] = str(path)
    last = str(path).rpartition("/")[2].lower()
    words = "".join(c if c.isascii() and c.isalnum() else "-" for c in last)
    tree["name"] = words.strip("-")[:60] or "folder"
    return parse(PipelineConfig, tree, f"recipe {recipe}")


def _read(text: str, origin: str) -> PipelineConfig:
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin} is not valid YAML: {error}", where=origin) from None
    except RecursionError:
        raise ConfigError(f"{origin} is nested too deeply", where=origin) from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{origin} holds no settings", where=origin)
    return parse(PipelineConfig, tree, origin)
