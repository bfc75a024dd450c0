"""Eigenvalues and eigenvectors: of Hermitian matrices, of pairs of them, and of general ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError
from core.tensor import TensorVariable, as_tensor, cast, expand_dims, matmul, real
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.families.cholesky import Cholesky
from plugin_ops_linalg.families.solve import Solve
from plugin_ops_linalg.families.triangular import SolveTriangular
from plugin_ops_linalg.gaps import inverse_gaps
from plugin_ops_linalg.lapack import require, routine
from plugin_ops_linalg.matrices import (
    adjoint,
    conjugate,
    diagonal_matrix,
    diagonal_of,
    hermitian,
    hermitian_transposed,
    product,
    total,
)

__all__ = ["Eig", "Eigh", "Eigvals", "Eigvalsh", "eig", "eigh", "eigvals", "eigvalsh"]


class Eigh(BatchedOp):
    """a = V diag(w) V^H for Hermitian a, eigenvalues in ascending order.

    Input    a: (..., n, n); only the triangle that ``lower`` names is read.
    Outputs  w: (..., n), real; V: (..., n, n), whose columns are the vectors.
    Errors   LinAlgError when the iteration does not converge.
    Source   LAPACK syevd, heevd.  Derivatives: Giles (2008), section 3.1.  Where eigenvalues are equal, up to rounding,
             their vectors are free; see plugin_ops_linalg/gaps.py.
    """

    __props__ = ("lower", "on_error")
    signature = "(n,n)->(n),(n,n)"
    routine, works_in = "syevd", (1, 0)

    def __init__(self, lower: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.lower = bool(lower)

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        return [dtypes.real_of(dtype), dtype]

    def compute(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        name = "heevd" if a.dtype.kind == "c" else "syevd"
        w, v, info = routine(name, a)(a, lower=self.lower)
        require(name, info)
        return w, v

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """ga = V (diag(gw) + F o (V^H gV)) V^H, F_ij = 1 / (w_j - w_i)."""
        (w, v), (gw, gv) = outputs, grads
        inner = None if gw is None else diagonal_matrix(cast(gw, v.dtype))
        if gv is not None:
            inner = total([inner, cast(inverse_gaps(w), v.dtype) * matmul(adjoint(v), conjugate(gv))])
        return [hermitian_transposed(conjugate(product(v, inner, adjoint(v))), self.lower)]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """With D = V^H da V: dw = diag D and dV = V (F o D)."""
        w, v = outputs
        inner = product(adjoint(v), hermitian(tangents[0], self.lower), v)
        return [cast_real(diagonal_of(inner)), matmul(v, cast(inverse_gaps(w), v.dtype) * inner)]


class Eigvalsh(BatchedOp):
    """The eigenvalues of Hermitian matrices, in ascending order: w (..., n), real.  As Eigh otherwise."""

    __props__ = ("lower", "on_error")
    signature = "(n,n)->(n)"
    routine = "syevd"

    def __init__(self, lower: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.lower = bool(lower)

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        return [dtypes.real_of(dtype)]

    def compute(self, a: np.ndarray) -> np.ndarray:
        name = "heevd" if a.dtype.kind == "c" else "syevd"
        w, _, info = routine(name, a)(a, compute_v=False, lower=self.lower)
        require(name, info)
        return w

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """ga = V diag(gw) V^H."""
        with_vectors = Eigh(self.lower, self.on_error)
        return with_vectors.pullback(inputs, with_vectors(*inputs), [grads[0], None])

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dw = diag(V^H da V)."""
        with_vectors = Eigh(self.lower, self.on_error)
        return with_vectors.pushforward(inputs, with_vectors(*inputs), tangents)[:1]


