"""Reductions along axes: Reduce, and the NumPy functions made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.graph import Apply, Variable
from core.ir.axes import reduce
from core.ir.codes import Combine
from core.ir.expr import Expr, cast, const
from core.ir.view import View
from core.op import Op, disconnected
from core.tensor.arithmetic import add, maximum, minimum, multiply
from core.tensor.dimshuffle import DimShuffle, squeeze
from core.tensor.elementwise import second
from core.tensor.logic import equal, isclose
from core.tensor.logic import where as where_
from core.tensor.shape import input_gradient, length_product, shape_i, static_length
from core.tensor.type import TensorType, TensorVariable, as_operands, as_tensor, normalize_axes

__all__ = [
    "Reduce",
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "max",
    "mean",
    "min",
    "prod",
    "ptp",
    "sum",
]

_POSITIONS = frozenset({Combine.ARGMAX, Combine.ARGMIN})
_SUMS = frozenset({Combine.ADD, Combine.MUL})
_EXTREMES = frozenset({Combine.MAX, Combine.MIN})
_NEEDS_AN_ELEMENT = _EXTREMES | _POSITIONS
_NEEDS_ORDER = _NEEDS_AN_ELEMENT

_UFUNC = {
    Combine.ADD: np.add,
    Combine.MUL: np.multiply,
    Combine.MAX: np.maximum,
    Combine.MIN: np.minimum,
    Combine.OR: np.logical_or,
    Combine.AND: np.logical_and,
}


class Reduce(Op):
    """The elements along ``axes`` (an int, several, or None for all) combined into one; those axes are gone.

    Input   x: tensor.      Output  ndim x.ndim - len(axes).
    dtype   sum and prod: ``dtype``, in which they also accumulate (float16 in float32), by default ``sum_of(x.dtype)``;
            max and min: that of x; any and all: bool; argmax and argmin: int64, the row-major position in ``axes``.
    NaN     max and min give NaN, argmax and argmin its first position.
    Errors  AxisError; DTypeError for an order among complex numbers; ShapeError for the max, min, argmax or argmin of
            nothing, when the function runs.
    """

    __props__ = ("combine", "axes", "dtype")

    def __init__(self, combine: Combine, axes: int | Sequence[int] | None = None, dtype: Any = None):
        self.combine = combine
        self.axes = tuple(axes) if isinstance(axes, (tuple, list)) else axes
        self.dtype = None if dtype is None else dtypes.canonical(dtype)

    def __str__(self) -> str:
        dtype = f", dtype={self.dtype}" if self.dtype is not None else ""
        return f"{self.combine.value}(axis={self.axes}{dtype})"

    __repr__ = __str__

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        if self.combine in _NEEDS_ORDER and x.dtype in dtypes.COMPLEXES:
            raise DTypeError(f"{self} needs numbers that have an order, got {x} of dtype {x.dtype}", blame=x)
        axes = normalize_axes(self.axes, x, op=self)
        shape = [n for axis, n in enumerate(x.type.shape) if axis not in axes]
        dtype = self._out_dtype(x.dtype)
        said = dtype if self.combine in _SUMS and dtype != dtypes.sum_of(x.dtype) else None  # one op for one meaning
        return Apply(Reduce(self.combine, axes, said), [x], [TensorType(dtype, shape)])

    def _out_dtype(self, dtype: str) -> str:
        if self.combine in _SUMS:
            return self.dtype or dtypes.sum_of(dtype)
        if self.combine in _POSITIONS:
            return "int64"
        return dtype if self.combine in _EXTREMES else "bool"

    def _kept(self, ndim: int) -> list[int]:
        return [axis for axis in range(ndim) if axis not in self.axes]  # type: ignore[operator]

    # --- computing --------------------------------------------------------------------------------------------------

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        (x,) = inputs
        if self.combine in _NEEDS_AN_ELEMENT and 0 in [x.shape[axis] for axis in self.axes]:
            raise ShapeError(f"{self} of an empty axis does not exist: got shape {x.shape}", blame=node)
        if self.combine in _POSITIONS:
            output_storage[0][0] = np.asarray(self._position(x), dtype="int64")
            return
        dtype = {"dtype": node.out.dtype} if self.combine in _SUMS else {}
        with np.errstate(all="ignore"):
            out = _UFUNC[self.combine].reduce(x, axis=self.axes, **dtype)
        output_storage[0][0] = np.array(out, dtype=node.out.dtype)

    def _position(self, x: np.ndarray) -> Any:
        kept = self._kept(x.ndim)
        lines = x.transpose((*kept, *self.axes))
        along = int(np.prod([x.shape[axis] for axis in self.axes], dtype="int64"))
        lines = lines.reshape((*lines.shape[: len(kept)], along))
        return lines.argmax(axis=-1) if self.combine is Combine.ARGMAX else lines.argmin(axis=-1)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        (shape,) = input_shapes
        return [tuple(shape[axis] for axis in self._kept(len(shape)))]

    def lower(self, node: Apply, x: View) -> View:
        kept, dtype = self._kept(x.ndim), node.out.dtype
        inside = dtype if self.combine in _SUMS else None
        inside = "float32" if inside == "float16" else inside

        def at(index: tuple[Expr, ...]) -> Expr:
            def term(*k: Expr) -> Expr:
                place = dict(zip((*kept, *self.axes), (*index, *k), strict=True))
                return x.at([place[axis] for axis in range(x.ndim)])

            if self.axes:
                return cast(reduce(self.combine, [x.shape[axis] for axis in self.axes], term, inside), dtype)
            return const(0) if self.combine in _POSITIONS else cast(term(), dtype)

        return View(dtype, [x.shape[axis] for axis in kept], at)

    def flops(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
        return int(np.prod(inputs[0], dtype="int64"))

    # --- derivatives ------------------------------------------------------------------------------------------------

    def _differentiable(self, x: TensorVariable) -> bool:
        smooth = self.combine in _SUMS or self.combine in _EXTREMES
        return smooth and x.dtype in dtypes.CONTINUOUS and self._out_dtype(x.dtype) in dtypes.CONTINUOUS

    def _changes(self, change: TensorVariable, x: TensorVariable) -> TensorVariable:
        """``change``, of the shape of x, times the derivative of the output by each element of x."""
        if self.combine is Combine.ADD:
            return change
        if self.combine is Combine.MUL:
            return change * self._product_of_others(x.astype(self._out_dtype(x.dtype)))
        chosen = equal(x, self.put_back(self(x), x.ndim))
        return where_(chosen, change, 0)

    def _product_of_others(self, x: TensorVariable) -> TensorVariable:
        """For each element of x the product of the others along the axes, without dividing by one that is 0.

        Where an element is 0 this expression must not be differentiated again: it does not see the others move it.
        """
        zero = equal(x, 0)
        zeros = self.put_back(Reduce(Combine.ADD, self.axes)(zero), x.ndim)
        others = where_(zero, 1, x)
        product = self.put_back(Reduce(Combine.MUL, self.axes, x.dtype)(others), x.ndim)
        return where_(zero, where_(equal(zeros, 1), product, 0), where_(equal(zeros, 0), product / others, 0))

    def put_back(self, y: TensorVariable, ndim: int) -> TensorVariable:
        """The axes that were reduced away, put back with length 1."""
        places = iter(range(y.ndim))
        return DimShuffle(y.ndim, tuple("x" if axis in self.axes else next(places) for axis in range(ndim)))(y)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Each element gets the output's gradient: for a sum all of it, for a product times the product of the others.

        For max and min all of it where the element equals the result, none elsewhere.  Each of several equal extremes
        gets the whole, as in Theano: no derivative exists there.
        """
        (x,), (g,) = inputs, output_grads
        if not self._differentiable(x):
            return [disconnected()]
        own = Reduce(self.combine, normalize_axes(self.axes, x, op=self), self.dtype)
        spread = second(x, own.put_back(g, x.ndim))
        return [input_gradient(x, own._changes(spread, x))]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The sum along ``axes`` of tangent times derivative; see grad for max and min of equal elements."""
        (x,), (dx,) = inputs, eval_points
        if dx is None or not self._differentiable(x):
            return [None]
        own = Reduce(self.combine, normalize_axes(self.axes, x, op=self), self.dtype)
        return [Reduce(Combine.ADD, own.axes, self._out_dtype(x.dtype))(own._changes(dx, x))]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [Reduce(self.combine, [axis + 1 for axis in self.axes], self.dtype)(inputs[0])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[self._differentiable(node.inputs[0])]]


# --- NumPy's functions ---------------------------------------------------------------------------------------------


def _reduced(combine: Combine, x: Any, axis: Any, keepdims: bool, dtype: Any = None) -> TensorVariable:
    x = as_tensor(x)
    out = Reduce(combine, axis, dtype)(x)
    return out.owner.op.put_back(out, x.ndim) if keepdims else out


def _masked(x: Any, mask: Any, otherwise: Any) -> Any:
    """``x`` where ``mask`` holds, elsewhere what changes no result; ``x`` itself without a mask."""
    return x if mask is None else where_(mask, x, otherwise)


def _first(x: TensorVariable, initial: Any) -> TensorVariable:
    """``initial`` in the dtype of ``x``.  Errors: DTypeError where that would be another kind of number."""
    first = as_operands(x, initial)[1]
    if not np.can_cast(first.dtype, x.dtype, "same_kind"):
        raise DTypeError(f"a reduction of {x.dtype} needs an initial that can become it, got {first.dtype}", blame=x)
    return first.astype(x.dtype)


def sum(
    x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, *, initial: Any = None, where: Any = None
) -> TensorVariable:
    """The sum along ``axis`` (an int, several, or None for all).  See Reduce for dtypes and errors.

    initial  what is added to it, and the sum of nothing
    where    a mask that broadcasts to x: only elements for which it holds are summed
    """
    out = _reduced(Combine.ADD, _masked(x, where, 0), axis, keepdims, dtype)
    return out if initial is None else add(out, _first(out, initial))


def prod(
    x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, *, initial: Any = None, where: Any = None
) -> TensorVariable:
    """The product along ``axis``.  See Reduce for dtypes and errors, and sum for ``initial`` and ``where``.

    Its gradient is right where elements are 0; its second derivative only where none is.
    """
    out = _reduced(Combine.MUL, _masked(x, where, 1), axis, keepdims, dtype)
    return out if initial is None else multiply(out, _first(out, initial))


def _extreme(combine: Combine, x: Any, axis: Any, keepdims: bool, initial: Any, where: Any) -> TensorVariable:
    """The largest or smallest element; with ``initial``, that is one more element of each line."""
    x = as_tensor(x)
    if initial is None:
        if where is not None:
            raise ArgumentError(
                f"{combine.value} with where= needs initial=: there may be no element for which it holds"
            )
        return _reduced(combine, x, axis, keepdims)
    first = _first(x, initial)
    x = _masked(x, where, first)
    axes = normalize_axes(axis, x, op=combine.value)
    if not {None, 0}.isdisjoint(x.type.shape[a] for a in axes):  # there may be no element
        from core.tensor.broadcast import Alloc  # few programs have lengths for which it matters
        from core.tensor.join import Join

        for at in axes:
            lengths = [1 if a == at else shape_i(x, a) for a in range(x.ndim)]
            x = Join(at)(x, Alloc()(first, *lengths))
        return _reduced(combine, x, axis, keepdims)
    return (maximum if combine is Combine.MAX else minimum)(_reduced(combine, x, axis, keepdims), first)


def max(x: Any, axis: Any = None, keepdims: bool = False, *, initial: Any = None, where: Any = None) -> TensorVariable:
    """The largest element along ``axis``, NaN if there is one.  See Reduce for errors.

    initial  a value that counts as an element, so that of nothing it is the largest
    where    a mask that broadcasts to x: only elements for which it holds count; it needs ``initial``
    """
    return _extreme(Combine.MAX, x, axis, keepdims, initial, where)


def min(x: Any, axis: Any = None, keepdims: bool = False, *, initial: Any = None, where: Any = None) -> TensorVariable:
    """The smallest element along ``axis``, NaN if there is one.  See Reduce for errors, max for the arguments."""
    return _extreme(Combine.MIN, x, axis, keepdims, initial, where)


amax, amin = max, min


def any(x: Any, axis: Any = None, keepdims: bool = False, *, where: Any = None) -> TensorVariable:
    """Whether an element along ``axis``, of those for which ``where`` holds, is not 0; NaN is not 0."""
    return _reduced(Combine.OR, _masked(x, where, 0), axis, keepdims)


def all(x: Any, axis: Any = None, keepdims: bool = False, *, where: Any = None) -> TensorVariable:
    """Whether every element along ``axis``, of those for which ``where`` holds, is not 0; NaN is not 0."""
    return _reduced(Combine.AND, _masked(x, where, 1), axis, keepdims)


def allclose(x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> TensorVariable:
    """Whether every |x - y| <= atol + rtol |y|, as ``numpy.allclose``."""
    return all(isclose(x, y, rtol, atol, equal_nan))


def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """Where the first largest element (or the first NaN) lies along ``axis``; in ravelled ``x`` if None.  int64."""
    return _reduced(Combine.ARGMAX, x, axis, keepdims)


def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """Where the first smallest element (or the first NaN) lies along ``axis``; in ravelled ``x`` if None.  int64."""
    return _reduced(Combine.ARGMIN, x, axis, keepdims)


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """The largest less the smallest element along ``axis``."""
    return max(x, axis, keepdims) - min(x, axis, keepdims)


def count_along(x: TensorVariable, axis: Any, who: str) -> TensorVariable:
    """How many elements are reduced into one."""
    return length_product([shape_i(x, a) for a in normalize_axes(axis, x, op=who)])


def divided_by(total: TensorVariable, count: TensorVariable) -> TensorVariable:
    """``total / count`` in the dtype of ``total``."""
    known = static_length(count)
    return total / (count.astype(total.dtype) if known is None else known)


def computed_in(dtype: str) -> str:
    """What a mean is computed in: float64 for what is discrete, float32 for float16."""
    return "float64" if dtype in dtypes.DISCRETE else "float32" if dtype == "float16" else dtype


def count_where(x: TensorVariable, mask: Any, axis: Any, who: str) -> TensorVariable:
    """How many elements are reduced into one, of those for which ``mask`` holds; its axes are kept."""
    if mask is None:
        return count_along(x, axis, who)
    return _reduced(Combine.ADD, second(x, as_tensor(mask).astype("bool")), axis, True)


def mean(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, *, where: Any = None) -> TensorVariable:
    """The mean along ``axis``: in float64 for integers, else in the dtype of x.  NaN of nothing.  Errors: AxisError.

    where  a mask that broadcasts to x: only elements for which it holds count
    """
    x = as_tensor(x)
    out = dtypes.canonical(dtype) if dtype is not None else "float64" if x.dtype in dtypes.DISCRETE else x.dtype
    inside = "float32" if out == "float16" else out
    if where is None:
        return divided_by(sum(x, axis, inside, keepdims), count_along(x, axis, "mean")).astype(out)
    whole = divided_by(sum(x, axis, inside, True, where=where), count_where(x, where, axis, "mean")).astype(out)
    return whole if keepdims else squeeze(whole, normalize_axes(axis, x, op="mean"))
