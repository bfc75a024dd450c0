"""Operands of a stack of computations, laid out for one: what ops' ``batch`` methods share."""

from __future__ import annotations

from core.graph import Variable
from core.tensor.dimshuffle import DimShuffle
from core.tensor.type import TensorVariable


def in_front(x: TensorVariable, old: Variable, ndim: int) -> TensorVariable:
    """``x``, with the axis of its stack in front of ``ndim`` others; itself if it has only the axes of ``old``.

    The axes of ``old`` stay the last ones, so that they broadcast as they did.
    """
    if x.ndim == old.type.ndim:  # type: ignore[attr-defined]
        return x
    missing = ndim - (x.ndim - 1)
    return DimShuffle(x.ndim, (0, *("x",) * missing, *range(1, x.ndim)))(x) if missing else x
