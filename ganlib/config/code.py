"""The source files behind `package.module:function`, found without importing any of them."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ganlib.config.base import canonical_json, fingerprint
from ganlib.errors import ConfigError

_INSTALLED = {"site-packages", "dist-packages"}


@dataclass
class Code:
    """A user's modules by name, each with its text, and what they import of others.

    `packages` are those of them that are packages; `ours` are names below ganlib by the module
    that imports them; `outside` are names that belong to Python, to installed packages, or to none.
    """

    texts: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    ours: dict[str, list[str]] = field(default_factory=dict)
    outside: set[str] = field(default_factory=set)

    def path(self, name: str) -> str:
        """Where the module lies below its root: `own/nets.py`, `own/__init__.py`."""
        path = PurePosixPath(*name.split("."))
        return str(path / "__init__.py" if name in self.packages else path.with_suffix(".py"))


def closure(build: str) -> Code:
    """The module of `build` and all of the user's modules it imports, wherever in the file.

    Raises ConfigError naming a file that is not valid Python.
    """
    code = Code()
    queue = [build.partition(":")[0]]
    while queue:
        name = queue.pop()
        if name in code.texts:
            continue
        module = find(name)
        text = None if module is None else _users(name, module)
        if module is None or text is None:
            code.outside.add(name)
            continue
        code.texts[name] = text
        if module.is_package:
            code.packages.add(name)
        parent = name.rpartition(".")[0]
        queue.extend([parent] if parent else [])
        tree = parsed(text, str(module.origin))
        for imported in imports(name, tree, is_package=module.is_package):
            if imported.split(".")[0] == "ganlib":
                code.ours.setdefault(name, []).append(imported)
            else:
                queue.append(imported)
    return code


def code_of(config: Any) -> dict[str, str]:
    """A fingerprint of the code behind every `kind: custom` in `config`, by its `build`."""
    return {build: fingerprint_of(build) for build in _builds(json.loads(canonical_json(config)))}


def fingerprint_of(build: str) -> str:
    """16 hexadecimal digits of the files of `closure`; of the one file where it is installed."""
    texts = dict(closure(build).texts)
    name = build.partition(":")[0]
    module = find(name)
    if name not in texts and module is not None and module.origin is not None:
        texts[name] = module.origin.read_bytes().hex()
    return fingerprint(texts)


@dataclass(frozen=True)
class Module:
    """`origin` is its file, none for a folder without `__init__.py`; `below` is what it holds."""

    origin: Path | None
    below: tuple[str, ...] | None

    @property
    def is_package(self) -> bool:
        return self.below is not None


def find(name: str) -> Module | None:
    """Where a module is; unlike importlib's `find_spec` this imports no package on the way."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    below = spec.submodule_search_locations
    found = Module(
        Path(spec.origin) if spec.has_location and spec.origin else None,
        None if below is None else tuple(below),
    )
    for part in rest:
        inside = _inside(found, part)
        if inside is None:
            return None
        found = inside
    return found


def _inside(package: Module, part: str) -> Module | None:
    for folder in package.below or ():
        path = Path(folder, part)
        if (path / "__init__.py").is_file():
            return Module(path / "__init__.py", (str(path),))
        if path.with_suffix(".py").is_file():
            return Module(path.with_suffix(".py"), None)
    plain = [str(p) for f in package.below or () if (p := Path(f, part)).is_dir()]
    return Module(None, tuple(plain)) if plain else None


def parsed(text: str, path: str) -> ast.Module:
    """Raises ConfigError naming file and line of what is not valid Python."""
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise ConfigError(
            f"{path}, line {error.lineno}: {error.msg}", where="build", hint="mend that line"
        ) from None


def imports(name: str, tree: ast.Module, *, is_package: bool) -> Iterator[str]:
    """Absolute names of all that is imported; of `from a import b` both `a` and `a.b`."""
    package = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _users(name: str, module: Module) -> str | None:
    """The text of a module that is neither Python's nor installed."""
    if name.split(".")[0] in sys.stdlib_module_names:
        return None
    places = [module.origin] if module.origin else [Path(folder) for folder in module.below or ()]
    if not places or any(_INSTALLED & set(place.parts) for place in places):
        return None
    if module.origin is None:
        return ""
    if module.origin.suffix != ".py":
        return None
    return module.origin.read_text(encoding="utf-8")


def _builds(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        build = tree.get("build")
        if tree.get("kind") == "custom" and isinstance(build, str):
            yield build
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from _builds(part)
