"""Functions of analysis: powers, logarithms, trigonometry, the error and gamma functions, stable compositions.

Integers are computed in the float that NumPy chooses (int8 in float16, int16 in float32, int32 in float64).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from core import dtypes
from core.errors import DTypeError
from core.graph import Apply
from core.ir.axes import wrap_index
from core.ir.codes import Code
from core.ir.expr import Call, Expr, arith, const, select
from core.ir.expr import cast as convert
from core.ir.expr import equal as is_equal
from core.ir.expr import maximum as larger
from core.ir.view import View, broadcast_shapes, broadcast_to
from core.tensor.arithmetic import sqrt, square
from core.tensor.elementwise import Elementwise, elementwise, second
from core.tensor.kinds import floated, need_reals, widened
from core.tensor.logic import equal, where
from core.tensor.type import TensorConstant

__all__ = [
    *("power", "pow", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p"),
    *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2"),
    *("sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
    *("asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh"),
    *("hypot", "deg2rad", "rad2deg", "radians", "degrees", "sinc"),
    *("erf", "erfc", "gamma", "gammaln", "psi", "digamma", "tri_gamma"),
    *("sigmoid", "expit", "logit", "softplus", "log1pexp", "log1mexp", "logaddexp", "logaddexp2", "xlogy", "xlog1py"),
    *("relu", "silu", "gelu"),
]

_LN2 = math.log(2)


# --- powers, exponentials, logarithms ------------------------------------------------------------------------------


def _power_changes(d: Any, x: Any, y: Any) -> list[Any]:
    """y x**(y-1) and x**y log(x).  Where x = 0 the second is taken as 0; where y = 0 the first is 0, also at x = 0."""
    at_zero = equal(x, 0)
    logarithm = log(where(at_zero, 1, x.astype(d.dtype) if d.dtype in dtypes.COMPLEXES else x))
    return [d * _power_slope(x, y), d * where(at_zero, 0, power(x, y) * logarithm)]


def _power_slope(x: Any, y: Any) -> Any:
    if not (isinstance(y, TensorConstant) and y.ndim == 0):
        return where(equal(y, 0), 0, y * power(x, y - 1))
    if y.data == 0:
        return second(x, y)
    return y * x if y.data == 2 else y * power(x, y.data - y.data.dtype.type(1))


def _not_negative(e: Expr, index: Sequence[Expr]) -> Expr:
    """``e``, with the demand that it is not negative: else there is an index that is 1 in an axis of length 1.

    It hangs on where the element is, so that nothing is demanded of an exponent for no elements.
    """
    bad = (e < 0) & (index[0] >= 0) if index else e < 0
    return e + convert(wrap_index(select(bad, const(1), const(0)), const(1)), e.dtype)


class Power(Elementwise):
    """``power``, which refuses a negative exponent of an integer: a constant at once, others when it runs."""

    def make_node(self, *inputs: Any) -> Apply:
        node = super().make_node(*inputs)
        x, y = node.inputs
        if node.out.dtype in dtypes.DISCRETE and isinstance(y, TensorConstant) and (y.data < 0).any():
            raise DTypeError(
                f"power of integers needs exponents >= 0, got {x} of dtype {x.dtype} ** {y}; make one of them a float",
                blame=x,
            )
        return node

    def lower(self, node: Apply, *views: View) -> View:
        """Exponents of integers are checked as indices are, and the interpreter says what is wrong with them."""
        may_be_negative = views[1].dtype in dtypes.INTEGERS and not views[1].dtype.startswith("u")
        if node.out.dtype not in dtypes.INTEGERS or not may_be_negative or isinstance(node.inputs[1], TensorConstant):
            return super().lower(node, *views)
        shape = broadcast_shapes(*(view.shape for view in views))
        x, y = (broadcast_to(view, shape) for view in views)
        return View(node.out.dtype, shape, lambda index: self.scalar(x.at(index), _not_negative(y.at(index), index)))


@elementwise(differential=_power_changes, kind=Power)
def power(x, y):
    """x ** y.  Integers stay integers, so no exponent of theirs may be negative.

    Errors: DTypeError for a constant that is; else ComputeError, also a ValueError, when it runs, on every backend.
    """
    return arith(Code.POW, *widened(x, y))


@elementwise(derivative=lambda x: [exp(x)])
def exp(x):
    """e ** x."""
    return Call("exp", x)


@elementwise(derivative=lambda x: [exp2(x) * _LN2])
def exp2(x):
    """2 ** x."""
    return Call("exp2", x)


@elementwise(derivative=lambda x: [exp(x)])
def expm1(x):
    """exp(x) - 1, accurate for small x."""
    return Call("expm1", x)


@elementwise(differential=lambda d, x: [d / x])
def log(x):
    """The natural logarithm; -inf at 0, NaN below."""
    return Call("log", x)


@elementwise(differential=lambda d, x: [d / (x * _LN2)])
def log2(x):
    """The logarithm to base 2."""
    return Call("log2", x)


@elementwise(differential=lambda d, x: [d / (x * math.log(10))])
def log10(x):
    """The logarithm to base 10."""
    return Call("log10", x)


@elementwise(differential=lambda d, x: [d / (1 + x)])
def log1p(x):
    """log(1 + x), accurate for small x; -inf at -1, NaN below."""
    return Call("log1p", x)


pow = power


# --- trigonometry --------------------------------------------------------------------------------------------------


@elementwise(derivative=lambda x: [cos(x)])
def sin(x):
    """The sine of x radians; NaN at infinities."""
    return Call("sin", x)


@elementwise(derivative=lambda x: [-sin(x)])
def cos(x):
    """The cosine of x radians; NaN at infinities."""
    return Call("cos", x)


@elementwise(derivative=lambda x: [1 + square(tan(x))])
def tan(x):
    """The tangent of x radians; NaN at infinities."""
    return Call("tan", x)


@elementwise(differential=lambda d, x: [d / sqrt(1 - square(x))])
def arcsin(x):
    """The angle in [-pi/2, pi/2] whose sine is x; NaN outside [-1, 1]."""
    return Call("asin", x)


@elementwise(differential=lambda d, x: [-d / sqrt(1 - square(x))])
def arccos(x):
    """The angle in [0, pi] whose cosine is x; NaN outside [-1, 1]."""
    return Call("acos", x)


@elementwise(differential=lambda d, x: [d / (1 + square(x))])
def arctan(x):
    """The angle in [-pi/2, pi/2] whose tangent is x."""
    return Call("atan", x)


def _angle_changes(d: Any, y: Any, x: Any) -> list[Any]:
    """The turn of a point (x, y): (x dy - y dx) / (x^2 + y^2)."""
    length2 = square(x) + square(y)
    return [d * (x / length2), -d * (y / length2)]


@elementwise(differential=_angle_changes)
def arctan2(y, x):
    """The angle in [-pi, pi] of the point (x, y); signed zeros as in C99 F.10.1.4.  Errors: DTypeError for complex."""
    need_reals("arctan2", y, x)
    return Call("atan2", y, x)


@elementwise(derivative=lambda x: [cosh(x)])
def sinh(x):
    """The hyperbolic sine."""
    return Call("sinh", x)


@elementwise(derivative=lambda x: [sinh(x)])
def cosh(x):
    """The hyperbolic cosine."""
    return Call("cosh", x)


@elementwise(derivative=lambda x: [1 - square(tanh(x))])
def tanh(x):
    """The hyperbolic tangent."""
    return Call("tanh", x)


@elementwise(differential=lambda d, x: [d / sqrt(1 + square(x))])
def arcsinh(x):
    """The inverse of sinh."""
    return Call("asinh", x)


@elementwise(differential=lambda d, x: [d / (sqrt(x - 1) * sqrt(x + 1))])
def arccosh(x):
    """The inverse of cosh, >= 0; NaN below 1."""
    return Call("acosh", x)


@elementwise(differential=lambda d, x: [d / (1 - square(x))])
def arctanh(x):
    """The inverse of tanh; infinite at -1 and 1, NaN beyond."""
    return Call("atanh", x)


def _hypot_changes(d: Any, x: Any, y: Any) -> list[Any]:
    """(x dx + y dy) / hypot(x, y); 0 is taken at the origin, where there is no derivative."""
    length = hypot(x, y)
    inverse = d / where(equal(length, 0), 1, length)
    return [x * inverse, y * inverse]


@elementwise(differential=_hypot_changes)
def hypot(x, y):
    """sqrt(x^2 + y^2) without overflow on the way; inf if either is, even beside NaN (C99 F.10.4.3)."""
    need_reals("hypot", x, y)
    return Call("hypot", x, y)


@elementwise(differential=lambda d, x: [d * (math.pi / 180)])
def deg2rad(x):
    """Degrees to radians.  Errors: DTypeError for complex."""
    need_reals("deg2rad", x)
    return floated(x) * (math.pi / 180)


@elementwise(differential=lambda d, x: [d * (180 / math.pi)])
def rad2deg(x):
    """Radians to degrees.  Errors: DTypeError for complex."""
    need_reals("rad2deg", x)
    return floated(x) * (180 / math.pi)


radians, degrees = deg2rad, rad2deg


def _sinc_slope(x: Any) -> Any:
    """(cos(pi x) - sinc(x)) / x; near 0, where that cancels, the first terms of its series."""
    near = square(x) < 4e-4
    z = square(math.pi * x)
    series = (-(math.pi**2) / 3) * x * (1 - z / 10 * (1 - z / 28))
    return where(near, series, (cos(math.pi * x) - sinc(x)) / where(near, 1, x))


@elementwise(derivative=lambda x: [_sinc_slope(x)])
def sinc(x):
    """sin(pi x) / (pi x), and 1 at 0."""
    angle = math.pi * floated(x)
    at_zero = is_equal(angle, 0)
    return select(at_zero, 1, Call("sin", angle) / select(at_zero, 1, angle))


# --- error and gamma functions -------------------------------------------------------------------------------------


@elementwise(derivative=lambda x: [(2 / math.sqrt(math.pi)) * exp(-square(x))])
def erf(x):
    """The error function.  Errors: DTypeError for complex."""
    need_reals("erf", x)
    return Call("erf", x)


@elementwise(derivative=lambda x: [(-2 / math.sqrt(math.pi)) * exp(-square(x))])
def erfc(x):
    """1 - erf(x), accurate for large x.  Errors: DTypeError for complex."""
    need_reals("erfc", x)
    return Call("erfc", x)


@elementwise(derivative=lambda x: [gamma(x) * psi(x)])
def gamma(x):
    """The gamma function; NaN at negative integers (C99 7.12.8.4).  Errors: DTypeError for complex."""
    need_reals("gamma", x)
    return Call("tgamma", x)


@elementwise(derivative=lambda x: [psi(x)])
def gammaln(x):
    """log |gamma(x)|; inf at 0 and at negative integers.  Errors: DTypeError for complex."""
    need_reals("gammaln", x)
    return Call("lgamma", x)


_SHIFT = 8  # steps of the recurrence, after which the asymptotic series are good to 2e-15
_PSI_SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)  # B(2k) / 2k
_TRI_GAMMA_SERIES = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)  # B(2k)


def _horner(coefficients: tuple[float, ...], z: Expr) -> Expr:
    total = coefficients[-1] + 0 * z
    for c in reversed(coefficients[:-1]):
        total = c + z * total
    return total


def _from_integer(x: Expr) -> Expr:
    """x minus the nearest integer: functions of period 1 keep their low bits, and their poles are met exactly."""
    return x - Call("rint", x)


@elementwise(derivative=lambda x: [tri_gamma(x)])
def psi(x):
    """The digamma function, derivative of gammaln; NaN at negative integers, -inf at 0, +inf at -0.

    Accuracy  a few ulp of max(1, |psi(x)|).   Errors  DTypeError for complex.
    Source    recurrence and asymptotic series of Bernardo (1976), AS 103; x <= 0 by reflection.
    """
    need_reals("psi", x)
    x = floated(x)
    reflected = x <= 0
    z = select(reflected, 1 - x, x)
    w = z + _SHIFT
    inverse = 1 / w
    steps = sum((1 / (z + k) for k in range(1, _SHIFT)), 1 / z)
    inverse2 = inverse * inverse
    value = Call("log", w) - 0.5 * inverse - inverse2 * _horner(_PSI_SERIES, inverse2) - steps
    r = select(is_equal(x, 0), x, _from_integer(x))  # keeps the sign of -0
    cotangent = math.pi / Call("tan", math.pi * r)
    pole = is_equal(r, 0) & (x < 0)
    return select(reflected, select(pole, math.nan, value - cotangent), value)


def _derivative_of_tri_gamma(x):
    """The polygamma function of order 2, -2 sum (x + k)**-3; NaN below 0."""
    from core.tensor.specials.zeta import zeta  # few programs need it

    return [-2 * zeta(3, x)]


@elementwise(derivative=_derivative_of_tri_gamma)
def tri_gamma(x):
    """The trigamma function, derivative of psi; inf at 0 and at negative integers.

    Accuracy  a few ulp.   Errors  DTypeError for complex.
    Source    recurrence and asymptotic series, Abramowitz and Stegun (1964) 6.4.6, 6.4.12; x <= 0 by reflection, 6.4.7.
    """
    need_reals("tri_gamma", x)
    x = floated(x)
    reflected = x <= 0
    z = select(reflected, 1 - x, x)
    inverse = 1 / (z + _SHIFT)
    steps = sum((1 / ((z + k) * (z + k)) for k in range(1, _SHIFT)), 1 / (z * z))
    inverse2 = inverse * inverse
    value = steps + inverse + 0.5 * inverse2 + inverse * inverse2 * _horner(_TRI_GAMMA_SERIES, inverse2)
    cosecant = math.pi / Call("sin", math.pi * _from_integer(x))
    return select(reflected, cosecant * cosecant - value, value)


digamma = psi


# --- stable compositions -------------------------------------------------------------------------------------------


@elementwise(derivative=lambda x: [sigmoid(x) * sigmoid(-x)])
def sigmoid(x):
    """1 / (1 + exp(-x)), with no overflow and with full relative accuracy in the lower tail."""
    need_reals("sigmoid", x)
    x = floated(x)
    e = Call("exp", -Call("fabs", x))
    return select(x < 0, e, 1) / (1 + e)


@elementwise(derivative=lambda x: [1 / (x * (1 - x))])
def logit(x):
    """log(x / (1 - x)), the inverse of sigmoid; NaN outside [0, 1]."""
    need_reals("logit", x)
    x = floated(x)
    return Call("log", x) - Call("log1p", -x)


@elementwise(derivative=lambda x: [sigmoid(x)])
def softplus(x):
    """log(1 + exp(x)), with no overflow: max(x, 0) + log1p(exp(-|x|))."""
    need_reals("softplus", x)
    x = floated(x)
    return larger(x, 0) + Call("log1p", Call("exp", -Call("fabs", x)))


@elementwise(derivative=lambda x: [-1 / expm1(-x)])
def log1mexp(x):
    """log(1 - exp(x)) for x <= 0, switching at -log 2 between its two accurate forms (Maechler 2012, equation 7)."""
    need_reals("log1mexp", x)
    x = floated(x)
    return select(x > -_LN2, Call("log", -Call("expm1", x)), Call("log1p", -Call("exp", x)))


def _share(x: Any, y: Any) -> Any:
    """x - y, with 0 for equal infinities."""
    return where(equal(x, y), 0, x - y)


def _added(function: str, inverse: str, of_two: float, x: Any, y: Any) -> Expr:
    """log(e**x + e**y) as max + log(1 + e**-|x - y|), which is exact at infinities."""
    need_reals(function, x, y)
    x, y = floated(x, y)
    tail = Call("log1p", Call(inverse, -Call("fabs", x - y))) * (of_two / _LN2)
    return larger(x, y) + select(is_equal(x, y), of_two, tail)


@elementwise(derivative=lambda x, y: [sigmoid(_share(x, y)), sigmoid(_share(y, x))])
def logaddexp(x, y):
    """log(exp(x) + exp(y)), with no overflow; right at infinities.  Errors: DTypeError for complex."""
    return _added("logaddexp", "exp", _LN2, x, y)


@elementwise(derivative=lambda x, y: [sigmoid(_LN2 * _share(x, y)), sigmoid(_LN2 * _share(y, x))])
def logaddexp2(x, y):
    """log2(2**x + 2**y), with no overflow; right at infinities.  Errors: DTypeError for complex."""
    return _added("logaddexp2", "exp2", 1.0, x, y)


@elementwise(derivative=lambda x, y: [log(y), where(equal(x, 0), 0, x / y)])
def xlogy(x, y):
    """x log(y), and 0 where x = 0 unless y is NaN."""
    return _zero_times(x, Call("log", y), y)


@elementwise(derivative=lambda x, y: [log1p(y), where(equal(x, 0), 0, x / (1 + y))])
def xlog1py(x, y):
    """x log1p(y), and 0 where x = 0 unless y is NaN."""
    return _zero_times(x, Call("log1p", y), y)


def _zero_times(x: Expr, factor: Expr, y: Expr) -> Expr:
    product = x * factor
    return select(is_equal(x, 0) & is_equal(y, y), 0, product)


expit, log1pexp = sigmoid, softplus


# --- activations ---------------------------------------------------------------------------------------------------


@elementwise(differential=lambda d, x: [where(x > 0, d, 0)])
def relu(x):
    """max(x, 0); NaN stays NaN.  The derivative at 0 is taken as 0."""
    need_reals("relu", x)
    return larger(x, 0)


@elementwise(derivative=lambda x: [sigmoid(x) * (1 + x * sigmoid(-x))])
def silu(x):
    """x sigmoid(x), also called swish (Elfwing, Uchibe and Doya 2018)."""
    return x * sigmoid(x)


@elementwise(derivative=lambda x: [0.5 * erfc(-x / math.sqrt(2)) + x * exp(-0.5 * square(x)) / math.sqrt(2 * math.pi)])
def gelu(x):
    """x times the normal distribution function at x, exactly (Hendrycks and Gimpel 2016)."""
    need_reals("gelu", x)
    x = floated(x)
    return 0.5 * x * erfc(-x / math.sqrt(2))


# --- names of the array API ----------------------------------------------------------------------------------------

asin, acos, atan, atan2 = arcsin, arccos, arctan, arctan2
asinh, acosh, atanh = arcsinh, arccosh, arctanh
