"""Numbers taken apart: exponents and fractions, neighbours, common divisors, counted bits."""

from __future__ import annotations

import math
from typing import Any

from core import dtypes
from core.errors import DTypeError
from core.ir.expr import Call, Expr, cast, const, equal, maximum, minimum, select
from core.ir.function import FunctionBuilder, scalar_function
from core.tensor.arithmetic import abs as magnitude
from core.tensor.arithmetic import cast as cast_to
from core.tensor.arithmetic import trunc
from core.tensor.elementwise import elementwise
from core.tensor.functions import power
from core.tensor.kinds import brought, floated, need, need_reals, promoted
from core.tensor.type import TensorVariable, as_operands, as_tensor

__all__ = [
    *("bitwise_count", "fabs", "fix", "float_power", "frexp", "gcd", "heaviside", "lcm", "ldexp", "modf", "nextafter"),
    "spacing",
]

_POWERS = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)


def _scaled(x: Expr) -> tuple[Expr, Expr]:
    """x as m 2**e, 1/2 <= abs(m) < 1, by products with powers of two, which are exact; itself and 0 if not finite."""
    plain = Call("isfinite", x) & ~equal(x, 0)
    m, e = select(plain, x, 0.5), const(0, "int32")
    least, digits, largest = (-1022, 54, 1024) if x.dtype == "float64" else (-126, 25, 128)

    def step(moves: Expr, by: int) -> None:
        nonlocal m, e
        m, e = select(moves, m * 2.0**by, m), select(moves, e - by, e)

    step(Call("fabs", m) < 2.0**least, digits)
    for p in (p for p in _POWERS if p < largest):
        step(Call("fabs", m) >= 2.0**p, -p)
    step(Call("fabs", m) >= 1, -1)
    for p in (p for p in _POWERS if p < largest):
        step(Call("fabs", m) < 2.0**-p, p)
    return select(plain, m, x), select(plain, e, 0)


@elementwise(differential=lambda d, x: [ldexp(d, -frexp_exponent(x))])
def frexp_mantissa(x):
    """m of x = m 2**e, 1/2 <= abs(m) < 1; x itself for 0, infinities and NaN."""
    need_reals("frexp", x)
    return _scaled(floated(x))[0]


@elementwise
def frexp_exponent(x):
    """e of x = m 2**e, 1/2 <= abs(m) < 1, int32; 0 for 0, infinities and NaN."""
    need_reals("frexp", x)
    return _scaled(floated(x))[1]


def frexp(x: Any) -> tuple[TensorVariable, TensorVariable]:
    """m and e, int32, of x = m 2**e with 1/2 <= abs(m) < 1; x and 0 for 0, infinities and NaN."""
    return frexp_mantissa(x), frexp_exponent(x)


