"""Products of Householder reflections, as LAPACK and torch.linalg store them."""

from __future__ import annotations

from typing import Any

from core.errors import ShapeError
from core.tensor import TensorVariable, as_tensor, expand_dims, eye, matmul, shape_i, tril, triu
from plugin_ops_linalg.families.triangular import SolveTriangular
from plugin_ops_linalg.matrices import adjoint

__all__ = ["householder_product"]


def householder_product(a: Any, tau: Any) -> TensorVariable:
    """The first n columns of H_1 H_2 ... H_k with H_i = I - tau_i v_i v_i^H.

    a    (..., m, n), m >= n; v_i is 0 above row i, 1 in row i, and below that what column i of a holds.
    tau  (..., k), k <= n.      Output  (..., m, n).
    Errors  ShapeError for too few axes.
    Source  LAPACK orgqr computes this.  Here as I - V (I + D S)^-1 D V^H, D = diag(tau), S the strict upper triangle of
            V^H V: Joffrain et al. (2006), theorem 2; products of matrices, which are differentiated as such.
    """
    a, tau = as_tensor(a), as_tensor(tau)
    for x, ndim in ((a, 2), (tau, 1)):
        if x.ndim < ndim:
            raise ShapeError(f"householder_product needs ndim >= {ndim}, but {x} has ndim={x.ndim}", blame=x)
    m, n, k = shape_i(a, -2), shape_i(a, -1), shape_i(tau, -1)
    v = tril(a[..., :k], -1) + eye(m, k, dtype=a.dtype)
    weights = expand_dims(tau, -1)
    inner = weights * triu(matmul(adjoint(v), v), 1)  # the diagonal of ones is not read
    middle = SolveTriangular(False, "N", unit_diagonal=True)(inner, weights * adjoint(v[..., :n, :]))
    return eye(m, n, dtype=a.dtype) - matmul(v, middle)
