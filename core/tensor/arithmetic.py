"""Arithmetic, rounding, extremes, bits, and conversion between dtypes.

Result dtypes are NumPy's for every combination.  A derivative that is 0 almost everywhere (floor, sign) is 0.
"""

from __future__ import annotations

from typing import Any

from core import dtypes
from core.errors import ArgumentError
from core.ir.codes import Code
from core.ir.expr import Call, Expr, arith, select
from core.ir.expr import cast as convert
from core.ir.expr import divide as quotient
from core.ir.expr import equal as is_equal
from core.ir.expr import maximum as larger
from core.ir.expr import minimum as smaller
from core.ir.expr import not_equal as differs
from core.tensor.elementwise import Elementwise, elementwise, second
from core.tensor.kinds import NUMBERS, brought, need, need_reals, promoted, widened
from core.tensor.logic import equal, isnan, logical_xor, signbit, where
from core.tensor.type import TensorVariable, as_tensor

__all__ = [
    *("add", "subtract", "multiply", "true_divide", "floor_divide", "mod", "fmod", "negative", "positive", "divmod"),
    *("divide", "remainder", "sub", "mul", "true_div", "int_div", "floor_div", "neg"),
    *("abs", "absolute", "sign", "sgn", "square", "sqr", "sqrt", "cbrt", "reciprocal", "copysign"),
    *("maximum", "minimum", "fmax", "fmin", "clip"),
    *("rint", "round", "floor", "ceil", "trunc"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "bitwise_not", "left_shift", "right_shift"),
    *("and_", "or_", "xor"),
    *("real", "imag", "conj", "conjugate", "angle", "tensor_copy", "cast", "Cast"),
]


def _flat(d: TensorVariable, *inputs: Any) -> list[TensorVariable]:
    """A step function: its derivative is 0 wherever it has one."""
    return [second(d, 0) for _ in inputs]


# --- the four operations and their kin -----------------------------------------------------------------------------


@elementwise(differential=lambda d, x, y: [d, d])
def add(x, y):
    """x + y; of two bool, ``or``."""
    return arith(Code.ADD, x, y)


@elementwise(differential=lambda d, x, y: [d, -d])
def subtract(x, y):
    """x - y.  Errors: DTypeError for two bool."""
    need(NUMBERS, "at least one operand that is not bool (use bitwise_xor, or cast)", "subtract", x, y)
    return arith(Code.SUB, x, y)


@elementwise(derivative=lambda x, y: [y, x])
def multiply(x, y):
    """x * y; of two bool, ``and``."""
    return arith(Code.MUL, x, y)


@elementwise(differential=lambda d, x, y: [d / y, -(d / y) * (x / y)])
def true_divide(x, y):
    """x / y; integers are divided as float64."""
    return quotient(x, y)


@elementwise(differential=_flat)
def floor_divide(x, y):
    """The largest whole number not above x / y; an integer divided by 0 gives 0.  Errors: DTypeError for complex."""
    need_reals("floor_divide", x, y)
    return arith(Code.FLOORDIV, *widened(x, y))


@elementwise(differential=lambda d, x, y: [d, -d * floor_divide(x, y)])
def mod(x, y):
    """x - y floor(x / y), with the sign of y; 0 for integers and y = 0.  Errors: DTypeError for complex."""
    need_reals("mod", x, y)
    return arith(Code.MOD, *widened(x, y))


@elementwise(differential=lambda d, x, y: [d, -d * trunc(x / y)])
def fmod(x, y):
    """x - y trunc(x / y), with the sign of x (C99 7.12.10.1); 0 for integers and y = 0.

    Errors: DTypeError for complex.
    """
    dtype = need_reals("fmod", x, y)
    if dtype in dtypes.FLOATS:
        return Call("fmod", brought(x, dtype), brought(y, dtype))
    x, y = (brought(operand, promoted(*widened(x, y))) for operand in (x, y))
    floored = x % y
    return select(differs(floored, 0) & ((x < 0) ^ (y < 0)), floored - y, floored)


@elementwise(differential=lambda d, x: [-d])
def negative(x):
    """-x; unsigned integers wrap.  Errors: DTypeError for bool."""
    need(NUMBERS, "an operand that is not bool (use logical_not)", "negative", x)
    return -x