def _power_of_two(i: Expr, dtype: str) -> Expr:
    """2**i for i from -1021 to 1023 (-125 to 127 of float32), exactly."""
    size, out = select(i < 0, -i, i), const(1.0, dtype)
    for p in reversed(_POWERS):
        if p < (1024 if dtype == "float64" else 128):
            out = out * select(equal((size // p) % 2, 1), const(2.0**p, dtype), const(1.0, dtype))
    return select(i < 0, 1 / out, out)


def ldexp(x: Any, i: Any) -> TensorVariable:
    """x 2**i, rounded once.  Errors: DTypeError unless ``i`` has an integer dtype."""
    return times_power_of_two(as_tensor(x), as_tensor(i))


@elementwise(differential=lambda d, x, i: [ldexp(d, i), None])
def times_power_of_two(x, i):
    """As ldexp, of tensors: a number is an operand as strong as a tensor."""
    need_reals("ldexp", x)
    need(dtypes.DISCRETE, "integers as exponents", "ldexp", i)
    x = floated(x)
    wide = cast(x, "float32") if x.dtype == "float16" else x
    least, most = (-1021, 1023) if wide.dtype == "float64" else (-125, 127)
    m, e = _scaled(wide)
    exponent = maximum(minimum(brought(i, "int64"), 5000), -5000) + cast(e, "int64")
    normal = maximum(minimum(exponent, most), least)  # so far nothing is rounded
    half = normal // 2
    out = m * _power_of_two(half, wide.dtype) * _power_of_two(normal - half, wide.dtype)
    out = out * _power_of_two(maximum(minimum(exponent - normal, 100), -100), wide.dtype)
    return cast(select(Call("isfinite", wide) & ~equal(wide, 0), out, wide), x.dtype)


def modf(x: Any) -> tuple[TensorVariable, TensorVariable]:
    """The fraction and the whole part of x, both with its sign."""
    return fraction(x), trunc(x if not isinstance(x, int) else float(x))


@elementwise(derivative=lambda x: [1])
def fraction(x):
    """x - trunc(x) with the sign of x; 0 for infinities."""
    need_reals("modf", x)
    x = floated(x)
    return Call("copysign", select(Call("isinf", x), 0, x - Call("trunc", x)), x)


@elementwise(differential=lambda d, x, y: [d, None])
def nextafter(x, y):
    """The float next to x in the direction of y.  float32, float64.  Errors: DTypeError for complex."""
    need_reals("nextafter", x, y)
    return Call("nextafter", *floated(x, y))


@elementwise(derivative=lambda x: [None])
def spacing(x):
    """The distance from x to the next float away from 0, with the sign of x; NaN for infinities."""
    need_reals("spacing", x)
    x = floated(x)
    step = Call("nextafter", x, Call("copysign", math.inf + 0 * select(Call("isfinite", x), x, 0), x)) - x
    return select(Call("isinf", x), math.nan, step)


@elementwise(differential=lambda d, x, h: [None, d * heaviside_at_zero(x)])
def heaviside(x, h):
    """0 where x < 0, 1 where x > 0, ``h`` where x = 0; NaN stays."""
    need_reals("heaviside", x, h)
    x, h = floated(x, h)
    return select(equal(x, 0), h, select(x < 0, 0, select(x > 0, const(1, x.dtype), x)))


@elementwise
def heaviside_at_zero(x):
    """Whether x is 0."""
    return equal(x, 0)


def float_power(x: Any, y: Any) -> TensorVariable:
    """x ** y in float64, or complex128 for complex numbers: whole numbers have negative powers, too."""
    x, y = as_operands(x, y)
    kind = "complex128" if {x.dtype, y.dtype} & set(dtypes.COMPLEXES) else "float64"
    return power(cast_to(x, kind), cast_to(y, kind))


def fabs(x: Any) -> TensorVariable:
    """The absolute value, of integers as a float.  Errors: DTypeError for complex."""
    (x,) = as_operands(x)
    if x.dtype in dtypes.COMPLEXES:
        raise DTypeError(f"fabs needs real operands, got {x} of dtype {x.dtype}", blame=x)
    return magnitude(cast_to(x, dtypes.float_of(x.dtype)))


fix = trunc


@scalar_function
def _euclid(f: FunctionBuilder, a: Any, b: Any) -> Any:
    left, right = f.local(a.dtype, select(a < 0, -a, a)), f.local(a.dtype, select(b < 0, -b, b))
    with f.loop(128):  # of 64 bits, Fibonacci numbers take 92
        f.stop(equal(right.value, 0))
        rest = f.let(left.value % right.value)
        left.set(right.value)
        right.set(rest)
    return left


@elementwise(derivative=lambda a, b: [None, None])
def gcd(a, b):
    """The greatest common divisor, >= 0.  Errors: DTypeError for what is no integer."""
    dtype = need(dtypes.INTEGERS, "integers", "gcd", a, b)
    return _euclid(brought(a, dtype), brought(b, dtype))


@elementwise(derivative=lambda a, b: [None, None])
def lcm(a, b):
    """The least common multiple, >= 0; 0 if either is.  Errors: DTypeError for what is no integer."""
    dtype = need(dtypes.INTEGERS, "integers", "lcm", a, b)
    a, b = brought(a, dtype), brought(b, dtype)
    share = a // _euclid(a, b) * b
    return select(share < 0, -share, share)


@elementwise(derivative=lambda x: [None])
def bitwise_count(x):
    """How many bits of abs(x) are 1; uint8.  Errors: DTypeError for what is no integer."""
    need(dtypes.INTEGERS, "integers", "bitwise_count", x)
    size = 8 * dtypes.size_bytes(promoted(x))
    x = cast(select(x < 0, -x, x), "uint64") & ((1 << size) - 1)
    for shift, mask in ((1, 0x5555555555555555), (2, 0x3333333333333333), (4, 0x0F0F0F0F0F0F0F0F)):
        x = (x & mask) + ((x >> shift) & mask)
    for shift in (8, 16, 32):
        x = x + (x >> shift)
    return cast(x & 127, "uint8")
