"""The sources a registered model carries, so that it runs where no ganlib is.

ganlib's own files travel as a package named for their hash. A user's modules keep their names, for
they import each other by them; what they import from installed packages becomes a requirement.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ganlib.config.code import closure, imports
from ganlib.errors import ConfigError

OURS = "ganlib.models"
ALWAYS = ("latent", "pixels")
"""What every served model uses, whatever its network imports."""


@dataclass
class Sources:
    """Files by path below the code folder; `requirements` are names of installed packages."""

    package: str
    files: dict[str, str] = field(default_factory=dict)
    requirements: set[str] = field(default_factory=set)

    def write(self, folder: Path) -> list[str]:
        """Write all files; returns the entries of `folder`: MLflow's `code_paths`."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return [str(path) for path in sorted(folder.iterdir())]


def of_network(module: str) -> Sources:
    """Of one of ganlib's networks, by its place below `ganlib.models`: `gan.dcgan`."""
    return _private(_our_closure([*ALWAYS, module]))


def of_custom(build: str) -> Sources:
    """Of a user's network and all of the user's modules it imports.

    Raises ConfigError where they import of ganlib what cannot travel.
    """
    code = closure(build)
    ours: list[str] = [*ALWAYS]
    for name, imported in code.ours.items():
        for one in imported:
            ours.extend(_our_module(one, name))
    sources = _private(_our_closure(ours))
    sources.requirements.update(*map(_distribution, code.outside))
    for name, text in code.texts.items():
        sources.files[code.path(name)] = _renamed(text, sources.package)
    return sources


# -- ganlib's own files --------------------------------------------------------------------------


def _private(files: dict[str, str]) -> Sources:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{files[name]}\0".encode())
    package = f"ganlib_served_{digest.hexdigest()[:8]}"
    top = '"""Networks of ganlib, as they were when this model was registered."""\n'
    return Sources(
        package,
        {f"{package}/__init__.py": top, **{f"{package}/{k}": v for k, v in files.items()}},
    )


def _our_closure(modules: list[str]) -> dict[str, str]:
    """Text by path below `ganlib.models`, of the modules and all they import relatively."""
    root = _origin(OURS).parent
    out: dict[str, str] = {}
    queue = list(modules)
    done = set()
    while queue:
        name = queue.pop()
        if name in done or not name:
            continue
        done.add(name)
        path = root.joinpath(*name.split("."))
        is_package = path.is_dir()
        path = path / "__init__.py" if is_package else path.with_suffix(".py")
        if not path.is_file():
            continue  # `from .latent import noise`: noise is no module
        text = path.read_text(encoding="utf-8")
        out[path.relative_to(root).as_posix()] = text
        queue.append(name.rpartition(".")[0])
        prefix = f"{OURS}."
        for imported in imports(prefix + name, ast.parse(text), is_package=is_package):
            if imported.startswith(prefix):
                queue.append(imported.removeprefix(prefix))
            elif imported.split(".")[0] == "ganlib" and imported != OURS:
                raise ValueError(f"{path} imports {imported}: it cannot travel with a model")
    return out


def _our_module(imported: str, by: str) -> list[str]:
    name = imported.removeprefix(f"{OURS}.")
    travels = name.split(".")[0] in {"cnn", "gan", "latent", "layers", "narrow", "norms", "pixels"}
    if imported.startswith(f"{OURS}.") and travels:
        return [name]
    if imported == OURS:  # named again, with what is imported from it
        return []
    raise ConfigError(
        f"{by} imports {imported}, which cannot travel with a registered model",
        where="build",
        hint=f"import from {OURS}.layers, .narrow, .norms, .latent, .pixels, .cnn or .gan alone",
    )


def _renamed(text: str, package: str) -> str:
    """`from ganlib.models.x import y` reads from the private package instead."""
    lines = text.splitlines(keepends=True)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OURS):
            lines[node.lineno - 1] = lines[node.lineno - 1].replace(OURS, package, 1)
    return "".join(lines)


def _origin(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ConfigError(f"{name} has no source file", where="build")
    return Path(spec.origin)


def _distribution(name: str) -> list[str]:
    top = name.split(".")[0]
    if top in sys.stdlib_module_names:
        return []
    return importlib.metadata.packages_distributions().get(top, [])[:1]
