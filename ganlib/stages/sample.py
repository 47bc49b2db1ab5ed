"""Images from a generator, each named by its seed.

N images, H W pixels, C channels.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.config import nearest
from ganlib.errors import InputError, NotFound
from ganlib.stages import named
from ganlib.stages.values import Samples
from ganlib.storage import Home, write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEEDS = 2**32  # seeds that agree modulo this give the same noise


def sample(
    home: Home,
    model: str,
    *,
    count: int,
    classes: tuple[str, ...],
    seed: int,
    out: Path | str | None,
) -> Samples:
    """Image i has seed `seed + i` and the i-th class of those asked for, taking turns."""
    if not 1 <= count <= 1_000_000:
        raise InputError(f"count is {count}; it must be from 1 to 1,000,000", where="count")
    if not 0 <= seed <= SEEDS - count:
        raise InputError(f"seed is {seed}; it must be from 0 to 2^32 - count", where="seed")
    folder = named.exported(home, model, "generator")
    import torch

    from ganlib.evaluation import generate, pictures
    from ganlib.models import load_model

    loaded = load_model(folder)
    chosen = _chosen(loaded.classes, classes)
    seed_N = torch.arange(count) + seed
    label_N = torch.tensor(chosen)[torch.arange(count) % len(chosen)]
    image_NHWC = generate(loaded.module, seed_N, label_N)

    place = Path(out or f"samples-{named.short(model)}").expanduser().absolute()
    columns = len(chosen) if len(chosen) > 1 else 8
    scale = max(1, round(48 / loaded.size))
    write_bytes(place / "grid.png", pictures.grid(image_NHWC, min(columns, count), scale))
    _write_each(place, image_NHWC.numpy(), label_N.tolist(), seed, loaded.classes)
    write_bytes(
        place / "samples.npz",
        _npz(
            images=image_NHWC.numpy(),
            labels=label_N.numpy(),
            seeds=seed_N.numpy(),
            class_names=_array(loaded.classes),
        ),
    )
    return Samples(
        model=model,
        grid=str(place / "grid.png"),
        npz=str(place / "samples.npz"),
        folder=str(place / "images"),
        count=count,
        classes=tuple(loaded.classes[label] for label in chosen),
        seed=seed,
    )


def _chosen(known: tuple[str, ...], asked: tuple[str, ...]) -> list[int]:
    """Labels of the classes asked for, all if none is; raises NotFound with the nearest name."""
    for name in asked:
        if name not in known:
            close = nearest(name, known)
            raise NotFound(
                f"there is no class {name!r}",
                where=name,
                hint=f"did you mean {close}?" if close else f"classes: {', '.join(known)}",
            )
    return [known.index(name) for name in asked or known]


def _write_each(
    place: Path,
    image_NHWC: NDArray[np.uint8],
    labels: list[int],
    seed: int,
    classes: tuple[str, ...],
) -> None:
    from PIL import Image

    for number, (image_HWC, label) in enumerate(zip(image_NHWC, labels, strict=True), start=seed):
        plain = image_HWC[..., 0] if image_HWC.shape[-1] == 1 else image_HWC
        data = io.BytesIO()
        Image.fromarray(plain).save(data, format="png")
        # A class is a folder's name, so it can be one again; the seed tells them apart.
        write_bytes(place / "images" / classes[label] / f"{number:010d}.png", data.getvalue())


def _npz(**arrays: NDArray[np.generic]) -> bytes:
    import numpy as np

    data = io.BytesIO()
    np.savez_compressed(data, allow_pickle=False, **arrays)
    return data.getvalue()


def _array(names: tuple[str, ...]) -> NDArray[np.str_]:
    import numpy as np

    return np.array(names)
