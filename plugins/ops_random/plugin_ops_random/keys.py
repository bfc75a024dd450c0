"""Random bits as a function of a key and a position: Threefry, and keys made of keys.

Nothing is remembered between draws: element i of a draw is ``threefry(key, i)``.  So draws are index arithmetic, fuse
with what reads them, and are the same on every backend, in any order, on any number of threads.
"""

from __future__ import annotations

from functools import reduce
from operator import mul
from typing import Any

import numpy as np

import core.tensor as ct
from core import dtypes
from core.errors import DTypeError, ShapeError
from core.ir.expr import cast
from core.tensor import TensorVariable, as_tensor
from core.tensor.elementwise import elementwise
from core.tensor.shape import as_lengths

__all__ = ["bits", "fold_in", "key", "split"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


@elementwise(derivative=lambda *inputs: [None] * 4)
def threefry(k0, k1, high, low):
    """64 random bits for the key (k0, k1) and the position (high, low), uint32 each; uint64.

    Source  Threefry-2x32, 20 rounds: Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
    """
    schedule = (k0, k1, k0 ^ k1 ^ _PARITY)
    x, y = high + k0, low + k1
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            x = x + y
            y = ((y << rotation) | (y >> (32 - rotation))) ^ x
        x = x + schedule[(block + 1) % 3]
        y = y + schedule[(block + 2) % 3] + (block + 1)
    return (cast(x, "uint64") << 32) | cast(y, "uint64")


def _words(x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
    """The upper and lower 32 bits of 64."""
    return (x >> 32).astype("uint32"), (x & 0xFFFFFFFF).astype("uint32")


def key(seed: Any) -> TensorVariable:
    """The key, a uint32 vector of length 2, of an integer ``seed``, symbolic or not: its upper and lower 32 bits.

    Errors  DTypeError for what is no integer.
    """
    if isinstance(seed, int) and not isinstance(seed, bool):
        return ct.constant(np.array([seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF], "uint32"))
    seed = as_tensor(seed)
    if seed.dtype not in dtypes.INTEGERS or seed.ndim:
        raise DTypeError(f"a key needs an integer as seed, got {seed} of type {seed.type}", blame=seed)
    return ct.stack(_words(seed.astype("uint64")))


def fold_in(key: Any, data: Any) -> TensorVariable:
    """Another key for each integer in ``data``: shape (*data.shape, 2).  Independent of draws of other keys."""
    k0, k1 = _halves(key)
    data = as_tensor(data)
    if data.dtype not in dtypes.INTEGERS:
        raise DTypeError(f"fold_in needs integers as data, got {data} of dtype {data.dtype}", blame=data)
    return ct.stack(_words(threefry(k0, k1, *_words(data.astype("uint64")))), axis=-1)


def split(key: Any, n: Any = 2) -> TensorVariable:
    """``n`` keys, shape (n, 2), each as good as ``key``, which should not be used again."""
    return fold_in(key, ct.arange(n))


def bits(key: Any, size: Any = (), dtype: Any = "uint64") -> TensorVariable:
    """Random bits: integers of ``dtype``, uint64 or uint32, of shape ``size``, each equally likely.

    The same as ``jax.random.bits`` with the same key.
    Errors  ShapeError, DTypeError for what is no key; DTypeError for another dtype.
    """
    drawn = threefry(*place(key, as_lengths(size)))
    dtype = dtypes.canonical(dtype)
    if dtype == "uint64":
        return drawn
    if dtype == "uint32":
        high, low = _words(drawn)
        return high ^ low
    raise DTypeError(f"bits needs dtype uint64 or uint32, got {dtype}")


def place(key: Any, size: list[TensorVariable]) -> tuple[TensorVariable, ...]:
    """What threefry takes: the two words of a key, and those of the position of each element of a draw of this size."""
    return (*_halves(key), *_words(_positions(size)))


def _positions(size: list[TensorVariable]) -> TensorVariable:
    """0, 1, 2, ... in the order of memory, uint64, of shape ``size``."""
    count = reduce(mul, size, ct.constant(1, dtype="int64"))
    return ct.arange(count).astype("uint64").reshape(size)


def _halves(key: Any) -> tuple[TensorVariable, TensorVariable]:
    """Errors: DTypeError, ShapeError for what is no key."""
    key = as_tensor(key)
    if key.dtype != "uint32":
        raise DTypeError(f"a key needs dtype uint32, got {key} of {key.dtype}; random.key(seed) makes one", blame=key)
    if key.ndim != 1 or key.type.shape[0] not in (2, None):
        raise ShapeError(f"a key needs shape (2,), got {key} of {key.type}; random.key(seed) makes one", blame=key)
    return key[0], key[1]
