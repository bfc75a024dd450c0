"""Derivatives of ops that can also be written as a graph of other ops: those of that graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.gradient import Lop, Rop
from core.tensor import TensorVariable
from plugin_ops_linalg.batched import BatchedOp


class WithFormula(BatchedOp):
    """An op whose ``formula(*inputs)`` is the same as a graph, which is differentiated in its place."""

    def formula(self, *inputs: TensorVariable) -> TensorVariable:
        """What the op computes, by ops that have derivatives."""
        raise NotImplementedError(f"{type(self).__name__} needs a formula")

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """That of ``formula``."""
        return Lop(self.formula(*inputs), list(inputs), grads[0])

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """That of ``formula``."""
        moving = [(x, dx) for x, dx in zip(inputs, tangents, strict=True) if dx is not None]
        return [Rop(self.formula(*inputs), [x for x, _ in moving], [dx for _, dx in moving])]