@elementwise(differential=lambda d, x: [d])
def positive(x):
    """+x.  Errors: DTypeError for bool."""
    need(NUMBERS, "an operand that is not bool", "positive", x)
    return x


def divmod(x: Any, y: Any) -> tuple[TensorVariable, TensorVariable]:
    """The pair (x // y, x % y)."""
    return floor_divide(x, y), mod(x, y)


divide, remainder, sub, mul, true_div, neg = true_divide, mod, subtract, multiply, true_divide, negative
int_div = floor_div = floor_divide


# --- sign, powers --------------------------------------------------------------------------------------------------


def _magnitude_changes(d: TensorVariable, x: TensorVariable) -> list[TensorVariable]:
    """d|x| = sign(x) dx, and Re(conj(sign(z)) dz); 0 is taken at 0, where there is no derivative."""
    return [d * conj(sign(x)) if x.dtype in dtypes.COMPLEXES else d * sign(x)]


@elementwise(differential=_magnitude_changes, tangent=lambda d, x: [real(d * conj(sign(x)))])
def abs(x):
    """|x|, real for complex x.  The smallest signed integer wraps to itself."""
    if x.dtype in dtypes.COMPLEXES:
        return Call("cabs", x)
    if x.dtype in dtypes.FLOATS:
        return Call("fabs", x)
    return x if x.dtype == "bool" or x.dtype.startswith("u") else select(x < 0, -x, x)


def _direction_changes(d: TensorVariable, x: TensorVariable) -> list[TensorVariable]:
    """Only a turn of z moves s = z / |z|: by i s Im(conj(s) dz) / |z|, of which this is the transpose; 0 at 0."""
    if x.dtype not in dtypes.COMPLEXES:
        return _flat(d, x)
    s = sign(x)
    return [1j * imag(d * s) * conj(s) / _not_zero(abs(x))]


def _direction_tangent(d: TensorVariable, x: TensorVariable) -> list[TensorVariable]:
    if x.dtype not in dtypes.COMPLEXES:
        return _flat(d, x)
    s = sign(x)
    return [1j * imag(d * conj(s)) * s / _not_zero(abs(x))]


def _not_zero(x: TensorVariable) -> TensorVariable:
    """x, and 1 where that is 0."""
    return where(equal(x, 0), 1, x)


@elementwise(differential=_direction_changes, tangent=_direction_tangent)
def sign(x):
    """-1, 0 or 1; NaN for NaN; x / |x| for complex x.  Errors: DTypeError for bool."""
    dtype = need(NUMBERS, "an operand that is not bool", "sign", x)
    if dtype in dtypes.INTEGERS:
        return convert(x > 0, dtype) - convert(x < 0, dtype)
    if dtype in dtypes.COMPLEXES:
        return select(is_equal(x, 0), 0, x / Call("cabs", x))
    return select(x > 0, 1, select(x < 0, -1, select(is_equal(x, 0), 0, x)))


@elementwise(derivative=lambda x: [2 * x])
def square(x):
    """x * x."""
    (x,) = widened(x)
    return x * x


@elementwise(differential=lambda d, x: [d / (2 * sqrt(x))])
def sqrt(x):
    """The square root; NaN below 0.  Correctly rounded."""
    return Call("sqrt", x)


@elementwise(differential=lambda d, x: [d / (3 * square(cbrt(x)))])
def cbrt(x):
    """The real cube root, negative for negative x.  Errors: DTypeError for complex."""
    need_reals("cbrt", x)
    return Call("cbrt", x)


@elementwise(differential=lambda d, x: [-d * square(reciprocal(x))])
def reciprocal(x):
    """1 / x; for integers its whole part, and 0 for 0."""
    (x,) = widened(x)
    if x.dtype in dtypes.CONTINUOUS:
        return 1 / x
    unit = is_equal(x, 1) if x.dtype.startswith("u") else is_equal(x, 1) | is_equal(x, -1)
    return select(unit, x, 0)


@elementwise(differential=lambda d, x, y: [where(logical_xor(signbit(x), signbit(y)), -d, d), second(d, 0)])
def copysign(x, y):
    """|x| with the sign bit of y.  Errors: DTypeError for complex."""
    need_reals("copysign", x, y)
    return Call("copysign", x, y)


absolute, sgn, sqr = abs, sign, square


# --- extremes ------------------------------------------------------------------------------------------------------


