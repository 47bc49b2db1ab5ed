"""A trained network as a folder: `network.json` and `weights.safetensors`, no pickle.

`network.json` is written last, so a folder that has it is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from ganlib.config.code import fingerprint_of
from ganlib.errors import Damaged
from ganlib.models import cnn, gan
from ganlib.models.custom import build_custom
from ganlib.storage import read_json, write_bytes, write_json

Kind = Literal["classifier", "generator"]
FORMAT = 1
_NETWORKS: tuple[type[nn.Module], ...] = (
    cnn.AlexNet,
    cnn.CifarResNet,
    cnn.LeNet5,
    cnn.ResNet18,
    cnn.SmallResNet,
    gan.dcgan.Generator,
    gan.mlp.Generator,
    gan.r3gan.Generator,
    gan.sn_resnet.Generator,
)


@dataclass(frozen=True)
class LoadedModel:
    """`module` is in eval mode and float32; `classes` are names in the order of the labels."""

    module: nn.Module
    kind: Kind
    size: int
    channels: int
    classes: tuple[str, ...]
    meta: dict[str, Any]


def save_model(
    module: nn.Module,
    folder: Path,
    *,
    kind: Kind,
    classes: Sequence[str],
    meta: Mapping[str, Any],
) -> None:
    """Write `module`, in float32, with the names of its classes; `meta` must be JSON."""
    arguments = cast(dict[str, Any], module.arguments)
    if len(classes) != arguments["classes"]:
        raise ValueError(f"{len(classes)} names for {arguments['classes']} classes")
    weights = safetensors.torch.save(
        {name: _stored(tensor) for name, tensor in module.state_dict().items()}
    )
    write_bytes(folder / "weights.safetensors", weights)
    write_json(
        folder / "network.json",
        {
            "format": FORMAT,
            "kind": kind,
            **_origin(module, arguments),
            "size": arguments["size"],
            "channels": arguments["channels"],
            "classes": list(classes),
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "meta": dict(meta),
        },
    )


def load_model(folder: Path) -> LoadedModel:
    """Raises Damaged naming the file that is missing, changed or of another format."""
    path = folder / "network.json"
    try:
        network = read_json(path)
        data = (folder / "weights.safetensors").read_bytes()
    except OSError as error:
        raise _damaged(Path(error.filename or folder), error.strerror or "unreadable") from None
    try:
        if network["format"] != FORMAT:
            raise _damaged(path, f"format {network['format']}, and this version reads {FORMAT}")
        if hashlib.sha256(data).hexdigest() != network["weights_sha256"]:
            raise _damaged(folder / "weights.safetensors", "its checksum does not match")
        module = _rebuild(network)
        module.load_state_dict(safetensors.torch.load(data))
        return LoadedModel(
            module=module.eval(),
            kind=network["kind"],
            size=network["size"],
            channels=network["channels"],
            classes=tuple(network["classes"]),
            meta=network["meta"],
        )
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _stored(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()
    return tensor.contiguous().clone()


def _origin(module: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
    if isinstance(build := getattr(module, "build", None), str):
        data = ("size", "channels", "classes")
        options = {name: value for name, value in arguments.items() if name not in data}
        return {"build": build, "options": options, "code": fingerprint_of(build)}
    return {"module": _place(type(module)), "class": type(module).__name__, "arguments": arguments}


def _place(network: type[nn.Module]) -> str:
    return network.__module__.removeprefix(f"{__package__}.")


def _rebuild(network: dict[str, Any]) -> nn.Module:
    if "build" in network:
        return build_custom(
            network["build"],
            network["options"],
            size=network["size"],
            channels=network["channels"],
            classes=len(network["classes"]),
        )
    for known in _NETWORKS:
        if (_place(known), known.__name__) == (network["module"], network["class"]):
            module = known(**network["arguments"])
            module.arguments = network["arguments"]
            return module
    raise ValueError(f"there is no network {network['module']}.{network['class']}")


def _damaged(path: Path, reason: str) -> Damaged:
    return Damaged(
        f"{path} is damaged: {reason}",
        where=str(path),
        hint="train the model again, or fetch it again from the registry",
    )
