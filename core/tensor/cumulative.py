"""Running sums and products along one axis, and the recurrence that differentiates the products."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from core import dtypes
from core.errors import DTypeError, ShapeError
from core.graph import Apply, Variable
from core.ir.expr import cast, equal, select
from core.op import Op, disconnected
from core.tensor.broadcast import stacked
from core.tensor.elementwise import second
from core.tensor.indexing import getitem, set_subtensor
from core.tensor.reshape import ravel
from core.tensor.shape import input_gradient
from core.tensor.type import TensorType, TensorVariable, as_tensor, constant, normalize_axis

__all__ = [
    "cumulative_prod",
    "cumulative_sum",
    "CumProd",
    "CumSum",
    "Recurrence",
    "cumprod",
    "cumsum",
]


def cumsum(x: Any, axis: int | None = None, *, reverse: bool = False) -> TensorVariable:
    """Running sum of ``x`` along ``axis``, of x flattened if None; see CumSum for shapes, dtypes and errors."""
    return CumSum(0, reverse)(ravel(x)) if axis is None else CumSum(axis, reverse)(x)


def cumprod(x: Any, axis: int | None = None, *, reverse: bool = False) -> TensorVariable:
    """Running product of ``x`` along ``axis``, of x flattened if None; see CumProd for shapes, dtypes and errors."""
    return CumProd(0, reverse)(ravel(x)) if axis is None else CumProd(axis, reverse)(x)


cumulative_sum, cumulative_prod = cumsum, cumprod  # the array API's names


class CumSum(Op):
    """y[i] = x[0] + ... + x[i] along one axis; from the far end when ``reverse``.

    Input   x: tensor, ndim >= 1.      Output  y: shape of x, dtype ``sum_of(x.dtype)``.
    Errors  AxisError unless -x.ndim <= axis < x.ndim.
    Source  Recursive summation; error at most (n-1) eps sum|x|: Higham (2002), section 4.2.
    """

    __props__ = ("axis", "reverse")
    reads_once = (0,)

    def __init__(self, axis: int, reverse: bool = False):
        self.axis, self.reverse = axis, reverse

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        op = CumSum(normalize_axis(self.axis, x, op=self), self.reverse)
        return Apply(op, [x], [TensorType(dtypes.sum_of(x.dtype), x.type.shape)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        output_storage[0][0] = _accumulated(np.add, inputs[0], self, node.out.dtype)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return list(input_shapes)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of a running sum is the running sum from the other end."""
        (g,) = output_grads
        return [input_gradient(inputs[0], CumSum(self.axis, not self.reverse)(g))]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Linear in x, so a tangent passes through unchanged."""
        (dx,) = eval_points
        return [None if dx is None else self(dx)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS]]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [CumSum(self.axis + 1, self.reverse)(inputs[0])]

    def kernel(self, k: Any, x: Any, y: Any) -> None:
        others = x.shape[: self.axis] + x.shape[self.axis + 1 :]
        with k.grid(others) as line:  # independent lines, one thread each
            total = k.local(y.dtype, 0, "total")
            with k.loop(x.shape[self.axis], reverse=self.reverse) as i:  # in order along a line
                at = (*line[: self.axis], i, *line[self.axis :])
                total += cast(x[at], y.dtype)
                y[at] = total


class CumProd(Op):
    """y[i] = x[0] * ... * x[i] along one axis; from the far end when ``reverse``.

    Input   x: tensor, ndim >= 1.      Output  y: shape of x, dtype ``sum_of(x.dtype)``.
    Errors  AxisError unless -x.ndim <= axis < x.ndim.
    Source  Relative error at most (n-1) eps to first order: Higham (2002), lemma 3.1.
    """

    __props__ = ("axis", "reverse")
    reads_once = (0,)

    def __init__(self, axis: int, reverse: bool = False):
        self.axis, self.reverse = axis, reverse

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        op = CumProd(normalize_axis(self.axis, x, op=self), self.reverse)
        return Apply(op, [x], [TensorType(dtypes.sum_of(x.dtype), x.type.shape)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        output_storage[0][0] = _accumulated(np.multiply, inputs[0], self, node.out.dtype)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return list(input_shapes)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """y[i-1] s[i], where s[i] = g[i] + x[i+1] s[i+1].  Nothing is divided, so it holds where x is 0, too."""
        (x,), (g,) = inputs, output_grads
        if x.dtype in dtypes.DISCRETE:
            return [disconnected()]
        after = _shifted(x, self.axis, not self.reverse, 0)
        tail = Recurrence(self.axis, not self.reverse)(after, g)
        return [_shifted(self(x), self.axis, self.reverse, 1) * tail]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The product rule makes a recurrence: dy[i] = x[i] dy[i-1] + dx[i] y[i-1]."""
        (x,), (dx,) = inputs, eval_points
        if dx is None:
            return [None]
        return [Recurrence(self.axis, self.reverse)(x, dx * _shifted(self(x), self.axis, self.reverse, 1))]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS]]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [CumProd(self.axis + 1, self.reverse)(inputs[0])]

    def kernel(self, k: Any, x: Any, y: Any) -> None:
        others = x.shape[: self.axis] + x.shape[self.axis + 1 :]
        with k.grid(others) as line:
            total = k.local(y.dtype, 1, "total")
            with k.loop(x.shape[self.axis], reverse=self.reverse) as i:
                at = (*line[: self.axis], i, *line[self.axis :])
                total *= cast(x[at], y.dtype)
                y[at] = total


