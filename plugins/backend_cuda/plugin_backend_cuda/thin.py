"""Products of which one length is small, by kernels of our own, thin.cu: cuBLAS leaves the memory's speed unused.

The last layer of a classifier has three: (4096, 1024) by (1024, 10), (4096, 10) by (10, 1024), and (1024, 4096) by
(4096, 10).  Sums run in the dtype itself and in an order that lengths decide.
"""

from __future__ import annotations

import struct
from functools import cache
from importlib.resources import files
from typing import Any

from core import dtypes
from core.dataclass import replace
from core.device.contract import Source, Strided
from core.ir.nodes import Kernel
from plugin_backend_cuda.dialect import CUDA
from plugin_backend_cuda.libcuda import Packed

THIN = 16  # the largest small length
LONG = 128  # the smallest of the others, but for ``SHORTEST`` of what is summed
SHORTEST = 32
PART = 64  # elements that a part of a long sum has at least
MOST_PARTS = 64
_SIGNATURES = {"rows": "PqqPqPqqqqqqP", "inner": "PqPqqPqqqqqqP", "columns": "PPqPqqqqqq", "together": "PqqPqqqqP"}
_WORDS = {"float32": {"REAL": "float", "FMA": "fmaf"}, "float64": {"REAL": "double", "FMA": "fma"}}


@cache
def source(dtype: str, thin: int) -> str:
    """thin.cu for one dtype and one small length."""
    text = (files("plugin_backend_cuda") / "thin.cu").read_text().replace("core_REAL_", f"core_{dtype}_{thin}_")
    for word, spelling in {**_WORDS[dtype], "THIN": str(thin)}.items():
        text = text.replace(word, spelling)
    return f"{CUDA.preamble}\n{text}"


class Thin:
    """The kernels for one dtype and one small length, loaded on one device."""

    def __init__(self, device: Any, dtype: str, thin: int):
        self._device, self._start = device, f"core_{dtype}_{thin}_"
        names = {name: f"{self._start}{name}" for name in _SIGNATURES}
        kernels = tuple((Kernel(full, [], [], [], f"{name} of a thin product"), ()) for name, full in names.items())
        code = device.build(Source("thin", source(dtype, thin), kernels))
        self._functions = {name: device.function(code, full) for name, full in names.items()}
        self._code = code

    def __call__(self, name: str, blocks: int, *arguments: int) -> None:
        self._device.run(self._functions[name], blocks, 256, Packed(_SIGNATURES[name], arguments))


def turned(one: Strided) -> Strided:
    """The transpose, in place."""
    return replace(one, shape=(*one.shape[:-2], *one.shape[:-3:-1]), strides=(*one.strides[:-2], *one.strides[:-3:-1]))


def queue(
    device: Any, a: Strided, b: Strided, c: Strided, scale: tuple[float, float, int], workspace: tuple[int, int]
) -> bool:
    """Queue C = alpha A B + beta C for matrices, if that is a thin product; whether it was.

    scale      alpha, beta, and where both lie on the device instead, or 0;  workspace: an address and bytes there
    """
    if any(n != 1 for n in c.shape[:-2]):
        return False
    (m, k), n = a.shape[-2:], b.shape[-1]
    if m <= THIN and n >= LONG and k >= SHORTEST:
        a, b, c, m, n = turned(b), turned(a), turned(c), n, m
    if n <= THIN and m >= LONG and k >= SHORTEST:
        if a.strides[-1] == 1:
            _by_rows(device, a, b, c, scale)
            return True
        if a.strides[-2] == 1:
            return _by_columns(device, a, b, c, scale, workspace)
    if k <= THIN and m >= LONG and n >= LONG and c.strides[-1] == 1:
        _by_inner(device, a, b, c, scale)
        return True
    return False


def _at(one: Strided) -> int:
    return one.block.pointer + one.offset * dtypes.size_bytes(one.dtype)


def _bits(scale: tuple[float, float, int]) -> tuple[int, int, int]:
    return (*struct.unpack("2q", struct.pack("2d", *scale[:2])), scale[2])


def _by_rows(device: Any, a: Strided, b: Strided, c: Strided, scale: tuple[float, float, int]) -> None:
    (m, k), n = a.shape[-2:], b.shape[-1]
    where = (_at(c), *c.strides[-2:], _at(a), a.strides[-2], _at(b), *b.strides[-2:])
    device.thin(c.dtype, n)("rows", -(-m // 16), *where, m, k, *_bits(scale))


def _by_inner(device: Any, a: Strided, b: Strided, c: Strided, scale: tuple[float, float, int]) -> None:
    (m, k), n = a.shape[-2:], b.shape[-1]
    tiles = -(-m // 16) * -(-n * dtypes.size_bytes(c.dtype) // 4096)
    where = (_at(c), c.strides[-2], _at(a), *a.strides[-2:], _at(b), *b.strides[-2:])
    device.thin(c.dtype, k)("inner", tiles, *where, m, n, *_bits(scale))


def _by_columns(
    device: Any,
    a: Strided,
    b: Strided,
    c: Strided,
    scale: tuple[float, float, int],
    workspace: tuple[int, int],
) -> bool:
    (m, k), n = a.shape[-2:], b.shape[-1]
    memory, room = workspace
    size = max(PART, -(-k // MOST_PARTS))
    count = -(-k // size)
    if count * m * n * dtypes.size_bytes(c.dtype) > room:
        return False
    kernels = device.thin(c.dtype, n)
    tiles = -(-m // 256) * count
    kernels("columns", tiles, memory, _at(a), a.strides[-1], _at(b), *b.strides[-2:], m, k, size, count)
    kernels("together", -(-m * n // 256), _at(c), *c.strides[-2:], memory, m, count, *_bits(scale))
    return True
