"""Windows: weights that fall off to both sides, of a number of points that may be symbolic; float64."""

from __future__ import annotations

import math
from typing import Any

from core.tensor.arithmetic import abs as magnitude
from core.tensor.arithmetic import maximum
from core.tensor.create import arange
from core.tensor.functions import cos, sqrt
from core.tensor.logic import greater, where
from core.tensor.shape import as_length
from core.tensor.specials.bessel import i0
from core.tensor.type import TensorVariable, as_tensor

__all__ = ["bartlett", "blackman", "hamming", "hanning", "kaiser"]


def _turn(m: Any) -> TensorVariable:
    """``m`` points from -1 to 1; 0 where there is one."""
    m = as_length(m)
    steps = where(greater(m, 1), m - 1, 1).astype("float64")
    return (2 * arange(m).astype("float64") - (m - 1).astype("float64")) / steps


def hanning(m: Any) -> TensorVariable:
    """A raised cosine of ``m`` points, 0 at its ends."""
    turn = _turn(m)
    return 0.5 + 0.5 * cos(math.pi * turn)


def hamming(m: Any) -> TensorVariable:
    """A raised cosine of ``m`` points, 0.08 at its ends."""
    turn = _turn(m)
    return 0.54 + 0.46 * cos(math.pi * turn)


def blackman(m: Any) -> TensorVariable:
    """Three terms of cosines in ``m`` points."""
    turn = _turn(m)
    return 0.42 + 0.5 * cos(math.pi * turn) + 0.08 * cos(2 * math.pi * turn)


def bartlett(m: Any) -> TensorVariable:
    """A triangle of ``m`` points, 0 at its ends."""
    turn = _turn(m)
    return 1 - magnitude(turn)


def kaiser(m: Any, beta: Any) -> TensorVariable:
    """i0(beta sqrt(1 - t**2)) / i0(beta) in ``m`` points."""
    turn = _turn(m)
    beta = as_tensor(beta).astype("float64")
    return i0(beta * sqrt(maximum(1 - turn * turn, 0))) / i0(beta)
