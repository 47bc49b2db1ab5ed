"""Bytes and where they live: the home, atomic files, locks, stores behind one protocol."""

from ganlib.storage.atomic import read_json, write_bytes, write_json
from ganlib.storage.home import Home
from ganlib.storage.locks import holding
from ganlib.storage.stores import LocalStore, MemoryStore, Store, open_store

__all__ = [
    "Home",
    "LocalStore",
    "MemoryStore",
    "Store",
    "holding",
    "open_store",
    "read_json",
    "write_bytes",
    "write_json",
]
