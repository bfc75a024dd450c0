"""Memory of the "device" as arrays, and SciPy's LAPACK on it."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from scipy.linalg.lapack import get_lapack_funcs


def at(address: int, dtype: str, count: int) -> np.ndarray:
    """So many elements at an address."""
    memory = (ctypes.c_char * (count * np.dtype(dtype).itemsize)).from_address(address)
    return np.frombuffer(memory, dtype)


_OF_COMPLEX = {"orgqr": "ungqr", "syevd": "heevd"}


def lapack(name: str, dtype: str) -> Any:
    """A routine of LAPACK for one dtype, by its name for real matrices."""
    if np.dtype(dtype).kind == "c":
        name = _OF_COMPLEX.get(name, name)
    (found,) = get_lapack_funcs((name,), dtype=np.dtype(dtype))
    return found


def matrix(dtype: str, place: int, offset: int, rows: int, columns: int, leading: int) -> np.ndarray:
    """A column-major matrix of ``rows`` by ``columns`` at an address."""
    size = np.dtype(dtype).itemsize
    count = leading * (columns - 1) + rows
    memory = (ctypes.c_char * (count * size)).from_address(place + offset * size)
    flat = np.frombuffer(memory, dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (size, leading * size))


def getrf(dtype: str, m: int, n: int, a: int, leading: int, pivots: int) -> int:
    given = matrix(dtype, a, 0, m, n, leading)
    given[...], found, number = lapack("getrf", dtype)(given.copy("F"))
    at(pivots, "int32", min(m, n))[...] = found + 1
    return number


def getrs(dtype: str, transposed: bool, n: int, k: int, a: int, leading: int, pivots: int, b: int) -> None:
    x = matrix(dtype, b, 0, n, k, n)
    factors, found = matrix(dtype, a, 0, n, n, leading).copy("F"), at(pivots, "int32", n) - 1
    x[...], _ = lapack("getrs", dtype)(factors, found, x.copy("F"), trans=int(transposed))
