"""Factorials, and what is made of gamma and zeta functions: polygamma functions, Pochhammer's symbol and their like."""

from __future__ import annotations

import math
from typing import Any

from core import dtypes
from core.errors import DTypeError
from core.tensor.arithmetic import cast
from core.tensor.functions import exp, gamma, gammaln, psi
from core.tensor.logic import equal as is_equal
from core.tensor.logic import where
from core.tensor.specials.zeta import zeta
from core.tensor.type import as_operands, as_tensor

__all__ = ["factorial", "multigammaln", "poch", "polygamma"]


def polygamma(n: Any, x: Any) -> Any:
    """The derivative of order ``n`` of psi at ``x``, for whole n >= 0 and, unless n = 0, x > 0 (else NaN).

    Errors  DTypeError for complex x, or n that is no integer.
    """
    n, x = as_tensor(n), as_tensor(x)
    if n.dtype not in dtypes.INTEGERS:
        raise DTypeError(f"polygamma needs an integer order, got {n} of dtype {n.dtype}", blame=n)
    order = cast(n, dtypes.float_of(x.dtype))
    is_psi = is_equal(order, 0)
    sign = cast(where(is_equal(n % 2, 0), -1, 1), order.dtype)
    value = sign * gamma(order + 1) * zeta(where(is_psi, 2, order + 1), where(is_psi, 1, x))
    return where(is_psi, psi(x), value)


def factorial(n: Any) -> Any:
    """gamma(n + 1), and 0 for n < 0, as SciPy has it."""
    n = as_tensor(n)
    return where(n < 0, 0, gamma(where(n < 0, 0, n) + 1.0))


def poch(z: Any, m: Any) -> Any:
    """Pochhammer's symbol gamma(z + m) / gamma(z), for z > 0 and z + m > 0."""
    z, m = as_operands(z, m)
    return exp(gammaln(z + m) - gammaln(z))


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension ``d``, a Python int: for a > (d - 1) / 2."""
    a = as_tensor(a)
    total: Any = d * (d - 1) / 4 * math.log(math.pi)
    for j in range(d):
        total = gammaln(a - 0.5 * j) + total
    return total
