"""What the three ops of convolution have in common: checks, stacks, the product rule, windows as columns in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

import core.tensor as ct
from core import dtypes
from core.errors import DTypeError, ShapeError
from core.graph import Apply, Variable
from core.ir.axes import same_length
from core.ir.expr import Expr, as_expr, cast
from core.ir.library import LibraryCall
from core.ir.view import View
from core.op import Op
from core.tensor import TensorVariable, as_tensor
from core.tensor.shape import shape_of
from plugin_ops_nn.geometry import Geometry, too_short

BLOCK_BYTES = 1 << 22  # of windows that NumPy copies at once


class Bilinear(Op):
    """What the three have in common: a geometry, groups of channels, and the product rule.

    Tensors     x (n, c, *spatial), w (f, c / groups, *taps), y (n, f, *windows)
    """

    explains_lengths = True
    routine: ClassVar[str]  # what a library calls it
    merged: ClassVar[tuple[tuple[int, int], ...]]  # for each operand an axis, and that of the output which it makes

    def __init__(self, geometry: Geometry, groups: int = 1, lengths: Sequence[int | None] = ()):
        self.geometry, self.groups, self.lengths = geometry, groups, tuple(lengths)

    def operands(self, *given: Any) -> tuple[list[TensorVariable], str]:
        """Two tensors of as many axes as the geometry asks for, and the dtype of their product."""
        tensors = [as_tensor(each) for each in given]
        wanted = self.geometry.ndim + 2
        for tensor in tensors:
            if tensor.ndim != wanted:
                raise ShapeError(f"{self} needs ndim={wanted}, but {tensor} has ndim={tensor.ndim}", blame=tensor)
            if tensor.dtype not in dtypes.CONTINUOUS:
                raise DTypeError(f"{self} needs floats, got {tensor} of dtype {tensor.dtype}; cast it", blame=tensor)
        return tensors, dtypes.promote(*(tensor.dtype for tensor in tensors))

    def filled(self, unknown: Sequence[Any]) -> list[Any]:
        """``lengths``, with what is known only when the function runs put in."""
        remaining = iter(unknown)
        return [next(remaining) if n is None else n for n in self.lengths]

    def divided(self, who: str, tensor: TensorVariable, axis: int) -> int | None:
        """The length of an axis over groups, where it is known.  Errors: ShapeError where they do not divide it."""
        n = tensor.type.shape[axis]
        if n is not None and n % self.groups:
            raise ShapeError(f"{self} needs a multiple of groups={self.groups} as {who}, got {n}", blame=tensor)
        return None if n is None else n // self.groups

    def fits(self, what: str, n: int | None, m: int | None, blame: TensorVariable) -> None:
        if n is not None and m is not None and n != m:
            raise ShapeError(f"{self} needs {what} to agree, got {n} and {m}", blame=blame)

    def check(self, node: Apply, what: str, n: int, m: int) -> None:
        if n != m:
            raise ShapeError(f"{self} needs {what} to agree, got {n} and {m}", blame=node)

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The product rule: one operand's tangent with the other operand."""
        (a, b, *rest), (da, db, *_) = inputs, eval_points
        terms = [self(*pair, *rest) for pair, d in (((da, b), da), ((a, db), db)) if d is not None]
        return [terms[0] + terms[1] if len(terms) == 2 else terms[0] if terms else None]  # type: ignore[operator]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        """One stack only: its axis is merged with an axis of that operand which is one of the output's, too."""
        stacked = [k for k, (x, old) in enumerate(zip(inputs, node.inputs, strict=True)) if x.ndim != old.ndim]
        if len(stacked) != 1 or stacked[0] > 1:
            return None
        (number,) = stacked
        theirs, ours = self.merged[number]
        if self.groups != 1 and (theirs, ours) != (0, 0):
            return None
        lengths = shape_of(inputs[number])
        moved = ct.moveaxis(inputs[number], 0, theirs)
        length = lengths[0] * lengths[theirs + 1]
        wide = ct.reshape(moved, (*lengths[1 : theirs + 1], length, *lengths[theirs + 2 :]))
        out = self(*(wide if k == number else x for k, x in enumerate(inputs)))
        found = shape_of(out)
        apart = (*found[:ours], lengths[0], lengths[theirs + 1], *found[ours + 1 :])
        return [ct.moveaxis(ct.reshape(out, apart), ours, 0)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], [True], *([False] for _ in node.inputs[2:])]

    def flops(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
        _, w, y = self.roles(tuple(inputs[0]), tuple(inputs[1]), tuple(outputs[0]))
        return 2 * int(np.prod(y, dtype=np.int64)) * int(np.prod(w[1:], dtype=np.int64))

    def roles(self, a: Any, b: Any, out: Any) -> tuple[Any, Any, Any]:
        """Which of inputs and output are x, w and y."""
        raise NotImplementedError

    def fitting(self, channels: Expr, w: Sequence[Expr]) -> list[tuple[Expr, Expr]]:
        """Pairs that are equal where the channels are those of the filters, and groups divide both."""
        if self.groups == 1:
            return [(channels, w[1])]
        return [(channels, w[1] * self.groups), (w[0], w[0] // self.groups * self.groups)]

    def library_call(self, node: Apply) -> LibraryCall | None:
        """Loops that know the processor; they take any lengths, and elements of one of two dtypes."""
        if {variable.dtype for variable in node.inputs[:2]} not in ({"float32"}, {"float64"}):
            return None
        return LibraryCall(self.routine, (("geometry", self.geometry), ("groups", self.groups)))


# --- lengths --------------------------------------------------------------------------------------------------------


def known(node: Apply, shape: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(n if known is None else known for known, n in zip(node.out.type.shape, shape, strict=True))


def times(n: Any, groups: int) -> Any:
    return n if groups == 1 else n * groups


def as_exprs(filled: Sequence[Any]) -> tuple[Expr, ...]:
    return tuple(as_expr(n.at() if isinstance(n, View) else n) for n in filled)


def demanding(n: Expr, pairs: Iterable[tuple[Expr, Expr]]) -> Expr:
    """``n``, which demands when the function runs that two lengths of each pair are equal."""
    for a, b in pairs:
        n = n + (same_length(a, b) - b)
    return n


def counts_of(op: Bilinear, node: Apply, lengths: Sequence[int], taps: Sequence[int]) -> tuple[int, ...]:
    counts = op.geometry.counts(lengths, taps)
    if any(n < 1 for n in counts):
        raise too_short(op, lengths, taps, op.geometry, node)
    return counts


def check_groups(op: Bilinear, node: Apply, channels: int, w: Sequence[int]) -> None:
    if channels % op.groups or w[0] % op.groups:
        raise ShapeError(
            f"{op} needs multiples of groups={op.groups} as channels and filters, got {channels} and {w[0]}", blame=node
        )
    op.check(node, f"the channels over groups={op.groups} and those of a filter", channels // op.groups, w[1])


# --- elements -------------------------------------------------------------------------------------------------------


def product_of(node: Apply, a: Expr, b: Expr) -> Expr:
    return cast(a, node.out.dtype) * cast(b, node.out.dtype)


def computing(x: np.ndarray) -> np.ndarray:
    """In what NumPy multiplies matrices of."""
    return x.astype("float32") if x.dtype == "float16" else x


def rows_of(w: np.ndarray, groups: int) -> np.ndarray:
    """(groups, filters, channels * taps): a row for each filter."""
    return computing(w).reshape(groups, w.shape[0] // groups, int(np.prod(w.shape[1:])))


def columns_of(x: np.ndarray, op: Bilinear, taps: Sequence[int]) -> np.ndarray:
    """(n, groups, channels * taps, windows): a column for each window."""
    found = op.geometry.windows(x, taps)
    first, ndim = 2, op.geometry.ndim
    order = (0, 1, *range(first + ndim, first + 2 * ndim), *range(first, first + ndim))
    whole = int(np.prod(found.shape[first : first + ndim]))
    rows = x.shape[1] // op.groups * int(np.prod(taps))
    return found.transpose(order).reshape(x.shape[0], op.groups, rows, whole)


def blocks(n: int, size_bytes: int) -> list[slice]:
    """Slices of a batch of ``n``, whose windows take that much for each."""
    step = max(1, BLOCK_BYTES // max(size_bytes, 1))
    return [slice(first, min(first + step, n)) for first in range(0, n, step)]
