"""Rules for arithmetic: neutral elements, signs, powers, conversions, choices.

Exact means: the same bits for every input, infinities and signed zeros included; a NaN stays some NaN.
"""

from __future__ import annotations

import math

import numpy as np

from core import dtypes
from core.graph import Apply, Constant, FunctionGraph, Variable
from core.rewriting import canonicalize, specialize, stabilize
from core.tensor.arithmetic import (
    Cast,
    abs,
    add,
    bitwise_and,
    bitwise_or,
    cast,
    conj,
    floor_divide,
    invert,
    maximum,
    minimum,
    multiply,
    negative,
    positive,
    real,
    reciprocal,
    sqrt,
    square,
    tensor_copy,
)
from core.tensor.broadcast import Alloc
from core.tensor.elementwise import Elementwise, second
from core.tensor.functions import power
from core.tensor.logic import logical_not, where
from core.tensor.patterns import XF, XI, XR, YF, X, Y
from core.tensor.rules.lengths import covers, one_value, same_lengths
from core.tensor.type import TensorType, TensorVariable, constant

# --- neutral elements ----------------------------------------------------------------------------------------------


@canonicalize.node_rule(Elementwise, reads=(Constant,))
def constants_of_one_value_are_scalars(graph: FunctionGraph, node: Apply) -> list[Variable] | None:
    """op(x, full(shape, c)) -> op(x, c), where the other inputs have the shape of the output already.  Exact."""
    for position, x in enumerate(node.inputs):
        if isinstance(x, Constant) and x.type.ndim and (node.op != second or position == 1):
            value = one_value(x)
            others = [other for k, other in enumerate(node.inputs) if k != position]
            if value is not None and covers(graph, others, node.out):
                return [node.op(*node.inputs[:position], constant(value), *node.inputs[position + 1 :])]
    return None


@canonicalize.rule(XR * 1)
def times_one_is_itself(x):
    """x * 1 -> x.  Exact; not so for complex x, where inf * 0 is NaN."""
    return x


@canonicalize.rule(XR / 1)
def divided_by_one_is_itself(x):
    """x / 1 -> x.  Exact."""
    return x


@canonicalize.rule(floor_divide(XI, 1))
def integer_divided_by_one_is_itself(x):
    """x // 1 -> x for integers.  Exact."""
    return x


@canonicalize.rule(XI + 0)
def integer_plus_zero_is_itself(x):
    """x + 0 -> x for integers.  Exact; not so for floats, where -0.0 + 0.0 is 0.0."""
    return x


@canonicalize.rule(XF + -0.0)
def plus_negative_zero_is_itself(x):
    """x + (-0.0) -> x.  Exact (IEEE 754-2019, 6.3)."""
    return x


@canonicalize.rule(XR - 0)
def minus_zero_is_itself(x):
    """x - 0 -> x.  Exact, since -0.0 - 0.0 is -0.0."""
    return x


@canonicalize.rule(XI * 0)
def integer_times_zero_is_zero(x):
    """x * 0 -> 0 for integers.  Exact; floats keep NaN, infinities and the sign."""
    return second(x, 0)


@canonicalize.rule(XI - XI)
def integer_minus_itself_is_zero(x):
    """x - x -> 0 for integers.  Exact; a float x that is NaN or infinite gives NaN."""
    return second(x, 0)


@canonicalize.rule(bitwise_and(X, X))
def and_with_itself_is_itself(x):
    """x & x -> x.  Exact."""
    return x


@canonicalize.rule(bitwise_or(X, X))
def or_with_itself_is_itself(x):
    """x | x -> x.  Exact."""
    return x


@canonicalize.rule(maximum(X, X))
def maximum_with_itself_is_itself(x):
    """max(x, x) -> x.  Exact, NaN included."""
    return x


@canonicalize.rule(minimum(X, X))
def minimum_with_itself_is_itself(x):
    """min(x, x) -> x.  Exact, NaN included."""
    return x


