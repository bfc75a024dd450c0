"""Expressions of complex dtypes, and real ones that hold such, in parts."""

from __future__ import annotations

from collections.abc import Callable

from core import dtypes
from core.errors import BackendError
from core.ir.codes import COMPARISONS, Code
from core.ir.expr import Expr, imaginary_part, make, pair, real_part
from core.ir.parts import arithmetic, functions, inverse
from core.ir.parts.arithmetic import Pair
from core.ir.rebuild import remake
from core.ir.walk import walk

_FUNCTIONS: dict[str, Callable[[Pair], Pair]] = {**functions.FUNCTIONS, **inverse.INVERSE}
_TO_REAL: dict[str, Callable[[Pair], Expr]] = {
    "creal": lambda z: z[0],
    "cimag": lambda z: z[1],
    "cabs": arithmetic.modulus,
    "fabs": arithmetic.modulus,
    "carg": arithmetic.argument,
    "isnan": arithmetic.is_nan,
    "isinf": arithmetic.is_inf,
    "isfinite": arithmetic.is_finite,
}


def is_complex(e: Expr) -> bool:
    return e.dtype in dtypes.COMPLEXES


def lacking(root: Expr) -> str:
    """The name of a function in ``root`` that complex numbers have no rule for, or "" where there is none."""
    for e in walk([root]):
        if e.code is Code.CALL and any(map(is_complex, e.args)):
            if e.payload not in (_FUNCTIONS if is_complex(e) else _TO_REAL):
                return e.payload
    return ""


def of_element(e: Expr, args: tuple[Expr, ...]) -> Pair:
    """The parts of an element, still as parts of its load."""
    element = make(Code.LOAD, e.dtype, args, e.payload)
    return real_part(element), imaginary_part(element)


class Parts:
    """Takes expressions apart, each once.  ``load`` and ``local`` say what becomes of these two leaves."""

    def __init__(
        self,
        load: Callable[[Expr, tuple[Expr, ...]], Pair] = of_element,
        local: Callable[[Expr], Pair] | None = None,
    ):
        self._load, self._local = load, local
        self._real: dict[Expr, Expr] = {}
        self._pairs: dict[Expr, Pair] = {}

    def real(self, root: Expr) -> Expr:
        """An expression of a real dtype, with nothing complex in it but loads of which it takes a part."""
        self._visit(root)
        return self._real[root]

    def pair(self, root: Expr) -> Pair:
        """The parts of an expression of a complex dtype."""
        self._visit(root)
        return self._pairs[root]

    def whole(self, root: Expr) -> Expr:
        """Either: one of a complex dtype as the PAIR of its parts, or a load."""
        return pair(*self.pair(root)) if is_complex(root) else self.real(root)

    def _visit(self, root: Expr) -> None:
        for e in walk([root], into=lambda e: e not in self._real and e not in self._pairs):
            if e in self._real or e in self._pairs:
                continue
            if is_complex(e):
                self._pairs[e] = self._complex(e)
            elif any(map(is_complex, e.args)):
                self._real[e] = self._of_complex(e)
            else:
                self._real[e] = remake(e, tuple(self._real[arg] for arg in e.args))

    def _complex(self, e: Expr) -> Pair:
        code = e.code
        if code is Code.CONST:
            return arithmetic.constant(e.payload, e.dtype)
        if code is Code.LOAD:
            return self._load(e, tuple(self._real[arg] for arg in e.args))
        if code is Code.LOCAL and self._local is not None:
            return self._local(e)
        if code is Code.PAIR:
            return self._real[e.args[0]], self._real[e.args[1]]
        if code is Code.CAST:
            (x,) = e.args
            return arithmetic.converted(self._pairs[x], e.dtype) if is_complex(x) else self._from_real(x, e.dtype)
        if code in (Code.SELECT, Code.GUARDED):
            condition, a, b = e.args
            return arithmetic.choose(self._real[condition], self._pairs[a], self._pairs[b], code)
        operands = [self._pairs[arg] for arg in e.args]
        if code is Code.NEG:
            return arithmetic.negative(*operands)
        if code is Code.POW:
            return functions.power(*operands)
        if code in arithmetic.BINARY:
            return arithmetic.BINARY[code](*operands)
        if code is Code.CALL and e.payload in _FUNCTIONS:
            return _FUNCTIONS[e.payload](*operands)
        raise BackendError(f"{e} is not defined for complex numbers")

    def _from_real(self, x: Expr, dtype: str) -> Pair:
        return arithmetic.of_real(self._real[x], dtype)

    def _of_complex(self, e: Expr) -> Expr:
        operands = [self._pairs[arg] for arg in e.args]
        if e.code in COMPARISONS:
            return arithmetic.compared(e.code, *operands)
        if e.code is Code.CAST:
            return arithmetic.to_real(operands[0], e.dtype)
        if e.code is Code.CALL and e.payload in _TO_REAL:
            return _TO_REAL[e.payload](*operands)
        raise BackendError(f"{e} is not defined for complex numbers")
