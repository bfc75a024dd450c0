"""Routines that failed: what their numbers mean, whichever library they are of."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.errors import ShapeError
from core.ir.clike.clibrary import Failure
from plugin_ops_linalg.errors import LinAlgError

NOT_CONVERGED, NOT_SQUARE, NO_MEMORY, BAND = -7, -8, -9, -10  # the first three as in compiled/common.h
NOT_FINITE = -16  # and below: which input, which of _NOT_FINITE, and where, as CORE_NOT_FINITE there has it
_NOT_FINITE = ("nan", "inf", "-inf")


def explained(op: Any, node: Any, failure: Failure) -> Exception:
    """The exception for a call that failed, as ``BatchedOp.perform`` would raise it."""
    number, shapes = failure.number, failure.shapes
    shown = " and ".join(map(str, shapes))
    if number == NO_MEMORY:
        return MemoryError(f"{op} needs more memory than there is, for shapes {shown}")
    if number == NOT_SQUARE:
        wrong = next((shape for shape in shapes if len(shape) == 2 and shape[0] != shape[1]), shapes[0])
        return LinAlgError(f"{op} needs square matrices, got shape {wrong}", blame=node)
    if number == BAND:
        return ShapeError(op.wrong_band(shapes[0][0]), blame=node)
    if number == NOT_CONVERGED:
        why = "LAPACK did not converge"
    elif number <= NOT_FINITE:
        why = _not_finite(NOT_FINITE - number, shapes)
    else:
        why = op.why(number)
    where = f", matrix {failure.place} of the stack" if failure.place else ""
    return LinAlgError(f"{op}: {why} (shape {shown}{where})", blame=node)


def _not_finite(code: int, shapes: tuple[tuple[int, ...], ...]) -> str:
    rest, position = divmod(code, 4)
    place, kind = divmod(rest, 3)
    where = tuple(int(i) for i in np.unravel_index(place, shapes[position]))
    return f"input {position} is {_NOT_FINITE[kind]} at {where}, not finite"
