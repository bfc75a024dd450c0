"""One call or more of every function of the pack: what tests of all of them, and of backends, go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import core.tensor as ct
from plugin_ops_linalg import names as linalg


def random(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Numbers between -1 and 1, complex ones with such parts; the same for the same arguments."""
    draw = np.random.default_rng(seed).uniform
    values = draw(-1, 1, shape)
    return np.asarray(values + 1j * draw(-1, 1, shape) if dtype.startswith("complex") else values, dtype)


@dataclass(frozen=True)
class Example:
    """``function`` of matrices that ``arrays(dtype)`` makes; ``name`` is that of the pack, with how it is called."""

    name: str
    function: Callable[..., Any]
    arrays: Callable[[str], list[np.ndarray]]

    @property
    def of(self) -> str:
        return self.name.split("(")[0]

    def symbolic(self, dtype: str) -> tuple[list[Any], list[Any]]:
        """Inputs and outputs of its graph."""
        inputs = [ct.tensor(f"x{k}", dtype=x.dtype.name, ndim=x.ndim) for k, x in enumerate(self.arrays(dtype))]
        out = self.function(*inputs)
        outputs = list(out) if isinstance(out, (list, tuple)) else [out]
        return inputs, [x for x in outputs if not isinstance(x, bool)]


def general(n=5, m=5, seed=0):
    return lambda dtype: random((n, m), dtype, seed)


def regular(n=5, seed=0):
    return lambda dtype: np.asarray(random((n, n), dtype, seed) / 2 + 2 * np.eye(n), dtype)


def positive(n=5, seed=0):
    def make(dtype):
        x = random((n, n), dtype, seed)
        return np.asarray(x @ x.conj().T + np.eye(n), dtype)

    return make


def vector(n=5, seed=0):
    return lambda dtype: random((n,), dtype, seed)


def leading(n=5, seed=0):
    """First column or row of a well-conditioned Toeplitz matrix."""
    return lambda dtype: np.asarray(random((n,), dtype, seed) / n + 3 * (np.arange(n) == 0), dtype)


def stable(n=4, seed=0):
    """Eigenvalues within the unit circle."""
    return lambda dtype: np.asarray(random((n, n), dtype, seed) / (2 * n), dtype)


def example(name: str, function: Callable[..., Any], *makers: Callable[[str], np.ndarray]) -> Example:
    return Example(name, function, lambda dtype: [make(dtype) for make in makers])


