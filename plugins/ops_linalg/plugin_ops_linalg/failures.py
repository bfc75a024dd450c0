"""Routines that failed: what their numbers mean, whichever library they are of."""

from __future__ import annotations

from typing import Any

from core.errors import ShapeError
from core.ir.clike.clibrary import Failure
from plugin_ops_linalg.errors import LinAlgError

NOT_CONVERGED, NOT_SQUARE, NO_MEMORY = -7, -8, -9  # as in compiled/common.h; -1 to -4: an input is not finite
BAND = -10


def explained(op: Any, node: Any, failure: Failure) -> Exception:
    """The exception for a call that failed, as ``BatchedOp.perform`` would raise it."""
    if failure.number == NO_MEMORY:
        return MemoryError(f"{op} needs more memory than there is, for shapes {failure.shapes}")
    shapes = " and ".join(map(str, failure.shapes))
    if failure.number == NOT_SQUARE:
        return LinAlgError(f"{op} needs square matrices, got shape {shapes}", blame=node)
    if failure.number == BAND:
        return ShapeError(op.wrong_band(failure.shapes[0][0]), blame=node)
    if failure.number == NOT_CONVERGED:
        why = "LAPACK did not converge"
    elif failure.number < 0:
        why = f"input {-1 - failure.number} holds NaN or an infinity, so it is not finite"
    else:
        why = op.why(failure.number)
    where = f", matrix {failure.place} of the stack" if failure.place else ""
    return LinAlgError(f"{op}: {why} (shape {shapes}{where})", blame=node)
