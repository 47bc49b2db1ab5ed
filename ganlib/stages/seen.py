"""Features of images, kept by what the images show: a set that changed a little is seen a little.

N images, B of them in a part, H W pixels, C channels, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.errors import Damaged
from ganlib.storage import write_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from ganlib.data import ImageRows

# Images that are looked at before what was seen of them is written: half a minute's.
PART = 512
# Of a network's kept features; with more those of other images go.
MOST_BYTES = 10**9
_DIGEST = 16


def kept_features(
    image_NHWC: ImageRows,
    see: Callable[[Tensor], Tensor],
    path: Path,
    say: Callable[[str], None] = lambda text: None,
) -> Tensor:
    """feature_NF, float32: `see` is shown the images that the file at `path` does not know.

    It is written part by part, so one that was cut goes on. A damaged file is said and made again.
    Raises StorageError if it cannot be written.
    """
    import torch

    image_digests = [
        _digest(one_HWC)
        for start in range(0, len(image_NHWC), PART)
        for one_HWC in image_NHWC[start : start + PART]
    ]
    known = _read(path, say)
    wanted = set(image_digests)
    rows = {digest: row for row, digest in enumerate(image_digests)}
    left = sorted(row for digest, row in rows.items() if digest not in known)
    if len(left) < len(rows):
        say(f"{len(rows) - len(left):,} of {len(rows):,} images were seen before")
    for start in range(0, len(left), PART):
        some = left[start : start + PART]
        feature_BF = see(image_NHWC[torch.tensor(some)]).float().cpu()
        known |= {image_digests[row]: one for row, one in zip(some, feature_BF, strict=True)}
        _write(path, known, wanted)
    return torch.stack([known[digest] for digest in image_digests])


def _digest(image_HWC: Tensor) -> bytes:
    shape = repr(tuple(image_HWC.shape)).encode()
    return hashlib.blake2b(
        image_HWC.contiguous().numpy().tobytes(), digest_size=_DIGEST, key=shape
    ).digest()


def _read(path: Path, say: Callable[[str], None]) -> dict[bytes, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            raise Damaged(str(path))
        found = load(data[32:])
    except (Damaged, SafetensorError):
        say(f"{path} is damaged; it is made again")
        return {}
    digests = found["digest_ND"].numpy()
    return {row.tobytes(): one for row, one in zip(digests, found["feature_NF"], strict=True)}


def _write(path: Path, known: dict[bytes, Tensor], wanted: set[bytes]) -> None:
    import numpy as np
    import torch
    from safetensors.torch import save

    each = _DIGEST + 4 * len(next(iter(known.values())))
    if each * len(known) > MOST_BYTES:
        known = {digest: one for digest, one in known.items() if digest in wanted}
    digests = np.frombuffer(b"".join(known), dtype=np.uint8).reshape(-1, _DIGEST)
    data = save(
        {
            "digest_ND": torch.from_numpy(digests.copy()),
            "feature_NF": torch.stack(list(known.values())),
        }
    )
    write_bytes(path, hashlib.sha256(data).digest() + data)
