"""A classifier over a folder of images, to a table.

N images of a batch, H W pixels, C channels, K classes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.config.layout import EXTENSIONS
from ganlib.errors import DataError, InputError
from ganlib.stages import inside, named
from ganlib.stages.values import Predictions
from ganlib.storage import Home, write_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from ganlib.models import LoadedModel

BATCH = 256
MAX_PIXELS = 50_000_000


def predict(
    home: Home,
    model: str,
    folder: Path,
    *,
    top: int,
    out: Path | str | None,
    features: bool = False,
    feature_maps: str | None = None,
) -> Predictions:
    """One row per image file; images are cut and resized as in the model's own preparation.

    Beside the table `features` writes what is below the output, `feature_maps` what the layer of
    that name gives: `<table>-features.npz` and `<table>-maps.npz`, row by row as the table.
    """
    table = Path(out or "predictions.csv").expanduser().absolute()
    if table.suffix not in (".csv", ".parquet"):
        raise InputError(f"{out} is no .csv or .parquet file", where=str(out))
    if top < 1:
        raise InputError(f"top is {top}; it must be at least 1", where="top")
    files = _files(folder.expanduser())
    exported = named.exported(home, model, "classifier")
    from ganlib.models import load_model

    loaded = load_model(exported)
    seen = inside.Inside(loaded, len(files), features=features, layer=feature_maps)
    rows = [row for batch in _batches(files) for row in _rows(loaded, seen, batch, top)]
    _write(table, rows)
    told = [row["file"] for row in rows], [bool(row["error"]) for row in rows]
    place, embeddings, maps = table.with_suffix(""), None, None
    if features:
        embeddings = inside.write(Path(f"{place}-features.npz"), *told, features=seen.feature_NF)
    if feature_maps is not None:
        maps = inside.write(Path(f"{place}-maps.npz"), *told, maps=seen.output)
    return Predictions(
        model=model,
        table=str(table),
        features=embeddings,
        feature_maps=maps,
        images=len(rows),
        unreadable=sum(bool(row["error"]) for row in rows),
        classes=loaded.classes,
    )


def _files(folder: Path) -> list[Path]:
    """All image files below `folder`, linked folders left out; or the one file."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", where=str(folder))
    endings = tuple(sorted(EXTENSIONS))
    found = [
        Path(place) / name
        for place, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(endings) and not name.startswith(".")
    ]
    if not found:
        raise DataError(
            f"{folder} holds no images",
            where=str(folder),
            hint=f"images end in {', '.join(endings)}",
        )
    return sorted(found)


def _batches(files: list[Path]) -> Iterator[list[Path]]:
    for start in range(0, len(files), BATCH):
        yield files[start : start + BATCH]


def _rows(
    loaded: LoadedModel, seen: inside.Inside, files: list[Path], top: int
) -> list[dict[str, Any]]:
    image_NHWC, reasons = _read(loaded, files)
    probability_NK = _probabilities(seen, image_NHWC)
    best_NT, label_NT = probability_NK.topk(min(top, len(loaded.classes)))
    rows = []
    for place, (file, reason) in enumerate(zip(files, reasons, strict=True)):
        row: dict[str, Any] = {"file": str(file)}
        pairs = zip(label_NT[place].tolist(), best_NT[place].tolist(), strict=True)
        for rank, (label, probability) in enumerate(pairs, start=1):
            mark = "" if rank == 1 else f"_{rank}"
            row[f"class{mark}"] = loaded.classes[label] if reason is None else None
            row[f"probability{mark}"] = probability if reason is None else None
        row["error"] = reason or ""
        rows.append(row)
    return rows


def _read(loaded: LoadedModel, files: list[Path]) -> tuple[Tensor, list[str | None]]:
    import numpy as np
    import torch
    from PIL import Image

    from ganlib.data.decode import Shape, decode_many

    if loaded.channels not in (1, 3):
        raise InputError(
            f"the model takes images of {loaded.channels} channels, and a folder holds grey and "
            "coloured ones",
            where="data.channels",
            hint="call the registered model itself with uint8 (N, H, W, C)",
        )
    fit = str(loaded.meta.get("fit", "crop"))  # as the images it was trained on
    shape = Shape(loaded.size, loaded.channels, fit, MAX_PIXELS)
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # the decoder has its own
    try:
        pixels, reasons = decode_many([str(file) for file in files], shape)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    image_NHWC = np.frombuffer(bytearray(pixels), np.uint8).reshape(
        len(files), loaded.size, loaded.size, loaded.channels
    )
    return torch.from_numpy(image_NHWC), reasons


def _probabilities(seen: inside.Inside, image_NHWC: Tensor) -> Tensor:
    import torch

    from ganlib.models import to_float

    with torch.no_grad():
        return seen.logits(to_float(image_NHWC)).softmax(dim=1)


def _write(table: Path, rows: list[dict[str, Any]]) -> None:
    import pandas as pd

    frame = pd.DataFrame(rows)
    if table.suffix == ".parquet":
        data = io.BytesIO()
        frame.to_parquet(data, index=False)
        write_bytes(table, data.getvalue())
    else:
        write_bytes(table, frame.to_csv(index=False).encode())
