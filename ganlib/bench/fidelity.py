"""torch-fidelity without torchvision, which only its loading of pictures asks for."""

from __future__ import annotations

from importlib.util import find_spec
from types import ModuleType

# The modules it imports, and the names it takes from them.
NAMES = {
    "torchvision": (),
    "torchvision.datasets": ("CIFAR10", "CIFAR100", "STL10"),
    "torchvision.transforms": (),
    "torchvision.transforms.functional": (),
}


def torchvision() -> dict[str, ModuleType]:
    """Modules for `sys.modules` that are good for being imported; none where the real one is."""
    if find_spec("torchvision"):
        return {}
    found = {name: ModuleType(name) for name in NAMES}
    for name, classes in NAMES.items():
        above, _, below = name.rpartition(".")
        if above:
            setattr(found[above], below, found[name])
        for known in classes:
            setattr(found[name], known, type(known, (), {}))
    return found
