"""Sorting along an axis, with or without the order that does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, DTypeError
from core.graph import Apply, Variable
from core.op import Op, disconnected
from core.tensor.arithmetic import cast
from core.tensor.dimshuffle import moveaxis
from core.tensor.gather import take_along_axis
from core.tensor.reshape import ravel
from core.tensor.shape import input_gradient
from core.tensor.sort_loops import sort_lines
from core.tensor.type import TensorType, TensorVariable, as_tensor, normalize_axis

__all__ = ["Sort", "SortWithOrder", "argsort", "sort"]

_KINDS = (None, "quicksort", "mergesort", "heapsort", "stable")  # NumPy's; what they promise holds for ours


def sort(x: Any, axis: int | None = -1, kind: str | None = None) -> TensorVariable:
    """``x`` with its elements in ascending order along ``axis``, NaN last; of x flattened if ``axis`` is None.

    Output  shape and dtype of x.  Its derivative moves with the elements; of equal ones, the first stays the first.
    kind    NumPy's names are taken, and mean nothing: equal elements cannot be told apart.
    Errors  AxisError; DTypeError for complex numbers; ArgumentError for another kind.
    """
    x, axis = _line(x, axis, kind, "sort")
    return cast(moveaxis(Sort()(moveaxis(_comparable(x), axis, -1)), -1, axis), x.dtype)


def argsort(x: Any, axis: int | None = -1, kind: str | None = None) -> TensorVariable:
    """The indices, int64, that sort ``x`` along ``axis``: ``take_along_axis(x, argsort(x, axis), axis)`` is sorted.

    NaN last.  Stable, whatever ``kind`` says: of equal elements, the first stays the first.  Errors: as of ``sort``.
    """
    x, axis = _line(x, axis, kind, "argsort")
    return moveaxis(SortWithOrder()(moveaxis(_comparable(x), axis, -1))[1], -1, axis)


def _line(x: Any, axis: int | None, kind: str | None, name: str) -> tuple[TensorVariable, int]:
    if kind not in _KINDS:
        raise ArgumentError(f"{name} knows the kinds {', '.join(map(repr, _KINDS))}, got {kind!r}")
    x = as_tensor(x)
    return (ravel(x), 0) if axis is None else (x, normalize_axis(axis, x, op=name))


def _comparable(x: TensorVariable) -> TensorVariable:
    """``x`` in a dtype that C compares: that of float16 has the order of float16, and nothing is rounded on the way."""
    return cast(x, "float32") if x.dtype == "float16" else x


class _Sorting(Op):
    """What both ops say in C: a call of a function for all lines."""

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return self(*inputs, return_list=True)

    def c_support_code_apply(self, node: Apply, name: str) -> str:
        from core.tensor.sort_c import sort_function  # who sorts nothing need not wait for it

        return sort_function(f"{name}_sort", node.inputs[0].dtype, order=len(node.outputs) > 1)

    def c_code(self, node: Apply, name: str, inputs: Sequence[str], outputs: Sequence[str], sub: Mapping) -> str:
        (x,), axes = inputs, node.inputs[0].ndim
        return f"""
            const int64_t n = {x}_shape[{axes - 1}];
            int64_t lines = 1;
            for (int axis = 0; axis < {axes - 1}; axis++) lines *= {x}_shape[axis];
            if (!{name}_sort({", ".join((x, *outputs))}, lines, n)) {{
                core_error(MemoryError, "no memory to sort %lld elements", (long long)n);
                {sub["fail"]}
            }}
        """


class Sort(_Sorting):
    """The elements along the last axis in ascending order, NaN last.

    Input   x: tensor, ndim >= 1, not complex.      Output  shape and dtype of x.
    Errors  AxisError, DTypeError.
    Source  sort_loops.py for ``kernel``, sort_c.py for ``c_code``.
    """

    __props__ = ()

    def make_node(self, x: Any) -> Apply:
        x = _ordered(x, self)
        return Apply(self, [x], [x.type()])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        output_storage[0][0] = np.sort(inputs[0], axis=-1)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return list(input_shapes)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Each element's gradient goes where the element came from."""
        (x,), (g,) = inputs, output_grads
        if x.dtype in dtypes.DISCRETE:
            return [disconnected()]
        return [input_gradient(x, take_along_axis(g, argsort(argsort(x))))]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Tangents move with their elements."""
        (x,), (dx,) = inputs, eval_points
        return [None if dx is None else take_along_axis(dx, argsort(x))]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS]]

    def kernel(self, k: Any, x: Any, y: Any) -> None:
        sort_lines(k, x, [y])


class SortWithOrder(_Sorting):
    """The elements along the last axis in ascending order, NaN last, and the index that each had; stable.

    Input    x: tensor, ndim >= 1, not complex.
    Outputs  shape and dtype of x; the same shape, int64.
    Errors   AxisError, DTypeError.
    Source   As of ``Sort``.
    """

    __props__ = ()

    def make_node(self, x: Any) -> Apply:
        x = _ordered(x, self)
        return Apply(self, [x], [x.type(), TensorType("int64", x.type.shape)])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        (x,) = inputs
        order = np.argsort(x, axis=-1, stable=True).astype("int64", copy=False)
        output_storage[0][0], output_storage[1][0] = np.take_along_axis(x, order, axis=-1), order

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [input_shapes[0], input_shapes[0]]

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """That of ``Sort``: indexes do not change with the elements."""
        return Sort().grad(inputs, output_grads[:1])

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Tangents move with their elements; indexes have none."""
        (x,), (dx,) = inputs, eval_points
        return [None if dx is None else take_along_axis(dx, argsort(x)), None]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS, False]]

    def kernel(self, k: Any, x: Any, y: Any, order: Any) -> None:
        sort_lines(k, x, [y, order])


def _ordered(x: Any, op: Op) -> TensorVariable:
    """Errors: AxisError for a 0-d tensor, DTypeError for complex numbers."""
    x = as_tensor(x)
    normalize_axis(-1, x, op=op)
    if x.dtype in dtypes.COMPLEXES:
        raise DTypeError(f"{op} needs numbers that have an order, got {x} of {x.dtype}", blame=x)
    return x
