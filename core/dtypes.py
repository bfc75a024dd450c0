"""Names of dtypes and how they combine: NumPy 2 rules (NEP 50), Python scalars are weak.

A dtype is its NumPy name, a string.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from core.errors import DTypeError, did_you_mean

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
COMPLEXES = ("complex64", "complex128")
DISCRETE = ("bool", *INTEGERS)
CONTINUOUS = (*FLOATS, *COMPLEXES)
ALL = (*DISCRETE, *CONTINUOUS)


def canonical(dtype: Any) -> str:
    """The name of ``dtype`` (a name, a NumPy dtype or a Python type).  Errors: DTypeError when core has none such."""
    return _canonical(dtype if dtype is not None and getattr(dtype, "__hash__", None) else str(dtype))


@lru_cache(maxsize=256)
def _canonical(dtype: Any) -> str:
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in ALL:
        raise DTypeError(f"dtype {name!r} is not one of {', '.join(ALL)}.{did_you_mean(name, ALL)}")
    return name


@lru_cache(maxsize=4096)
def promote(*operands: Any) -> str:
    """The dtype that NumPy gives to an operation on ``operands``.

    Each is a dtype name, or one of the Python types bool, int, float, complex, which stand for a weak scalar.
    """
    values = [dtype(0) if isinstance(dtype, type) else np.dtype(dtype) for dtype in operands]
    return np.result_type(*values).name


@lru_cache(maxsize=64)
def float_of(dtype: str) -> str:
    """The dtype of a floating-point function (exp, sin, ...) of ``dtype``, as NumPy chooses it: int8 -> float16."""
    return dtype if dtype in CONTINUOUS else np.exp(np.zeros((), dtype)).dtype.name


@lru_cache(maxsize=64)
def sum_of(dtype: str) -> str:
    """The dtype of a sum or product of ``dtype``: small integers and bool widen to 64 bits, as in NumPy."""
    return np.sum(np.zeros(0, dtype)).dtype.name


@lru_cache(maxsize=64)
def real_of(dtype: str) -> str:
    """The dtype of the parts of a complex dtype; any other dtype itself."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


@lru_cache(maxsize=64)
def size_bytes(dtype: str) -> int:
    """Bytes of one element."""
    return np.dtype(dtype).itemsize
