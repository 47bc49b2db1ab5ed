"""Images from a generator, each named by its seed.

N images, H W pixels, C channels.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.config import nearest
from ganlib.errors import InputError, NotFound
from ganlib.stages import named
from ganlib.stages.values import Samples
from ganlib.storage import Home, atomic, write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MADE = re.compile(r"\d{10}\.png")
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
    if (place / "samples.npz").exists():
        _forget(place / "images")
    write_bytes(place / "grid.png", pictures.grid(image_NHWC, min(columns, count), scale))
    write_bytes(
        place / "samples.npz",
        _npz(
            images=image_NHWC.numpy(),
            labels=label_N.numpy(),
            seeds=seed_N.numpy(),
            class_names=_array(loaded.classes),
        ),
    )
    _write_each(place / "images", image_NHWC.numpy(), label_N.tolist(), seed, loaded.classes)
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
    folder: Path,
    image_NHWC: NDArray[np.uint8],
    labels: list[int],
    seed: int,
    classes: tuple[str, ...],
) -> None:
    """In a folder per class, the seed as the name; they can be made again, so none is synced."""
    from PIL import Image

    names = _folders(classes)
    try:
        for label in set(labels):
            (folder / names[label]).mkdir(parents=True, exist_ok=True)
        numbered = enumerate(zip(image_NHWC, labels, strict=True), start=seed)
        for number, (image_HWC, label) in numbered:
            plain = image_HWC[..., 0] if image_HWC.shape[-1] == 1 else image_HWC
            Image.fromarray(plain).save(folder / names[label] / f"{number:010d}.png")
    except OSError as error:
        raise atomic.explain(error, folder) from error


def _forget(folder: Path) -> None:
    """Delete the pictures of an earlier call, and nothing that somebody else put there."""
    for path in folder.glob("*/*.png"):
        if MADE.fullmatch(path.name):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise atomic.explain(error, path) from error
    for below in folder.glob("*"):
        with suppress(OSError):  # something else is in it, or it is a file
            below.rmdir()


def _folders(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Class names as names of folders: all different, and none that leads elsewhere."""
    names: list[str] = []
    for label, name in enumerate(classes):
        plain = re.sub(r"[/\\\x00-\x1f]", "_", name).strip()[:60].lstrip(".")
        if plain != name or not plain:
            plain = f"{label}-{plain}"
        while plain in names:
            plain = f"{label}-{plain}"
        names.append(plain)
    return tuple(names)


def _npz(**arrays: NDArray[np.generic]) -> bytes:
    import numpy as np

    data = io.BytesIO()
    np.savez_compressed(data, allow_pickle=False, **arrays)
    return data.getvalue()


def _array(names: tuple[str, ...]) -> NDArray[np.str_]:
    import numpy as np

    return np.array(names)
