"""Images of any source into fingerprinted shards, and the order in which training sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganlib.data.choice import open_images, open_set
    from ganlib.data.dataset import Dataset
    from ganlib.data.images import ImageRows, Images, StoredImages
    from ganlib.data.preparation import prepare, source_state

__all__ = [
    "Dataset",
    "ImageRows",
    "Images",
    "StoredImages",
    "open_images",
    "open_set",
    "prepare",
    "source_state",
]

PLACES = {
    "Dataset": "ganlib.data.dataset",
    "ImageRows": "ganlib.data.images",
    "Images": "ganlib.data.images",
    "StoredImages": "ganlib.data.images",
    "open_images": "ganlib.data.choice",
    "open_set": "ganlib.data.choice",
    "prepare": "ganlib.data.preparation",
    "source_state": "ganlib.data.preparation",
}


def __getattr__(name: str) -> Any:
    # Decoding processes come in through here and want neither pyarrow nor pydantic.
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(PLACES[name]), name)
