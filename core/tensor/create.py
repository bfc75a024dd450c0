"""Tensors made from lengths and numbers: filled ones, ranges, identities, triangles, one-hot codes, grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.graph import Apply, Constant, Variable
from core.ir.expr import Call, Expr, as_expr, const, maximum
from core.ir.expr import cast as cast_expr
from core.ir.view import View
from core.op import Op, disconnected
from core.tensor.arithmetic import Cast, floor, sign, subtract
from core.tensor.broadcast import Alloc, broadcast_to
from core.tensor.dimshuffle import DimShuffle, dimshuffle, expand_dims
from core.tensor.elementwise import elementwise
from core.tensor.functions import log10, power
from core.tensor.logic import equal, greater_equal, where
from core.tensor.reduce import sum as sum_along
from core.tensor.shape import as_length, as_lengths, shape_of, static_length
from core.tensor.type import TensorType, TensorVariable, as_operands, as_tensor, constant

__all__ = [
    "ARange",
    "Alloc",
    "alloc",
    "arange",
    "arange_length",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "geomspace",
    "identity",
    "linspace",
    "logspace",
    "meshgrid",
    "one_hot",
    "ones",
    "ones_like",
    "tri",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]

# --- filled --------------------------------------------------------------------------------------------------------


def alloc(value: Any, *lengths: Any, dtype: Any = None) -> TensorVariable:
    """``value`` broadcast to the shape ``lengths``.  See Alloc."""
    value = as_tensor(value)
    return Alloc()(value if dtype is None else value.astype(dtype), *(as_length(n) for n in lengths))


def full(shape: Any, value: Any, dtype: Any = None) -> TensorVariable:
    """A tensor of ``shape`` (ints and symbolic integers) filled with ``value``, which may broadcast.

    dtype   by default that of ``value``
    """
    return alloc(value, *as_lengths(shape), dtype=dtype)


def zeros(shape: Any, dtype: Any = "float64") -> TensorVariable:
    """A tensor of ``shape`` (ints and symbolic integers) full of 0."""
    return Alloc()(constant(0, dtype=dtype), *as_lengths(shape))


def ones(shape: Any, dtype: Any = "float64") -> TensorVariable:
    """A tensor of ``shape`` (ints and symbolic integers) full of 1."""
    return Alloc()(constant(1, dtype=dtype), *as_lengths(shape))


def empty(shape: Any, dtype: Any = "float64") -> TensorVariable:
    """As ``zeros``: a graph has no elements that nobody has set."""
    return zeros(shape, dtype)


def full_like(x: Any, value: Any, dtype: Any = None) -> TensorVariable:
    """A tensor of the shape, and by default the dtype, of ``x``, filled with ``value``."""
    x = as_tensor(x)
    return alloc(as_tensor(value), *shape_of(x), dtype=x.dtype if dtype is None else dtype)


def zeros_like(x: Any, dtype: Any = None) -> TensorVariable:
    """Zeros of the shape, and by default the dtype, of ``x``."""
    x = as_tensor(x)
    return zeros(shape_of(x), x.dtype if dtype is None else dtype)


def ones_like(x: Any, dtype: Any = None) -> TensorVariable:
    """Ones of the shape, and by default the dtype, of ``x``."""
    x = as_tensor(x)
    return ones(shape_of(x), x.dtype if dtype is None else dtype)


empty_like = zeros_like


# --- ranges --------------------------------------------------------------------------------------------------------


@elementwise
def arange_length(start, stop, step):
    """How many numbers ``start, start + step, ...`` lie before ``stop``; int64, 0 where ``step`` leads away from it."""
    if as_expr(start).dtype in dtypes.DISCRETE:
        return maximum(-((start - stop) // step), 0)
    return cast_expr(maximum(Call("ceil", (stop - start) / step), 0.0), "int64")


class ARange(Op):
    """``start, start + step, ...`` up to but not including ``stop``.

    Inputs  start, stop, step: real scalars; computed with as int64, or as float64 when one of them is a float.
    Output  vector of ``dtype``, of length ceil((stop - start) / step), or 0 if that is negative.
    Errors  ShapeError for a step of 0; DTypeError for what is no real scalar.
    Source  Elements are ``start + i * delta``, ``delta = (start + step) - start`` rounded to ``dtype``, as in NumPy.
    """

    __props__ = ("dtype",)

    def __init__(self, dtype: Any):
        self.dtype = dtypes.canonical(dtype)
        if self.dtype == "bool" or self.dtype in dtypes.COMPLEXES:
            raise DTypeError(f"ARange needs an integer or float dtype, got {self.dtype}")

    def make_node(self, start: Any, stop: Any, step: Any) -> Apply:
        scalars = [as_tensor(x) for x in (start, stop, step)]
        for x in scalars:
            if x.ndim != 0 or x.dtype in dtypes.COMPLEXES:
                raise DTypeError(f"{self} needs real scalars, got {x} of type {x.type}", blame=x)
        inside = "int64" if {x.dtype for x in scalars} <= set(dtypes.DISCRETE) else "float64"
        scalars = [constant(x.data, dtype=inside) if hasattr(x, "data") else x.astype(inside) for x in scalars]
        known = None
        if all(hasattr(x, "data") for x in scalars):
            known = self._values(*(x.data for x in scalars), blame=scalars[0]).size
        return Apply(self, scalars, [TensorType(self.dtype, (known,))])

    def _values(self, start: np.ndarray, stop: np.ndarray, step: np.ndarray, blame: Any) -> np.ndarray:
        if step == 0:
            raise ShapeError(
                f"{self} needs a step other than 0, got start={start}, stop={stop}, step={step}", blame=blame
            )
        try:
            return np.arange(start, stop, step, dtype=self.dtype)
        except ValueError as error:
            raise ShapeError(f"{self} cannot count from {start} to {stop} by {step}: {error}", blame=blame) from error

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        output_storage[0][0] = self._values(*inputs, blame=node)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        (known,) = node.out.type.shape
        return [(arange_length(*node.inputs) if known is None else known,)]

    def lower(self, node: Apply, start: View, stop: View, step: View) -> View:
        (known,) = node.out.type.shape
        inside = "float32" if self.dtype == "float16" else self.dtype
        first, second = (cast_expr(cast_expr(x, self.dtype), inside) for x in (start.at(), start.at() + step.at()))
        length = const(known) if known is not None else arange_length.scalar(start.at(), stop.at(), step.at())

        def at(index: tuple[Expr, ...]) -> Expr:
            return cast_expr(first + cast_expr(index[0], inside) * (second - first), self.dtype)

        return View(self.dtype, (length,), at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Element i is start + i step: d/dstart = 1, d/dstep = i; ``stop`` only decides how many there are."""
        (g,) = output_grads
        if not self._differentiable(inputs):
            return [disconnected() for _ in inputs]
        places = arange(g.shape[0]).astype(g.type.dtype)
        return [sum_along(g).astype("float64"), disconnected(), sum_along(g * places).astype("float64")]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """dstart + i dstep."""
        dstart, _, dstep = eval_points
        if not self._differentiable(inputs) or (dstart is None and dstep is None):
            return [None]
        out = self(*inputs)
        change = zeros_like(out)
        if dstart is not None:
            change = change + dstart
        if dstep is not None:
            change = change + arange(out.shape[0]) * dstep
        return [change.astype(self.dtype)]

    def _differentiable(self, inputs: Sequence[Variable]) -> bool:
        return self.dtype in dtypes.FLOATS and inputs[0].type.dtype in dtypes.FLOATS

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        connected = self._differentiable(node.inputs)
        return [[connected], [False], [connected]]

    def do_constant_folding(self, node: Apply) -> bool:
        """A range is index arithmetic; an array of it would only cost memory."""
        return False


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> TensorVariable:
    """The numbers from ``start`` (0 if only one argument is given) before ``stop`` by ``step``; see ARange.

    dtype   by default int64, float64 if any argument is a float, as numpy.arange has it for arguments of these dtypes
    """
    start, stop = (0, start) if stop is None else (start, stop)
    scalars = [as_tensor(x) for x in (start, stop, 1 if step is None else step)]
    if dtype is None:
        dtype = dtypes.promote("int64", *(x.dtype for x in scalars))
    return ARange(dtype)(*scalars)


def linspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None) -> TensorVariable:
    """``num`` numbers from ``start`` to ``stop``, evenly spaced along a new first axis.

    num       an int or a symbolic integer
    endpoint  whether ``stop`` itself is the last of them
    dtype     by default that of start and stop together, float64 for integers
    """
    start, stop = as_operands(start, stop)
    real = dtypes.promote(start.dtype, stop.dtype)
    real = "float64" if real in dtypes.DISCRETE else real
    count = as_length(num)
    gaps = count - 1 if endpoint else count
    start, stop = start.astype(real), stop.astype(real)
    ndim = max(start.ndim, stop.ndim)
    i = dimshuffle(arange(count), (0,) + ("x",) * ndim)
    known = static_length(gaps)
    gaps = gaps if known is None else as_length(known)
    step = (stop - start) / where(greater_equal(1, gaps), 1, gaps).astype(real)
    y = start + i.astype(real) * step
    if endpoint:
        y = where(equal(i, where(equal(gaps, 0), -1, gaps)), stop, y)
    if dtype is None:
        return y
    return (floor(y) if dtypes.canonical(dtype) in dtypes.INTEGERS else y).astype(dtype)


def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None
) -> TensorVariable:
    """``base`` to the powers ``linspace(start, stop, num, endpoint)``."""
    y = power(base, linspace(start, stop, num, endpoint))
    return y if dtype is None else y.astype(dtype)


