"""Bytes and where they live: the home, atomic files, locks, stores behind one protocol, S3."""

from ganlib.storage.atomic import read_json, write_bytes, write_json
from ganlib.storage.cache import Cache, default_cache
from ganlib.storage.home import Home
from ganlib.storage.locks import holding
from ganlib.storage.s3 import S3Reader
from ganlib.storage.s3_store import S3Store
from ganlib.storage.stores import LocalStore, MemoryStore, Store, open_store
from ganlib.storage.twins import Mirrored, mirrored

__all__ = [
    "Cache",
    "Home",
    "LocalStore",
    "MemoryStore",
    "Mirrored",
    "S3Reader",
    "S3Store",
    "Store",
    "default_cache",
    "holding",
    "mirrored",
    "open_store",
    "read_json",
    "write_bytes",
    "write_json",
]
