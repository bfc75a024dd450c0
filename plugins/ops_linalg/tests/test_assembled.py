"""Matrices that are put together, against NumPy and SciPy, and their derivatives."""

import numpy as np
import pytest
import scipy.linalg

import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import ArgumentError, ShapeError
from core.testing import check_derivatives, check_lowering, check_shapes, evaluate


@pytest.mark.parametrize("left, right", [((2, 3), (4, 1)), ((1, 1), (2, 2)), ((0, 2), (3, 2)), ((2, 2, 2), (3, 2))])
def test_kron_matches_numpy(agree, make, backend, dtype, left, right):
    arrays = make.general(*left, dtype=dtype), make.general(*right, dtype=dtype, seed=1)
    agree(linalg.kron, np.kron, *arrays, backend=backend, tol=1e-6)
    check_lowering(linalg.kron, *arrays)


def test_kron_of_vectors_and_scalars_is_numpys(make):
    v, w, m = make.general(2), make.general(3), make.general(2, 2)
    for a, b in ((v, w), (v, m), (m, v), (2.5, m), (m, 2.5)):
        np.testing.assert_allclose(evaluate(linalg.kron, a, b), np.kron(a, b))


@pytest.mark.parametrize("shapes", [[(2, 3)], [(2, 3), (1, 1), (0, 2)], [(2, 2, 2), (3, 1)]])
def test_block_diag_matches_scipy(agree, make, backend, dtype, shapes):
    blocks = [make.general(*shape, dtype=dtype, seed=k) for k, shape in enumerate(shapes)]
    agree(linalg.block_diag, lambda *b: scipy.linalg.block_diag(*b).astype(dtype), *blocks, backend=backend)
    check_lowering(linalg.block_diag, *blocks)


def test_block_diag_of_vectors_and_scalars_is_scipys():
    blocks = [np.ones(2), np.array(3.0), np.ones((2, 1))]
    np.testing.assert_array_equal(evaluate(linalg.block_diag, *blocks), scipy.linalg.block_diag(*blocks))
    with pytest.raises(ArgumentError, match="one matrix at least"):
        linalg.block_diag()


def test_toeplitz_and_circulant_match_scipy(agree, make, backend, dtype):
    c, r = make.general(2, 4, dtype=dtype), make.general(2, 3, dtype=dtype, seed=1)
    agree(linalg.toeplitz, scipy.linalg.toeplitz, c, r, ndims=[1, 1], backend=backend)
    agree(linalg.toeplitz, scipy.linalg.toeplitz, c, ndims=[1], backend=backend)
    agree(linalg.circulant, scipy.linalg.circulant, c, ndims=[1], backend=backend)


def test_toeplitz_and_circulant_need_vectors():
    for op in (linalg.toeplitz, linalg.circulant):
        with pytest.raises(ShapeError, match="needs ndim >= 1"):
            op(ct.scalar())


def test_derivatives(make):
    check_derivatives(linalg.kron, make.general(2, 2, 3), make.general(3, 2))
    check_derivatives(linalg.block_diag, make.general(2, 2, 3), make.general(3, 2), make.general(1, 1))
    check_derivatives(linalg.toeplitz, make.general(2, 4), make.general(2, 3))
    check_derivatives(linalg.circulant, make.general(2, 4))


def test_derivatives_of_complex_products(adjoint_holds, make):
    adjoint_holds(linalg.kron, make.general(2, 3, dtype="complex128"), make.general(3, 2, dtype="complex128"))


def test_shapes_are_inferred(make):
    check_shapes(linalg.kron, make.general(2, 2, 3), make.general(3, 2))
    check_shapes(linalg.block_diag, make.general(2, 2, 3), make.general(3, 2))
