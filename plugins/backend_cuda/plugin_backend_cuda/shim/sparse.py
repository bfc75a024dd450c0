"""What cuSPARSE computes, on a CPU by SciPy: tridiagonal systems, at addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from plugin_backend_cuda.cusparse import FEWEST_ROWS
from plugin_backend_cuda.shim.lapack import at, lapack, matrix

ROOM = 512  # bytes of work memory that are asked for, and filled with garbage, so that too little is seen


class HostSparse:
    """Has the methods of cusparse.Cusparse."""

    def __init__(self, stream: Any, do: Callable[..., None]):
        self._stream, self._do = stream, do

    def gtsv_room(self, dtype: str, n: int, k: int) -> int:
        return ROOM

    def gtsv(self, dtype: str, n: int, k: int, diagonals: tuple[int, int, int], x: int, work: int) -> None:
        assert n >= FEWEST_ROWS, "cuSPARSE needs 3 rows"

        def run() -> None:
            at(work, "uint8", ROOM)[...] = 0xFF
            below, middle, above = (at(place, dtype, n).copy() for place in diagonals)
            assert below[0] == above[-1] == 0, "cuSPARSE wants zeros outside the matrix"
            b = matrix(dtype, x, 0, n, k, n)
            *_, found, number = lapack("gtsv", dtype)(below[1:], middle, above[:-1], b.copy("F"))
            b[...] = np.nan if number else found

        self._do(self._stream, run)

    def free(self) -> None:
        pass