def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None) -> TensorVariable:
    """``num`` numbers from ``start`` to ``stop``, each the same multiple of the last; both real, not 0, of one sign."""
    start, stop = as_operands(start, stop)
    y = sign(start) * logspace(log10(start * sign(start)), log10(stop * sign(start)), num, endpoint)
    return y if dtype is None else y.astype(dtype)


# --- matrices ------------------------------------------------------------------------------------------------------


def _rows_and_columns(n: Any, m: Any) -> tuple[TensorVariable, TensorVariable]:
    """The row numbers of an n by m matrix as a column, its column numbers as a row."""
    return expand_dims(arange(as_length(n)), 1), expand_dims(arange(as_length(n if m is None else m)), 0)


def eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = "float64") -> TensorVariable:
    """The n by m matrix (m is n if None) that is 1 on the diagonal ``k`` and 0 elsewhere."""
    rows, columns = _rows_and_columns(n, m)
    return equal(columns - rows, k).astype(dtype)


def identity(n: Any, dtype: Any = "float64") -> TensorVariable:
    """The n by n matrix with 1 on its diagonal and 0 elsewhere."""
    return eye(n, dtype=dtype)


def is_identity(x: Variable) -> bool:
    """Whether ``x`` was made by ``identity``: unit vectors, one a row.  For batch, which multiplies by them."""
    node = x.owner
    if node is not None and isinstance(node.op, Cast):
        node = node.inputs[0].owner
    if node is None or node.op is not equal or not (isinstance(node.inputs[1], Constant) and node.inputs[1].data == 0):
        return False
    node = node.inputs[0].owner
    if node is None or node.op is not subtract or any(end.owner is None for end in node.inputs):
        return False
    (columns, rows), patterns = node.inputs, [end.owner.op for end in node.inputs]
    if patterns != [DimShuffle(1, ("x", 0)), DimShuffle(1, (0, "x"))]:
        return False
    ranges = [end.owner.inputs[0].owner for end in (columns, rows)]
    stops = [node.inputs[1] for node in ranges if node is not None and isinstance(node.op, ARange)]
    return len(stops) == 2 and (stops[0] is stops[1] or static_length(stops[0]) == static_length(stops[1]) is not None)


def tri(n: Any, m: Any = None, k: Any = 0, dtype: Any = "float64") -> TensorVariable:
    """The n by m matrix (m is n if None) that is 1 on and below the diagonal ``k`` and 0 above."""
    rows, columns = _rows_and_columns(n, m)
    return greater_equal(rows, columns - k).astype(dtype)


def tril(x: Any, k: Any = 0) -> TensorVariable:
    """The matrices in the last two axes of ``x`` with 0 above the diagonal ``k``.  Errors: ShapeError for ndim < 2."""
    x = _matrices(x, "tril")
    return where(tri(*shape_of(x)[-2:], k, dtype="bool"), x, 0)


def triu(x: Any, k: Any = 0) -> TensorVariable:
    """The matrices in the last two axes of ``x`` with 0 below the diagonal ``k``.  Errors: ShapeError for ndim < 2."""
    x = _matrices(x, "triu")
    return where(tri(*shape_of(x)[-2:], k - 1, dtype="bool"), 0, x)


def _matrices(x: Any, who: str) -> TensorVariable:
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"{who} needs ndim >= 2, but {x} has ndim={x.ndim}", blame=x)
    return x


# --- codes and grids -----------------------------------------------------------------------------------------------


def one_hot(i: Any, num_classes: Any, dtype: Any = "float64") -> TensorVariable:
    """1 at position ``i`` of a new last axis of length ``num_classes``, 0 elsewhere; all 0 where ``i`` is no class.

    Errors  DTypeError unless i has an integer dtype.
    """
    i = as_tensor(i)
    if i.dtype not in dtypes.INTEGERS:
        raise DTypeError(f"one_hot needs integer classes, got {i} of dtype {i.dtype}", blame=i)
    return equal(expand_dims(i, -1), arange(as_length(num_classes))).astype(dtype)


def meshgrid(*xs: Any, indexing: str = "xy") -> list[TensorVariable]:
    """A grid of the vectors ``xs``: one tensor each, of ndim ``len(xs)``, its own numbers along its own axis.

    indexing  "ij": vector k along axis k; "xy": the first two axes exchanged.      Errors  ArgumentError; ShapeError.
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid needs indexing='xy' or 'ij', got {indexing!r}")
    vectors = [expand_dims(x, 0) if x.ndim == 0 else x for x in map(as_tensor, xs)]
    for x in vectors:
        if x.ndim != 1:
            raise ShapeError(f"meshgrid needs vectors, but {x} has ndim={x.ndim}", blame=x)
    order = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        order[:2] = [1, 0]
    lengths: list[Any] = [None] * len(vectors)
    for x, axis in zip(vectors, order, strict=True):
        lengths[axis] = shape_of(x)[0]
    patterns = [tuple(0 if place == axis else "x" for place in range(len(vectors))) for axis in order]
    return [broadcast_to(dimshuffle(x, pattern), lengths) for x, pattern in zip(vectors, patterns, strict=True)]
