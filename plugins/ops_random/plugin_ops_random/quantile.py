"""The quantile function of the normal distribution, with which one draw of bits becomes one normal draw."""

from __future__ import annotations

from functools import reduce

import core.tensor as ct
from core.ir.expr import Call, minimum, select
from core.tensor.elementwise import elementwise

# Wichura (1988), algorithm AS 241, PPND16: numerators and denominators, the highest power first.
_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457)
    + (13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867)
    + (5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)
_MIDDLE = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258)
    + (3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459)
    + (0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)
_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093)
    + (0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4)
    + (0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)


def _slope(p):
    x = ndtri(p)
    return [2.5066282746310002 * ct.exp(x * x / 2)]


@elementwise(derivative=_slope)
def ndtri(p):
    """x of which a standard normal draw is less with probability ``p``; float32 or float64.  Infinite for 0 and 1.

    Source  Wichura (1988), "The percentage points of the normal distribution", algorithm AS 241; relative error 1e-16.
    """
    q = p - 0.5
    near = q * _ratio(_CENTRE, 0.180625 - q * q)
    far = Call("sqrt", -Call("log", minimum(p, 1 - p)))
    tail = select(far <= 5, _ratio(_MIDDLE, far - 1.6), _ratio(_TAIL, far - 5))
    outside = select(far < float("inf"), tail, far)  # there, one infinity would be divided by another
    return select(Call("fabs", q) <= 0.425, near, Call("copysign", outside, q))


def _ratio(polynomials, x):
    above, below = (reduce(lambda so_far, c: so_far * x + c, coefficients) for coefficients in polynomials)
    return above / below
