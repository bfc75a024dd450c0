"""The peers, by name; the file of each is ``<first word>_peer.py``, what follows a dash is a way to use the library."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

OURS, BY_HAND = "core", "c"
NAMES = (
    "core",
    "c",
    "numpy",
    "numexpr",
    "numba",
    "jax",
    "torch-eager",
    "torch-compile",
    "pytensor-numba",
    "pytensor-c",
)
LABELS = {"core": "core", "c": "C by hand"}


def module(name: str) -> ModuleType:
    """The module of a peer; importing it imports no library."""
    return import_module(f"benchmarks.peers.{name.partition('-')[0]}_peer")


def variant(name: str) -> str:
    """The way in which the library is used: what follows the dash."""
    return name.partition("-")[2]
