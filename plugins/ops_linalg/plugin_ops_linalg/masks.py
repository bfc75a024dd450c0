"""Which diagonals of a matrix may hold anything but 0, seen from comparisons of row and column numbers.

``tril``, ``triu`` and ``eye`` are written with such comparisons.  Diagonals are counted by column - row; an interval of
them is a pair, with infinities where it has no end.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from core import dtypes
from core.graph import Constant, Variable
from core.tensor import ARange, DimShuffle
from core.tensor.arithmetic import Cast, add, negative, subtract
from core.tensor.logic import equal, greater, greater_equal, less, less_equal

Interval: TypeAlias = tuple[float, float]

ALL: Interval = (-np.inf, np.inf)
_DEEPEST = 20


def number(x: Variable) -> complex | None:
    """The value that all elements of ``x`` have, if that is plain to see."""
    while x.owner is not None and isinstance(x.owner.op, (DimShuffle, Cast)):
        x = x.owner.inputs[0]
    if not isinstance(x, Constant) or np.size(x.data) != 1:
        return None
    return complex(np.reshape(x.data, ())[()])


def where_true(mask: Variable) -> Interval:
    """The diagonals where a comparison of row and column numbers may hold."""
    return _sides(mask)[0]


def where_false(mask: Variable) -> Interval:
    """The diagonals where it may not hold."""
    return _sides(mask)[1]


def _sides(mask: Variable) -> tuple[Interval, Interval]:
    node = mask.owner
    if node is None or len(node.inputs) != 2:
        return ALL, ALL
    left, right = map(_linear, node.inputs)
    if left is None or right is None:
        return ALL, ALL
    rows, columns, rest = (a - b for a, b in zip(left, right, strict=True))
    if (rows, columns) not in ((-1, 1), (1, -1)):
        return ALL, ALL
    at = -rest * columns  # the diagonal on which both sides are equal
    above, below = ((at, np.inf), (-np.inf, at)) if columns == 1 else ((-np.inf, at), (at, np.inf))
    further, nearer = ((at + 1, np.inf), (-np.inf, at - 1)) if columns == 1 else ((-np.inf, at - 1), (at + 1, np.inf))
    found = {
        equal: ((at, at), ALL),
        greater_equal: (above, nearer),
        greater: (further, below),
        less_equal: (below, further),
        less: (nearer, above),
    }
    return found.get(node.op, (ALL, ALL))


def _linear(x: Variable, depth: int = 0) -> tuple[int, int, int] | None:
    """(r, c, k), where element (i, j) of ``x`` is r i + c j + k; None where that is not plain to see."""
    if depth > _DEEPEST or getattr(x.type, "dtype", None) not in dtypes.INTEGERS:
        return None
    constant = number(x)
    if constant is not None:
        return 0, 0, int(constant.real)
    node = x.owner
    if node is None:
        return None
    if isinstance(node.op, DimShuffle):
        return _numbers(node.inputs[0], node.op.pattern)
    if isinstance(node.op, Cast):
        return _linear(node.inputs[0], depth + 1)
    parts = [_linear(y, depth + 1) for y in node.inputs] if node.op in (add, subtract, negative) else [None]
    if None in parts:
        return None
    if node.op == negative:
        return tuple(-a for a in parts[0])  # type: ignore[return-value]
    sign = -1 if node.op == subtract else 1
    return tuple(a + sign * b for a, b in zip(*parts, strict=True))  # type: ignore[return-value]


def _numbers(x: Variable, pattern: tuple) -> tuple[int, int, int] | None:
    """Whether 0, 1, ... lie along the rows or the columns."""
    node = x.owner
    if node is None or not isinstance(node.op, ARange) or 0 not in pattern:
        return None
    start, _, step = node.inputs
    if number(start) != 0 or number(step) != 1:
        return None
    axis = pattern.index(0) - len(pattern)
    return {-1: (0, 1, 0), -2: (1, 0, 0)}.get(axis)
