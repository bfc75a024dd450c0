"""Views: a shape and a function from an index to a scalar expression.  What an op's ``lower`` takes and returns.

Transposing, slicing, broadcasting, joining are index arithmetic here and cost nothing until somebody materialises them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.errors import GraphError
from core.ir.axes import join_length, regrouped, stretch
from core.ir.expr import Expr, as_expr

Index = tuple[Expr, ...]


class View:
    """A tensor that is not stored: ``shape`` is a tuple of int64 expressions, ``at(index)`` gives an element.

    ``shape`` may hold Python ints, ``at`` may be given them.
    """

    __slots__ = ("dtype", "shape", "_at")

    def __init__(self, dtype: str, shape: Sequence[Any], at: Callable[[Index], Expr]):
        self.dtype = dtype
        self.shape: Index = tuple(as_expr(n) for n in shape)
        self._at = at

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def at(self, index: Sequence[Any] = ()) -> Expr:
        """The element at an index, one entry per axis; of a 0-d view, ``at()`` is its value."""
        if len(index) != len(self.shape):
            raise GraphError(f"a view with ndim={self.ndim} needs {self.ndim} indices, got {len(index)}")
        return self._at(tuple(as_expr(i) for i in index))


def broadcast_shapes(*shapes: Sequence[Expr]) -> Index:
    """The shape that NumPy broadcasts ``shapes`` to; lengths not known now are checked when the function runs."""
    ndim = max(map(len, shapes), default=0)
    out: list[Expr] = [as_expr(1)] * ndim
    for shape in shapes:
        for axis, n in enumerate(shape, start=ndim - len(shape)):
            out[axis] = join_length(out[axis], n)
    return tuple(out)


def broadcast_to(view: View, shape: Sequence[Expr]) -> View:
    """``view`` read at indices of ``shape``, which it broadcasts to."""
    skip = len(shape) - view.ndim
    lengths = tuple(shape)[skip:]

    def at(index: Index) -> Expr:
        return view.at([stretch(i, n, out) for i, n, out in zip(index[skip:], view.shape, lengths, strict=True)])

    return View(view.dtype, shape, at)


def reshape(view: View, shape: Sequence[Expr]) -> View:
    """``view`` in row-major order with another shape of as many elements."""
    shape = tuple(shape)
    if shape == view.shape:
        return view
    return View(view.dtype, shape, lambda index: view.at(regrouped(index, shape, view.shape)))