class Recurrence(Op):
    """y[i] = a[i] * y[i-1] + b[i] along one axis, y[-1] being 0; from the far end when ``reverse``.

    Inputs  a, b: tensors of one shape and one dtype, ndim >= 1.      Output  y: the same.
    Errors  AxisError; DTypeError, ShapeError for operands that differ.
    """

    __props__ = ("axis", "reverse")
    reads_once = (0, 1)

    def __init__(self, axis: int, reverse: bool = False):
        self.axis, self.reverse = axis, reverse

    def make_node(self, a: Any, b: Any) -> Apply:
        a, b = as_tensor(a), as_tensor(b)
        if a.dtype != b.dtype:
            raise DTypeError(f"{self} needs operands of one dtype, got {a} of {a.dtype} and {b} of {b.dtype}", blame=b)
        pairs = list(zip(a.type.shape, b.type.shape, strict=False))
        if a.ndim != b.ndim or any(None not in pair and pair[0] != pair[1] for pair in pairs):
            raise ShapeError(f"{self} needs operands of one shape, got {a} of {a.type} and {b} of {b.type}", blame=b)
        op = Recurrence(normalize_axis(self.axis, a, op=self), self.reverse)
        return Apply(op, [a, b], [TensorType(a.dtype, tuple(m if n is None else n for n, m in pairs))])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        a, b = inputs
        if a.shape != b.shape:
            raise ShapeError(f"{self} needs operands of one shape, got {a.shape} and {b.shape}", blame=node)
        out = b.copy()
        lines, factors = np.moveaxis(out, self.axis, 0), np.moveaxis(a, self.axis, 0)
        order = range(len(lines))[::-1] if self.reverse else range(len(lines))
        with np.errstate(all="ignore"):
            for before, i in pairwise(order):
                lines[i] += factors[i] * lines[before]
        output_storage[0][0] = out

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [input_shapes[0]]

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """gb[i] = g[i] + a[i+1] gb[i+1], a recurrence from the other end; ga[i] = gb[i] y[i-1]."""
        a, b = inputs
        (g,) = output_grads
        gb = Recurrence(self.axis, not self.reverse)(_shifted(a, self.axis, not self.reverse, 0), g)
        ga = gb * _shifted(self(a, b), self.axis, self.reverse, 0)
        return [input_gradient(a, ga), input_gradient(b, gb)]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """dy[i] = a[i] dy[i-1] + (da[i] y[i-1] + db[i])."""
        (a, b), (da, db) = inputs, eval_points
        terms = [] if db is None else [db]
        if da is not None:
            terms.append(da * _shifted(self(a, b), self.axis, self.reverse, 0))
        return [self(a, terms[0] + terms[1] if len(terms) == 2 else terms[0]) if terms else None]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        continuous = node.inputs[0].dtype in dtypes.CONTINUOUS
        return [[continuous], [continuous]]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [Recurrence(self.axis + 1, self.reverse)(*stacked(node, inputs))]

    def kernel(self, k: Any, a: Any, b: Any, y: Any) -> None:
        others = b.shape[: self.axis] + b.shape[self.axis + 1 :]
        with k.grid(others) as line:
            last = k.local(y.dtype, 0, "last")
            start = b.shape[self.axis] - 1 if self.reverse else 0
            with k.loop(b.shape[self.axis], reverse=self.reverse) as i:
                at = (*line[: self.axis], i, *line[self.axis :])
                last.set(select(equal(i, start), b[at], a[at] * last.value + b[at]))
                y[at] = last


def _accumulated(combine: np.ufunc, x: np.ndarray, op: CumSum | CumProd, dtype: str) -> np.ndarray:
    """NumPy's accumulate along the op's axis, from the op's end."""
    way = (slice(None),) * op.axis + (slice(None, None, -1 if op.reverse else 1),)
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(combine.accumulate(x[way], axis=op.axis, dtype=dtype)[way])


def _shifted(x: TensorVariable, axis: int, reverse: bool, first: int) -> TensorVariable:
    """What stood one place before: out[i] = x[i-1], and ``first`` where there is none; x[i+1] when ``reverse``."""
    later, earlier = slice(1, None), slice(None, -1)
    to, fro = (earlier, later) if reverse else (later, earlier)
    before = (slice(None),) * axis
    start = second(x, constant(first, dtype=x.dtype))
    return set_subtensor(getitem(start, (*before, to)), getitem(x, (*before, fro)))
