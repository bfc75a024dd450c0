"""Ops that give back their input and change only its derivative: stops, zeros, scales and clips of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from core.errors import ArgumentError
from core.gradient.common import zeros_at
from core.graph import Apply, NullType, Variable
from core.ir.view import View
from core.op import Op, disconnected, grad_undefined
from core.tensor.type import as_tensor


class Barrier(Op):
    """y = x.  Input x: any tensor.  Output: the same type; it may alias x.  Subclasses say what the derivative is."""

    __props__: ClassVar[tuple[str, ...]] = ()
    view_map: ClassVar[dict[int, list[int]]] = {0: [0]}

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        return Apply(self, [x], [x.type])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list]) -> None:
        output_storage[0][0] = inputs[0]

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return list(input_shapes)

    def lower(self, node: Apply, x: View) -> View:
        return x


class DisconnectedGrad(Barrier):
    """As far as derivatives go, the output does not depend on the input."""

    def grad(self, inputs: Sequence[Variable], output_grads: Sequence[Variable]) -> list[Variable]:
        return [disconnected()]

    def R_op(self, inputs: Sequence[Variable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        return [None]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False]]


class ZeroGrad(Barrier):
    """The derivative is zero, and connected: asking for it is no error."""

    def grad(self, inputs: Sequence[Variable], output_grads: Sequence[Variable]) -> list[Variable]:
        return [zeros_at(inputs[0])]

    def R_op(self, inputs: Sequence[Variable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        return [zeros_at(inputs[0])]


class UndefinedGrad(Barrier):
    """The derivative is undefined: asking for it is an error."""

    def grad(self, inputs: Sequence[Variable], output_grads: Sequence[Variable]) -> list[Variable]:
        return [grad_undefined(self, 0, inputs[0])]

    def R_op(self, inputs: Sequence[Variable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        return [NullType(f"the tangent of {self} is undefined")()]


class GradScale(Barrier):
    """The derivative is multiplied by a number."""

    __props__: ClassVar[tuple[str, ...]] = ("multiplier",)

    def __init__(self, multiplier: float):
        if not isinstance(multiplier, (int, float)):
            raise ArgumentError(
                f"grad_scale needs a number as multiplier, got {multiplier!r} of type {type(multiplier).__name__}"
            )
        self.multiplier = float(multiplier)

    def grad(self, inputs: Sequence[Variable], output_grads: Sequence[Variable]) -> list[Variable]:
        return [output_grads[0] * self.multiplier]

    def R_op(self, inputs: Sequence[Variable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        return [eval_points[0] * self.multiplier]


class GradClip(Barrier):
    """The gradient is clipped to [low, high], element by element; NaN stays.  Not linear, so there is no tangent."""

    __props__: ClassVar[tuple[str, ...]] = ("low", "high")

    def __init__(self, low: float, high: float):
        if not low <= high:
            raise ArgumentError(f"grad_clip needs low <= high, got low={low!r} and high={high!r}")
        self.low, self.high = float(low), float(high)

    def grad(self, inputs: Sequence[Variable], output_grads: Sequence[Variable]) -> list[Variable]:
        return [output_grads[0].clip(self.low, self.high)]

    def R_op(self, inputs: Sequence[Variable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        return [NullType(f"{self} changes gradients only, so it has no tangent")()]


def disconnected_grad(x: Any) -> Variable:
    """``x``, through which no derivative passes; a cost that depends on nothing else is disconnected."""
    return DisconnectedGrad()(x)


stop_gradient = disconnected_grad


def zero_grad(x: Any) -> Variable:
    """``x``, with a derivative of zero."""
    return ZeroGrad()(x)


consider_constant = zero_grad


def undefined_grad(x: Any) -> Variable:
    """``x``, with an undefined derivative: asking for it raises NullGradientError."""
    return UndefinedGrad()(x)


def grad_scale(x: Any, multiplier: float) -> Variable:
    """``x``, with a derivative that is multiplied by ``multiplier``."""
    return GradScale(multiplier)(x)


def grad_clip(x: Any, lower_bound: float, upper_bound: float) -> Variable:
    """``x``, with a gradient that is clipped to ``[lower_bound, upper_bound]``, element by element."""
    return GradClip(lower_bound, upper_bound)(x)
