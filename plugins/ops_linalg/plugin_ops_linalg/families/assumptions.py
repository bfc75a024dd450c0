"""Assume: what a user knows of a matrix, said to the rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from core.errors import ArgumentError, ShapeError, did_you_mean
from core.graph import Apply, Variable
from core.ir.view import View
from core.op import Op
from core.tensor import TensorVariable, as_tensor
from core.tensor.shape import input_gradient

__all__ = ["KINDS", "Assume", "assume"]

KINDS = (
    "diagonal",
    "lower_triangular",
    "upper_triangular",
    "positive_diagonal",
    "symmetric",
    "positive_semidefinite",
    "positive_definite",
    "orthogonal",
    "permutation",
)


class Assume(Op):
    """x itself, with a promise of what kind of matrices its last two axes hold.

    Input   x: tensor (..., n, n).      Output  x.
    kinds   of ``KINDS``.  For complex matrices "symmetric" is Hermitian and "orthogonal" unitary; "positive_diagonal"
            says that the elements on the diagonal are real and above 0.
    A promise that does not hold gives wrong results: it is not checked.
    """

    __props__ = ("kinds",)
    view_map = {0: [0]}

    def __init__(self, kinds: Iterable[str]):
        self.kinds = tuple(sorted(set(kinds)))

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        if x.ndim < 2:
            raise ShapeError(f"{self} needs ndim >= 2, but {x} has ndim={x.ndim}", blame=x)
        return Apply(self, [x], [x.type])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        output_storage[0][0] = inputs[0]

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return list(input_shapes)

    def lower(self, node: Apply, x: View) -> View:
        return x

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The identity."""
        return [input_gradient(inputs[0], output_grads[0])]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The identity; a change need not be of the same kind."""
        return list(eval_points)


def assume(x: Any, **kinds: bool) -> TensorVariable:
    """``x``, promised to hold matrices of these kinds: ``assume(x, positive_definite=True)``.  See Assume.

    Errors  ArgumentError for a kind that there is not.
    """
    for name in kinds:
        if name not in KINDS:
            raise ArgumentError(f"assume takes {', '.join(KINDS)}, got {name!r}.{did_you_mean(name, KINDS)}")
    promised = [name for name, holds in kinds.items() if holds]
    return Assume(promised)(x) if promised else as_tensor(x)
