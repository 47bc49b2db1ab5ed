"""Changing one value deep inside a frozen tree, and naming the right path for a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ganlib.config.base import Config
from ganlib.errors import ConfigError

C = TypeVar("C", bound=Config)


class Assignments(dict[str, Any]):
    """Path -> value; `texts` has the values as they were written, for where a text is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}


def parse_assignments(assignments: Iterable[str]) -> Assignments:
    """`("gan.batch_size=32",)` -> `{"gan.batch_size": 32}`; values are YAML.

    Raises ConfigError for an assignment without `=` or with a value that is not YAML.
    """
    overlays = Assignments()
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise ConfigError(
                f"--set {assignment!r} is not of the form path=value",
                where=assignment,
                hint="for example: --set gan.generator.optimiser.learning_rate=1e-4",
            )
        overlays[path.strip()] = _value(path.strip(), text)
        overlays.texts[path.strip()] = text.strip()
    return overlays


def _value(path: str, text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {text!r} is not a YAML value", where=path) from error
    except RecursionError:
        raise ConfigError(f"the value of {path} is nested too deeply", where=path) from None
    if isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 reads 1e-4 as text
        except ValueError:
            return value
    return value


def overlay(config: C, changes: Mapping[str, Any]) -> C:
    """`config` with the values at dotted paths replaced and everything validated again.

    Raises ConfigError naming the nearest valid path for one that does not exist, or the path and
    the reason for a value that is refused. Setting `x.kind` starts `x` from its defaults, and what
    else is set of `x`, before or after it, counts.
    """
    tree = config.model_dump(mode="python")
    # Kinds first, outer ones before inner: a kind starts from its defaults, whatever the order.
    order = sorted(changes, key=lambda path: (not path.endswith(".kind"), path.count(".")))
    for path in (path for path in order if path.endswith(".kind")):
        _assign(config, tree, path, changes[path])
    for path, value in changes.items():
        if not path.endswith(".kind"):
            _assign(config, tree, path, value)
    if isinstance(changes, Assignments):
        for path, text in _texts(type(config), tree, changes):
            _assign(config, tree, path, text)
    return parse(type(config), tree)


def _texts(
    kind: type[Config], tree: dict[str, Any], changes: Assignments
) -> Iterator[tuple[str, str]]:
    """A folder called 2024 is no number: what was written, where only a text will do."""
    try:
        kind.model_validate(tree)
    except ValidationError as error:
        for wrong in error.errors(include_url=False):
            path = _location(kind, wrong["loc"])
            if wrong["type"] == "string_type" and changes.get(path) is not None:
                yield path, changes.texts[path]


def _keys(tree: Any, path: str, value: Any) -> list[str]:
    """The keys along `path`, the longest there is at each step: those of mappings may have dots.

    What is new takes all of the rest if `value` is a mapping, as ranges of a sweep are.
    """
    words, keys = path.split("."), []
    while words:
        lengths = range(len(words), 0, -1) if isinstance(tree, dict) else ()
        length = next((n for n in lengths if ".".join(words[:n]) in tree), 0)
        if not length:
            length = len(words) if isinstance(value, Mapping) else 1
        keys.append(".".join(words[:length]))
        tree = tree.get(keys[-1]) if isinstance(tree, dict) else None
        words = words[length:]
    return keys


def _assign(config: Config, tree: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = _keys(tree, path, value)
    node: Any = tree
    for depth, key in enumerate(parents):
        if not isinstance(node, dict) or key not in node or key == "":
            raise _unknown(config, path)
        if node[key] is None:
            node[key] = {}
        node = node[key]
        if not isinstance(node, dict):
            raise _unknown(config, path, ".".join(parents[: depth + 1]))
    if not isinstance(node, dict):
        raise _unknown(config, path)
    if leaf == "kind" and node.get("kind") != value:
        node.clear()
    elif leaf not in node and not _open(config, parents, tree):
        raise _unknown(config, path)
    node[leaf] = value


def _open(config: Config, parents: list[str], tree: dict[str, Any]) -> bool:
    """Free keys are allowed in mappings, in branches that were none, and where `kind` was set."""
    value: Any = config
    node: Any = tree
    for key in parents:
        value = getattr(value, key, None) if isinstance(value, BaseModel) else None
        node = node[key]
    return not isinstance(value, BaseModel) or (
        "kind" in node and getattr(value, "kind", None) != node["kind"]
    )


def paths(config: BaseModel) -> list[str]:
    """Every dotted path of `config`, branches and leaves."""
    found: list[str] = []
    for name in type(config).model_fields:
        found.append(name)
        value = getattr(config, name)
        inner = value.items() if isinstance(value, dict) else ()
        for key, part in (("", value), *inner):
            prefix = f"{name}.{key}" if key else name
            found += [prefix] if key else []
            if isinstance(part, BaseModel):
                found.extend(f"{prefix}.{below}" for below in paths(part))
    return found


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The most similar of `known`, or none when nothing is close."""
    names = list(known)
    matches = difflib.get_close_matches(word, names, n=1, cutoff=0.4)
    if matches:
        return matches[0]
    last = word.rsplit(".", 1)[-1]
    tails = [name for name in names if name.rsplit(".", 1)[-1] == last]
    return tails[0] if tails else None


def _unknown(config: Config, path: str, at: str = "") -> ConfigError:
    close = nearest(path, paths(config))
    return ConfigError(
        f"there is no setting {path!r}" + (f" ({at} has no parts)" if at else ""),
        where=path,
        hint=f"did you mean {close}?" if close else "ganlib recipes show NAME lists all settings",
    )


def parse(kind: type[C], tree: Any, origin: str = "") -> C:
    """`tree` as a `kind`; raises ConfigError with the dotted path, the reason and the nearest name.

    `origin` is the file the tree came from.
    """
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise _explain(kind, error, origin) from None


def _explain(kind: type[Config], error: ValidationError, origin: str) -> ConfigError:
    first = error.errors(include_url=False)[0]
    at = first.get("ctx", {}).get("at", "") if first["type"] == "refused" else ""
    path = ".".join(part for part in (_location(kind, first["loc"]), at) if part)
    prefix = f"{origin}: " if origin else ""
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        close = nearest(path, all_paths(kind))
        hint = f"did you mean {close}?" if close else "remove it"
        return ConfigError(f"{prefix}there is no setting {path!r}{more}", where=path, hint=hint)
    reason, hint = _reason(kind, path, first)
    value = first.get("input")
    shown = f"{path}={value!r}: " if path and not isinstance(value, (dict, BaseModel)) else ""
    if path and not shown and not reason.startswith(path):
        shown = f"{path}: "
    return ConfigError(f"{prefix}{shown}{reason}{more}", where=path, hint=hint)


def _reason(kind: type[Config], path: str, wrong: Mapping[str, Any]) -> tuple[str, str]:
    """Why, and what to do where pydantic's own words do not say it."""
    match wrong["type"]:
        case "union_tag_invalid":
            tag, known = wrong["ctx"]["tag"], wrong["ctx"]["expected_tags"].replace("'", "")
            close = nearest(tag, known.split(", "))
            return f"{tag!r} is none of {known}", f"did you mean {close}?" if close else ""
        case "model_type":
            depth = path.count(".") + 1
            inside = [
                one
                for one in all_paths(kind)
                if one.startswith(f"{path}.") and one.count(".") == depth
            ]
            return "this has settings of its own", f"set {', '.join(inside)}" if inside else ""
        case _:
            return wrong["msg"].removeprefix("Value error, "), ""


def _location(kind: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """pydantic adds the tag of a union to the location; the path a user writes has none."""
    words: list[str] = []
    candidates: list[type[BaseModel]] = [kind]
    for part in map(str, location):
        owners = [c for c in candidates if part in c.model_fields]
        tagged = [c for c in candidates if _tag(c) == part]
        if owners or not tagged:
            words.append(part)
            if owners:  # else a key of a mapping, whose values the candidates still are
                candidates = [m for c in owners for m in _models(c.model_fields[part].annotation)]
        else:
            candidates = tagged
    return ".".join(words)


def _tag(kind: type[BaseModel]) -> str | None:
    return str(kind.model_fields["kind"].default) if "kind" in kind.model_fields else None


def all_paths(kind: type[BaseModel], _seen: tuple[type, ...] = ()) -> list[str]:
    """Every dotted path any variant of `kind` could have."""
    found: list[str] = []
    for name, field in kind.model_fields.items():
        found.append(name)
        for below in _models(field.annotation):
            if below not in _seen:
                found.extend(f"{name}.{p}" for p in all_paths(below, (*_seen, kind)))
    return list(dict.fromkeys(found))


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for part in getattr(annotation, "__args__", ()):
        found.extend(_models(part))
    return found
