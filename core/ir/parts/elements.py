"""Where the parts of an element lie: its real part, and next to it its imaginary part."""

from __future__ import annotations

from core import dtypes
from core.ir.codes import Code
from core.ir.expr import Expr, make


def neighbours(offset: Expr) -> tuple[Expr, Expr]:
    """The positions of the parts of an element, among parts."""
    return offset * 2, offset * 2 + 1


def loaded(e: Expr, args: tuple[Expr, ...]) -> tuple[Expr, Expr]:
    """The loads of both parts of an element, for its load, at a row-major position, of a complex dtype."""
    first, second = neighbours(args[0])
    part = dtypes.real_of(e.dtype)
    return make(Code.LOAD, part, (first,), e.payload), make(Code.LOAD, part, (second,), e.payload)


def element_part(call: Expr, element: Expr) -> Expr:
    """``creal`` or ``cimag`` of an element in memory, as the load of that part."""
    return loaded(element, element.args)[0 if call.payload == "creal" else 1]
