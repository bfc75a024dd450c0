"""Systems with a banded matrix, given by its diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.errors import ArgumentError, ShapeError
from core.tensor import TensorVariable, as_tensor, concatenate, shape_i, shape_of, stack, zeros
from core.tensor import sum as sum_along
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.lapack import routine
from plugin_ops_linalg.matrices import as_columns, total, without_column

__all__ = ["SolveBanded", "solve_banded"]


class SolveBanded(BatchedOp):
    """x with a x = b, where ab[u + i - j, j] = a[i, j].

    Inputs  ab: (..., l + u + 1, n); b: (..., n, k).  The corners of ab, which are outside a, are not read.
    Output  x: (..., n, k).
    below, above  l and u: how many diagonals are below and above the main one.
    Errors  ShapeError unless ab has l + u + 1 rows; LinAlgError naming the pivot that is exactly 0.
    Source  LAPACK gbsv, and gtsv for three diagonals; n (l + u) operations; Golub, Van Loan (2013), section 4.3.
            Derivatives: Giles (2008), 2.3.1, on the band.
    """

    __props__ = ("below", "above", "check_finite", "on_error")
    signature = "(d,n),(n,k)->(n,k)"
    routine, works_in = "gbsv", (0, 1)

    def __init__(self, below: int, above: int, check_finite: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.below, self.above = int(below), int(above)
        self.check_finite = self.needs_finite = bool(check_finite)

    def make_node(self, ab: Any, b: Any) -> Any:
        node = super().make_node(ab, b)
        self._check(node.inputs[0].type.shape[-2], node.inputs[0])
        return node

    def _check(self, rows: int | None, blame: Any) -> None:
        if rows is not None and rows != self._count:
            raise ShapeError(self.wrong_band(rows), blame=blame)

    def wrong_band(self, rows: int) -> str:
        return f"{self} needs ab with {self._count} rows, its diagonals, got {rows}"

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        self._check(inputs[0].shape[-2], node)
        super().perform(node, inputs, output_storage)

    def compute(self, ab: np.ndarray, b: np.ndarray) -> np.ndarray:
        n = ab.shape[1]
        if n == 1:
            if ab[self.above, 0] == 0:
                raise LinAlgError(self.why(1))
            return b / ab[self.above, 0]
        if self.below == self.above == 1:
            *_, x, info = routine("gtsv", ab)(ab[2, :-1].copy(), ab[1].copy(), ab[0, 1:].copy(), b)
        else:
            padded = np.zeros((self.below + len(ab), n), ab.dtype)  # room for what pivoting fills in
            padded[self.below :] = ab
            *_, x, info = routine("gbsv", ab)(self.below, self.above, padded, b)
        if info > 0:
            raise LinAlgError(self.why(info))
        return x

    def why(self, number: int) -> str:
        return f"the matrix is singular: pivot {number - 1} is 0"

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """gb = a^-T g, and the gradient of a is -gb x^T on its diagonals."""
        (ab, _), (x,), (g,) = inputs, outputs, grads
        transposed = SolveBanded(self.above, self.below, self.check_finite, self.on_error)
        gb = transposed(self._transposed(ab), g)
        rows = [-sum_along(self._shifted(gb, r - self.above, -2) * x, axis=-1) for r in range(self._count)]
        return [stack(rows, axis=-2), gb]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dx = a^-1 (db - da x)."""
        (ab, _), (x,), (dab, db) = inputs, outputs, tangents
        changes = []
        if dab is not None:  # (da x)[i] = sum over rows r of dab[r, j] x[j] with j = i + u - r
            for r in range(self._count):
                changes.append(-self._shifted(dab[..., r, :, None] * x, self.above - r, -2))
        return [self(ab, total([db, *changes]))]

    @property
    def _count(self) -> int:
        return self.below + self.above + 1

    def _transposed(self, ab: TensorVariable) -> TensorVariable:
        """The diagonals of a^T: row r holds those of row l + u - r, moved by r - l."""
        last = self._count - 1
        return stack([self._shifted(ab[..., last - r, :], r - self.below, -1) for r in range(self._count)], axis=-2)

    def _shifted(self, x: TensorVariable, by: int, axis: int) -> TensorVariable:
        """y with y[j] = x[j + by] along an axis, 0 where x has no such element."""
        shape, n = shape_of(x), shape_i(x, axis)
        at = x.ndim + axis
        if by == 0:
            return x
        room = zeros((*shape[:at], abs(by), *shape[at + 1 :]), dtype=x.dtype)
        joined = concatenate([x, room] if by > 0 else [room, x], axis=axis)
        start = max(by, 0)
        window = slice(start, start + n) if by > 0 else slice(0, n)
        return joined[(*(slice(None),) * at, window)]


def solve_banded(
    l_and_u: tuple[int, int],
    ab: Any,
    b: Any,
    overwrite_ab: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    on_error: str | None = None,
) -> TensorVariable:
    """x with a x = b, for a with ``l`` diagonals below the main one and ``u`` above it; see SolveBanded.

    ab  (..., l + u + 1, n), ab[u + i - j, j] = a[i, j].      b  (n,) or (..., n, k).
    Three diagonals, (1, 1), make a tridiagonal system.  Errors: ArgumentError for negative numbers of diagonals.
    """
    below, above = l_and_u
    if below < 0 or above < 0:
        raise ArgumentError(f"solve_banded needs numbers of diagonals, not below 0, got {l_and_u}")
    b, was_vector = as_columns(b)
    return without_column(SolveBanded(below, above, check_finite, on_error)(as_tensor(ab), b), was_vector)