@elementwise(differential=lambda d, x, y: [where(x >= y, d, 0), where(x >= y, 0, d)])
def maximum(x, y):
    """The larger; NaN if either is.  Where both are equal the gradient goes to x."""
    return larger(x, y)


@elementwise(differential=lambda d, x, y: [where(x <= y, d, 0), where(x <= y, 0, d)])
def minimum(x, y):
    """The smaller; NaN if either is.  Where both are equal the gradient goes to x."""
    return smaller(x, y)


@elementwise(differential=lambda d, x, y: [where((x >= y) | isnan(y), d, 0), where((x >= y) | isnan(y), 0, d)])
def fmax(x, y):
    """The larger; where one is NaN, the other."""
    x, y = _both(x, y)
    return select((x >= y) | differs(y, y), x, y)


@elementwise(differential=lambda d, x, y: [where((x <= y) | isnan(y), d, 0), where((x <= y) | isnan(y), 0, d)])
def fmin(x, y):
    """The smaller; where one is NaN, the other."""
    x, y = _both(x, y)
    return select((x <= y) | differs(y, y), x, y)


def _both(*operands: Any) -> list[Expr]:
    dtype = promoted(*operands)
    return [brought(x, dtype) for x in operands]


def _clip_changes(d: TensorVariable, x: Any, lo: Any, hi: Any) -> list[TensorVariable]:
    """A change passes through the one of the three that is the result."""
    above = maximum(x, lo) > hi
    below = x < lo
    return [where(above | below, 0, d), where(below & ~above, d, 0), where(above, d, 0)]


class Clip(Elementwise):
    """The elementwise op ``clip``, of which a call may leave out a bound, or name it as NumPy does."""

    def __call__(self, x: Any, lo: Any = None, hi: Any = None, **named: Any) -> Any:
        """``lo`` and ``hi``, or ``min=`` and ``max=``, or ``a_min=`` and ``a_max=``; None is no bound."""
        for low, high in (("min", "max"), ("a_min", "a_max")):
            lo = named.pop(low, None) if lo is None else lo
            hi = named.pop(high, None) if hi is None else hi
        if lo is not None and hi is not None:
            return super().__call__(x, lo, hi, **named)
        x = as_tensor(x) if lo is None else maximum(x, lo, **named)
        return x if hi is None else minimum(x, hi, **named)


@elementwise(differential=_clip_changes, kind=Clip)
def clip(x, lo, hi):
    """x brought into lo <= x <= hi, as minimum(maximum(x, lo), hi): ``hi`` where lo > hi, NaN if any is."""
    return smaller(larger(x, lo), hi)


# --- rounding ------------------------------------------------------------------------------------------------------


@elementwise(differential=_flat)
def rint(x):
    """The nearest whole number, ties to even; in floating point."""
    return Call("rint", x)


def round(x: Any, decimals: int = 0) -> TensorVariable:
    """x rounded to ``decimals`` decimals, ties to even.  Integers stay integers and are rounded where decimals < 0.

    As in NumPy the decimals are had by scaling, so the last bit may differ from correct rounding.
    """
    if isinstance(decimals, bool) or not hasattr(decimals, "__index__"):
        raise ArgumentError(f"round needs an int as decimals, got {decimals!r} of type {type(decimals).__name__}")
    x, scale = as_tensor(x), 10.0 ** max(decimals, -decimals)
    if getattr(x, "dtype", None) in dtypes.INTEGERS:
        return x if decimals >= 0 else cast(rint(x / scale) * scale, x.dtype)
    if decimals == 0:
        return rint(x)
    return rint(x * scale) / scale if decimals > 0 else rint(x / scale) * scale


def _to_whole(function: str, x: Expr) -> Expr:
    need_reals(function, x)
    return Call(function, x) if x.dtype in dtypes.FLOATS else x


@elementwise(differential=_flat)
def floor(x):
    """The largest whole number not above x, in the dtype of x.  Errors: DTypeError for complex."""
    return _to_whole("floor", x)


@elementwise(differential=_flat)
def ceil(x):
    """The smallest whole number not below x, in the dtype of x.  Errors: DTypeError for complex."""
    return _to_whole("ceil", x)


@elementwise(differential=_flat)
def trunc(x):
    """x without its fraction, in the dtype of x.  Errors: DTypeError for complex."""
    return _to_whole("trunc", x)