A, B, P = regular(), general(5, 2, seed=1), positive()
EXAMPLES = [
    example("adjugate", linalg.adjugate, A),
    example("assume", lambda a: linalg.assume(a, symmetric=True), P),
    example("block_diag", linalg.block_diag, A, B),
    example("cho_factor", linalg.cho_factor, P),
    example("cho_solve", lambda c, b: linalg.cho_solve((c, True), b), A, B),
    example("cholesky", linalg.cholesky, P),
    example("circulant", linalg.circulant, vector()),
    example("cond", linalg.cond, A),
    example("cond(p=1)", lambda a: linalg.cond(a, 1), A),
    example("cross", linalg.cross, general(5, 3), general(5, 3, seed=1)),
    example("det", linalg.det, A),
    example("eig", linalg.eig, A),
    example("eigh", linalg.eigh, P),
    example("eigh(b)", linalg.eigh, P, positive(seed=1)),
    example("eigvals", linalg.eigvals, A),
    example("eigvalsh", linalg.eigvalsh, P),
    example("expm", linalg.expm, A),
    example("householder_product", linalg.householder_product, general(5, 3), vector(3, seed=1)),
    example("inv", linalg.inv, A),
    example("kron", linalg.kron, A, B),
    example("logm", linalg.logm, P),
    example("lstsq", lambda a, b: linalg.lstsq(a, b)[0], general(5, 3), B),
    example("lu", linalg.lu, A),
    example("lu_factor", linalg.lu_factor, A),
    example("lu_solve", lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b), A, B),
    example("matmul", linalg.matmul, A, B),
    example("matrix_dot", linalg.matrix_dot, A, A, B),
    example("matrix_norm", linalg.matrix_norm, A),
    example("matrix_norm(ord='nuc')", lambda a: linalg.matrix_norm(a, "nuc"), A),
    example("matrix_power", lambda a: linalg.matrix_power(a, 3), A),
    example("matrix_rank", linalg.matrix_rank, A),
    example("matrix_transpose", linalg.matrix_transpose, A),
    example("multi_dot", lambda a, b, c: linalg.multi_dot([a, b, c]), A, A, B),
    example("norm", linalg.norm, A),
    example("null_space", linalg.null_space, general(3, 5)),
    example("ordqz", linalg.ordqz, A, positive(seed=1)),
    example("ordqz(output='complex')", lambda a, b: linalg.ordqz(a, b, output="complex"), A, positive(seed=1)),
    example("outer", linalg.outer, vector(), vector(3, seed=1)),
    example("pinv", linalg.pinv, general(5, 3)),
    example("pivot_to_permutation", lambda a: linalg.pivot_to_permutation(linalg.lu_factor(a)[1]), A),
    example("qr", linalg.qr, general(5, 3)),
    example("qr(mode='complete')", lambda a: linalg.qr(a, "complete"), general(5, 3)),
    example("qr(pivoting=True)", lambda a: linalg.qr(a, pivoting=True), general(5, 3)),
    example("qz", linalg.qz, A, positive(seed=1)),
    example("qz(output='complex')", lambda a, b: linalg.qz(a, b, output="complex"), A, positive(seed=1)),
    example("schur", linalg.schur, A),
    example("schur(output='complex')", lambda a: linalg.schur(a, output="complex"), A),
    example("schur(sort='iuc')", lambda a: linalg.schur(a, sort="iuc"), general()),
    example("slogdet", linalg.slogdet, A),
    example("solve", linalg.solve, A, B),
    example("solve(assume_a='sym')", lambda a, b: linalg.solve(a, b, assume_a="sym"), A, B),
    example("solve(assume_a='her')", lambda a, b: linalg.solve(a, b, assume_a="her"), P, B),
    example("solve(assume_a='pos')", lambda a, b: linalg.solve(a, b, assume_a="pos"), P, B),
    example("solve(assume_a='tridiagonal')", lambda a, b: linalg.solve(a, b, assume_a="tridiagonal"), A, B),
    example("solve_banded", lambda ab, b: linalg.solve_banded((1, 2), ab, b), general(4, 5), B),
    example("solve_circulant", linalg.solve_circulant, leading(), vector(seed=1)),
    example("solve_continuous_lyapunov", linalg.solve_continuous_lyapunov, A, general(seed=1)),
    example("solve_discrete_are", linalg.solve_discrete_are, A, general(5, 2), P, positive(2)),
    example("solve_discrete_lyapunov", linalg.solve_discrete_lyapunov, stable(), general(4, 4, seed=1)),
    example("solve_sylvester", linalg.solve_sylvester, A, regular(3, seed=1), general(5, 3)),
    example("solve_toeplitz", linalg.solve_toeplitz, leading(), vector(seed=1)),
    example("solve_triangular", lambda a, b: linalg.solve_triangular(a, b, lower=True), A, B),
    example("sqrtm", linalg.sqrtm, P),
    example("svd", linalg.svd, general(5, 3)),
    example("svd(full_matrices=False)", lambda a: linalg.svd(a, full_matrices=False), general(5, 3)),
    example("svdvals", linalg.svdvals, general(5, 3)),
    example(
        "tensordot", linalg.tensordot, lambda dtype: random((2, 3, 4), dtype), lambda dtype: random((3, 4, 2), dtype)
    ),
    example("tensorinv", linalg.tensorinv, lambda dtype: random((2, 3, 6), dtype)),
    example("tensorsolve", linalg.tensorsolve, lambda dtype: random((2, 3, 6), dtype), general(2, 3)),
    example("toeplitz", linalg.toeplitz, vector(), vector(4, seed=1)),
    example("trace", linalg.trace, A),
    example("vecdot", linalg.vecdot, A, A),
    example("vector_norm", linalg.vector_norm, vector()),
]
BY_NAME = {one.name: one for one in EXAMPLES}