# --- signs ---------------------------------------------------------------------------------------------------------


@specialize.rule(negative(negative(X)))
@stabilize.rule(negative(negative(X)))
@canonicalize.rule(negative(negative(X)))
def negative_of_negative_is_itself(x):
    """-(-x) -> x.  Exact; integers wrap twice."""
    return x


@canonicalize.rule(XF * -1)
def times_minus_one_is_negative(x):
    """x * (-1) -> -x for floats.  Exact."""
    return -x


@canonicalize.rule(XF + (-YF))
def plus_negative_is_minus(x, y):
    """x + (-y) -> x - y for floats.  Exact (IEEE 754-2019, 5.4.1); a small integer -y may wrap before it is widened."""
    return x - y


@canonicalize.rule(XF - (-YF))
def minus_negative_is_plus(x, y):
    """x - (-y) -> x + y for floats.  Exact."""
    return x + y


@canonicalize.rule((-XF) * (-YF))
def product_of_negatives_iswhole_power(x, y):
    """(-x) * (-y) -> x * y for floats.  Exact."""
    return x * y


@canonicalize.rule((-XF) * YF)
def product_with_negative_is_negative_of_product(x, y):
    """(-x) * y -> -(x * y) for floats.  Exact; further out, a sign meets another one, or a sum that takes it in."""
    return -(x * y)


@canonicalize.rule((-XF) / (-YF))
def quotient_of_negatives_is_quotient(x, y):
    """(-x) / (-y) -> x / y.  Exact."""
    return x / y


@canonicalize.rule(abs(-XF))
def absolute_of_negative_is_absolute(x):
    """|-x| -> |x| for floats.  Exact; -x of an unsigned integer is another number."""
    return abs(x)


@canonicalize.rule(abs(abs(X)))
def absolute_of_absolute_is_absolute(x):
    """||x|| -> |x|.  Exact."""
    return abs(x)


@canonicalize.rule(square(-X))
def square_of_negative_is_square(x):
    """(-x)**2 -> x**2.  Exact."""
    return square(x)


@canonicalize.rule(invert(invert(X)))
def not_of_not_is_itself(x):
    """~~x -> x.  Exact."""
    return x


@canonicalize.rule(logical_not(logical_not(X)))
def logical_not_of_logical_not_is_itself(x):
    """not not x -> x for bool x (of another x it is another type).  Exact."""
    return x


# --- powers --------------------------------------------------------------------------------------------------------


@canonicalize.rule(X * X)
def product_with_itself_is_square(x):
    """x * x -> x**2.  Exact, so that other rules need know one form only."""
    return square(x)


@canonicalize.rule(power(XR, 1))
def first_power_is_itself(x):
    """x**1 -> x.  Exact."""
    return x


@canonicalize.rule(power(XR, 0))
def zeroth_power_is_one(x):
    """x**0 -> 1.  Exact, also for NaN and 0 (C99 F.9.4.4)."""
    return second(x, 1)


@canonicalize.rule(power(X, 2))
def second_power_is_square(x):
    """x**2 -> x * x.  Integers: exact.  Floats: the product is correctly rounded, pow within an ulp of it."""
    return square(x)


@canonicalize.rule(power(XF, -1))
def power_of_minus_one_is_reciprocal(x):
    """x**(-1) -> 1 / x.  The quotient is correctly rounded, pow within an ulp of it; at 0 and inf they agree."""
    return 1 / x


@stabilize.rule(sqrt(square(XF)))
def root_of_square_is_absolute(x):
    """sqrt(x**2) -> |x|.  Differs where x**2 overflows or underflows, and there |x| is right."""
    return abs(x)


