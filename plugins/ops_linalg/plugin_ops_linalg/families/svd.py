"""Singular values and vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.op import grad_not_implemented
from core.tensor import TensorVariable, cast, expand_dims, imag, matmul, shape_i
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.families.lu import shorter
from plugin_ops_linalg.gaps import inverse_nonzero, inverse_square_gaps
from plugin_ops_linalg.lapack import require, routine
from plugin_ops_linalg.matrices import (
    adjoint,
    conjugate,
    diagonal_matrix,
    diagonal_of,
    is_complex,
    product,
    total,
)

__all__ = ["SVD", "svd", "svdvals"]


class SVD(BatchedOp):
    """a = U diag(s) Vh, singular values in descending order.

    Input    a: (..., m, n); k = min(m, n).
    Outputs  U (..., m, k), s (..., k), real, Vh (..., k, n); with ``full_matrices`` U (..., m, m) and Vh (..., n, n);
             s alone without ``compute_uv``.
    Errors   LinAlgError when the iteration does not converge.
    Source   LAPACK gesdd.  Derivatives: Giles (2008), section 3.2, Townsend (2016), for complex ones Wan, Zhang (2019).
             Where singular values are equal, up to rounding, their vectors are free, and what a change of one of them
             towards another would give is left out: exact for functions that do not depend on that freedom.
    """

    __props__ = ("full_matrices", "compute_uv", "on_error")
    routine = "gesdd"

    def __init__(self, full_matrices: bool = True, compute_uv: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.full_matrices, self.compute_uv = bool(full_matrices) and bool(compute_uv), bool(compute_uv)

    @property
    def signature(self) -> str:  # type: ignore[override]
        if not self.compute_uv:
            return "(m,n)->(k)"
        return "(m,n)->(m,m),(k),(n,n)" if self.full_matrices else "(m,n)->(m,k),(k),(k,n)"

    def lengths(self, sizes: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"k": shorter(sizes["m"], sizes["n"])}

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        real = dtypes.real_of(dtype)
        return [dtype, real, dtype] if self.compute_uv else [real]

    def compute(self, a: np.ndarray) -> Any:
        u, s, vh, info = routine("gesdd", a)(a, compute_uv=self.compute_uv, full_matrices=self.full_matrices)
        require("gesdd", info)
        return (u, s, vh) if self.compute_uv else s

    def compute_empty(self, outputs: Sequence[np.ndarray]) -> None:
        if self.full_matrices:
            for factor in (outputs[0], outputs[2]):
                factor[...] = np.eye(factor.shape[-1])

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """ga = U (F o skew(U^H gU) S + S F o skew(V^H gV) + diag(gs)) V^H + what leaves the spaces of U and V."""
        (a,) = inputs
        gu, gs, gvh = grads if self.compute_uv else (None, grads[0], None)
        if self.full_matrices and not (gu is None and gvh is None) and not _is_square(a):
            return [grad_not_implemented(self, 0, a, "the last vectors of full_matrices=True are free")]
        u, s, vh = self._thin(a)
        k = shape_i(s, -1)
        v, inner = adjoint(vh), None
        scale, apart = expand_dims(s, -2).astype(a.dtype), cast(inverse_square_gaps(s), a.dtype)
        inverse = cast(inverse_nonzero(s), a.dtype)
        if gu is not None:
            gu = conjugate(gu)[..., :k]
            along = matmul(adjoint(u), gu)
            inner = (apart * (along - adjoint(along))) * scale
            if is_complex(a):
                inner = inner + diagonal_matrix(1j * imag(diagonal_of(along)).astype(a.dtype) * inverse)
        if gvh is not None:
            gv = adjoint(conjugate(gvh))[..., :k]
            along_v = matmul(adjoint(v), gv)
            inner = total([inner, expand_dims(s, -1).astype(a.dtype) * (apart * (along_v - adjoint(along_v)))])
        if gs is not None:
            inner = total([inner, diagonal_matrix(cast(gs, a.dtype))])
        ga = product(u, inner, vh)
        if gu is not None:
            ga = ga + matmul((gu - matmul(u, along)) * expand_dims(inverse, -2), vh)
        if gvh is not None:
            ga = ga + matmul(u * expand_dims(inverse, -2), adjoint(gv - matmul(v, along_v)))
        return [conjugate(ga)]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """With D = U^H da V: ds = Re diag D, dU = U (F o (D S + S D^H)) + ..., dV = V (F o (S D + D^H S)) + ..."""
        (a,), (da,) = inputs, tangents
        u, s, vh = self._thin(a)
        v = adjoint(vh)
        inner = product(adjoint(u), da, v)
        ds = diagonal_of(inner).real if is_complex(a) else diagonal_of(inner)
        if not self.compute_uv:
            return [ds]
        if self.full_matrices and not _is_square(a):
            free, _, also_free = super().pushforward(inputs, outputs, tangents)
            return [free, ds, also_free]
        across, down = expand_dims(s, -2).astype(a.dtype), expand_dims(s, -1).astype(a.dtype)
        apart, inverse = cast(inverse_square_gaps(s), a.dtype), expand_dims(cast(inverse_nonzero(s), a.dtype), -2)
        turn = apart * (inner * across + down * adjoint(inner))
        if is_complex(a):
            turn = turn + diagonal_matrix(1j * imag(diagonal_of(inner)).astype(a.dtype)) * inverse
        du = matmul(u, turn) + (matmul(da, v) - matmul(u, inner)) * inverse
        dv = matmul(v, apart * (down * inner + adjoint(inner) * across))
        dv = dv + (matmul(adjoint(da), u) - matmul(v, adjoint(inner))) * inverse
        return [du, ds, adjoint(dv)]

    def _thin(self, a: TensorVariable) -> Sequence[TensorVariable]:
        return SVD(False, True, self.on_error)(a)


def _is_square(a: TensorVariable) -> bool:
    m, n = a.type.shape[-2:]
    return m is not None and m == n


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    on_error: str | None = None,
) -> Any:
    """U, s and Vh with a = U diag(s) Vh, or s alone without ``compute_uv``; see SVD."""
    return SVD(full_matrices, compute_uv, on_error)(a)


def svdvals(a: Any, on_error: str | None = None) -> TensorVariable:
    """The singular values, in descending order: (..., min(m, n))."""
    return SVD(False, False, on_error)(a)
