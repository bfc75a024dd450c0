"""Systems with a matrix that is one vector or two, shifted from row to row: Toeplitz and circulant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.errors import ArgumentError
from core.gradient import Lop
from core.tensor import (
    TensorVariable,
    as_tensor,
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    matmul,
    moveaxis,
    shape_of,
)
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.families.assembled import circulant, toeplitz
from plugin_ops_linalg.matrices import as_columns, conjugate, matrix_transpose, total, without_column

__all__ = ["SolveCirculant", "SolveToeplitz", "solve_circulant", "solve_toeplitz"]


class SolveToeplitz(BatchedOp):
    """x with toeplitz(c, r) x = b.

    Inputs  c, r: (..., n), the first column and the first row, whose first element is not read; b: (..., n, k).
    Output  x: (..., n, k).
    Errors  LinAlgError naming the leading minor that is 0, of which the method knows no way around.
    Source  Levinson recursion, 3 n^2 operations and more for each column of b: Golub, Van Loan (2013), section 4.7;
            unstable unless the matrix is well-conditioned: Bunch (1985).  Derivatives: Giles (2008), 2.3.1.
    """

    __props__ = ("check_finite", "on_error")
    signature = "(n),(n),(n,k)->(n,k)"
    routine, works_in = "toeplitz", (0, 2)

    def __init__(self, check_finite: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.check_finite = self.needs_finite = bool(check_finite)

    def compute(self, c: np.ndarray, r: np.ndarray, b: np.ndarray) -> np.ndarray:
        f, g, x = (
            np.zeros_like(c),
            np.zeros_like(c),
            np.zeros_like(b),
        )  # t f = e_1 and t g = e_last, of leading matrices
        if c[0] == 0:
            raise LinAlgError(self.why(1))
        f[0] = g[0] = 1 / c[0]
        x[0] = b[0] / c[0]
        for m in range(1, len(c)):
            below, across = c[m:0:-1], r[1 : m + 1]
            forward, backward = below @ f[:m], across @ g[:m]
            left = 1 - forward * backward
            if left == 0:
                raise LinAlgError(self.why(m + 1))
            first, last = f[: m + 1].copy(), np.concatenate([[0], g[:m]])
            f[: m + 1], g[: m + 1] = (first - forward * last) / left, (last - backward * first) / left
            x[: m + 1] += np.outer(g[: m + 1], b[m] - below @ x[:m])
        return x

    def why(self, number: int) -> str:
        return f"the leading minor of order {number} is 0, which this method cannot pass; use solve(toeplitz(c, r), b)"

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """gb = t^-T g, and the gradient -gb x^T of the matrix is summed along its diagonals."""
        (c, r, _), (x,), (g,) = inputs, outputs, grads
        whole = [broadcast_to(v, shape_of(x)[:-1]) for v in (c, r)]
        across = concatenate([whole[0][..., :1], whole[1][..., 1:]], axis=-1)
        gb = self(across, c, g)
        gc, gr = Lop(toeplitz(*whole), whole, -matmul(gb, matrix_transpose(x)))
        return [gc, gr, gb]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dx = t^-1 (db - dt x)."""
        (c, r, _), (x,), (dc, dr, db) = inputs, outputs, tangents
        change = None
        if dc is not None or dr is not None:
            moved = [v * 0 if dv is None else dv for v, dv in ((c, dc), (r, dr))]
            change = -matmul(toeplitz(*moved), x)
        return [self(c, r, total([db, change]))]


class SolveCirculant(BatchedOp):
    """x with circulant(c) x = b.

    Inputs    c, b: (..., n).      Output  x: (..., n).
    singular  "raise", or "lstsq": the shortest least-squares solution.
    tol       eigenvalues of magnitude up to ``tol`` count as 0; None: n eps times the largest, as in SciPy.
    Errors    LinAlgError for a matrix that is singular.
    Source    By Fourier transforms, n log n operations: Golub, Van Loan (2013), section 4.8.  Derivatives: Giles
              (2008), 2.3.1; where "lstsq" leaves eigenvalues out, they hold among circulants of that rank.
    """

    __props__ = ("singular", "tol", "on_error")
    signature = "(n),(n)->(n)"
    routine, works_in = "circulant", (0, 1)

    def __init__(self, singular: str = "raise", tol: float | None = None, on_error: str | None = None):
        super().__init__(on_error)
        self.singular, self.tol = singular, tol

    def compute(self, c: np.ndarray, b: np.ndarray) -> np.ndarray:
        f = np.fft.fft(c)
        size = np.abs(f)
        least = size.max() * len(c) * np.finfo(c.dtype).eps if self.tol is None else self.tol
        gone = size <= least
        if gone.any() and self.singular == "raise":
            raise LinAlgError(self.why(int(np.argmax(gone)) + 1))
        q = np.where(gone, 0, np.fft.fft(b) / np.where(gone, 1, f))
        x = np.fft.ifft(q)
        return x if c.dtype.kind == "c" else x.real

    def why(self, number: int) -> str:
        return f"the matrix is singular: eigenvalue {number - 1} is 0"

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """gb = t^-T g, where t^T is the circulant of c read backwards; gc = -t(x)^T gb, for t x = circulant(x) c."""
        (c, _), (x,), (g,) = inputs, outputs, grads
        gb = self(_backwards(c), g)
        gc = -matmul(matrix_transpose(circulant(x)), expand_dims(gb, -1))[..., 0]
        return [gc, gb]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dx = t^-1 (db - dt x)."""
        (c, _), (x,), (dc, db) = inputs, outputs, tangents
        change = None if dc is None else -matmul(circulant(x), expand_dims(dc, -1))[..., 0]
        return [self(c, total([db, change]))]


def _backwards(c: TensorVariable) -> TensorVariable:
    """c[-i mod n]."""
    return concatenate([c[..., :1], flip(c[..., 1:], axis=-1)], axis=-1)


def solve_toeplitz(c_or_cr: Any, b: Any, check_finite: bool = True, on_error: str | None = None) -> TensorVariable:
    """x with toeplitz(c, r) x = b; r is conj(c) unless given; see SolveToeplitz.

    c_or_cr  c, (..., n), or the pair (c, r).      b  (n,) or (..., n, k).
    """
    c, r = c_or_cr if isinstance(c_or_cr, (tuple, list)) and len(c_or_cr) == 2 else (c_or_cr, None)
    c = as_tensor(c)
    b, was_vector = as_columns(b)
    return without_column(SolveToeplitz(check_finite, on_error)(c, conjugate(c) if r is None else r, b), was_vector)


def solve_circulant(
    c: Any,
    b: Any,
    singular: str = "raise",
    tol: float | None = None,
    caxis: int = -1,
    baxis: int = 0,
    outaxis: int = 0,
    on_error: str | None = None,
) -> TensorVariable:
    """x with circulant(c) x = b; see SolveCirculant.

    caxis, baxis, outaxis  the axes of c, b and x that vectors lie along, as in SciPy; the others broadcast.
    Errors  ArgumentError for another word than "raise" and "lstsq".
    """
    if singular not in ("raise", "lstsq"):
        raise ArgumentError(f"solve_circulant needs singular 'raise' or 'lstsq', got {singular!r}")
    c, b = moveaxis(as_tensor(c), caxis, -1), moveaxis(as_tensor(b), baxis, -1)
    return moveaxis(SolveCirculant(singular, tol, on_error)(c, b), -1, outaxis)
