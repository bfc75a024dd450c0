"""Scalar expressions computed with NumPy, many elements at once: the interpreter's way, the printers' oracle."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import BackendError
from core.ir.expr import Code, Expr, walk
from core.ir.nodes import Assign, Break, If, Let, Loop, Statement


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
        for node in walk([root], into=lambda e: e not in done):
            if node not in done:
                done[node] = _one(node, [done[arg] for arg in node.args])
    return done[root]


def _one(node: Expr, args: list[Any]) -> Any:
    code = node.code
    if code is Code.CONST:
        return np.asarray(node.payload, dtype=node.dtype)[()]
    if code in _BINARY:
        return _BINARY[code](*args)
    if code is Code.CALL and not isinstance(node.payload, str):
        return _call(node.payload, args)
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


# --- functions of scalars --------------------------------------------------------------------------------------------


def _call(function: Any, args: Sequence[Any]) -> np.ndarray:
    """A ScalarFunction of many elements at once; those that have left a loop wait for the others."""
    args = np.broadcast_arrays(*args)
    shape = args[0].shape
    if 0 in shape:
        return np.zeros(shape, function.dtype)
    flat = {p.expr: np.array(x, p.dtype).reshape(-1) for p, x in zip(function.parameters, args, strict=True)}
    elements = _Elements(flat, int(np.prod(shape)))
    elements.run(function.body)
    return elements.value(function.result, function.dtype).reshape(shape)[()]


class _Elements:
    """``count`` elements that run the same statements; ``known``: what each has for a local or a loop's variable."""

    def __init__(self, known: dict[Expr, np.ndarray], count: int):
        self.known, self.count = known, count

    def value(self, root: Expr, dtype: str) -> np.ndarray:
        """An array of its own, for it may be written to."""
        return np.array(np.broadcast_to(evaluate_scalar(root, self.known), (self.count,)), dtype)

    def run(self, body: Sequence[Statement]) -> None:
        for statement in body:
            if isinstance(statement, (Let, Assign)):
                self.known[statement.local.expr] = self.value(statement.value, statement.local.dtype)
            elif isinstance(statement, If):
                holds = self.value(statement.condition, "bool")
                for chosen, inside in ((holds, statement.body), (~holds, statement.orelse)):
                    some = self._some(chosen)
                    if some.count:
                        some.run(inside)
                        self._give(some, chosen)
            else:
                assert isinstance(statement, Loop)
                self._loop(statement)

    def _some(self, chosen: np.ndarray) -> _Elements:
        return _Elements({e: array[chosen] for e, array in self.known.items()}, int(np.count_nonzero(chosen)))

    def _give(self, some: _Elements, chosen: np.ndarray) -> None:
        """Take over what has become of the chosen elements."""
        for e, array in self.known.items():
            array[chosen] = some.known[e]

    def _loop(self, loop: Loop) -> None:
        places, inside = np.arange(self.count), self._some(np.ones(self.count, "bool"))
        turn, extents = self.value(loop.start, loop.start.dtype), self.value(loop.extent, loop.extent.dtype)
        while True:
            places, inside, turn, extents = self._left(places, inside, turn >= extents, turn, extents)
            if not inside.count:
                return
            inside.known[loop.variable] = turn.copy()
            for statement in loop.body:
                if isinstance(statement, Break):
                    ends = inside.value(statement.condition, "bool")
                    places, inside, turn, extents = self._left(places, inside, ends, turn, extents)
                    if not inside.count:
                        return
                else:
                    inside.run([statement])
            turn = turn + 1

    def _left(self, places: np.ndarray, inside: _Elements, ends: np.ndarray, *more: np.ndarray) -> tuple[Any, ...]:
        """Those that stay in a loop, once those that end are given back."""
        if not ends.any():
            return places, inside, *more
        self._give(inside._some(ends), places[ends])
        return places[~ends], inside._some(~ends), *(array[~ends] for array in more)


def _cast(x: Any, dtype: str) -> Any:
    if dtype not in dtypes.COMPLEXES and dtype != "bool" and np.iscomplexobj(x):
        x = np.real(x)
    return np.asarray(x).astype(dtype)[()]
