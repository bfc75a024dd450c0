"""Layouts: how an argument lies in memory where it does not lie row by row, so that a program can read it there.

Transposed, sliced, reversed and broadcast arrays have one.  What has none is copied: elements that overlap or are not
aligned, and arrays of which an inner axis has gaps that an outer one does not step over evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from core.dataclass import dataclass
from core.ir.expr import Expr


@dataclass(frozen=True)
class Layout:
    """Of an array with ``ndim`` axes.

    order      the axes that move, the slowest first; along the others all elements are one, or there is only one
    backwards  those of them along which addresses fall
    is_packed  whether there are no gaps: each axis moves by the length of the next
    is_unit    whether neighbours along the fastest axis are neighbours in memory
    """

    ndim: int
    order: tuple[int, ...]
    backwards: tuple[int, ...]
    is_packed: bool
    is_unit: bool

    @property
    def extras(self) -> int:
        """How many integers a call passes besides the lengths: see ``moves``."""
        return 0 if self.is_packed else len(self.order) - self.is_unit

    def moves(self, strides: Sequence[int]) -> list[int]:
        """Those integers, for distances in elements: of an axis in rows of the next one, for all but the fastest; the
        last one but one counts elements, and so does the fastest, unless that is 1."""
        if self.is_packed:
            return []
        steps = [abs(strides[axis]) for axis in self.order]
        rows = [a // b for a, b in pairwise(steps[:-1])] + steps[-2:-1]
        return rows if self.is_unit else [*rows, steps[-1]]

    def position(
        self, shape: Sequence[Expr], at: Sequence[Expr], moves: Sequence[Expr]
    ) -> tuple[tuple[Expr, ...], tuple[Expr, ...]]:
        """The shape of what lies in memory, row by row, and where in it element ``at`` of the array is."""
        where = [shape[axis] - 1 - at[axis] if axis in self.backwards else at[axis] for axis in self.order]
        if self.is_packed:
            return tuple(shape[axis] for axis in self.order), tuple(where)
        rows = len(self.order) - 1
        if not self.is_unit:
            where[-1] = where[-1] * moves[rows]
        return (shape[self.order[0]], *moves[:rows]), tuple(where)


def layout_of(array: np.ndarray) -> Layout | None:
    """The layout of an array; None where it lies row by row, or has to be copied."""
    flags, size = array.flags, array.itemsize
    if flags.c_contiguous or not flags.aligned or not array.size or any(stride % size for stride in array.strides):
        return None
    shape, strides = array.shape, [stride // size for stride in array.strides]
    moving = [axis for axis in range(array.ndim) if strides[axis] and shape[axis] > 1]
    order = tuple(sorted(moving, key=lambda axis: -abs(strides[axis])))
    steps, lengths = [abs(strides[axis]) for axis in order], [shape[axis] for axis in order]
    apart = all(a > b * (n - 1) for a, b, n in zip(steps, steps[1:], lengths[1:], strict=False))
    if not apart or any(a % b for a, b in pairwise(steps[:-1])):
        return None
    is_unit = not order or steps[-1] == 1
    is_packed = is_unit and all(a == b * n for a, b, n in zip(steps, steps[1:], lengths[1:], strict=False))
    backwards = tuple(axis for axis in sorted(order) if strides[axis] < 0)
    return Layout(array.ndim, order, backwards, is_packed, is_unit)


def first_address(array: np.ndarray) -> int:
    """Where the element with the lowest address is."""
    falls = sum((n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True) if stride < 0)
    return array.__array_interface__["data"][0] + falls


def passed(array: np.ndarray, layout: Layout | None) -> list[int]:
    """The integers that a call passes for an array: its lengths, then what its layout asks for."""
    if layout is None:
        return [*array.shape]
    return [*array.shape, *layout.moves([stride // array.itemsize for stride in array.strides])]


def window(array: np.ndarray) -> np.ndarray:
    """The memory from the lowest to the highest element of a non-empty array, gaps included."""
    lowest = array[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in array.strides)]
    span = sum((n - 1) * stride for n, stride in zip(lowest.shape, lowest.strides, strict=True))
    return np.lib.stride_tricks.as_strided(lowest, (span // array.itemsize + 1,), (array.itemsize,))
