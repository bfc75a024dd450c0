"""Where parentheses may be left out: an operand whose operator binds tighter than the one it stands in."""

from __future__ import annotations

import enum

from core import dtypes
from core.ir.codes import COMPARISONS, Code
from core.ir.expr import Expr

_SMALL = frozenset({"int8", "int16", "uint8", "uint16"})  # C computes these in int, so results are cast back


class Binding(enum.IntEnum):
    """How tightly the outermost operator of a text binds."""

    CHOICE, BITS, COMPARISON, SUM, PRODUCT, UNARY, ATOM = range(7)


_CODES = {
    **dict.fromkeys((Code.SELECT, Code.GUARDED, Code.UNRAVEL), Binding.CHOICE),
    **dict.fromkeys((Code.AND, Code.OR, Code.XOR), Binding.BITS),
    **dict.fromkeys(COMPARISONS, Binding.COMPARISON),
    **dict.fromkeys((Code.ADD, Code.SUB), Binding.SUM),
    **dict.fromkeys((Code.MUL, Code.DIV), Binding.PRODUCT),
    **dict.fromkeys((Code.NEG, Code.NOT, Code.CAST), Binding.UNARY),
}
_TESTS = frozenset({"isnan", "isinf", "isfinite", "signbit"})
_FUNCTIONS = frozenset({Code.LOAD, Code.FLOORDIV, Code.MOD, Code.SHL, Code.SHR, Code.POW})


def binding(e: Expr) -> Binding:
    """Of an expression as C text."""
    code = e.code
    if code is Code.CONST:
        return _of_constant(e)
    if code is Code.CAST and "float16" in (e.dtype, e.args[0].dtype):
        return Binding.ATOM
    if code is Code.CAST and e.dtype == "bool":
        return Binding.COMPARISON
    if code is Code.CALL:
        return Binding.COMPARISON if e.payload in _TESTS else Binding.ATOM
    if code in (Code.MIN, Code.MAX):
        return Binding.ATOM if e.dtype in dtypes.FLOATS else Binding.CHOICE
    found = _CODES.get(code, Binding.ATOM)
    return Binding.UNARY if e.dtype in _SMALL and found in (Binding.SUM, Binding.PRODUCT, Binding.BITS) else found


def _of_constant(e: Expr) -> Binding:
    value = e.payload
    if e.dtype in dtypes.INTEGERS:
        least = value < 0 and value == -(1 << (8 * dtypes.size_bytes(e.dtype) - 1))
        return Binding.SUM if least else Binding.UNARY if value < 0 else Binding.ATOM  # C has no literal for the least
    return Binding.UNARY if str(value)[0] in "-in" else Binding.ATOM  # negative, infinite, NaN


def is_bare(parent: Expr, position: int, operand: Expr) -> bool:
    """Whether an operand of ``parent`` needs no parentheses around it.

    Floating-point sums and products are never regrouped, and a compiler's advice is followed: comparisons, and other
    bitwise operators, stay in parentheses among bits.
    """
    code, inner, outer = parent.code, binding(operand), binding(parent)
    if code is Code.UNRAVEL:
        return False
    if code in _FUNCTIONS or outer is Binding.ATOM:
        return True
    if outer is Binding.CHOICE:
        return code not in (Code.MIN, Code.MAX) and inner > Binding.BITS
    if outer is Binding.BITS:
        return inner is Binding.UNARY or (position == 0 and operand.code is code)
    if outer is Binding.COMPARISON:
        return inner > Binding.COMPARISON
    if outer in (Binding.SUM, Binding.PRODUCT):
        signed = inner is Binding.UNARY and operand.code is not Code.CAST
        return (inner > outer or (position == 0 and inner is outer)) and not (position == 1 and signed)
    return False
