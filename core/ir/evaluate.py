"""Scalar expressions computed with NumPy, many elements at once: the interpreter's way, the printers' oracle."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from core import dtypes
from core.errors import BackendError
from core.ir.codes import Code
from core.ir.expr import Expr
from core.ir.walk import walk


def _vectorized(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of Python floats over arrays, for the few that NumPy lacks."""
    return np.frompyfunc(function, 1, 1)


def _gamma(x: float) -> float:
    """tgamma of C99 7.12.8.4, which gives infinities and NaN where math.gamma raises."""
    try:
        return math.gamma(x)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.copysign(math.inf, x) if x == 0 else math.nan


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (OverflowError, ValueError):
        return math.inf


NUMPY_CALLS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt")},
    **{
        name: getattr(np, name)
        for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceil", "trunc", "rint")
    },
    **{
        name: getattr(np, name)
        for name in ("hypot", "copysign", "fmod", "nextafter", "isnan", "isinf", "isfinite", "signbit")
    },
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "atan2": np.arctan2,
    "fabs": np.abs,
    "cabs": np.abs,
    "carg": np.angle,
    "creal": np.real,
    "cimag": np.imag,
    "conj": np.conj,
    "erf": _vectorized(math.erf),
    "erfc": _vectorized(math.erfc),
    "tgamma": _vectorized(_gamma),
    "lgamma": _vectorized(_lgamma),
}


_BINARY: dict[Code, Callable[[Any, Any], Any]] = {
    Code.ADD: np.add,
    Code.SUB: np.subtract,
    Code.MUL: np.multiply,
    Code.DIV: np.true_divide,
    Code.FLOORDIV: np.floor_divide,
    Code.MOD: np.remainder,
    Code.POW: np.power,
    Code.AND: np.bitwise_and,
    Code.OR: np.bitwise_or,
    Code.XOR: np.bitwise_xor,
    Code.SHL: np.left_shift,
    Code.SHR: np.right_shift,
    Code.LT: np.less,
    Code.LE: np.less_equal,
    Code.EQ: np.equal,
    Code.NE: np.not_equal,
    Code.MIN: np.minimum,
    Code.MAX: np.maximum,
}


def evaluate_scalar(root: Expr, values: Mapping[Expr, Any]) -> Any:
    """``root`` with ``values`` (arrays or scalars that broadcast together) put in place of some of its nodes.

    No NumPy warning is raised: infinities and NaN are values here.
    """
    done: dict[Expr, Any] = dict(values)
    with np.errstate(all="ignore"):
        for node in _order(root, frozenset(done)):
            done[node] = _one(node, [done[arg] for arg in node.args])
    return done[root]


@lru_cache(maxsize=1024)  # an op is evaluated again and again, in each step of a loop
def _order(root: Expr, known: frozenset[Expr]) -> tuple[Expr, ...]:
    """What is below ``root`` besides what is ``known``, operands first."""
    return tuple(e for e in walk([root], into=lambda e: e not in known) if e not in known)


def _one(node: Expr, args: list[Any]) -> Any:
    code = node.code
    if code is Code.CONST:
        return np.asarray(node.payload, dtype=node.dtype)[()]
    if code in _BINARY:
        return _BINARY[code](*args)
    if code is Code.CALL and not isinstance(node.payload, str):
        return node.payload.evaluate(args)
    if code is Code.CALL:
        return np.asarray(NUMPY_CALLS[node.payload](*args), dtype=node.dtype)[()]
    if code is Code.CAST:
        return _cast(args[0], node.dtype)
    if code in (Code.SELECT, Code.GUARDED):
        return np.where(*args)
    if code is Code.NEG:
        return np.negative(args[0])
    if code is Code.NOT:
        return np.invert(args[0])
    raise BackendError(f"{node} is not a scalar operation, so it has no value by itself")


def _cast(x: Any, dtype: str) -> Any:
    if dtype not in dtypes.COMPLEXES and dtype != "bool" and np.iscomplexobj(x):
        x = np.real(x)
    return np.asarray(x).astype(dtype)[()]
