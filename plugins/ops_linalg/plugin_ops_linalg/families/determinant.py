"""Determinants, their logarithms, inverses, and adjugates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.tensor import TensorVariable, cast, expand_dims, imag, real, zeros_like
from core.tensor import sum as sum_along
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.lapack import routine
from plugin_ops_linalg.matrices import is_complex, matrix_transpose, product, total

__all__ = ["Adjugate", "Det", "Inv", "SLogDet", "adjugate", "det", "inv", "slogdet"]


class Inv(BatchedOp):
    """The inverse.

    Input   a: (..., n, n).      Output  the same shape.
    Errors  LinAlgError naming the pivot that is exactly 0.
    Source  LAPACK getrf, getri; Higham (2002), section 14.3.  Derivatives: Giles (2008), section 2.2.3.
    """

    __props__ = ("check_finite", "on_error")
    signature = "(n,n)->(n,n)"
    routine, works_in = "getri", (0, 0)

    def __init__(self, check_finite: bool = True, on_error: str | None = None):
        super().__init__(on_error)
        self.check_finite = self.needs_finite = bool(check_finite)

    def compute(self, a: np.ndarray) -> np.ndarray:
        factors, pivots, info = routine("getrf", a)(a)
        if info > 0:
            raise LinAlgError(self.why(info))
        work, _ = routine("getri_lwork", a)(a.shape[0])
        inverse, _ = routine("getri", a)(factors, pivots, lwork=int(1.01 * work.real))
        return inverse

    def why(self, number: int) -> str:
        return f"the matrix is singular: pivot {number - 1} is 0"

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """ga = -y^T g y^T."""
        y = matrix_transpose(outputs[0])
        return [-product(y, grads[0], y)]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """dy = -y da y."""
        return [-product(outputs[0], tangents[0], outputs[0])]


class Det(BatchedOp):
    """The determinant.

    Input   a: (..., n, n).      Output  (...); 1 for n = 0.
    Source  LAPACK getrf.  Derivatives: Jacobi's formula, by the adjugate, which a singular matrix has too.
    """

    __props__ = ("on_error",)
    signature = "(n,n)->()"
    routine = "determinant"
    needs_finite = False

    def compute(self, a: np.ndarray) -> np.ndarray:
        return np.linalg.det(a)

    def compute_empty(self, outputs: Sequence[np.ndarray]) -> None:
        outputs[0][...] = 1

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """ga = g adj(a)^T."""
        return [expand_dims(grads[0], (-2, -1)) * matrix_transpose(Adjugate(self.on_error)(inputs[0]))]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """d det a = tr(adj(a) da)."""
        return [trace_of_product(Adjugate(self.on_error)(inputs[0]), tangents[0])]


class Adjugate(BatchedOp):
    """The transposed cofactors: a adj(a) = det(a) I, for singular a too.

    Input   a: (..., n, n).      Output  the same shape.
    Source  From singular values: adj(U S Vh) = det(U) det(Vh) Vh^H adj(S) U^H; Stewart (1998), section 3.  Derivatives:
            those of det(a) inv(a), so for non-singular a alone.
    """

    __props__ = ("on_error",)
    signature = "(n,n)->(n,n)"

    def compute(self, a: np.ndarray) -> np.ndarray:
        u, s, vh = np.linalg.svd(a)
        before = np.concatenate([[1], np.cumprod(s[:-1])])
        behind = np.concatenate([np.cumprod(s[:0:-1])[::-1], [1]])
        phase = np.linalg.det(u) * np.linalg.det(vh)
        return phase * (vh.conj().T * (before * behind)) @ u.conj().T

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """adj(a) = det(a) y with y = inv(a): ga = det(a) (<g, y> y^T - y^T g y^T)."""
        (a,), (g,) = inputs, grads
        y, d = Inv(True, self.on_error)(a), expand_dims(Det(self.on_error)(a), (-2, -1))
        yt = matrix_transpose(y)
        inner = expand_dims(sum_along(g * y, axis=(-2, -1)), (-2, -1))
        return [d * (inner * yt - product(yt, g, yt))]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """d adj(a) = det(a) (tr(y da) y - y da y) with y = inv(a)."""
        (a,), (da,) = inputs, tangents
        y, d = Inv(True, self.on_error)(a), expand_dims(Det(self.on_error)(a), (-2, -1))
        return [d * (expand_dims(trace_of_product(y, da), (-2, -1)) * y - product(y, da, y))]


class SLogDet(BatchedOp):
    """Sign and logarithm of the absolute value of the determinant, which neither overflows nor underflows.

    Input    a: (..., n, n).
    Outputs  sign (...), of the dtype of a: -1, 0 or 1, or a complex number of length 1;  logabsdet (...), real: -inf
             for a singular matrix.
    Source   LAPACK getrf.  Derivatives: d log|det a| = Re tr(a^-1 da).
    """

    __props__ = ("on_error",)
    signature = "(n,n)->(),()"
    routine = "determinant"
    needs_finite = False

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        return [dtype, dtypes.real_of(dtype)]

    def compute(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sign, logabsdet = np.linalg.slogdet(a)
        return sign, logabsdet

    def compute_empty(self, outputs: Sequence[np.ndarray]) -> None:
        outputs[0][...] = 1

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """ga = g a^-T; the sign adds its turn, i Im(g sign), where it is complex, and nothing where it is real."""
        (a,), (sign, _), (g_sign, g) = inputs, outputs, grads
        weight = None if g is None else cast(g, a.dtype)
        if g_sign is not None and is_complex(a):
            weight = total([weight, 1j * imag(g_sign * sign).astype(a.dtype)])
        if weight is None:
            return [zeros_like(a)]
        return [expand_dims(weight, (-2, -1)) * matrix_transpose(Inv(False, self.on_error)(a))]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """d log|det a| = Re t and d sign = i Im(t) sign, with t = tr(a^-1 da)."""
        (a,), (sign, _), (da,) = inputs, outputs, tangents
        t = trace_of_product(Inv(False, self.on_error)(a), da)
        if not is_complex(a):
            return [sign * 0, t]
        return [1j * imag(t).astype(a.dtype) * sign, real(t)]


def trace_of_product(x: TensorVariable, y: TensorVariable) -> TensorVariable:
    """tr(x y) without the product: (..., m, n) and (..., n, m) to (...)."""
    return sum_along(x * matrix_transpose(y), axis=(-2, -1))


def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True, on_error: str | None = None) -> TensorVariable:
    """The inverse of ``a``; see Inv.  ``inv(a) @ b`` becomes a solve."""
    return Inv(check_finite, on_error)(a)


def det(a: Any) -> TensorVariable:
    """The determinant of ``a``: (..., n, n) to (...)."""
    return Det()(a)


def slogdet(a: Any) -> tuple[TensorVariable, TensorVariable]:
    """Sign and logarithm of the absolute value of the determinant: (..., n, n) to (...) and (...); see SLogDet."""
    return SLogDet()(a)


def adjugate(a: Any, on_error: str | None = None) -> TensorVariable:
    """The transposed matrix of cofactors, for singular matrices too; see Adjugate."""
    return Adjugate(on_error)(a)