# --- bits ----------------------------------------------------------------------------------------------------------


def _bits(code: Code, who: str, *operands: Any) -> Expr:
    need(dtypes.DISCRETE, "bool or integers of one common integer dtype", who, *operands)
    return arith(code, *operands)


@elementwise
def bitwise_and(x, y):
    """x & y.  Errors: DTypeError unless bool or integer."""
    return _bits(Code.AND, "bitwise_and", x, y)


@elementwise
def bitwise_or(x, y):
    """x | y.  Errors: DTypeError unless bool or integer."""
    return _bits(Code.OR, "bitwise_or", x, y)


@elementwise
def bitwise_xor(x, y):
    """x ^ y.  Errors: DTypeError unless bool or integer."""
    return _bits(Code.XOR, "bitwise_xor", x, y)


@elementwise
def invert(x):
    """Every bit turned; of a bool, ``not``.  Errors: DTypeError unless bool or integer."""
    need(dtypes.DISCRETE, "bool or integers", "invert", x)
    return ~x


@elementwise
def left_shift(x, y):
    """x * 2**y; 0 where y is not below the number of bits.  Errors: DTypeError unless bool or integer."""
    return _bits(Code.SHL, "left_shift", *widened(x, y))


@elementwise
def right_shift(x, y):
    """floor(x / 2**y).  Errors: DTypeError unless bool or integer."""
    return _bits(Code.SHR, "right_shift", *widened(x, y))


bitwise_not, and_, or_, xor = invert, bitwise_and, bitwise_or, bitwise_xor


# --- complex numbers -----------------------------------------------------------------------------------------------


def _part(function: str, x: Expr) -> Expr:
    return Call(function, x) if x.dtype in dtypes.COMPLEXES else x


@elementwise(differential=lambda d, x: [real(d)])
def real(x):
    """The real part; x itself if it is real."""
    return _part("creal", x)


@elementwise(
    differential=lambda d, x: [-1j * d if x.dtype in dtypes.COMPLEXES else second(d, 0)],  # g dy = Re(-i g dz)
    tangent=lambda d, x: [imag(d)],
)
def imag(x):
    """The imaginary part; 0 if x is real."""
    return Call("cimag", x) if x.dtype in dtypes.COMPLEXES else brought(0, x.dtype)


@elementwise(differential=lambda d, x: [conj(d)])
def conj(x):
    """The complex conjugate; x itself if it is real."""
    (x,) = widened(x)
    return _part("conj", x)


@elementwise(  # Im(dz / z); 0 is taken at 0, where there is no derivative
    differential=lambda d, x: [-1j * d / _not_zero(x) if x.dtype in dtypes.COMPLEXES else second(d, 0)],
    tangent=lambda d, x: [imag(d / _not_zero(x)) if x.dtype in dtypes.COMPLEXES else second(d, 0)],
)
def angle(x):
    """The argument, in radians, -pi <= angle <= pi; 0 or pi for a real number."""
    if x.dtype in dtypes.COMPLEXES:
        return Call("carg", x)
    return Call("atan2", 0, brought(x, promoted(x, 0)))


conjugate = conj


# --- copies and conversion -----------------------------------------------------------------------------------------


@elementwise(differential=lambda d, x: [d])
def tensor_copy(x):
    """x itself, as a value of its own."""
    return x


class Cast(Elementwise):
    """Conversion to ``dtype`` as NumPy's astype does it: floats truncate to integers, the imaginary part is dropped.

    Linear, so a gradient is cast back, and a tangent forth; there is none through a discrete dtype.
    """

    __props__ = ("dtype",)  # type: ignore[assignment]

    def __init__(self, dtype: Any):
        self.dtype = dtypes.canonical(dtype)

        def rule(x):
            return convert(x, self.dtype)

        super().__init__(rule, None, lambda d, x: [cast(d, self.dtype)])

    def __str__(self) -> str:
        return f"Cast({self.dtype})"

    __repr__ = __str__

    def __reduce__(self) -> tuple:
        return Cast, (self.dtype,)


def cast(x: Any, dtype: Any) -> TensorVariable:
    """``x`` in another dtype; x itself if it has that dtype already.  Errors: DTypeError for an unknown dtype."""
    x, op = as_tensor(x), Cast(dtype)
    return x if getattr(x, "dtype", None) == op.dtype else op(x)