class Eig(BatchedOp):
    """a V = V diag(w) for general a; the order of the eigenvalues is LAPACK's.

    Input    a: (..., n, n).
    Outputs  w: (..., n) and V: (..., n, n), complex; the columns of V have length 1 and a largest element that is real.
    Errors   LinAlgError when the iteration does not converge.
    Source   LAPACK geev.  Derivatives: Boeddeker et al. (2017), section 4.4; they exist where eigenvalues differ, and
             are exact for functions that do not depend on the phases of the vectors.
    """

    __props__ = ("on_error",)
    signature = "(n,n)->(n),(n,n)"
    routine = "geev"

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        found = dtypes.promote(dtype, "complex64")
        return [found, found]

    def compute(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.linalg.eig(a)

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """ga = V^-H (diag(gw) + F^* o (V^H gV - V^H V Re diag(V^H gV))) V^H, F_ij = 1 / (w_j - w_i)."""
        (w, v), (gw, gv) = outputs, grads
        inner = None if gw is None else diagonal_matrix(conjugate(gw))
        if gv is not None:
            along = matmul(adjoint(v), conjugate(gv))
            own = expand_dims(real(diagonal_of(along)).astype(v.dtype), -2)
            turn = along - matmul(adjoint(v), v) * own
            inner = total([inner, conjugate(inverse_gaps(w)) * turn])
        found = Solve("gen", check_finite=False, on_error=self.on_error)(adjoint(v), matmul(inner, adjoint(v)))
        return [conjugate(found)]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """With D = V^-1 da V: dw = diag D, dV = V (F o D) less what would change the length of a column."""
        w, v = outputs
        solve = Solve("gen", check_finite=False, on_error=self.on_error)
        inner = solve(v, matmul(cast(tangents[0], v.dtype), v))
        dv = matmul(v, inverse_gaps(w) * inner)
        longer = real(diagonal_of(matmul(adjoint(v), dv))).astype(v.dtype)
        return [diagonal_of(inner), dv - v * expand_dims(longer, -2)]


class Eigvals(BatchedOp):
    """The eigenvalues of general matrices: w (..., n), complex.  As Eig otherwise."""

    __props__ = ("on_error",)
    signature = "(n,n)->(n)"
    routine = "geev"

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        return [dtypes.promote(dtype, "complex64")]

    def compute(self, a: np.ndarray) -> np.ndarray:
        return np.linalg.eigvals(a)

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """ga = V^-H diag(gw) V^H."""
        return Eig(self.on_error).pullback(inputs, Eig(self.on_error)(*inputs), [grads[0], None])

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dw = diag(V^-1 da V)."""
        return Eig(self.on_error).pushforward(inputs, Eig(self.on_error)(*inputs), tangents)[:1]


def cast_real(d: TensorVariable) -> TensorVariable:
    """The real part of what is real but for rounding."""
    return real(d) if d.dtype in dtypes.COMPLEXES else d


def eigh(
    a: Any,
    b: Any = None,
    lower: bool = True,
    eigvals_only: bool = False,
    type: int = 1,
    on_error: str | None = None,
) -> Any:
    """w and V for Hermitian ``a``, or for the pair a, b with positive definite ``b``; w alone where ``eigvals_only``.

    type  of the generalised problem: 1: a V = b V diag(w), 2: a b V = V diag(w), 3: b a V = V diag(w).
          V^H b V = I for 1 and 2, V^H b^-1 V = I for 3.
    Source  LAPACK sygst: reduced by the Cholesky factor of b to a problem without b.
    """
    if type not in (1, 2, 3):
        raise ArgumentError(f"eigh needs type 1, 2 or 3, got {type!r}")
    if b is None:
        return eigvalsh(a, lower=lower, on_error=on_error) if eigvals_only else Eigh(lower, on_error)(a)
    whole, factor = hermitian(as_tensor(a), lower), Cholesky(lower, True, on_error)(b)
    factor = factor if lower else adjoint(factor)
    solve = SolveTriangular(True, "N", False, True, on_error)
    if type == 1:
        reduced = adjoint(solve(factor, adjoint(solve(factor, whole))))
    else:
        reduced = product(adjoint(factor), whole, factor)
    if eigvals_only:
        return Eigvalsh(True, on_error)(reduced)
    w, y = Eigh(True, on_error)(reduced)
    return w, matmul(factor, y) if type == 3 else solve.with_trans("C")(factor, y)


def eigvalsh(a: Any, b: Any = None, lower: bool = True, type: int = 1, on_error: str | None = None) -> TensorVariable:
    """The eigenvalues that ``eigh`` finds."""
    if b is not None:
        return eigh(a, b, lower, True, type, on_error)
    return Eigvalsh(lower, on_error)(a)


def eig(a: Any, on_error: str | None = None) -> tuple[TensorVariable, TensorVariable]:
    """w and V with a V = V diag(w), complex always; see Eig."""
    return Eig(on_error)(a)


def eigvals(a: Any, on_error: str | None = None) -> TensorVariable:
    """The eigenvalues of a general matrix, complex always."""
    return Eigvals(on_error)(a)