@specialize.node_rule(power)
def small_integer_power_is_product(graph: FunctionGraph, node: Apply) -> TensorVariable | None:
    """x**n -> products, n = 3 ... 16, and 1 over them for -n.  Integers: exact.  Floats: within n ulp of pow.

    For -n the quotient may be 0 or inf where x**-n is not far from the smallest or largest number.
    """
    x, exponent = node.inputs
    if not isinstance(exponent, Constant) or exponent.type.ndim or x.type.dtype != node.out.dtype or x.dtype == "bool":
        return None
    n = exponent.data.item()
    if isinstance(n, complex) or not math.isfinite(n) or n != int(n):
        return None
    if 3 <= n <= 16:
        return whole_power(x, int(n))
    return 1 / whole_power(x, -int(n)) if -16 <= n <= -2 and x.dtype in dtypes.FLOATS else None


def whole_power(x: TensorVariable, n: int) -> TensorVariable:
    """x**n for n >= 2 by repeated squaring."""
    if n % 2:
        return x if n == 1 else whole_power(x, n - 1) * x
    half = whole_power(x, n // 2)
    return square(half)


# --- multiples -----------------------------------------------------------------------------------------------------


@canonicalize.node_rule(add)
def multiple_with_itself_is_twice_the_multiple(graph: FunctionGraph, node: Apply) -> TensorVariable | None:
    """c * x + c * x -> 2c * x, and c * x * y + c * x * y -> 2c * x * y, for floats: so are squares differentiated.

    Exact but where c * x is subnormal, and then closer.  The second holds for constants from -1/2 to 1/2: with a larger
    one, 2c * x may overflow where c * x * y does not.
    """
    x, same = node.inputs
    return _twice(x, math.inf) if x is same and x.dtype in dtypes.FLOATS and x.dtype == node.out.dtype else None


def _twice(x: Variable, most: float) -> TensorVariable | None:
    """2x, where x is a product with a constant that is no larger than ``most`` / 2."""
    if x.owner is None or x.owner.op != multiply:
        return None
    for position, factor in enumerate(x.owner.inputs):
        other = x.owner.inputs[1 - position]
        if isinstance(factor, Constant) and not factor.type.ndim and factor.dtype == x.dtype == other.dtype:
            with np.errstate(over="ignore"):
                double = 2 * factor.data
            return constant(double) * other if np.isfinite(double) and np.abs(double) <= most else None
        inner = _twice(factor, 1.0) if factor.dtype == x.dtype else None
        if inner is not None:
            return inner * other
    return None


# --- division ------------------------------------------------------------------------------------------------------


@canonicalize.rule(reciprocal(XF))
def reciprocal_is_quotient(x):
    """reciprocal(x) -> 1 / x.  Exact."""
    return 1 / x


@specialize.rule(XF / Y.such_that(lambda y: isinstance(y, Constant) and _is_power_of_two(y.data)))
def divided_by_power_of_two_is_times(x, y):
    """x / 2**k -> x * 2**-k, where both are normal numbers.  Exact: either way x is scaled and rounded once."""
    return x * constant(1 / y.data)


def _is_power_of_two(value: np.ndarray) -> bool:
    if value.ndim or value.dtype.name not in dtypes.FLOATS or not np.isfinite(value) or value == 0:
        return False
    limits = np.finfo(value.dtype)
    fits = limits.smallest_normal <= np.abs(value) <= 1 / limits.smallest_normal
    return bool(fits and np.abs(np.frexp(value)[0]) == 0.5)


# --- conversions ---------------------------------------------------------------------------------------------------


@canonicalize.node_rule(Cast)
def useless_cast_is_dropped(graph: FunctionGraph, node: Apply) -> Variable | None:
    """x.astype(x.dtype) -> x.  Exact."""
    return node.inputs[0] if node.inputs[0].type.dtype == node.op.dtype else None


@canonicalize.node_rule(Cast)
def cast_of_lossless_cast_is_one_cast(graph: FunctionGraph, node: Apply) -> Variable | None:
    """x.astype(a).astype(b) -> x.astype(b), where a holds each value of x.  Exact."""
    inner = node.inputs[0].owner
    if inner is None or not isinstance(inner.op, Cast):
        return None
    (x,) = inner.inputs
    source, between, target = x.type.dtype, inner.op.dtype, node.op.dtype
    through_float = between in dtypes.CONTINUOUS and target in dtypes.INTEGERS  # -1.0 has no value as uint8, -1 has
    if not is_lossless(source, between) or (source in dtypes.DISCRETE and through_float and target != source):
        return None
    return cast(x, target)


_DIGITS = {"float16": 11, "float32": 24, "float64": 53, "complex64": 24, "complex128": 53}


def is_lossless(source: str, target: str) -> bool:
    """Whether each value of dtype ``source`` is one of ``target``: NumPy's safe casts, without int64 to float64."""
    if not np.can_cast(source, target, "safe"):
        return False
    if source in dtypes.INTEGERS and target in _DIGITS:
        return 8 * dtypes.size_bytes(source) - (not source.startswith("u")) <= _DIGITS[target]
    return True


@canonicalize.node_rule(positive, tensor_copy, real, conj)
def useless_copy_is_dropped(graph: FunctionGraph, node: Apply) -> Variable | None:
    """+x, copies, and for real x its real part and conjugate -> x.  Exact."""
    (x,) = node.inputs
    keeps = node.op in (positive, tensor_copy) or x.type.dtype not in dtypes.COMPLEXES
    return x if keeps and x.type.dtype == node.out.dtype else None


# --- choices and fills ---------------------------------------------------------------------------------------------


@canonicalize.node_rule(where)
def where_between_equals_or_of_a_constant_is_its_value(graph: FunctionGraph, node: Apply) -> Variable | None:
    """where(c, x, x) -> x;  where(True, x, y) -> x;  where(False, x, y) -> y; at the shape of all.  Exact."""
    condition, a, b = node.inputs
    if a is b:
        chosen = a
    elif isinstance(condition, Constant) and one_value(condition) is not None:
        chosen = a if one_value(condition) else b
    else:
        return None
    chosen = cast(chosen, node.out.dtype)
    for other in (condition, a, b):
        if not covers(graph, [chosen], node.out):
            chosen = second(other, chosen)
    return chosen


@canonicalize.node_rule(second)
def useless_fill_is_dropped(graph: FunctionGraph, node: Apply) -> Variable | None:
    """second(like, x) -> x, where x has the shape of both together.  Exact."""
    x = node.inputs[1]
    return x if covers(graph, [x], node.out) else None


@canonicalize.node_rule(second)
def fill_like_a_fill_is_like_its_shape(graph: FunctionGraph, node: Apply) -> Variable | None:
    """second(f(like), x) -> second(like, x) for an f that keeps the shape: nothing but that is read.  Exact."""
    like, x = node.inputs
    if like.owner is None or len(graph.clients[like]) > 1:  # what others read is computed anyway
        return None
    for candidate in like.owner.inputs:
        if isinstance(candidate.type, TensorType) and same_lengths(graph, candidate, like):
            return second(candidate, x)
    return None


@canonicalize.node_rule(Elementwise, reads=(second, Alloc))
def fill_that_others_cover_is_dropped(graph: FunctionGraph, node: Apply) -> Variable | None:
    """op(second(like, x), y) -> op(x, y), where the other inputs give the shape; so for broadcast_to(x, n).  Exact."""
    if node.op == second:
        return None
    for position, filled in enumerate(node.inputs):
        x = _filled_with(filled)
        if x is None or x.type.dtype != filled.type.dtype:
            continue
        inputs = [*node.inputs[:position], x, *node.inputs[position + 1 :]]
        if covers(graph, inputs, node.out):
            return node.op(*inputs)
    return None


def _filled_with(x: Variable) -> Variable | None:
    if x.owner is None:
        return None
    return x.owner.inputs[1] if x.owner.op == second else x.owner.inputs[0] if isinstance(x.owner.op, Alloc) else None


@canonicalize.rule(negative(second(X, Y)))
def negative_of_fill_is_fill_of_negative(x, y):
    """-second(x, y) -> second(x, -y).  Exact, and y is often a scalar."""
    return second(x, -y)
