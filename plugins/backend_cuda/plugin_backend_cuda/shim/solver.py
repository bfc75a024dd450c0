"""What cuSOLVER computes, on a CPU by SciPy's LAPACK: matrices by columns, at addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from core.dtypes import promote, real_of
from plugin_backend_cuda.shim.lapack import at, getrf, getrs, lapack, matrix

ROOM = 7  # elements of work memory that are asked for, and filled with garbage, so that too little is seen


class HostSolver:
    """Has the methods of cusolver.Cusolver."""

    def __init__(self, stream: Any, do: Callable[..., None]):
        self._stream, self._do = stream, do

    def potrf_room(self, dtype: str, upper: bool, n: int, leading: int) -> int:
        return ROOM

    def getrf_room(self, dtype: str, m: int, n: int) -> int:
        return ROOM

    def qr_room(self, dtype: str, m: int, n: int, columns: int) -> int:
        return ROOM

    def syevd_room(self, dtype: str, vectors: bool, upper: bool, n: int) -> int:
        return ROOM

    def syevj_room(self, dtype: str, vectors: bool, upper: bool, n: int, count: int) -> int:
        return ROOM

    def gesvdj_room(self, dtype: str, vectors: bool, m: int, n: int, count: int) -> int:
        assert max(m, n) <= 32, "cuSOLVER needs m and n up to 32"
        return ROOM

    def geev_room(self, dtype: str, vectors: bool, n: int) -> int:
        return ROOM

    def gesvd_room(self, dtype: str, m: int, n: int) -> int:
        assert m >= n, "cuSOLVER needs m >= n"
        return ROOM

    def _queue(self, act: Callable[[], int], dtype: str, work: int, info: int) -> None:
        def run() -> None:
            at(work, dtype, ROOM)[...] = np.nan
            at(info, "int32", 1)[0] = act()

        self._do(self._stream, run)

    def potrf(self, dtype: str, upper: bool, n: int, a: int, leading: int, work: int, room: int, info: int) -> None:
        assert room == ROOM
        self._queue(lambda: _potrf(dtype, upper, n, a, leading), dtype, work, info)

    def potrf_stack(self, dtype: str, upper: bool, n: int, places: int, leading: int, info: int, count: int) -> None:
        def run() -> None:
            for k, a in enumerate(at(places, "uint64", count)):
                at(info, "int32", count)[k] = _potrf(dtype, upper, n, int(a), leading)

        self._do(self._stream, run)

    def getrf(self, dtype: str, m: int, n: int, a: int, work: int, pivots: int, info: int) -> None:
        self._queue(lambda: getrf(dtype, m, n, a, m, pivots), dtype, work, info)

    def getrs(
        self, dtype: str, transposed: bool, n: int, k: int, a: int, leading: int, pivots: int, b: int, info: int
    ) -> None:
        def run() -> None:
            getrs(dtype, transposed, n, k, a, leading, pivots, b)
            at(info, "int32", 1)[0] = 0

        self._do(self._stream, run)

    def geqrf(self, dtype: str, m: int, n: int, a: int, tau: int, work: int, room: int, info: int) -> None:
        def act() -> int:
            given = matrix(dtype, a, 0, m, n, m)
            given[...], at(tau, dtype, min(m, n))[...], _, number = lapack("geqrf", dtype)(given.copy("F"))
            return number

        self._queue(act, dtype, work, info)

    def orgqr(
        self, dtype: str, m: int, columns: int, k: int, a: int, tau: int, work: int, room: int, info: int
    ) -> None:
        assert k <= columns <= m, "cuSOLVER needs k <= columns <= m"

        def act() -> int:
            given = matrix(dtype, a, 0, m, columns, m)
            given[...], _, number = lapack("orgqr", dtype)(given.copy("F"), at(tau, dtype, k).copy())
            return number

        self._queue(act, dtype, work, info)

    def syevd(
        self, dtype: str, vectors: bool, upper: bool, n: int, a: int, w: int, work: int, room: int, info: int
    ) -> None:
        def act() -> int:
            given = matrix(dtype, a, 0, n, n, n)
            _spoil(given, upper)
            values, found, number = lapack("syevd", dtype)(given.copy("F"), compute_v=vectors, lower=not upper)
            at(w, real_of(dtype), n)[...] = values
            given[...] = found if vectors else np.nan
            return number

        self._queue(act, dtype, work, info)

    def syevj_stack(
        self,
        dtype: str,
        vectors: bool,
        upper: bool,
        n: int,
        a: int,
        w: int,
        work: int,
        room: int,
        info: int,
        count: int,
    ) -> None:
        size = np.dtype(dtype).itemsize
        for k in range(count):
            where = (a + k * n * n * size, w + k * n * np.dtype(real_of(dtype)).itemsize)
            self.syevd(dtype, vectors, upper, n, *where, work, room, info + 4 * k)

    def gesvdj_stack(
        self, dtype: str, vectors: bool, sizes: tuple[int, int, int], a: int, s: int, u: int, v: int, work: int,
        room: int, info: int,
    ) -> None:  # fmt: skip
        count, m, n = sizes
        assert max(m, n) <= 32 and room == ROOM

        def act(k: int) -> int:
            given = matrix(dtype, a, k * m * n, m, n, m)
            left, values, right = np.linalg.svd(given)
            given[...] = np.nan
            at(s, real_of(dtype), count * min(m, n)).reshape(count, -1)[k] = values
            if vectors:
                matrix(dtype, u, k * m * m, m, m, m)[...] = left
                matrix(dtype, v, k * n * n, n, n, n)[...] = right.conj().T
            return 0

        for k in range(count):
            self._queue(lambda k=k: act(k), dtype, work, info + 4 * k)

    def geev(self, dtype: str, vectors: bool, n: int, a: int, w: int, v: int, work: int, room: int, info: int) -> None:
        def act() -> int:
            given = matrix(dtype, a, 0, n, n, n)
            *values, _, right, number = lapack("geev", dtype)(given.copy("F"), compute_vl=False, compute_vr=vectors)
            at(w, promote(dtype, "complex64"), n)[...] = values[0] if len(values) == 1 else values[0] + 1j * values[1]
            given[...] = np.nan
            if vectors:
                matrix(dtype, v, 0, n, n, n)[...] = right
            return number

        self._queue(act, dtype, work, info)

    def gesvd(
        self, dtype: str, job: str, m: int, n: int, a: int, s: int, u: int, vt: int, work: int, room: int, info: int
    ) -> None:
        assert m >= n, "cuSOLVER needs m >= n"

        def act() -> int:
            given = matrix(dtype, a, 0, m, n, m)
            left, values, right, number = lapack("gesvd", dtype)(
                given.copy("F"), compute_uv=job != "N", full_matrices=job == "A"
            )
            at(s, real_of(dtype), n)[...] = values
            given[...] = np.nan
            if job != "N":
                matrix(dtype, u, 0, m, m if job == "A" else n, m)[...] = left
                matrix(dtype, vt, 0, n, n, n)[...] = right
            return number

        self._queue(act, dtype, work, info)

    def free(self) -> None:
        pass


def _spoil(a: np.ndarray, upper: bool) -> None:
    """Garbage in the triangle that must not be read."""
    a[np.tril_indices(len(a), -1) if upper else np.triu_indices(len(a), 1)] = np.nan


def _potrf(dtype: str, upper: bool, n: int, a: int, leading: int) -> int:
    given = matrix(dtype, a, 0, n, n, leading)
    found, number = lapack("potrf", dtype)(given.copy("F"), lower=not upper, clean=True)
    given[...] = found
    _spoil(given, upper)
    return number
