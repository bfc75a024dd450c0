"""Convolutions of plugin-ops-nn as products by cuBLAS, of matrices whose columns are windows: patches.cu, in chunks.

As many images at once as have room for their windows; of an image that has not, as many windows, or channels.  The
memory for that is the device's, and stays where it is, so that calls can be part of a graph.  A window that is one
element needs no patches: the image is the matrix.
Source  Chellapilla, Puri, Simard: High performance convolutional neural networks for document processing (2006).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from core import dtypes
from core.dataclass import replace
from core.device.contract import Block, Routine, Source, Strided
from core.ir.library import LibraryCall
from core.ir.nodes import Kernel
from plugin_backend_cuda.cublas import ONCE, Scale, product
from plugin_backend_cuda.dialect import CUDA
from plugin_backend_cuda.libcuda import Packed

ROOM = 32 << 20  # bytes of patches at once: the second-level cache holds them between the two kernels
FEWEST_CHANNELS = 8  # of a group: products of fewer are loops over what is read once anyway
THREADS, MOST_BLOCKS = 256, 1 << 16
_SIGNATURES = {"patches": "PqqP" + "q" * 26, "folded": "PqPq" + "q" * 20}
_REAL = {"float32": "float", "float64": "double"}


def serves(node: Any) -> bool:
    """Whether products are faster than loops: not for groups of few channels, such as a filter for each."""
    groups = node.op.groups
    x, w, _ = node.op.roles(*(v.type.shape for v in (*node.inputs[:2], node.outputs[0])))
    channels = x[1] // groups if w[1] is None and x[1] is not None else w[1]
    return groups == 1 or (channels is not None and channels >= FEWEST_CHANNELS)


@cache
def source(dtype: str) -> str:
    """patches.cu for one dtype."""
    text = (files("plugin_backend_cuda") / "patches.cu").read_text().replace("core_REAL_", f"core_{dtype}_")
    return f"{CUDA.preamble}\n{text.replace('REAL', _REAL[dtype])}"


class Patches:
    """The kernels for one dtype, loaded on one device."""

    def __init__(self, device: Any, dtype: str):
        self._device = device
        names = {name: f"core_{dtype}_{name}" for name in _SIGNATURES}
        kernels = tuple((Kernel(full, [], [], [], f"{name} of a convolution"), ()) for name, full in names.items())
        self._code = device.build(Source("patches", source(dtype), kernels))
        self._functions = {name: device.function(self._code, full) for name, full in names.items()}

    def __call__(self, name: str, blocks: int, threads: int, *arguments: int) -> None:
        packed = Packed(_SIGNATURES[name], arguments)
        self._device.run(self._functions[name], min(blocks, MOST_BLOCKS), threads, packed)


def three(given: Sequence[int], other: int) -> tuple[int, ...]:
    """Of three axes those behind are these."""
    return (*(other,) * (3 - len(given)), *given)


@dataclass
class Job:
    """One call, for one group of channels: x (n, c, *spatial), w (f, c, *taps), y (n, f, *windows)."""

    device: Any
    x: Strided
    w: Strided
    y: Strided
    geometry: Any

    def __post_init__(self) -> None:
        lengths, taps, windows = (one.shape[2:] for one in (self.x, self.w, self.y))
        sizes = enumerate(zip(lengths, taps, strict=True))
        befores = [self.geometry.before(axis, n, k) for axis, (n, k) in sizes]
        self.lengths, self.taps, self.windows = (three(one, 1) for one in (lengths, taps, windows))
        self.stride, self.dilation = three(self.geometry.stride, 1), three(self.geometry.dilation, 1)
        self.before = three(befores, 0)
        self.n, self.c, self.f = self.x.shape[0], self.x.shape[1], self.w.shape[0]
        self.per_channel, self.count = math.prod(taps), math.prod(windows)
        self.k = self.c * self.per_channel
        self.dtype, self.size = self.y.dtype, dtypes.size_bytes(self.y.dtype)

    @property
    def is_plain(self) -> bool:
        """Whether windows are elements, in their order."""
        moved = (self.per_channel, *self.stride, *self.before)
        return moved == (1, *(1,) * 3, *(0,) * 3) and self.lengths == self.windows

    # --- memory -----------------------------------------------------------------------------------------------------

    def room(self, name: str, *shape: int) -> Strided:
        """A matrix, or a stack of them, in the device's memory for this purpose."""
        address = self.device.scratch(name, math.prod(shape) * self.size, ROOM)
        return row_major(Block(address, 1), self.dtype, shape)

    def chunks(self, of_image: int, of_one: int, most: int) -> Iterator[tuple[int, int, int, int]]:
        """Images from one number on, so many, and within each the parts from one on, so many, of ``most``.

        of_image  elements that an image needs at once;  of_one  each of its parts
        """
        room = ROOM // self.size
        images = max(min(room // max(of_image, 1), self.n), 1)
        parts = most if of_image <= room else max(room // max(of_one, 1), 1)
        for first in range(0, self.n, images):
            for start in range(0, most, parts):
                yield first, min(images, self.n - first), start, min(parts, most - start)

    def patches(self, out: Strided, source: Strided, steps: tuple[int, int], images: int, windows: range) -> None:
        """Queue some windows of some images.  ``steps``: from image to image in ``out``, and from row to row."""
        lies = (*self.lengths, *self.taps, *self.stride, *self.dilation, *self.before, *self.windows[1:])
        self._gather(out, source, steps, (images, self.c), lies, images * self.k, windows)

    def copied(self, out: Strided, source: Strided, steps: tuple[int, int], images: int, elements: range) -> None:
        """The same where windows are elements: a copy that lies otherwise."""
        lengths, channels = three(source.shape[2:], 1), source.shape[1]
        lies = (*lengths, *(1,) * 9, *(0,) * 3, *lengths[1:])
        self._gather(out, source, steps, (images, channels), lies, images * channels, elements)

    def _gather(
        self, out: Strided, source: Strided, steps: Any, sizes: Any, lies: Sequence[int], rows: int, windows: range
    ) -> None:
        threads = min(THREADS, -(-len(windows) // 32) * 32)
        where = (at(out), *steps, at(source), *source.strides[:2], *three(source.strides[2:], 0))
        self._run("patches", rows, threads, *where, *sizes, *lies, windows.start, len(windows))

    def _run(self, name: str, blocks: int, threads: int, *arguments: int) -> None:
        self.device.patches(self.dtype)(name, blocks, threads, *arguments)

    def rows(self, one: Strided, name: str) -> Strided:
        """A tensor (a, b, *rest) as a stack of matrices (a, b, rest): where it lies, or else copied."""
        a, b, rest = one.shape[0], one.shape[1], math.prod(one.shape[2:])
        if is_row_major(one, 2):
            return replace(one, shape=(a, b, rest), strides=(*one.strides[:2], 1))
        out = self.room(name, a, b, rest)
        self.copied(out, one, (b * rest, rest), a, range(rest))
        return out

    def filters(self) -> Strided:
        """w as a matrix (f, k)."""
        w = self.rows(self.w, "filters")
        if w.strides[1] != self.per_channel:
            out = self.room("filters", self.f, self.c, self.per_channel)
            self.copied(out, self.w, (self.k, self.per_channel), self.f, range(self.per_channel))
            w = out
        return replace(w, shape=(self.f, self.k), strides=(w.strides[0], 1))

    # --- the three ---------------------------------------------------------------------------------------------------

    def forward(self) -> None:
        """y[n] = w patches[n]."""
        w, y = self.filters(), self.rows(self.y, "y")
        if self.is_plain:
            self._multiply(w, self.rows(self.x, "x"), y)
            return
        for first, images, start, count in self.chunks(self.k * self.count, self.k, self.count):
            made = self.room("patches", images, self.k, count)
            self.patches(made, self._from(self.x, first), made.strides[:2], images, range(start, start + count))
            self._multiply(w, made, part(self._from(y, first), (images, self.f, count), start))

    def transposed(self) -> None:
        """x[n] = what lies under w' y[n], added up."""
        w, y = self.filters(), self.rows(self.y, "y-in")
        turned = replace(w, shape=(self.k, self.f), strides=(1, w.strides[0]))
        if self.is_plain:
            self._multiply(turned, y, self.rows(self.x, "x"))
            return
        each = self.per_channel * self.count
        for first, images, channel, channels in self.chunks(self.k * self.count, each, self.c):
            k = channels * self.per_channel
            made = self.room("patches", images, k, self.count)
            some = part(turned, (k, self.f), channel * self.per_channel)
            self._multiply(some, replace(self._from(y, first), shape=(images, self.f, self.count)), made)
            x = self._from(self.x, first)
            x = part(x, x.shape, channel * x.strides[1])
            lies = (*self.lengths, *self.taps, *self.stride, *self.dilation, *self.before, *self.windows)
            elements = images * channels * math.prod(self.lengths)
            where = (at(x), x.strides[0], at(made), k * self.count)
            self._run("folded", -(-elements // THREADS), THREADS, *where, images, channels, *lies)

    def of_filters(self) -> None:
        """w = sum over n of y[n] patches[n]'."""
        w = replace(self.w, shape=(self.f, self.k), strides=(self.k, 1))
        for number, chunk in enumerate(self.chunks(self.k * self.count, self.k, self.count)):
            first, images, start, count = chunk
            made = self.room("patches", self.k, images * count)
            steps, windows = (count, images * count), range(start, start + count)
            self.patches(made, self._from(self.x, first), steps, images, windows)
            y = self.room("y", self.f, images * count)
            self.copied(y, self._from(self.y, first), steps, images, windows)
            turned = replace(made, shape=(images * count, self.k), strides=(1, images * count))
            product(self.device, y, turned, w, Scale(1.0, 1.0) if number else ONCE)

    def _from(self, one: Strided, first: int) -> Strided:
        return part(one, (one.shape[0] - first, *one.shape[1:]), first * one.strides[0])

    def _multiply(self, a: Strided, b: Strided, c: Strided) -> None:
        """c[n] = a b[n]."""
        stack = replace(a, shape=(c.shape[0], *a.shape), strides=(0, *a.strides))
        product(self.device, stack, replace(b, shape=(c.shape[0], *b.shape[1:])), c)


def at(one: Strided) -> int:
    return one.block.pointer + one.offset * dtypes.size_bytes(one.dtype)


def part(one: Strided, shape: tuple[int, ...], skipped: int) -> Strided:
    return replace(one, shape=shape, offset=one.offset + skipped)


def row_major(block: Block, dtype: str, shape: Sequence[int]) -> Strided:
    steps = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return Strided(block, dtype, tuple(shape), steps, 0)


def is_row_major(one: Strided, first: int) -> bool:
    """Whether the axes from ``first`` on lie in row-major order."""
    shape, steps = one.shape[first:], one.strides[first:]
    return all(
        n == 1 or step == math.prod(shape[axis + 1 :]) for axis, (n, step) in enumerate(zip(shape, steps, strict=True))
    )


def _groups(x: Strided, w: Strided, y: Strided, groups: int) -> Iterator[tuple[Strided, Strided, Strided]]:
    c, f = x.shape[1] // groups, y.shape[1] // groups
    for g in range(groups):
        yield (
            part(x, (x.shape[0], c, *x.shape[2:]), g * c * x.strides[1]),
            part(w, (f, *w.shape[1:]), g * f * w.strides[0]),
            part(y, (y.shape[0], f, *y.shape[2:]), g * f * y.strides[1]),
        )


def _queue(method: str, device: Any, call: LibraryCall, x: Strided, w: Strided, y: Strided, out: Strided) -> None:
    attributes = dict(call.attributes)
    if 0 in out.shape:
        return
    if 0 in (*x.shape, *w.shape, *y.shape):  # a sum of nothing
        device.fill(out.block, 0, math.prod(out.shape) * dtypes.size_bytes(out.dtype), out.offset)
        return
    for each in _groups(x, w, y, attributes["groups"]):
        getattr(Job(device, *each, attributes["geometry"]), method)()


def convolution(device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided]) -> None:
    (x, w), (y,) = operands, results
    _queue("forward", device, call, x, w, y, y)


def transposed(device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided]) -> None:
    (y, w, *_), (x,) = operands, results
    _queue("transposed", device, call, x, w, y, x)


def filters(device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided]) -> None:
    (x, y, *_), (w,) = operands, results
    _queue("of_filters", device, call, x, w, y, w)


ROUTINES = {
    "convolution": Routine(convolution),
    "convolution_transposed": Routine(transposed),
    "convolution_filters": Routine(filters),
}
