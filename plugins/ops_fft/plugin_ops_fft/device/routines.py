"""The three transforms as routines of devices: axis by axis, by kernels of lines.h, and of chirps.h for large primes.

A line that is too long for a group's memory is a matrix of two factors of its length: its columns are transformed and
turned, then its rows, whose results lie transposed (Bailey 1990, the four-step transform).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from core import dtypes
from core.dataclass import dataclass, replace
from core.device.contract import Block, Grid, Routine, RoutineFailed, Strided
from core.device.room import Room
from core.device.strided import lies_in_rows, pieces
from core.device.written import Written, words_for
from core.ir.library import LibraryCall
from core.ir.work.launches import lanes_for
from plugin_ops_fft.device.lengths import (
    chirp,
    halves,
    longer,
    packed,
    power_of,
    radices,
    spectrum_of_chirp,
    turns,
)

COMPLEX, REAL, HALF, HALF_SHARED = range(4)  # see numbers.h
EMPTY, NOT_HALF = 1, 2  # see Transform.library_error
LOCAL_BYTES = 1 << 15  # of a group's memory, which every device has
_AXES = 4  # that core_moved takes
_KERNELS = (("core_lines", 1), ("core_chirped", 1), ("core_convolved", 1), ("core_unchirped", 1), ("core_moved", 1))


@dataclass(frozen=True)
class Lines:
    """One end of transforms along an axis: where their elements begin, and what these are.

    before, behind  how many lines there are, as lengths in front of the axis and behind it
    step            how far the elements of neighbours in front of the axis are apart
    """

    block: Block
    at: int
    before: int
    step: int
    behind: int
    kind: int = COMPLEX

    @property
    def count(self) -> int:
        return self.before * self.behind


@dataclass(frozen=True)
class Place:
    """Element j of line i, of ``factors`` along the axis, is element j step + i step1 of that."""

    step: int = 1
    step1: int = 0


class Transforms:
    """Transforms of one call.  ``dtype``: of complex elements."""

    def __init__(self, device: Any, room: Room, dtype: str, inverse: bool):
        self._device, self._room, self._inverse = device, room, inverse
        self._dtype = device.facts.stored.get(dtype, dtype)
        self._real = dtypes.real_of(self._dtype)
        self.size = dtypes.size_bytes(self._dtype)
        self.most = LOCAL_BYTES // (2 * self.size)
        words = {**words_for(device, self._real), "MOST": str(self.most)}
        self._kernels = Written("fourier", _text(), _KERNELS, tuple(words.items()))

    # --- launches ---------------------------------------------------------------------------------------------------

    def _table(self, name: tuple, make: Callable[[], np.ndarray]) -> Block:
        return self._room.table((*name, self._real), lambda: make().astype(self._real))

    def _each(self, kernel: str, blocks: Sequence[Block], count: int, numbers: Sequence[int], before: int) -> None:
        """Launch a kernel over ``count`` elements, whose share stands behind so many of its numbers."""
        target = self._device.facts.target
        lanes = min(target.lanes, 256)
        groups = min(-(-count // lanes), target.units * (1 if lanes == 1 else target.waves))
        share = -(-count // groups) if lanes == 1 else 1
        numbers = [*numbers[:before], share, *numbers[before:]]
        self._kernels.launch(self._device, kernel, blocks, numbers, Grid((groups, 1), (lanes, 1)))

    def _lines(
        self,
        n: int,
        x: Lines,
        y: Lines,
        whole: int = 0,
        places: tuple[Place, Place] = (Place(), Place()),
        turned: bool = False,
        scale: float = 1.0,
    ) -> None:
        """Transform lines of n elements, which a group's memory holds; n may be a factor of a ``whole`` length."""
        whole = whole or n
        factors = whole // n
        lines, target = x.count * factors, self._device.facts.target
        w = self._table(("turns", n, scale), lambda: turns(n, scale))
        by = self._table(("turns", whole), lambda: turns(whole)) if turned else w
        lanes = 1
        if target.has_groups:
            assert self._device.facts.dialect.work is not None
            lanes = lanes_for(-(-n // 4), min(target.lanes, 256), self._device.facts.dialect.work.warp)
        groups = min(lines, 65535 if target.has_groups else target.units)
        share = 1 if target.has_groups else -(-lines // groups)
        found = radices(n)
        assert found is not None
        ends = (x.at, x.step, places[0].step, places[0].step1, y.at, y.step, places[1].step, places[1].step1)
        numbers = (n, lines, share, whole, factors, x.behind, *ends, x.kind, y.kind, turned, self._inverse)
        grid = Grid((1, groups), (lanes, 1))
        blocks = [y.block, x.block, w, by]
        self._kernels.launch(self._device, "core_lines", blocks, [*numbers, packed(found)], grid)

    def moved(self, x: Strided, parts: int, to: Block, at: int = 0) -> None:
        """Elements of ``parts`` numbers, row by row, from ``at`` on."""
        for first, shape, strides, offset in pieces(x, _AXES):
            count = math.prod(shape)
            numbers = (count, parts, at + first, x.offset + offset, *shape[1:], *strides)
            self._each("core_moved", [to, x.block], count, numbers, 1)

    # --- one axis ---------------------------------------------------------------------------------------------------

    def along(self, n: int, x: Lines, y: Lines, power: float) -> None:
        """Transform all lines of n elements.  x may be y where all is complex."""
        scale = power_of(n, power)
        if radices(n) is None:
            self._by_convolution(n, x, y, scale)
        else:
            self._smooth(n, x, y, scale)

    def _smooth(self, n: int, x: Lines, y: Lines, scale: float, depth: int = 0) -> None:
        if n <= self.most:
            self._lines(n, x, y, scale=scale)
            return
        a, b = halves(n, self.most)
        rows = Lines(self._room(x.count * n * self.size, f"rows {depth}"), 0, x.before, n * x.behind, x.behind)
        self._lines(a, x, rows, n, (Place(b, 1), Place(b, 1)), turned=True)
        if b <= self.most:
            self._lines(b, rows, y, n, (Place(1, b), Place(a, 1)), scale=scale)
            return
        each = replace(rows, before=x.before * a, step=b * x.behind)
        done = replace(each, block=self._room(x.count * n * self.size, f"done {depth}"))
        self._smooth(b, each, done, scale, depth + 1)
        strides = (n * x.behind, x.behind, b * x.behind, 1)
        self._transposed(Strided(done.block, self._dtype, (x.before, b, a, x.behind), strides, 0), y, n)

    def _transposed(self, results: Strided, y: Lines, n: int) -> None:
        """Results that lie otherwise than y wants them, which may be something else than complex numbers."""
        whole = math.prod(results.shape)
        if y.kind == COMPLEX:
            self.moved(results, 2, y.block, y.at)
            return
        z = self._room(whole * self.size, "transposed")
        self.moved(results, 2, z)
        one = self._table(("one",), lambda: np.array([1.0, 0.0, 1.0]))
        self._unchirped(n, z, (n * y.behind, y.behind, 1), y, one, 1)

    def _by_convolution(self, n: int, x: Lines, y: Lines, scale: float) -> None:
        m = longer(n)
        z = Lines(self._room(x.count * m * self.size, "long"), 0, x.count, m, 1)
        c = self._table(("chirp", n, scale), lambda: chirp(n, scale))
        spectrum = self._table(("spectrum", n, m), lambda: spectrum_of_chirp(n, m))
        numbers = (n, m, x.count, x.behind, x.at, x.step, x.kind, self._inverse)
        self._each("core_chirped", [z.block, x.block, c], x.count * m, numbers, 3)
        back = self._inverse
        self._inverse = False
        self._smooth(m, z, z, 1.0)
        self._each("core_convolved", [z.block, spectrum], x.count * m, (m, x.count, back), 2)
        self._inverse = True
        self._smooth(m, z, z, 1.0)
        self._inverse = back
        self._unchirped(n, z.block, (m * y.behind, 1, m), y, c, n)

    def _unchirped(self, n: int, z: Block, steps: tuple[int, ...], y: Lines, c: Block, turned: int) -> None:
        """``steps``: how far elements of z are apart, along axes in front, along this one, along those behind."""
        numbers = (n, turned, y.count, y.behind, *steps, y.at, y.step, y.kind, self._inverse)
        self._each("core_unchirped", [y.block, z, c], y.count * n, numbers, 3)


@cache
def _text() -> str:
    here = Path(__file__).parent
    return "\n".join((here / f"{name}.h").read_text() for name in ("numbers", "lines", "chirps"))


def _ends(x: Strided, axis: int, kind: int = COMPLEX) -> Lines:
    """An array that lies row by row, along an axis."""
    behind = math.prod(x.shape[axis + 1 :])
    return Lines(x.block, x.offset, math.prod(x.shape[:axis]), x.shape[axis] * behind, behind, kind)


def _require_elements(shape: Sequence[int], axes: Sequence[int]) -> None:
    """Errors: RoutineFailed."""
    if any(shape[axis] < 1 for axis in axes):
        raise RoutineFailed(EMPTY)


def _in_rows(x: Strided, transforms: Transforms, room: Room, size_bytes: int, parts: int) -> Strided:
    """The same elements row by row."""
    if lies_in_rows(x):
        return x
    block = room(math.prod(x.shape) * size_bytes, "given")
    transforms.moved(x, parts, block)
    return replace(x, block=block, offset=0)


def fourier(
    device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided], room: Room
) -> None:
    """Complex to complex along some axes: the first reads x, the others work in y."""
    (x,), (y,), how = operands, results, dict(call.attributes)
    _require_elements(x.shape, how["axes"])
    if not math.prod(x.shape):
        return
    transforms = Transforms(device, room, x.dtype, how["inverse"])
    if not lies_in_rows(x) or not how["axes"]:
        transforms.moved(x, 2, y.block, y.offset)
        x = y
    for axis in how["axes"]:
        transforms.along(y.shape[axis], _ends(x, axis), _ends(y, axis), how["power"])
        x = y


def of_real(
    device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided], room: Room
) -> None:
    """Real to half a spectrum."""
    (x,), (y,), how = operands, results, dict(call.attributes)
    _require_elements(x.shape, [how["axis"]])
    if not math.prod(x.shape):
        return
    transforms = Transforms(device, room, y.dtype, False)
    x = _in_rows(x, transforms, room, transforms.size // 2, 1)
    kind = HALF_SHARED if how["transposed"] else HALF
    ends = _ends(x, how["axis"], REAL), _ends(y, how["axis"], kind)
    transforms.along(x.shape[how["axis"]], *ends, how["power"])


def to_real(
    device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided], room: Room
) -> None:
    """Half a spectrum to real."""
    (x, *_), (y,), how = operands, results, dict(call.attributes)
    axis = how["axis"]
    _require_elements(y.shape, [axis])
    if x.shape[axis] != y.shape[axis] // 2 + 1:
        raise RoutineFailed(NOT_HALF)
    if not math.prod(y.shape):
        return
    transforms = Transforms(device, room, x.dtype, True)
    x = _in_rows(x, transforms, room, transforms.size, 2)
    kind = HALF_SHARED if how["transposed"] else HALF
    transforms.along(y.shape[axis], _ends(x, axis, kind), _ends(y, axis, REAL), how["power"])


ROUTINES = {
    "fourier": Routine(fourier, takes_room=True),
    "fourier_of_real": Routine(of_real, takes_room=True),
    "fourier_to_real": Routine(to_real, takes_room=True),
}
