"""Places in sorted numbers: searchsorted by bisection; digitize, bincount, histogram, isin and interp made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.graph import Apply, Variable
from core.ir.expr import Expr, select
from core.ir.expr import equal as is_equal
from core.ir.expr import minimum as smaller
from core.ir.expr import not_equal as differs
from core.op import Op, disconnected
from core.tensor.arithmetic import maximum as larger
from core.tensor.arithmetic import minimum
from core.tensor.create import linspace, zeros
from core.tensor.functions import log2
from core.tensor.indexing import inc_subtensor
from core.tensor.join import concatenate
from core.tensor.logic import equal, greater, less, less_equal, logical_and, where
from core.tensor.reduce import max as max_along
from core.tensor.reshape import ravel
from core.tensor.shape import as_length, shape_i
from core.tensor.sort import sort
from core.tensor.type import TensorType, TensorVariable, as_operands, as_tensor, constant

__all__ = ["SearchSorted", "bincount", "digitize", "histogram", "interp", "isin", "searchsorted"]


class SearchSorted(Op):
    """How many numbers of ``a`` stand before each of ``v``: less than it ("left"), or not greater ("right").

    Inputs  a: real vector in ascending order, NaN last; v: tensor of the same dtype; steps: int64 scalar, as many
            halvings as leave one place of ``len(a) + 1``.
    Output  int64, shape of v.
    Source  Bisection: Knuth, volume 3, section 6.2.1, algorithm B.
    """

    __props__ = ("side",)

    def __init__(self, side: str = "left"):
        if side not in ("left", "right"):
            raise ArgumentError(f"searchsorted needs side 'left' or 'right', got {side!r}")
        self.side = side

    def make_node(self, a: Any, v: Any, steps: Any) -> Apply:
        a, v = as_tensor(a), as_tensor(v)
        if a.ndim != 1:
            raise ShapeError(f"{self} needs a vector to search, but {a} has ndim={a.ndim}", blame=a)
        if a.dtype != v.dtype or a.dtype in dtypes.COMPLEXES:
            raise DTypeError(f"{self} needs real numbers of one dtype, got {a.dtype} and {v.dtype}", blame=v)
        return Apply(self, [a, v, as_length(steps)], [TensorType("int64", v.type.shape)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        a, v, _ = inputs
        output_storage[0][0] = np.asarray(np.searchsorted(a, v, self.side), dtype="int64")

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [input_shapes[1]]

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Places are integers: there is no derivative."""
        return [disconnected() for _ in inputs]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Places are integers: there is no derivative."""
        return [None]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False], [False], [False]]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        """Of one vector each element is sought alone; for several vectors there is no form."""
        a, v, steps = inputs
        return [self(a, v, steps)] if a.ndim == 1 and steps.ndim == 0 else None

    def kernel(self, k: Any, a: Any, v: Any, steps: Any, place: Any) -> None:
        n = a.shape[0]
        with k.grid(v.shape) as at:
            x = k.local(v.dtype, v[at], "x")
            low, high = k.local("int64", 0, "low"), k.local("int64", n, "high")
            with k.loop(steps[()]):
                middle = k.local("int64", (low.value + high.value) >> 1, "middle")
                other = k.local(a.dtype, a[(smaller(middle.value, n - 1),)], "other")
                beyond = k.local("bool", (low.value < high.value) & self._stands_before(other.value, x.value), "beyond")
                high.set(select(beyond.value, high.value, middle.value))
                low.set(select(beyond.value, middle.value + 1, low.value))
            place[at] = low.value

    def _stands_before(self, element: Expr, x: Expr) -> Expr:
        return _before(element, x) if self.side == "left" else ~_before(x, element)


def _before(a: Expr, b: Expr) -> Expr:
    """Whether ``a`` is less than ``b``, NaN being more than any number."""
    return a < b if a.dtype in dtypes.DISCRETE else (a < b) | (differs(b, b) & is_equal(a, a))


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> TensorVariable:
    """Where each of ``v`` would go into the sorted vector ``a`` so that it stays sorted; int64, the shape of v.

    side    "left": before equal numbers; "right": behind them
    sorter  indices that sort a, such as ``argsort(a)``
    Errors  ShapeError unless a is a vector; DTypeError for complex numbers; ArgumentError for another side.
    """
    a, v = as_tensor(a), as_tensor(v)
    common = dtypes.promote(a.dtype, v.dtype)
    a = a if sorter is None else a[as_tensor(sorter)]  # type: ignore[index]
    return SearchSorted(side)(a.astype(common), v.astype(common), _halvings(a))


def _halvings(a: TensorVariable) -> Any:
    """How many halvings leave one of ``len(a) + 1`` places: the logarithm, rounded up."""
    known = a.type.shape[0] if a.ndim == 1 else None
    if known is not None:
        return known.bit_length()
    return log2(shape_i(a, 0).astype("float64") + 0.5).astype("int64") + 1 if a.ndim == 1 else 0


def digitize(x: Any, bins: Any, right: bool = False) -> TensorVariable:
    """The number of the bin that each of ``x`` falls into: i where ``bins[i-1] <= x < bins[i]``; int64.

    bins   a vector in ascending order
    right  whether a bin holds its right end instead: ``bins[i-1] < x <= bins[i]``
    """
    return searchsorted(bins, x, "left" if right else "right")


def bincount(x: Any, weights: Any = None, minlength: Any = 0) -> TensorVariable:
    """How often each of 0, 1, ... occurs in ``x``, or the sum of its ``weights``; at least ``minlength`` numbers.

    x       a vector of integers, none of them negative.      Output  int64, or float64 with weights
    Errors  DTypeError for what are no integers; ShapeError unless x is a vector; IndexOutOfBounds for a negative one.
    """
    x = as_tensor(x)
    if x.dtype not in dtypes.INTEGERS:
        raise DTypeError(f"bincount needs integers, got {x} of dtype {x.dtype}", blame=x)
    if x.ndim != 1:
        raise ShapeError(f"bincount needs a vector, but {x} has ndim={x.ndim}", blame=x)
    largest = max_along(concatenate([x, constant([0], dtype=x.dtype)])).astype("int64")
    n = larger(where(equal(shape_i(x, 0), 0), 0, largest + 1), as_length(minlength))
    if not x.dtype.startswith("u"):
        x = where(less(x, 0), n, x)  # an index that counts from the end, if it were one
    if weights is None:
        return inc_subtensor(zeros(n, "int64")[x], 1)  # type: ignore[index]
    return inc_subtensor(zeros(n)[x], as_tensor(weights).astype("float64"))  # type: ignore[index]


def histogram(x: Any, bins: Any = 10, range: Any = None) -> tuple[TensorVariable, TensorVariable]:
    """How many of ``x`` lie in each bin, int64, and the edges of the bins; the last bin holds its right end, too.

    bins   a number of equal bins (an int), or a vector with their edges in ascending order
    range  (low, high) of equal bins; by default the extremes of x, which then must not be empty
    """
    x = ravel(x)
    if not hasattr(bins, "__index__") or isinstance(bins, np.ndarray):
        edges = as_tensor(bins)
        count, place = shape_i(edges, 0) - 1, searchsorted(edges, x, "right")
        place = where(equal(x, edges[-1]), count, place)  # type: ignore[index]
    else:
        edges, place = _equal_bins(x, int(bins), range)
        count = as_length(int(bins))
    return bincount(place, minlength=count + 2)[1 : count + 1], edges  # type: ignore[misc]


def _equal_bins(x: TensorVariable, count: int, range: Any) -> tuple[TensorVariable, TensorVariable]:
    """The edges of bins, and the bin of each element, from 1 on; 0 or ``count + 1`` outside of all.

    The bin is computed, and then moved where rounding has put the element on the wrong side of an edge, as in NumPy.
    """
    if count < 1:
        raise ArgumentError(f"histogram needs at least one bin, got {count}")
    dtype = dtypes.float_of(x.dtype)
    low, high = (as_tensor(end).astype(dtype) for end in ((x.min(), x.max()) if range is None else range))
    same = equal(low, high)  # then all bins together are 1 wide
    low, high = where(same, low - 0.5, low), where(same, high + 0.5, high)
    edges = linspace(low, high, count + 1)
    x = x.astype(dtype)
    inside = logical_and(less_equal(low, x), less_equal(x, high))
    i = minimum(where(inside, (x - low) / (high - low) * count, 0).astype("int64"), count - 1)
    i = i - less(x, edges[i]).astype("int64")  # type: ignore[index]
    i = i + logical_and(less_equal(edges[i + 1], x), less(i, count - 1)).astype("int64")  # type: ignore[index]
    return edges, where(inside, i + 1, 0)


def isin(x: Any, values: Any, invert: bool = False) -> TensorVariable:
    """Whether each of ``x`` is one of ``values`` (or is none, where ``invert``): bool, the shape of x."""
    x, values = as_operands(as_tensor(x), values)
    values = sort(ravel(values))
    extended = concatenate([values, zeros((1,), values.dtype)])
    place = searchsorted(values, x)
    found = logical_and(less(place, shape_i(values, 0)), equal(extended[place], x))  # type: ignore[index]
    return ~found if invert else found


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> TensorVariable:
    """The line through the points ``(xp, fp)``, xp ascending, at ``x``; before and behind them ``left`` and ``right``.

    These are the first and the last of fp where they are not given.  Differentiable by x and fp.
    Output  the shape of x, the float dtype that all promote to.
    """
    x, xp, fp = (as_tensor(z) for z in (x, xp, fp))
    dtype = dtypes.float_of(dtypes.promote(x.dtype, xp.dtype, fp.dtype))
    x, xp, fp = (z.astype(dtype) for z in (x, xp, fp))
    last = shape_i(xp, 0) - 1
    place = searchsorted(xp, x, "right") - 1
    i = place.clip(0, larger(last - 1, 0))
    j = (i + 1).clip(0, last)
    slope = (fp[j] - fp[i]) / where(equal(xp[j], xp[i]), 1, xp[j] - xp[i])  # type: ignore[index]
    inside = slope * (x - xp[i]) + fp[i]  # type: ignore[index]
    left = fp[0] if left is None else left  # type: ignore[index]
    right = fp[-1] if right is None else right  # type: ignore[index]
    return where(less(x, xp[0]), left, where(greater(x, xp[-1]), right, inside))  # type: ignore[index]
