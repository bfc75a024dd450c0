"""cuSPARSE, bound through cffi: one long tridiagonal system, whose parts are solved at the same time.

Only what exchanges rows: the routines for stacks do not, or take one right-hand side.
Reference: cuSPARSE Library, cusparse<t>gtsv2; Chang, Stratton, Kim, Hwu (2012), SC '12: SPIKE with diagonal pivoting,
as accurate as elimination with exchanges of rows in their tests, without its proof.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cffi

from core import dtypes
from core.errors import DeviceError
from plugin_backend_cuda.shared_library import opened, short

WHEELS = ("nvidia-cusparse", "nvidia-cusparse-cu13", "nvidia-cusparse-cu12")
_SYSTEM = ("libcusparse.so", "libcusparse.so.12", "cusparse64_12.dll")
_NEEDED = (("nvidia-nvjitlink", "libnvJitLink"),)
FEWEST_ROWS = 3
_LETTERS = {"float32": "S", "float64": "D", "complex64": "C", "complex128": "Z"}


def declarations() -> str:
    """The prototypes, as C; a complex number is two real ones."""
    lines = [
        "typedef struct cusparseContext *cusparseHandle_t;",
        "typedef struct CUstream_st *cudaStream_t;",
        "int cusparseCreate(cusparseHandle_t *handle);",
        "int cusparseDestroy(cusparseHandle_t handle);",
        "int cusparseSetStream(cusparseHandle_t handle, cudaStream_t stream);",
        "const char *cusparseGetErrorString(int status);",
    ]
    for dtype, letter in _LETTERS.items():
        real = _real(dtype)
        given = f"cusparseHandle_t handle, int m, int n, const {real} *dl, const {real} *d, const {real} *du"
        lines.append(f"int cusparse{letter}gtsv2_bufferSizeExt({given}, const {real} *B, int ldb, size_t *size);")
        lines.append(f"int cusparse{letter}gtsv2({given}, {real} *B, int ldb, void *pBuffer);")
    return "\n".join(lines)


def _real(dtype: str) -> str:
    return "float" if dtypes.real_of(dtype) == "float32" else "double"


@cache
def find() -> tuple[tuple[cffi.FFI, Any] | None, str]:
    """The library, or None and why there is none; without it a kernel of ours solves these systems, row by row."""
    return opened(declarations(), WHEELS, "libcusparse.so", _SYSTEM, "cusparseDgtsv2_bufferSizeExt", _NEEDED)


class Cusparse:
    """A handle for one stream.  Make and use it with the device's context current; find() has found it."""

    def __init__(self, stream_number: int):
        found, why = find()
        if found is None:
            raise DeviceError(f"tridiagonal systems by cuSPARSE need it: {why}; pip install nvidia-cusparse")
        self._ffi, self._library = found
        handle = self._ffi.new("cusparseHandle_t *")
        self._call("cusparseCreate", handle)
        self._handle = handle[0]
        self._call("cusparseSetStream", self._handle, self._ffi.cast("cudaStream_t", stream_number))

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            said = self._ffi.string(self._library.cusparseGetErrorString(code)).decode()
            raise DeviceError(f"{name} failed: {said}")

    def _given(self, dtype: str, n: int, k: int, diagonals: tuple[int, int, int]) -> tuple[Any, ...]:
        places = (self._ffi.cast(f"{_real(dtype)} *", place) for place in diagonals)
        n, k = (short("gtsv2 of cuSPARSE", length) for length in (n, k))
        return (self._handle, n, k, *places)

    def gtsv_room(self, dtype: str, n: int, k: int) -> int:
        """How much work memory, in bytes."""
        out, name = self._ffi.new("size_t *"), f"cusparse{_LETTERS[dtype]}gtsv2_bufferSizeExt"
        self._call(name, *self._given(dtype, n, k, (0, 0, 0)), self._ffi.NULL, n, out)
        return int(out[0])

    def gtsv(self, dtype: str, n: int, k: int, diagonals: tuple[int, int, int], x: int, work: int) -> None:
        """Solve for x, which holds b: (n, k), its columns n apart; n is at least 3.

        ``diagonals``: the one below, which begins with 0, the main one, and the one above, which ends with 0; n each.
        Where a pivot is 0, x is not finite, and nothing is said.
        """
        b, room = self._ffi.cast(f"{_real(dtype)} *", x), self._ffi.cast("void *", work)
        self._call(f"cusparse{_LETTERS[dtype]}gtsv2", *self._given(dtype, n, k, diagonals), b, n, room)

    def free(self) -> None:
        self._call("cusparseDestroy", self._handle)
