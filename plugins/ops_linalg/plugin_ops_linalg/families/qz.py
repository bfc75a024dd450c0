"""Generalised Schur factors of two matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError
from core.op import grad_not_implemented
from core.tensor import TensorVariable, as_tensor, cast
from plugin_ops_linalg.batched import BatchedOp
from plugin_ops_linalg.families.schur import checked_output, checked_sort
from plugin_ops_linalg.lapack import scipy_linalg

__all__ = ["OrderedQZ", "QZ", "ordqz", "qz"]

_FREE = "the factors of two matrices have no derivative here; eigenvalues of a symmetric pair have one, by eigh(a, b)"


class QZ(BatchedOp):
    """a = Q AA Z^H and b = Q BB Z^H with unitary Q and Z and triangular AA and BB.

    Inputs   a, b: (..., n, n).
    Outputs  AA, BB, Q and Z: (..., n, n).  AA of real matrices has a block of 2 by 2 for each pair of complex
             eigenvalues.
    Errors   LinAlgError when the iteration does not converge.
    Source   LAPACK gges: Moler, Stewart (1973).  No derivative: NullType.
    """

    __props__ = ("on_error",)
    signature = "(n,n),(n,n)->(n,n),(n,n),(n,n),(n,n)"

    def compute(self, a: np.ndarray, b: np.ndarray) -> tuple:
        output = "complex" if a.dtype.kind == "c" else "real"
        return scipy_linalg().qz(a, b, output=output, check_finite=False)

    def pullback(
        self, inputs: Sequence[TensorVariable], outputs: Sequence[TensorVariable], grads: Sequence[Any]
    ) -> Sequence[Any]:
        """There is none."""
        return [grad_not_implemented(self, k, x, _FREE) for k, x in enumerate(inputs)]


class OrderedQZ(QZ):
    """As QZ, with the eigenvalues that ``sort`` chooses first, and the eigenvalues alpha / beta.

    Outputs  AA, BB (..., n, n), alpha, beta (..., n), Q, Z (..., n, n); alpha is complex.
    sort     "lhp", "rhp" (real part below, not below 0), "iuc", "ouc" (inside, outside the unit circle), or a function
             of alpha and beta.
    Source   LAPACK gges, tgsen: Kågström, Poromaa (1996).
    """

    __props__ = ("sort", "on_error")
    signature = "(n,n),(n,n)->(n,n),(n,n),(n),(n),(n,n),(n,n)"

    def __init__(self, sort: str | Callable = "lhp", on_error: str | None = None):
        super().__init__(on_error)
        self.sort = sort

    def output_dtypes(self, dtype: str) -> Sequence[str]:
        return [dtype, dtype, dtypes.promote(dtype, "complex64"), dtype, dtype, dtype]

    def compute(self, a: np.ndarray, b: np.ndarray) -> tuple:
        output = "complex" if a.dtype.kind == "c" else "real"
        return scipy_linalg().ordqz(a, b, sort=self.sort, output=output, check_finite=False)


def qz(
    A: Any,
    B: Any,
    output: str = "real",
    lwork: Any = None,
    sort: None = None,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    on_error: str | None = None,
) -> tuple[TensorVariable, ...]:
    """AA, BB, Q and Z with A = Q AA Z^H and B = Q BB Z^H; see QZ.  As in SciPy, ``ordqz`` is what sorts.

    output  "real" or "complex": complex factors also of real matrices.  ``lwork`` and ``overwrite_*`` are SciPy's.
    """
    if sort is not None:
        raise ArgumentError(f"qz does not sort, got sort={sort!r}; ordqz does")
    return tuple(QZ(on_error)(*_as_kind("qz", output, A, B)))


def ordqz(
    A: Any,
    B: Any,
    sort: Any = "lhp",
    output: str = "real",
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    on_error: str | None = None,
) -> tuple[TensorVariable, ...]:
    """AA, BB, alpha, beta, Q and Z: as ``qz``, with the eigenvalues alpha / beta that ``sort`` chooses first."""
    return tuple(OrderedQZ(checked_sort("ordqz", sort), on_error)(*_as_kind("ordqz", output, A, B)))


def _as_kind(who: str, output: str, *matrices: Any) -> list[TensorVariable]:
    """The matrices, complex where ``output`` asks for it."""
    found = [as_tensor(x) for x in matrices]
    if checked_output(who, output) == "complex":
        found = [x if x.dtype in dtypes.COMPLEXES else cast(x, dtypes.promote(x.dtype, "complex64")) for x in found]
    return found
