"""What cuBLAS computes, on a CPU by NumPy: column-major matrices at addresses."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.dtypes import real_of
from plugin_backend_cuda.cublas import COMPUTE, WORKSPACE, Scale
from plugin_backend_cuda.shim.lapack import at, getrf, getrs, matrix


class HostBlas:
    """Has the methods of cublas.Cublas."""

    def __init__(self, stream: Any, do: Any, workspace: int):
        self._stream, self._do, self.scale = stream, do, workspace + WORKSPACE

    def products(
        self,
        dtype: str,
        transposed: tuple[bool, bool],
        sizes: tuple[int, int, int, int],
        places: tuple[int, int, int],
        leading: tuple[int, int, int],
        strides: tuple[int, int, int],
        precision: str,
        scale: Scale,
    ) -> None:
        COMPUTE[precision][real_of(dtype)]
        self._do(self._stream, lambda: _products(dtype, transposed, sizes, places, leading, strides, scale))

    def triangular(
        self,
        dtype: str,
        shape: tuple[bool, int, bool],
        sizes: tuple[int, int, int],
        places: tuple[int, int],
        firsts: tuple[int, int],
        leading: tuple[int, int],
        left: bool = False,
    ) -> None:
        def run() -> None:
            count, m, n = sizes
            if count == 1:
                pairs = [firsts]
            else:
                pairs = list(zip(*(_addresses(place, count) for place in places), strict=True))
            for a, x in pairs:
                _triangular(dtype, shape, (m, n), (a, x), leading, left)

        self._do(self._stream, run)

    def getrf_stack(self, dtype: str, n: int, places: int, leading: int, pivots: int, info: int, count: int) -> None:
        def run() -> None:
            for k, a in enumerate(_addresses(places, count)):
                at(info, "int32", count)[k] = getrf(dtype, n, n, a, leading, pivots + 4 * n * k)

        self._do(self._stream, run)

    def getrs_stack(
        self, dtype: str, transposed: bool, sizes: tuple[int, int, int], places: tuple[int, int], pivots: int
    ) -> None:
        def run() -> None:
            count, n, k = sizes
            for place, (a, b) in enumerate(zip(*(_addresses(one, count) for one in places), strict=True)):
                getrs(dtype, transposed, n, k, a, n, pivots + 4 * n * place, b)

        self._do(self._stream, run)

    def free(self) -> None:
        pass


def _addresses(place: int, count: int) -> list[int]:
    return [int(one) for one in at(place, "uint64", count)]


def _triangular(
    dtype: str, shape: tuple[bool, int, bool], size: tuple[int, int], places: Any, leading: Any, left: bool
) -> None:
    """X := X op(A)^-1, or op(A)^-1 X."""
    upper, transposed, unit = shape
    (m, n), order = size, size[0] if left else size[1]
    a, x = matrix(dtype, places[0], 0, order, order, leading[0]), matrix(dtype, places[1], 0, m, n, leading[1])
    a = np.triu(a) if upper else np.tril(a)
    if unit:
        np.fill_diagonal(a, 1)
    a = (a, a.T, a.conj().T)[transposed]
    with np.errstate(all="ignore"):
        if (np.diagonal(a) == 0).any() or not np.isfinite(a).all():
            x[...] = np.nan
        else:
            x[...] = np.linalg.solve(a, x) if left else np.linalg.solve(a.T, x.T).T


def _products(dtype: str, transposed: Any, sizes: Any, places: Any, leading: Any, strides: Any, scale: Scale) -> None:
    batch, m, n, k = sizes
    shapes = [(k, m) if transposed[0] else (m, k), (n, k) if transposed[1] else (k, n), (m, n)]
    for number in range(batch):
        a, b, c = (
            matrix(dtype, place, stride * number, *shape, ld)
            for place, stride, shape, ld in zip(places, strides, shapes, leading, strict=True)
        )
        made = np.matmul(a.T if transposed[0] else a, b.T if transposed[1] else b)
        alpha, beta = (scale.alpha, scale.beta) if scale.device is None else at(scale.device, dtype, 2)
        c[...] = np.asarray(alpha, dtype) * made + (np.asarray(beta, dtype) * c if beta else 0)
