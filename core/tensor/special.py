"""Softmax, log_softmax and logsumexp as ops that neither overflow nor lose digits; norms.

Losses made of them are in losses.py.
All are computed in float32 at least; a float16 result is rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.graph import Apply, Variable
from core.ir.axes import reduce
from core.ir.codes import Combine
from core.ir.expr import Call, Expr, cast, minimum, select
from core.ir.view import View
from core.op import Op
from core.tensor.arithmetic import abs as magnitude
from core.tensor.arithmetic import cast as cast_to
from core.tensor.arithmetic import sqrt, square
from core.tensor.dimshuffle import expand_dims
from core.tensor.functions import exp, power
from core.tensor.logic import not_equal
from core.tensor.reduce import max as max_along
from core.tensor.reduce import mean
from core.tensor.reduce import min as min_along
from core.tensor.reduce import sum as sum_along
from core.tensor.shape import input_gradient
from core.tensor.type import TensorType, TensorVariable, as_tensor, normalize_axes
from core.tensor.variance import var

__all__ = [
    "LogSoftmax",
    "LogSumExp",
    "Softmax",
    "layer_norm",
    "log_softmax",
    "logsumexp",
    "norm",
    "softmax",
]


class _OverAxes(Op):
    """What the three share: axes, dtypes, and the largest element and the sum of exponentials along those axes."""

    __props__ = ("axis",)
    keeps_axes = True

    def __init__(self, axis: int | Sequence[int] | None = -1):
        self.axis = tuple(axis) if isinstance(axis, list) else axis

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        if x.dtype in dtypes.COMPLEXES:
            raise DTypeError(f"{self} needs real numbers, got {x} of dtype {x.dtype}", blame=x)
        axes = normalize_axes(self.axis, x, op=self)
        self._need_elements([x.type.shape[k] for k in axes], x)
        shape = x.type.shape if self.keeps_axes else tuple(n for k, n in enumerate(x.type.shape) if k not in axes)
        return Apply(type(self)(axes), [x], [TensorType(dtypes.float_of(x.dtype), shape)])

    def _need_elements(self, lengths: Sequence[int | None], blame: Any) -> None:
        if 0 in lengths:
            raise ShapeError(f"{self} of an empty axis does not exist: got length 0", blame=blame)

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        (shape,) = input_shapes
        return [tuple(n for k, n in enumerate(shape) if self.keeps_axes or k not in self.axis)]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        return [type(self)([axis + 1 for axis in self.axis])(inputs[0])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS]]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x = inputs[0].astype(_inside(node.out.dtype))
        self._need_elements([x.shape[k] for k in self.axis], node)
        with np.errstate(all="ignore"):
            output_storage[0][0] = np.asarray(self._of(x, self.axis), dtype=node.out.dtype)

    def _parts(self, node: Apply, x: View, index: Sequence[Expr], shift: Any) -> tuple[Expr, Expr]:
        """The (shifted) largest element and the sum of exponentials below it, on the line through ``index`` of x."""
        extents, dtype = [x.shape[axis] for axis in self.axis], _inside(node.out.dtype)

        def element(k: Sequence[Expr]) -> Expr:
            at = list(index)
            for axis, i in zip(self.axis, k, strict=True):
                at[axis] = i
            return cast(x.at(at), dtype)

        largest = shift(reduce(Combine.MAX, extents, lambda *k: element(k)))
        return largest, reduce(Combine.ADD, extents, lambda *k: Call("exp", element(k) - largest))


def _inside(dtype: str) -> str:
    return "float32" if dtype == "float16" else dtype


def _finite(largest: Expr) -> Expr:
    """0 instead of an infinite or NaN maximum, so that inf - inf does not arise."""
    return select(Call("isfinite", largest), largest, 0)


def _numpy_parts(x: np.ndarray, axes: tuple[int, ...], finite: bool) -> tuple[np.ndarray, np.ndarray]:
    largest = np.max(x, axis=axes, keepdims=True)
    if finite:
        largest = np.where(np.isfinite(largest), largest, np.zeros((), x.dtype))
    return largest, np.sum(np.exp(x - largest), axis=axes, keepdims=True)


class Softmax(_OverAxes):
    """``exp(x) / sum(exp(x))`` along ``axis``: an int, several, or None for all.

    Input   x: real tensor.      Output  shape of x, its dtype if float, else the float that exp gives.
    NaN on a line that holds NaN or inf, or nothing but -inf.
    Errors  AxisError; DTypeError for complex x; ShapeError for an empty axis.
    Source  Blanchard, Higham, Higham (2021), "Accurately computing the log-sum-exp and softmax functions".
    """

    @staticmethod
    def _shift(largest: Expr) -> Expr:
        return largest

    @staticmethod
    def _of(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        largest, total = _numpy_parts(x, axes, finite=False)
        return np.exp(x - largest) / total

    def lower(self, node: Apply, x: View) -> View:
        def at(index: tuple[Expr, ...]) -> Expr:
            largest, total = self._parts(node, x, index, self._shift)
            return cast(Call("exp", cast(x.at(index), largest.dtype) - largest) * self._scale(total), node.out.dtype)

        return View(node.out.dtype, x.shape, at)

    @staticmethod
    def _scale(total: Expr) -> Expr:
        return 1 / total  # 1 <= total: no overflow

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The Jacobian diag(s) - s s^T is symmetric, so s (g - sum(s g))."""
        (x,), (g,) = inputs, output_grads
        return [input_gradient(x, self._along(x, g))]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """s (dx - sum(s dx))."""
        return [None if eval_points[0] is None else self._along(inputs[0], eval_points[0])]

    def _along(self, x: TensorVariable, v: TensorVariable) -> TensorVariable:
        s = self(x)
        return s * (v - sum_along(s * v, axis=self.axis, keepdims=True))


