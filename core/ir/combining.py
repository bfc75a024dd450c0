"""Combining: taking two values together, and statements that do no more, as ``r = r + e``, ``b[i] = max(b[i], e)``."""

from __future__ import annotations

from core.ir.codes import Code, Combine
from core.ir.expr import Expr
from core.ir.walk import walk

_SAID: dict[Code, Combine] = {
    Code.ADD: Combine.ADD,
    Code.MUL: Combine.MUL,
    Code.MAX: Combine.MAX,
    Code.MIN: Combine.MIN,
    Code.OR: Combine.OR,
    Code.AND: Combine.AND,
}


def combining(target: Expr, value: Expr) -> tuple[Combine, Expr] | None:
    """For ``target = value``: how it combines, and what is taken in.  None where it does anything else.

    Besides the operations themselves, ``target < e ? e : target`` is a maximum, and a minimum is its mirror image;
    ``target - e`` is a sum too.
    """
    if value.code is Code.SUB and value.args[0] is target:
        found = Combine.ADD, value.args[1]
    elif value.code in _SAID:
        a, b = value.args
        new = b if a is target else a
        found = _SAID[value.code], new
    elif value.code is Code.SELECT and value.args[0].code is Code.LT and value.args[2] is target:
        condition, new, _ = value.args
        if condition.args == (target, new):
            found = Combine.MAX, new
        elif condition.args == (new, target):
            found = Combine.MIN, new
        else:
            return None
    else:
        return None
    return None if target not in value.args or target in walk([new]) else found
