"""Fourier transforms on cuFFT: what lies otherwise than row by row is moved first, and results are scaled.

Names and attributes are those of plugin-ops-fft.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from core import dtypes
from core.device.contract import Block, Routine, RoutineFailed, Source, Strided
from core.device.strided import lies_in_rows, pieces
from core.ir.library import LibraryCall
from core.ir.nodes import Kernel
from plugin_backend_cuda.cufft import MOST_AXES, along
from plugin_backend_cuda.dialect import CUDA
from plugin_backend_cuda.libcuda import Packed

HALVED, DOUBLED = 1, 2  # see fourier.cu
EMPTY, NOT_HALF = 1, 2  # see Transform.library_error of the pack
THREADS, BLOCKS = 256, 4096
_AXES = 4  # that the kernel moves at once
_WORDS = {"float32": "float", "float64": "double"}
_KINDS = {"complex64": ("C2C", "R2C", "C2R"), "complex128": ("Z2Z", "D2Z", "Z2D")}


@cache
def source(real: str, parts: int) -> Source:
    """fourier.cu for one dtype."""
    text = (files("plugin_backend_cuda") / "fourier.cu").read_text()
    text = text.replace("core_REAL_moved_PARTS", _name(real, parts))
    text = text.replace("REAL", _WORDS[real]).replace("PARTS", str(parts))
    kernel = Kernel(_name(real, parts), [], [], [], "elements that are moved for a Fourier transform")
    return Source("fourier", f"{CUDA.preamble}\n{text}", ((kernel, ()),))


def _name(real: str, parts: int) -> str:
    return f"core_{real}_moved_{parts}"


class Mover:
    """The kernel of fourier.cu for one dtype, loaded on one device."""

    def __init__(self, device: Any, dtype: str):
        real, parts = dtypes.real_of(dtype), 2 if dtype in dtypes.COMPLEXES else 1
        self._device, self._size = device, dtypes.size_bytes(dtype)
        self._code = device.build(source(real, parts))
        self._function = device.function(self._code, _name(real, parts))

    def __call__(self, x: Strided, to: int, scale: float = 1.0, n: int = 0, axis: int = 0, shares: int = 0) -> None:
        """Queue ``scale`` times x, row by row, to an address; of halves along ``axis`` where ``n`` is given."""
        inner, place = math.prod(x.shape[axis + 1 :]), x.block.pointer + x.offset * self._size
        bits = struct.unpack("q", struct.pack("d", scale))[0]
        for first, shape, strides, offset in pieces(x, _AXES):
            count = math.prod(shape)
            packed = (
                to + first * self._size,
                place + offset * self._size,
                *shape,
                *strides,
                bits,
                n,
                inner,
                first,
                shares,
            )
            blocks = min(-(-count // THREADS), BLOCKS)
            self._device.run(self._function, blocks, THREADS, Packed("PP" + "q" * 13, packed))


def _address(one: Strided) -> int:
    place: int = one.block.pointer + one.offset * dtypes.size_bytes(one.dtype)
    return place


def _scaled(device: Any, y: Strided, power: float, n: int) -> None:
    if power:
        device.mover(y.dtype)(y, _address(y), n**-power)


def fourier(device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided]) -> None:
    """Complex to complex along some axes: neighbours together, the first of them read x, the others work in y."""
    (x,), (y,), how = operands, results, dict(call.attributes)
    axes = sorted(how["axes"])
    if any(x.shape[axis] < 1 for axis in axes):
        raise RoutineFailed(EMPTY)
    if not math.prod(x.shape):
        return
    start, end = _address(x), _address(y)
    if not lies_in_rows(x):
        device.mover(x.dtype)(x, end)
        start = end
    for together in neighbours(axes):
        layout, times = along(_KINDS[x.dtype][0], x.shape, together)
        step = math.prod(x.shape[together.start :]) * dtypes.size_bytes(x.dtype)
        for k in range(times):
            device.transforms.transform(layout, start + k * step, end + k * step, how["inverse"])
        start = end
    _scaled(device, y, how["power"], math.prod(x.shape[axis] for axis in axes))


def neighbours(axes: Sequence[int]) -> Iterator[range]:
    """Runs of axes of which each follows the other, none longer than a plan takes."""
    first = 0
    for k in range(1, len(axes) + 1):
        if k == len(axes) or axes[k] != axes[k - 1] + 1 or k - first == MOST_AXES:
            yield range(axes[first], axes[k - 1] + 1)
            first = k


def of_real(device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided]) -> None:
    """Real to half a spectrum."""
    (x,), (y,), how = operands, results, dict(call.attributes)
    axis = how["axis"]
    n = x.shape[axis]
    if n < 1:
        raise RoutineFailed(EMPTY)
    if not math.prod(x.shape):
        return
    start = _address(x)
    if not lies_in_rows(x) or start % dtypes.size_bytes(y.dtype):
        start = device.transforms.room(math.prod(x.shape) * dtypes.size_bytes(x.dtype))
        device.mover(x.dtype)(x, start)
    _one_axis(device, _KINDS[y.dtype][1], x.shape, axis, (x, start), (y, _address(y)))
    if how["transposed"]:
        device.mover(y.dtype)(y, _address(y), n ** -how["power"], n, axis, DOUBLED)
    else:
        _scaled(device, y, how["power"], n)


def to_real(device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided]) -> None:
    """Half a spectrum to real: from a copy, which cuFFT spoils, scaled, and real where it must be."""
    (x, *_), (y,), how = operands, results, dict(call.attributes)
    axis = how["axis"]
    n = y.shape[axis]
    if n < 1:
        raise RoutineFailed(EMPTY)
    if x.shape[axis] != n // 2 + 1:
        raise RoutineFailed(NOT_HALF)
    if not math.prod(y.shape):
        return
    start = device.transforms.room(math.prod(x.shape) * dtypes.size_bytes(x.dtype))
    device.mover(x.dtype)(x, start, n ** -how["power"], n, axis, HALVED if how["transposed"] else 0)
    _one_axis(device, _KINDS[x.dtype][2], y.shape, axis, (x, start), (y, _address(y)))


def _one_axis(
    device: Any, kind: str, shape: tuple[int, ...], axis: int, x: tuple[Strided, int], y: tuple[Strided, int]
) -> None:
    """Transforms between real and complex numbers along an axis, for all axes in front of it.

    cuFFT wants real numbers, too, on the boundary of a complex number; where they are not, they go by other memory.
    """
    layout, times = along(kind, shape, range(axis, axis + 1))
    (a, start), (b, end) = x, y
    steps = [math.prod(one.shape[axis:]) * dtypes.size_bytes(one.dtype) for one in (a, b)]
    boundary = max(dtypes.size_bytes(one.dtype) for one in (a, b))
    bounce = device.transforms.bounce(max(steps)) if times > 1 and any(n % boundary for n in steps) else 0
    for k in range(times):
        source, target = start + k * steps[0], end + k * steps[1]
        if source % boundary:
            device.copy(Block(source, steps[0]), Block(bounce, steps[0]), steps[0])
        device.transforms.transform(
            layout, bounce if source % boundary else source, bounce if target % boundary else target
        )
        if target % boundary:
            device.copy(Block(bounce, steps[1]), Block(target, steps[1]), steps[1])


ROUTINES = {
    "fourier": Routine(fourier),
    "fourier_of_real": Routine(of_real),
    "fourier_to_real": Routine(to_real),
}
