"""Rules for functions of analysis: compositions that lose digits or overflow become ones that do not.

These are for real floats; where the composition is NaN or infinite for no good reason, the result may be a number.
"""

from __future__ import annotations

import math

import numpy as np

from core import dtypes
from core.graph import Apply, Constant, FunctionGraph, Variable
from core.rewriting import specialize, stabilize
from core.tensor.arithmetic import abs, add, maximum, multiply, sqrt, square, true_divide
from core.tensor.elementwise import second
from core.tensor.functions import (
    exp,
    exp2,
    expm1,
    log,
    log1mexp,
    log1p,
    logaddexp,
    power,
    sigmoid,
    softplus,
)
from core.tensor.logic import equal, where
from core.tensor.patterns import XF, YF
from core.tensor.rules.arithmetic import whole_power
from core.tensor.rules.reduce import is_sum
from core.tensor.type import TensorVariable

# --- exponentials and logarithms -----------------------------------------------------------------------------------


@stabilize.rule(log(1 + XF))
def log_of_one_plus_is_log1p(x):
    """log(1 + x) -> log1p(x).  Keeps the low bits of a small x that 1 + x rounds away (Goldberg 1991, theorem 4)."""
    return log1p(x)


@stabilize.rule(log(1 - XF))
def log_of_one_minus_is_log1p(x):
    """log(1 - x) -> log1p(-x).  Keeps the low bits of a small x that 1 - x rounds away."""
    return log1p(-x)


@stabilize.rule(exp(XF) + -1)
@stabilize.rule(exp(XF) - 1, name="exp_minus_one_is_expm1_of_difference")
def exp_minus_one_is_expm1(x):
    """exp(x) - 1 -> expm1(x).  The difference cancels for small x."""
    return expm1(x)


@stabilize.rule(1 - exp(XF))
def one_minus_exp_is_negative_expm1(x):
    """1 - exp(x) -> -expm1(x).  The difference cancels for small x."""
    return -expm1(x)


@stabilize.rule(log(exp(XF)))
def log_of_exp_is_itself(x):
    """log(exp(x)) -> x.  NaN and infinities agree; exp overflows above 709 and underflows below -745, where x is right.

    The other way round, exp(log(x)) is NaN for x < 0, and stays.
    """
    return x


@stabilize.rule(log(-expm1(XF)))
@stabilize.rule(log1p(-exp(XF)), name="log1p_of_negative_exp_is_log1mexp")
def log_of_one_minus_exp_is_log1mexp(x):
    """log(1 - exp(x)) -> log1mexp(x).  Accurate at both ends (Maechler 2012); -inf at 0 and NaN above, as before."""
    return log1mexp(x)


@stabilize.rule(log1p(exp(XF)))
def log1p_of_exp_is_softplus(x):
    """log(1 + exp(x)) -> softplus(x).  exp overflows for large x, where the answer is x."""
    return softplus(x)


@stabilize.rule(log(exp(XF) + exp(YF)))
def log_of_sum_of_two_exp_is_logaddexp(x, y):
    """log(exp(x) + exp(y)) -> logaddexp(x, y).  exp overflows or underflows where the answer is an ordinary number."""
    return logaddexp(x, y)


# --- the logistic function -----------------------------------------------------------------------------------------


@stabilize.rule(1 / (1 + exp(-XF)))
def written_out_logistic_is_sigmoid(x):
    """1 / (1 + exp(-x)) -> sigmoid(x).  Keeps the digits of the lower tail where exp overflows in between."""
    return sigmoid(x)


@stabilize.rule(exp(XF) / (1 + exp(XF)))
def quotient_of_exp_is_sigmoid(x):
    """exp(x) / (1 + exp(x)) -> sigmoid(x).  inf / inf for large x, where the answer is 1."""
    return sigmoid(x)


@stabilize.rule(1 - sigmoid(XF))
def one_minus_sigmoid_is_sigmoid_of_negative(x):
    """1 - sigmoid(x) -> sigmoid(-x).  The difference cancels for large x."""
    return sigmoid(-x)


@stabilize.rule(log(sigmoid(-XF)), before=("log_of_sigmoid_is_softplus",))
def log_of_sigmoid_of_negative_is_softplus(x):
    """log(sigmoid(-x)) -> -softplus(x).  sigmoid(-x) underflows for large x, where the answer is -x."""
    return -softplus(x)


@stabilize.rule(log(sigmoid(XF)))
def log_of_sigmoid_is_softplus(x):
    """log(sigmoid(x)) -> -softplus(-x).  sigmoid(x) underflows for x below -745, where the answer is x."""
    return -softplus(-x)


@stabilize.rule(log1p(-sigmoid(XF)))
def log_of_one_minus_sigmoid_is_softplus(x):
    """log(1 - sigmoid(x)) -> -softplus(x).  The difference cancels for large x."""
    return -softplus(x)


# --- roots ---------------------------------------------------------------------------------------------------------

_NOT_BELOW_ZERO = (exp, exp2, square, abs, sigmoid, softplus)
_KEEP_SIGN = (add, multiply, true_divide, maximum)
_DEEP = 32


def is_not_below_zero(x: Variable) -> bool:
    """Whether no element of ``x`` can be negative or -0.0 (NaN it may be), seen from the few ops above it."""
    pending, seen = [x], 0
    while pending:
        x, seen = pending.pop(), seen + 1
        if isinstance(x, Constant):
            if x.type.dtype in dtypes.COMPLEXES or np.signbit(x.data.astype("float64")).any():
                return False
        elif x.owner is None or seen > _DEEP or x.type.dtype not in dtypes.FLOATS:
            return False
        elif x.owner.op == second:
            pending.append(x.owner.inputs[1])
        elif x.owner.op in _KEEP_SIGN or is_sum(x.owner.op):
            pending.extend(x.owner.inputs)
        elif x.owner.op not in _NOT_BELOW_ZERO:
            return False
    return True


@specialize.node_rule(power)
def power_of_halves_is_root(graph: FunctionGraph, node: Apply) -> TensorVariable | None:
    """x**(n + 1/2) -> x**n sqrt(x), n = 0 ... 7, and 1 over that for the negative.  Within n + 1 ulp of pow.

    Where x may be negative, -inf and -0.0 are seen to, whose powers are inf and 0.0 (C99 F.9.4.4).  One over it may be
    0 or inf where the power is not far from the smallest or largest number.
    """
    x, exponent = node.inputs
    if not isinstance(exponent, Constant) or exponent.type.ndim:
        return None
    if node.out.dtype not in dtypes.FLOATS or x.type.dtype != node.out.dtype:
        return None
    n = math.fabs(exponent.data.item()) - 0.5
    if not n.is_integer() or not 0 <= n <= 7:
        return None
    out = sqrt(x) if n == 0 else whole_power(x, int(n)) * sqrt(x)
    if not is_not_below_zero(x):
        out = where(equal(x, -np.inf), np.inf, out + 0.0)
    return out if exponent.data > 0 else 1 / out