class _Shares(Softmax):
    """Softmax from the very parts that LogSumExp is made of, so that a value and its derivative share exponentials.

    It differs from Softmax on a line with inf, where what is finite gets 0, and on one of nothing but -inf, where all
    get 0: what is made of such a sum does not depend on it, and a NaN would reach elements that have gradients.
    """

    @staticmethod
    def _shift(largest: Expr) -> Expr:
        return _finite(largest)

    @staticmethod
    def _of(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        largest, total = _numpy_parts(x, axes, finite=True)
        return np.exp(x - largest) / np.where(total == 0, np.ones((), x.dtype), total)

    @staticmethod
    def _scale(total: Expr) -> Expr:
        return minimum(1 / total, 1)  # 1 for a total of 0, when all that is scaled is 0; NaN for NaN


class LogSoftmax(_OverAxes):
    """``x - log(sum(exp(x)))`` along ``axis``: an int, several, or None for all; the logarithm of Softmax.

    Input   x: real tensor.      Output  shape of x, its dtype if float, else the float that exp gives.
    NaN as Softmax, but -inf for what is finite on a line with inf.
    Errors  AxisError; DTypeError for complex x; ShapeError for an empty axis.
    """

    @staticmethod
    def _of(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        largest, total = _numpy_parts(x, axes, finite=True)
        return (x - largest) - np.log(total)

    def lower(self, node: Apply, x: View) -> View:
        def at(index: tuple[Expr, ...]) -> Expr:
            largest, total = self._parts(node, x, index, _finite)
            return cast((cast(x.at(index), largest.dtype) - largest) - Call("log", total), node.out.dtype)

        return View(node.out.dtype, x.shape, at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The transpose of I - 1 s^T: g - s sum(g), where s is the exponential of this op's output."""
        (x,), (g,) = inputs, output_grads
        return [input_gradient(x, g - exp(self(x)) * sum_along(g, axis=self.axis, keepdims=True))]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """dx - sum(s dx)."""
        (x,), (dx,) = inputs, eval_points
        if dx is None:
            return [None]
        return [dx - sum_along(exp(self(x)) * dx, axis=self.axis, keepdims=True)]


class LogSumExp(_OverAxes):
    """``log(sum(exp(x)))`` along ``axis``: an int, several, or None for all; these axes go.

    Input   x: real tensor.      Output  x's dtype if float, else the float that exp gives.
    -inf of nothing but -inf; inf if there is one and no NaN.
    Errors  AxisError; DTypeError for complex x; ShapeError for an empty axis.
    Source  as of Softmax.
    """

    keeps_axes = False

    @staticmethod
    def _of(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        largest, total = _numpy_parts(x, axes, finite=True)
        return np.squeeze(np.log(total) + largest, axis=axes)

    def lower(self, node: Apply, x: View) -> View:
        kept = [k for k in range(x.ndim) if k not in self.axis]

        def at(index: tuple[Expr, ...]) -> Expr:
            place: dict[int, Any] = dict(zip(kept, index, strict=True))
            largest, total = self._parts(node, x, [place.get(k) for k in range(x.ndim)], _finite)
            return cast(Call("log", total) + largest, node.out.dtype)

        return View(node.out.dtype, [x.shape[k] for k in kept], at)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The derivative is softmax(x)."""
        (x,), (g,) = inputs, output_grads
        return [input_gradient(x, _Shares(self.axis)(x) * self._put_back(g))]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """sum(softmax(x) dx)."""
        (x,), (dx,) = inputs, eval_points
        return [None if dx is None else sum_along(_Shares(self.axis)(x) * dx, axis=self.axis)]

    def _put_back(self, out: TensorVariable) -> TensorVariable:
        return expand_dims(out, self.axis) if self.axis else out


def softmax(x: Any, axis: int | Sequence[int] | None = -1) -> TensorVariable:
    """``exp(x) / sum(exp(x))`` along ``axis``; see Softmax for dtypes and errors."""
    return Softmax(axis)(x)


def log_softmax(x: Any, axis: int | Sequence[int] | None = -1) -> TensorVariable:
    """``x - logsumexp(x)`` along ``axis``; see LogSoftmax for dtypes and errors."""
    return LogSoftmax(axis)(x)


def logsumexp(x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> TensorVariable:
    """``log(sum(exp(x)))`` along ``axis``, by default along all; see LogSumExp for dtypes and errors."""
    out = LogSumExp(axis)(x)
    return out.owner.op._put_back(out) if keepdims else out


def layer_norm(
    x: Any, axis: int | Sequence[int] | None = -1, eps: float = 1e-5, weight: Any = None, bias: Any = None
) -> TensorVariable:
    """``(x - mean) / sqrt(var + eps)`` along ``axis``, then times ``weight`` and plus ``bias``, which broadcast.

    Output  shape and dtype of x (float64 for integers), joined with those of weight and bias.      Errors  AxisError.
    Source  Ba, Kiros, Hinton (2016), "Layer normalization"; var divides by n.  Within 2 ulp of the quotient: each line
            is multiplied by the reciprocal of its root, which is neither 0 nor subnormal where the root is finite.
    """
    x = as_tensor(x)
    out = (x - mean(x, axis, keepdims=True)) * (1 / sqrt(var(x, axis, keepdims=True) + eps))
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def norm(
    x: Any, ord: float | None = None, axis: int | Sequence[int] | None = None, keepdims: bool = False
) -> TensorVariable:
    """The norm of the vectors along ``axis``, of all of ``x`` if that is None: ``sum(|x|^ord)^(1/ord)``.

    ord  None or 2: Euclidean; inf and -inf: the largest and smallest magnitude; 0: how many are not 0; else any number
    Its gradient is not finite where the Euclidean norm is 0.      Errors  AxisError; ArgumentError for another ord.
    """
    x = as_tensor(x)
    if ord is not None and not isinstance(ord, (int, float, np.number)):
        raise ArgumentError(f"a norm of vectors needs a number or None as ord, got {ord!r}; linalg.norm is of matrices")
    size = magnitude(x)
    if ord is None or ord == 2:
        squares = square(size)
        return sqrt(sum_along(squares, axis, keepdims=keepdims))
    if ord in (float("inf"), float("-inf")):
        return (max_along if ord > 0 else min_along)(size, axis, keepdims=keepdims)
    if ord == 0:
        return sum_along(cast_to(not_equal(x, 0), dtypes.real_of(dtypes.float_of(x.dtype))), axis, keepdims=keepdims)
    if ord == 1:
        return sum_along(size, axis, keepdims=keepdims)
    return power(sum_along(power(size, float(ord)), axis, keepdims=keepdims), 1 / ord)
