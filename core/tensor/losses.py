"""Losses of classification, each an expression of elementwise ops; stable for scores rather than probabilities.

Softmax itself is in special.py.
"""

from __future__ import annotations

from typing import Any

from core import dtypes
from core.errors import ShapeError
from core.tensor.create import arange
from core.tensor.functions import log, softplus
from core.tensor.indexing import getitem
from core.tensor.reduce import sum as sum_along
from core.tensor.shape import shape_i
from core.tensor.special import log_softmax
from core.tensor.type import TensorVariable, as_operands, as_tensor

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "sigmoid_binary_crossentropy",
    "softmax_crossentropy",
]


def binary_crossentropy(output: Any, target: Any) -> TensorVariable:
    """``-(target log(output) + (1 - target) log(1 - output))`` of each element; ``output`` is a probability.

    NaN or infinite for a certain output: use ``sigmoid_binary_crossentropy`` of scores.
    """
    output, target = as_operands(output, target)
    return -(target * log(output) + (1 - target) * log(1 - output))


def sigmoid_binary_crossentropy(output: Any, target: Any) -> TensorVariable:
    """``binary_crossentropy(sigmoid(output), target)`` of each element, finite and accurate for every finite score."""
    output, target = as_operands(output, target)
    return softplus(output) - output * target


def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> TensorVariable:
    """``-sum(true_dist log(coding_dist))`` along the last axis, of probabilities ``coding_dist`` (..., c).

    true_dist  probabilities of the same shape, or (ndim 2 and 1) the integer class of each row.
    Errors     ShapeError for other ndims; IndexOutOfBounds for a class that is none.
    Not finite for a probability 0 that occurs: use ``softmax_crossentropy`` of scores.
    """
    coding_dist, true_dist = as_tensor(coding_dist), as_tensor(true_dist)
    return _crossentropy("categorical_crossentropy", coding_dist, true_dist, log)


def softmax_crossentropy(scores: Any, true_dist: Any) -> TensorVariable:
    """``categorical_crossentropy(softmax(scores), true_dist)``, finite and accurate for all finite scores (..., c)."""
    scores, true_dist = as_tensor(scores), as_tensor(true_dist)
    return _crossentropy("softmax_crossentropy", scores, true_dist, log_softmax)


def _crossentropy(who: str, scores: TensorVariable, true_dist: TensorVariable, log_of: Any) -> TensorVariable:
    if scores.ndim >= 1 and true_dist.ndim == scores.ndim:
        return -sum_along(true_dist * log_of(scores), axis=-1)
    if scores.ndim == 2 and true_dist.ndim == 1 and true_dist.dtype in dtypes.INTEGERS:
        return -getitem(log_of(scores), (arange(shape_i(true_dist, 0)), true_dist))
    raise ShapeError(
        f"{who} needs two tensors of one ndim, or a matrix and a vector of integers, got {scores} of {scores.type} and "
        f"{true_dist} of {true_dist.type}",
        blame=true_dist,
    )
