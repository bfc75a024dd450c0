"""Reciprocals of differences of eigenvalues or singular values, 0 where the two are equal up to rounding.

What a decomposition with equal values gives for their vectors is free within a space.  A function that does not depend
on that freedom has a gradient in which those terms cancel; leaving them out, instead of dividing rounding errors by
rounding errors, gives it (Seeger, Hetzel, Dai, Lawrence 2017, section 3).
"""

from __future__ import annotations

import numpy as np

from core import dtypes
from core.tensor import TensorVariable, abs, expand_dims, where
from core.tensor import sum as sum_along


def inverse_gaps(w: TensorVariable) -> TensorVariable:
    """(..., n) -> (..., n, n) with elements 1 / (w_j - w_i), and 0 where |w_j - w_i| <= eps sum |w|."""
    gap = expand_dims(w, -2) - expand_dims(w, -1)
    return _reciprocal(gap, abs(gap) <= expand_dims(rounding(w), -1))


def inverse_square_gaps(s: TensorVariable) -> TensorVariable:
    """(..., n) -> (..., n, n) with elements 1 / (s_j^2 - s_i^2), and 0 where s_j and s_i are equal up to rounding."""
    across, down = expand_dims(s, -2), expand_dims(s, -1)
    gap = across - down
    return _reciprocal(gap * (across + down), abs(gap) <= expand_dims(rounding(s), -1))


def inverse_nonzero(s: TensorVariable) -> TensorVariable:
    """1 / s, and 0 where s is 0 up to rounding."""
    return _reciprocal(s, abs(s) <= rounding(s))


def rounding(w: TensorVariable) -> TensorVariable:
    """(..., n) -> (..., 1): how far apart rounding may bring two equal values of a decomposition."""
    return float(np.finfo(dtypes.real_of(w.dtype)).eps) * sum_along(abs(w), axis=-1, keepdims=True)


def _reciprocal(x: TensorVariable, is_zero: TensorVariable) -> TensorVariable:
    return where(is_zero, 0, 1 / where(is_zero, 1, x))
