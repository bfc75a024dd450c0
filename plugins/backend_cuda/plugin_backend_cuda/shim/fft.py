"""What cuFFT computes, on a CPU by NumPy: batches of transforms, at addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from plugin_backend_cuda.cufft import Layout, Room
from plugin_backend_cuda.shim.lapack import at

_DTYPES = {  # of what is read, and of what is written
    "C2C": ("complex64", "complex64"), "R2C": ("float32", "complex64"), "C2R": ("complex64", "float32"),
    "Z2Z": ("complex128", "complex128"), "D2Z": ("float64", "complex128"), "Z2D": ("complex128", "float64"),
}  # fmt: skip


class HostFft:
    """Has the methods of cufft.Cufft."""

    def __init__(self, stream: Any, do: Callable[..., None], allocate: Callable[[int], int]):
        self._stream, self._do = stream, do
        self.room, self.bounce = Room(allocate), Room(allocate)

    def transform(self, layout: Layout, x: int, y: int, inverse: bool = False) -> None:
        boundary = 8 if layout.kind in ("C2C", "R2C", "C2R") else 16
        assert x % boundary == 0 and y % boundary == 0, "cuFFT wants memory on the boundary of a complex number"
        self._do(self._stream, lambda: _transform(layout, x, y, inverse))

    def free(self) -> None:
        pass


def _array(dtype: str, place: int, lengths: tuple[int, ...], batch: int, stride: int, distance: int) -> np.ndarray:
    """(batch, *lengths), where it lies."""
    size = np.dtype(dtype).itemsize
    steps = [stride * int(np.prod(lengths[k + 1 :], dtype=int)) for k in range(len(lengths))]
    last = (batch - 1) * distance + sum((n - 1) * step for n, step in zip(lengths, steps, strict=True))
    whole = at(place, dtype, last + 1)
    strides = [distance * size, *(step * size for step in steps)]
    return np.lib.stride_tricks.as_strided(whole, (batch, *lengths), strides)


def _transform(layout: Layout, x: int, y: int, inverse: bool) -> None:
    read, written = _DTYPES[layout.kind]
    given = _array(read, x, layout.x_lengths, layout.batch, layout.x_stride, layout.x_distance)
    made = _array(written, y, layout.y_lengths, layout.batch, layout.y_stride, layout.y_distance)
    axes = tuple(range(1, given.ndim))
    with np.errstate(all="ignore"):
        if layout.kind in ("C2C", "Z2Z"):
            made[...] = np.fft.ifftn(given, axes=axes, norm="forward") if inverse else np.fft.fftn(given, axes=axes)
        elif layout.kind in ("R2C", "D2Z"):
            made[...] = np.fft.rfftn(given, axes=axes)
        else:
            ends = given[..., :: layout.n[-1] // 2] if layout.n[-1] % 2 == 0 else given[..., :1]
            assert not ends.imag.any(), "what must be real is real"
            made[...] = np.fft.irfftn(given, layout.n, axes=axes, norm="forward")
            given[...] = np.nan  # cuFFT leaves anything there
