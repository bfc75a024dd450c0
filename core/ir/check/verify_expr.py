"""What a legal scalar expression is, and which places of memory belong to one lane of a vector: rules for verify.py."""

from __future__ import annotations

from typing import NoReturn

from core import dtypes
from core.errors import VerifyError
from core.ir.axes import stride_of
from core.ir.codes import COMPARISONS, LENGTH_RULES, Code
from core.ir.expr import INDEX_DTYPE, Expr
from core.ir.show import show
from core.ir.walk import walk

_NOT_SCALAR = LENGTH_RULES | {Code.WRAP, Code.REDUCE, Code.PAIR}
_OF_HALF = frozenset({Code.LOAD, Code.LOCAL, Code.CAST})
_SAME_DTYPE = frozenset(
    {Code.ADD, Code.SUB, Code.MUL, Code.DIV, Code.FLOORDIV, Code.MOD, Code.POW, Code.NEG, Code.AND, Code.OR, Code.XOR}
    | {Code.NOT, Code.SHL, Code.SHR, Code.MIN, Code.MAX}
)


def not_same_lane(read: Expr, written: Expr, variable: Expr) -> bool:
    """Whether two positions may belong to two values of ``variable``: strides differ, or a known step is between.

    A step that is no multiple of the stride leads to no other value, as that to the other part of a complex number.
    """
    if read is written:
        return False
    stride, distance = stride_of(read, variable), read - written
    if stride is None or stride is not stride_of(written, variable):
        return True
    if not distance.is_const:
        return False
    factors = [stride, *stride.args] if stride.code in (Code.CONST, Code.MUL) else []
    factor = next((e.payload for e in factors if e.is_const), 1)
    return factor == 0 or distance.payload % factor == 0


def meets_another_lane(read: Expr, written: Expr, variable: Expr) -> bool:
    """Whether another value of ``variable`` writes where this one reads, for certain: a known step apart.

    Enough to ask where a lane writes what it reads and something else, too: that what lanes write is apart was the word
    of whoever wrote the loop.
    """
    return read is not written and stride_of(read, variable) is not None and not_same_lane(read, written, variable)


# --- one expression ------------------------------------------------------------------------------------------------


def check_types(root: Expr, where: str) -> None:
    """Every operation has operands of the dtypes that it is made for, and is one that a dialect can print."""
    for e in walk([root]):
        problem = _problem(e)
        if problem:
            fail(where, f"{problem}: {show(e)}")


def _problem(e: Expr) -> str:
    kinds = [arg.dtype for arg in e.args]
    if e.dtype in dtypes.COMPLEXES:
        return "complex numbers must be in parts by now"
    if e.dtype == "float16" and e.code not in _OF_HALF:
        return "float16 must be computed with in float32 by now"
    if e.code in _NOT_SCALAR:
        return f"{e.code.name} must be gone by now"
    if e.code is Code.LOAD:
        if len(kinds) != 1 or kinds[0] != INDEX_DTYPE:
            return "a stored value is read at one row-major position"
        stored = e.payload.dtype
        return "" if e.dtype == dtypes.real_of(stored) else f"it reads {e.dtype} from an array of {stored}"
    if e.code in _SAME_DTYPE and any(kind != e.dtype for kind in kinds):
        return f"operands of {', '.join(kinds)} cannot give {e.dtype}"
    if e.code is Code.DIV and e.dtype in dtypes.DISCRETE:
        return "only floats are divided"
    if e.code in COMPARISONS and (e.dtype != "bool" or kinds[0] != kinds[1]):
        return f"{' and '.join(kinds)} cannot be compared"
    if e.code in (Code.SELECT, Code.GUARDED) and kinds != ["bool", e.dtype, e.dtype]:
        return f"a choice of {e.dtype} cannot be made of {', '.join(kinds)}"
    if e.code in (Code.INDEX, Code.LENGTH, Code.UNRAVEL) and {e.dtype, *kinds} != {INDEX_DTYPE}:
        return f"it must be of {INDEX_DTYPE}"
    if e.code is Code.CALL and not isinstance(e.payload, str):
        wanted = [local.dtype for local in e.payload.parameters]
        return "" if [*wanted, e.payload.dtype] == [*kinds, e.dtype] else f"{e.payload} takes {', '.join(wanted)}"
    if e.code is Code.CALL and any(kind in dtypes.DISCRETE for kind in kinds):
        return "functions take floats"
    return ""


def fail(where: str, rule: str) -> NoReturn:
    raise VerifyError(f"{where}: {rule}")
