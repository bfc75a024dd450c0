"""Lengths as symbolic integers: reading them (ShapeI), promising them (SpecifyShape), and what users give as a shape.

What rearranges elements is in dimshuffle.py, reshape.py, broadcast.py and join.py.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import DTypeError, ShapeError
from core.graph import Apply, Variable, ancestors, toposort
from core.ir.axes import same_length
from core.ir.codes import Code
from core.ir.expr import INDEX_DTYPE, Expr, as_expr, maximum
from core.ir.view import View
from core.ir.walk import walk
from core.op import Op, disconnected
from core.tensor.type import TensorConstant, TensorType, TensorVariable, as_tensor, constant, normalize_axis

__all__ = ["ShapeI", "SpecifyShape", "shape", "shape_i", "shape_of", "size", "specify_shape"]


class ShapeI(Op):
    """The length of one axis; never reads an element.

    Input   x: tensor, ndim >= 1.      Output  int64, shape ().
    Errors  AxisError unless -x.ndim <= axis < x.ndim.
    """

    __props__ = ("axis",)

    def __init__(self, axis: int):
        self.axis = axis

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        return Apply(ShapeI(normalize_axis(self.axis, x, op=self)), [x], [TensorType("int64", ())])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        output_storage[0][0] = np.asarray(inputs[0].shape[self.axis], dtype="int64")

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [()]

    def lower(self, node: Apply, x: View) -> View:
        return View(INDEX_DTYPE, (), lambda index: x.shape[self.axis])

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """A length does not depend on the elements."""
        return [disconnected()]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """A length does not depend on the elements."""
        return [None]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        """A length is the same for all of a stack."""
        return [shape_i(inputs[0], self.axis + 1)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False]]


def shape_i(x: Any, axis: int) -> TensorVariable:
    """The length of ``axis`` of ``x`` as a 0-d int64 tensor: a constant where it is known.  Errors: AxisError."""
    x = as_tensor(x)
    known = x.type.shape[normalize_axis(axis, x, op=ShapeI(axis))]
    return ShapeI(axis)(x) if known is None else constant(known, dtype="int64")


def shape_of(x: Any) -> tuple[TensorVariable, ...]:
    """The lengths of ``x`` as a tuple of 0-d int64 tensors, constants where they are known."""
    x = as_tensor(x)
    return tuple(shape_i(x, axis) for axis in range(x.ndim))


shape = shape_of


def size(x: Any, axis: int | None = None) -> TensorVariable:
    """The number of elements of ``x``, or the length of one axis, as a 0-d int64 tensor.  Errors: AxisError."""
    return length_product(shape_of(x)) if axis is None else shape_i(x, axis)


# --- lengths that a user gives -------------------------------------------------------------------------------------


def as_length(n: Any) -> TensorVariable:
    """``n`` (an int, or a symbolic integer with ndim 0) as a 0-d int64 tensor.  Errors: DTypeError."""
    if hasattr(n, "__apply_op__"):
        return n
    if isinstance(n, Variable):
        if not isinstance(n, TensorVariable) or n.ndim != 0 or n.dtype not in dtypes.INTEGERS:
            raise DTypeError(
                f"a length must be an int or a symbolic integer with ndim=0, got {n} of type {n.type}", blame=n
            )
        known = static_length(n)
        if known is not None:
            return n if isinstance(n, TensorConstant) and n.dtype == "int64" else constant(known, dtype="int64")
        return n if n.dtype == "int64" else n.astype("int64")
    if isinstance(n, np.ndarray) and n.ndim == 0:
        n = n[()]
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise DTypeError(
            f"a length must be an int or a symbolic integer with ndim=0, got {n!r} of type {type(n).__name__}"
        )
    return constant(int(n), dtype="int64")


def as_lengths(shape: Any) -> list[TensorVariable]:
    """``shape`` (one length, several, or an integer vector of known length) as a list of 0-d int64 tensors.

    Errors: DTypeError for what is no integer; ShapeError for a vector whose length is not known.
    """
    if isinstance(shape, TensorVariable) and shape.ndim == 1:
        n = shape.type.shape[0]
        if n is None:
            raise ShapeError(
                f"a shape needs a known number of lengths, but the length of {shape} is not known", blame=shape
            )
        return [as_length(shape[i]) for i in range(n)]  # type: ignore[index]
    if isinstance(shape, np.ndarray):
        shape = shape.tolist()
    return [as_length(n) for n in (shape if isinstance(shape, (tuple, list)) else (shape,))]


_FOLDED_NODES = 32


def static_length(n: Any) -> int | None:
    """The value of a length if it is an int, or computed from constants alone; else None."""
    if not isinstance(n, Variable):
        return None if hasattr(n, "__apply_op__") else operator.index(n)
    if isinstance(n, TensorConstant):
        return int(n.data)
    for seen, variable in enumerate(ancestors([n])):
        if seen > _FOLDED_NODES or (variable.owner is None and not isinstance(variable, TensorConstant)):
            return None
    nodes = toposort([n])
    if not all(node.op.defines("perform") and node.op.do_constant_folding(node) for node in nodes):
        return None
    values: dict[Variable, Any] = {}
    for node in nodes:
        cells: list[list] = [[None] for _ in node.outputs]
        node.op.perform(node, [values[x] if x in values else x.data for x in node.inputs], cells)  # type: ignore[attr-defined]
        values.update(zip(node.outputs, (cell[0] for cell in cells), strict=True))
    return int(values[n])


def static_shape(lengths: Iterable[Any]) -> tuple[int | None, ...]:
    """What is known of ``lengths``: an int or None for each."""
    return tuple(static_length(n) for n in lengths)


def require_nonnegative(op: Any, lengths: Iterable[TensorVariable]) -> None:
    """Errors: ShapeError naming ``op`` when a length that is known is negative."""
    for n in lengths:
        known = static_length(n)
        if known is not None and known < 0:
            raise ShapeError(f"{op} needs lengths >= 0, got {known}")


def length_product(lengths: Iterable[Any]) -> TensorVariable:
    """The product of lengths as a 0-d int64 tensor; known factors are multiplied now."""
    known, total = 1, None
    for n in lengths:
        value = static_length(n)
        if value is not None:
            known *= value
        else:
            total = n if total is None else total * n
    if total is None:
        return constant(known, dtype="int64")
    return total if known == 1 else total * known


# --- lengths in the loop IR ----------------------------------------------------------------------------------------


def checked_length(n: Any) -> Expr:
    """A length from outside as an expression that demands, when the function runs, that it is not negative."""
    n = as_expr(n)
    return n if cannot_be_negative(n) else same_length(n, maximum(n, 0))


_KEEP_SIGN = frozenset({Code.ADD, Code.MUL, Code.FLOORDIV, Code.MIN, Code.JOIN, Code.SAME})


def cannot_be_negative(root: Expr) -> bool:
    """Whether ``root`` is made of lengths in a way that keeps it from being negative."""
    safe: dict[Expr, bool] = {}
    for n in walk([root], into=lambda e: e.code in _KEEP_SIGN or e.code is Code.MAX):
        if n.code is Code.CONST:
            safe[n] = n.payload >= 0
        elif n.code is Code.MAX:
            safe[n] = any(safe[arg] for arg in n.args)
        elif n.code in _KEEP_SIGN:
            safe[n] = all(safe[arg] for arg in n.args)
        else:
            safe[n] = n.code in (Code.LENGTH, Code.SPREAD)
    return safe[root]


# --- promises ------------------------------------------------------------------------------------------------------


class SpecifyShape(Op):
    """``x``, with a promise of the lengths of some of its axes, which is checked when the function runs.

    Inputs  x: tensor; then one int64 scalar for each of ``axes``: its length.      Output  x itself.
    Errors  ShapeError when a length is not the one promised; already when the graph is built where both are known.
    """

    __props__ = ("axes",)
    view_map = {0: [0]}

    def __init__(self, axes: Sequence[int]):
        self.axes = tuple(axes)

    def make_node(self, x: Any, *lengths: Any) -> Apply:
        x, given = as_tensor(x), [as_length(n) for n in lengths]
        require_nonnegative(self, given)
        known = list(x.type.shape)
        for axis, n in zip(self.axes, static_shape(given), strict=True):
            if n is not None and known[axis] not in (None, n):
                raise ShapeError(
                    f"{self} needs length {n} along axis {axis}, but {x} has length {known[axis]}", blame=x
                )
            known[axis] = n if n is not None else known[axis]
        return Apply(self, [x, *given], [TensorType(x.dtype, known)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x, *lengths = inputs
        for axis, n in zip(self.axes, lengths, strict=True):
            if x.shape[axis] != n:
                raise ShapeError(f"{self} needs length {n} along axis {axis}, got shape {x.shape}", blame=node)
        output_storage[0][0] = x

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        known = node.out.type.shape
        return [tuple(n if k is None else k for k, n in zip(known, input_shapes[0], strict=True))]

    def lower(self, node: Apply, x: View, *lengths: View) -> View:
        shape = list(x.shape)
        for axis, n in zip(self.axes, lengths, strict=True):
            known = node.out.type.shape[axis]
            shape[axis] = same_length(shape[axis], as_expr(n.at() if known is None else known))
        return View(x.dtype, shape, x.at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The identity in x."""
        return [input_gradient(inputs[0], output_grads[0]), *(disconnected() for _ in inputs[1:])]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The identity in x."""
        return [None if eval_points[0] is None else self(eval_points[0], *inputs[1:])]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        x, *lengths = inputs
        if any(n.ndim for n in lengths):
            return None
        return [SpecifyShape([axis + 1 for axis in self.axes])(x, *lengths)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS], *([False] for _ in node.inputs[1:])]


def specify_shape(x: Any, shape: Any) -> TensorVariable:
    """``x`` with the lengths in ``shape``: ints, symbolic integers, or None for no promise.  See SpecifyShape.

    Errors: ShapeError when ``shape`` has not one entry for each axis.
    """
    x = as_tensor(x)
    entries = list(shape) if isinstance(shape, (tuple, list)) else [shape]
    if len(entries) != x.ndim:
        raise ShapeError(f"specify_shape needs {x.ndim} lengths for {x}, got {len(entries)} in {shape!r}", blame=x)
    promised = {axis: as_length(n) for axis, n in enumerate(entries) if n is not None}
    new = {
        axis: n for axis, n in promised.items() if x.type.shape[axis] is None or static_length(n) != x.type.shape[axis]
    }
    return SpecifyShape(tuple(new))(x, *new.values()) if new else x


def input_gradient(x: TensorVariable, g: Variable) -> Variable:
    """``g`` in the dtype of ``x``; disconnected where ``x`` is discrete."""
    if x.dtype in dtypes.DISCRETE:
        return disconnected()
    return g if g.type.dtype == x.dtype else g.astype(x.dtype)  # type: ignore[attr-defined]
