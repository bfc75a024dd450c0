"""Functions of matrices: exponential, logarithm, square root."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.tensor import TensorVariable, concatenate, shape_i, zeros_like
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.lapack import scipy_linalg
from plugin_ops_linalg.matrices import matrix_transpose

__all__ = ["Expm", "Logm", "MatrixFunction", "Sqrtm", "expm", "logm", "sqrtm"]


class MatrixFunction(BatchedOp):
    """f(a) for an analytic f.

    Input   a: (..., n, n).      Output  the same shape and dtype.
    Source  Derivatives of any order: f([[a, e], [0, a]]) = [[f(a), L], [0, f(a)]], where L is the derivative of f at a
            along e: Mathias (1996), theorem 2.1; Higham (2008), equation 3.16.
    """

    signature = "(n,n)->(n,n)"

    def along(self, a: TensorVariable, e: TensorVariable) -> TensorVariable:
        """The derivative of f at ``a`` along ``e``."""
        n = shape_i(a, -1)
        above = concatenate([a, e], axis=-1)
        below = concatenate([zeros_like(a), a], axis=-1)
        return self(concatenate([above, below], axis=-2))[..., :n, n:]

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """The transpose of the derivative at a is the derivative at a^T: Higham (2008), section 3.2."""
        return [self.along(matrix_transpose(inputs[0]), grads[0])]

    def pushforward(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], tangents: Sequence[Any]
    ) -> Sequence[Any]:
        """The derivative of f at a along da."""
        return [self.along(inputs[0], tangents[0])]


class Expm(MatrixFunction):
    """The exponential.

    Source  Scaling and squaring, backward error of the order of eps: Al-Mohy, Higham (2009); in C Higham (2005).
    """

    __props__ = ("on_error",)
    routine, works_in = "expm", (0, 0)

    def compute(self, a: np.ndarray) -> np.ndarray:
        return scipy_linalg().expm(a)


class BySchur(MatrixFunction):
    """A function that is computed from Schur factors.

    Errors  LinAlgError for a real matrix of which it is complex: cast it first.
    """

    what: str
    without: str

    def why(self, number: int) -> str:
        if number == 2:
            return f"the {self.what} of this real matrix is complex; cast the matrix to a complex dtype"
        return self.without

    def as_kind_of(self, a: np.ndarray, found: np.ndarray) -> np.ndarray:
        """``found``, real where ``a`` is.  Errors: LinAlgError when it is not, up to rounding."""
        if not np.isfinite(found).all():
            raise LinAlgError(self.without)
        if a.dtype.kind != "c" and np.iscomplexobj(found):
            if np.abs(found.imag).max() > 1e3 * np.finfo(a.dtype).eps * np.abs(found).max():
                raise LinAlgError(self.why(2))
            found = found.real
        return found


class Logm(BySchur):
    """The principal logarithm.

    Errors  LinAlgError for a singular matrix, and for a real one whose logarithm is complex: cast it first.
    Source  Inverse scaling and squaring: Al-Mohy, Higham (2012).
    """

    __props__ = ("on_error",)
    routine, works_in = "logm", (0, 0)
    what, without = "logarithm", "the matrix is singular and has no logarithm"

    def compute(self, a: np.ndarray) -> np.ndarray:
        if np.linalg.matrix_rank(a) < a.shape[0]:
            raise LinAlgError(self.without)
        return self.as_kind_of(a, scipy_linalg().logm(a))


class Sqrtm(BySchur):
    """The principal square root.

    Errors  LinAlgError for a real matrix whose square root is complex (cast it first), and for one that has none.
    Source  Schur method: Björck, Hammarling (1983), Deadman, Higham, Ralha (2013).
    """

    __props__ = ("on_error",)
    routine, works_in = "sqrtm", (0, 0)
    what, without = "square root", "the matrix has no square root"

    def compute(self, a: np.ndarray) -> np.ndarray:
        return self.as_kind_of(a, scipy_linalg().sqrtm(a))


def expm(A: Any, on_error: str | None = None) -> TensorVariable:
    """The exponential of the matrices in the last two axes."""
    return Expm(on_error)(A)


def logm(A: Any, on_error: str | None = None) -> TensorVariable:
    """The principal logarithm of the matrices in the last two axes, of the dtype of ``A``; see Logm."""
    return Logm(on_error)(A)


def sqrtm(A: Any, on_error: str | None = None) -> TensorVariable:
    """The principal square root of the matrices in the last two axes, of the dtype of ``A``; see Sqrtm."""
    return Sqrtm(on_error)(A)
