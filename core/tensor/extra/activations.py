"""Activations of neural networks beyond sigmoid, tanh, softplus, relu, silu and gelu, which are in functions.py."""

from __future__ import annotations

from typing import Any

from core.ir.expr import Call, maximum, minimum, select
from core.tensor.elementwise import elementwise
from core.tensor.functions import exp, expm1, sigmoid, silu, softplus, tanh
from core.tensor.join import split
from core.tensor.kinds import floated, need_reals
from core.tensor.logic import where
from core.tensor.type import TensorVariable

swish = silu


@elementwise(derivative=lambda x, alpha: [where(x > 0, 1, alpha * exp(x)), where(x > 0, 0, expm1(x))])
def _elu(x, alpha):
    """See elu."""
    need_reals("elu", x, alpha)
    x = floated(x)
    return select(x > 0, x, alpha * Call("expm1", x))


def elu(x: Any, alpha: Any = 1.0) -> TensorVariable:
    """x, or ``alpha (exp(x) - 1)`` where that is not above 0 (Clevert, Unterthiner and Hochreiter 2016)."""
    return _elu(x, alpha)


def selu(x: Any) -> TensorVariable:
    """elu with two numbers for which activations keep mean 0 and variance 1 (Klambauer and others 2017)."""
    return 1.0507009873554805 * _elu(x, 1.6732632423543772)


@elementwise(
    derivative=lambda x, alpha: [
        where(x > 0, 1, exp(x / alpha)),
        where(x > 0, 0, expm1(x / alpha) - x / alpha * exp(x / alpha)),
    ]
)
def _celu(x, alpha):
    """See celu."""
    need_reals("celu", x, alpha)
    x = floated(x)
    return select(x > 0, x, alpha * Call("expm1", x / alpha))


def celu(x: Any, alpha: Any = 1.0) -> TensorVariable:
    """x, or ``alpha (exp(x / alpha) - 1)`` where that is not above 0; its derivative is continuous (Barron 2017)."""
    return _celu(x, alpha)


@elementwise(derivative=lambda x, slope: [where(x > 0, 1, slope), where(x > 0, 0, x)])
def _leaky_relu(x, slope):
    """See leaky_relu."""
    need_reals("leaky_relu", x, slope)
    x = floated(x)
    return select(x > 0, x, slope * x)


def leaky_relu(x: Any, negative_slope: Any = 0.01) -> TensorVariable:
    """x, or ``negative_slope x`` where x is not above 0; the slope may be a parameter that is learnt."""
    return _leaky_relu(x, negative_slope)


@elementwise(differential=lambda d, x: [where((x > 0) & (x < 6), d, 0)])
def relu6(x):
    """min(max(x, 0), 6); NaN stays NaN."""
    need_reals("relu6", x)
    return minimum(maximum(x, 0), 6)


@elementwise(differential=lambda d, x: [where((x > -2.5) & (x < 2.5), 0.2 * d, 0)])
def hard_sigmoid(x):
    """min(max(0.2 x + 0.5, 0), 1), Theano's; that of other libraries is ``relu6(x + 3) / 6``.  NaN stays NaN."""
    need_reals("hard_sigmoid", x)
    x = floated(x)
    return minimum(maximum(0.2 * x + 0.5, 0), 1)


@elementwise(derivative=lambda x: [1 / ((1 + abs(x)) * (1 + abs(x)))])
def softsign(x):
    """x / (1 + |x|), which is 1 at infinity."""
    need_reals("softsign", x)
    x = floated(x)
    size = Call("fabs", x)
    return select(size <= 1, x / (1 + size), Call("copysign", 1 / (1 + 1 / size), x))


def mish(x: Any) -> TensorVariable:
    """x tanh(softplus(x)) (Misra 2019)."""
    return x * tanh(softplus(x))


def glu(x: Any, axis: int = -1) -> TensorVariable:
    """The first half of x along ``axis`` times the sigmoid of the second (Dauphin and others 2017).

    Errors  ShapeError for an odd length.
    """
    first, second = split(x, 2, axis=axis)
    return first * sigmoid(second)
