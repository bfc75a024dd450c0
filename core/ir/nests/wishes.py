"""Names for what a kernel computes on its way: a user's name where there is one, else what it is."""

from __future__ import annotations

from collections.abc import Mapping

from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr

_NOUNS = {"add": "total", "subtract": "difference", "multiply": "product", "true_divide": "ratio"}
_DEPTH = 4  # how far down a function's operand is looked for


def wish(e: Expr, values: Mapping[Expr, Value]) -> str:
    """How a temporary that holds ``e`` had best be called; "" when nothing better than a number is known.

    ``values`` are those that were written into the expressions that read them.
    """
    value = values.get(e)
    made = _of_op(value) if value is not None else ""
    if value is not None and not made:
        return value.name
    if e.code is Code.LOAD:
        return _element(e)
    if e.code is Code.CALL:
        return _call(e)
    return _NOUNS.get(made, made)


def _of_op(value: Value) -> str:
    """The op's name, if that is what the value is called by; "" for a name that a user gave."""
    if value.node is None:
        return ""
    op = str(value.node.op).partition("(")[0].lower()
    base, _, number = value.name.rpartition("_")
    return op if value.name == op or (base == op and number.isdigit()) else ""


def _element(e: Expr) -> str:
    """x_ij for x[i, j]; x_element where an index is computed."""
    letters = "".join(str(i.payload) for i in e.args if i.code is Code.INDEX)
    plain = letters and all(i.code in (Code.INDEX, Code.CONST) for i in e.args)
    return f"{e.payload}_{letters}" if plain else f"{e.payload}_element" if e.args else f"{e.payload}_value"


def _call(e: Expr) -> str:
    """exp_x for exp of something of x."""
    operand, depth = e, 0
    while operand.args and operand.code is not Code.LOAD and depth < _DEPTH:
        operand, depth = max(operand.args, key=lambda arg: arg.cost), depth + 1
    return f"{e.payload}_{operand.payload}" if operand.code is Code.LOAD else f"{e.payload}_value"
