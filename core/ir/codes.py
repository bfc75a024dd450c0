"""What kinds of scalar expressions there are, how reductions combine, and what each adds to the cost of a whole."""

from __future__ import annotations

import enum
import math
from typing import Any

from core import dtypes


class Code(enum.Enum):
    """What an expression does.  Operands are listed after the dash; ``payload`` is what is no operand."""

    CONST = "const"  # payload: the Python value
    INDEX = "index"  # a loop variable; payload: a name for people.  Never merged: each is its own
    LENGTH = "length"  # payload (value, axis): the run-time length of an axis
    LOAD = "load"  # index...; payload: the value that is read
    LOCAL = "local"  # payload: a Local, a scalar kept in a register by scheduled code

    ADD, SUB, MUL, DIV = "+", "-", "*", "/"
    FLOORDIV, MOD, POW, NEG = "//", "%", "**", "neg"
    AND, OR, XOR, NOT, SHL, SHR = "&", "|", "^", "~", "<<", ">>"
    LT, LE, EQ, NE = "<", "<=", "==", "!="
    MIN, MAX = "min", "max"
    CAST = "cast"
    SELECT = "select"  # condition, a, b - both are evaluated
    GUARDED = "guarded"  # condition, a, b - ``a`` is touched only where the condition holds, ``b`` only elsewhere
    CALL = "call"  # operands; payload: a C99 function name, or a ScalarFunction
    REDUCE = "reduce"  # body, extent...; payload (Combine, bound variables)
    PAIR = "pair"  # real part, imaginary part: see core.ir.parts

    UNRAVEL = "unravel"  # flat, length...; payload axis: coordinate ``axis`` of the flat position in that shape
    JOIN = "join"  # a, b - the broadcast length of two axes: either is 1, or both are equal (checked)
    SAME = "same"  # a, b - the length of two axes that must be equal (checked)
    STRETCH = "stretch"  # i, n - index ``i`` of a broadcast axis in an operand of length ``n``: 0 where n is 1
    SPREAD = "spread"  # big, small - how many elements of ``big`` share one of ``small``: 1 or big
    WRAP = "wrap"  # i, n - an index of an axis of length n; negative counts from the end (checked)

    __hash__ = object.__hash__  # members are compared by identity, and looked up often


COMPARISONS = frozenset({Code.LT, Code.LE, Code.EQ, Code.NE})
LEAVES = frozenset({Code.CONST, Code.INDEX, Code.LENGTH, Code.LOCAL})  # what costs nothing to write again
LENGTH_RULES = frozenset({Code.JOIN, Code.SAME, Code.STRETCH, Code.SPREAD})


class Combine(enum.Enum):
    """How a reduction combines.

    ARGMAX and ARGMIN give the flat position over their variables, the first NaN wins; ``reduce`` makes them of others.
    """

    ADD, MUL, MAX, MIN, OR, AND, ARGMAX, ARGMIN = "sum", "prod", "max", "min", "any", "all", "argmax", "argmin"

    def identity(self, dtype: str) -> Any:
        """The value that changes nothing, as a Python scalar of ``dtype``."""
        if self is Combine.ADD:
            return False if dtype == "bool" else 0
        if self is Combine.MUL:
            return True if dtype == "bool" else 1
        if self in (Combine.OR, Combine.AND):
            return self is Combine.AND
        largest, smallest = bounds(dtype)
        return smallest if self is Combine.MAX else largest


def bounds(dtype: str) -> tuple[Any, Any]:
    """The largest and the smallest value of a real dtype."""
    if dtype in dtypes.FLOATS:
        return math.inf, -math.inf
    if dtype == "bool":
        return True, False
    bits = 8 * dtypes.size_bytes(dtype)
    return (2**bits - 1, 0) if dtype.startswith("u") else (2 ** (bits - 1) - 1, -(2 ** (bits - 1)))


PARTS = ("creal", "cimag")  # of an element in memory, each is read by itself
_CHEAP_CALLS = frozenset({"sqrt", "fabs", "floor", "ceil", "trunc", "rint", "copysign", "isnan", "isinf", "signbit"})
_COSTS = {
    **dict.fromkeys((Code.CONST, Code.INDEX, Code.LENGTH, Code.LOCAL, Code.PAIR), 0),
    **dict.fromkeys((Code.FLOORDIV, Code.MOD, Code.UNRAVEL), 10),
    Code.DIV: 4,
    Code.POW: 40,
    Code.REDUCE: 1000,
}
COST_CAP = 1 << 20
# what lies below an expression, as bits, so that searches can turn back
HOLDS_LOAD, HOLDS_LENGTH, HOLDS_RULE, HOLDS_GUARD, HOLDS_REDUCE, HOLDS_LOCAL, HOLDS_FUNCTION = 1, 2, 4, 8, 16, 32, 64
RULES = LENGTH_RULES | {Code.WRAP, Code.REDUCE}
_MARKS = {
    Code.LOAD: HOLDS_LOAD,
    Code.LENGTH: HOLDS_LENGTH,
    Code.GUARDED: HOLDS_GUARD,
    Code.LOCAL: HOLDS_LOCAL,
    **dict.fromkeys(RULES, HOLDS_RULE),
    Code.REDUCE: HOLDS_RULE | HOLDS_REDUCE,
}
OWN = {code: (_COSTS.get(code, 1), _MARKS.get(code, 0)) for code in Code}  # cost and marks, operands aside


def own_of_call(function: Any) -> tuple[int, int]:
    """The cost and the marks of a CALL of ``function``, its payload, operands aside."""
    if not isinstance(function, str):
        return function.cost, HOLDS_FUNCTION
    return (0 if function in PARTS else 4 if function in _CHEAP_CALLS else 20), 0
