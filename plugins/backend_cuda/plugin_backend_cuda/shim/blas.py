"""What cuBLAS computes, on a CPU by NumPy: column-major matrices at addresses."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from plugin_backend_cuda.cublas import COMPUTE


class HostBlas:
    """Has the methods of cublas.Cublas."""

    def __init__(self, stream: Any, do: Any):
        self._stream, self._do = stream, do

    def products(
        self,
        dtype: str,
        transposed: tuple[bool, bool],
        sizes: tuple[int, int, int, int],
        places: tuple[int, int, int],
        leading: tuple[int, int, int],
        strides: tuple[int, int, int],
        precision: str,
    ) -> None:
        COMPUTE[precision][dtype]
        self._do(self._stream, lambda: _products(dtype, transposed, sizes, places, leading, strides))

    def free(self) -> None:
        pass


def _products(dtype: str, transposed: Any, sizes: Any, places: Any, leading: Any, strides: Any) -> None:
    batch, m, n, k = sizes
    shapes = [(k, m) if transposed[0] else (m, k), (n, k) if transposed[1] else (k, n), (m, n)]
    for number in range(batch):
        a, b, c = (
            _matrix(dtype, place, stride * number, *shape, ld)
            for place, stride, shape, ld in zip(places, strides, shapes, leading, strict=True)
        )
        np.matmul(a.T if transposed[0] else a, b.T if transposed[1] else b, out=c)


def _matrix(dtype: str, place: int, offset: int, rows: int, columns: int, leading: int) -> np.ndarray:
    """A column-major matrix of ``rows`` by ``columns`` at an address."""
    size = np.dtype(dtype).itemsize
    count = leading * (columns - 1) + rows
    memory = (ctypes.c_char * (count * size)).from_address(place + offset * size)
    flat = np.frombuffer(memory, dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (size, leading * size))
