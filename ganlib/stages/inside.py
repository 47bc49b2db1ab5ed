"""What a classifier sees inside: embeddings and feature maps, gathered batch by batch.

N images, F features, C channels, H W pixels, K classes.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ganlib.config import nearest
from ganlib.errors import InputError
from ganlib.storage import write_bytes

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from ganlib.models import LoadedModel

MAX_BYTES = 1 << 30
"""Of feature maps in one file: more is no table to look at, and has to fit into memory twice."""


class Inside:
    """The features and the output of one layer, if asked for, of all images looked at so far."""

    def __init__(
        self, loaded: LoadedModel, images: int, *, features: bool, layer: str | None
    ) -> None:
        """`images` is how many will come. Raises InputError for a layer that is not there."""
        self.module, self.images, self.layer = loaded.module, images, layer
        self.features = features
        self.feature_NF: list[Tensor] = []
        self.output: list[Tensor] = []
        if layer is not None:
            _layer(loaded.module, layer).register_forward_hook(self._keep)

    def logits(self, image_NCHW: Tensor) -> Tensor:
        """-> logits_NK, and remember what was on the way to them."""
        feature_NF: Tensor = self.module.features(image_NCHW)  # type: ignore[operator]
        if self.features:
            self.feature_NF.append(feature_NF)
        return cast("Tensor", self.module.head(feature_NF))  # type: ignore[operator]

    def _keep(self, _: nn.Module, __: Any, output: Any) -> None:
        from torch import Tensor

        if not isinstance(output, Tensor):
            raise InputError(f"layer {self.layer} gives no tensor", where=f"{self.layer}")
        total = output[0].numel() * 4 * self.images
        if total > MAX_BYTES:
            raise InputError(
                f"the maps of {self.layer} for {self.images:,} images take {total / 1e9:.1f} GB, "
                f"more than {MAX_BYTES / 1e9:.1f}",
                where=f"{self.layer}",
                hint="name a deeper layer, whose maps are smaller, or give fewer images",
            )
        self.output.append(output.detach())


def layers(module: nn.Module) -> list[str]:
    """The names of all layers, as a user writes them."""
    return [name for name, _ in module.named_modules() if name]


def _layer(module: nn.Module, name: str) -> nn.Module:
    known = layers(module)
    if name not in known:
        close = nearest(name, known)
        raise InputError(
            f"there is no layer {name!r}",
            where=name,
            hint=(f"did you mean {close}? " if close else "") + f"layers: {', '.join(known)}",
        )
    return module.get_submodule(name)


def write(path: Path, files: list[str], bad: list[bool], **arrays: list[Tensor]) -> str:
    """An npz with `files` (N,) and the named arrays in float32, NaN where a file was `bad`."""
    import numpy as np
    import torch

    whole: dict[str, np.ndarray[Any, Any]] = {}
    for name, parts in arrays.items():
        value = torch.cat(parts).float().cpu()
        value[torch.tensor(bad)] = float("nan")
        whole[name] = value.numpy()
    data = io.BytesIO()
    np.savez(data, files=np.array(files), **whole)  # type: ignore[arg-type]
    write_bytes(path, data.getvalue())
    return str(path)
