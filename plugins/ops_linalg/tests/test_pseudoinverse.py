"""Pseudo-inverses and least squares against NumPy and SciPy, and their derivatives."""

import numpy as np
import pytest
import scipy.linalg

import plugin_ops_linalg as linalg
from core.testing import check_derivatives, check_shapes, evaluate

SHAPES = [(1, 1), (4, 4), (5, 3), (3, 5), (2, 4, 2)]


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (0, 3), *SHAPES])
def test_pinv_matches_numpy(agree, make, backend, dtype, tol, shape):
    agree(linalg.pinv, np.linalg.pinv, make.general(*shape, dtype=dtype), backend=backend, tol=tol)


def test_small_singular_values_count_as_zero(make):
    a = make.general(4, 2) @ make.general(2, 4, seed=1)
    np.testing.assert_allclose(evaluate(linalg.pinv, a), scipy.linalg.pinv(a))
    a = np.diag([1.0, 1e-3])
    assert evaluate(lambda a: linalg.pinv(a, rcond=1e-2), a).tolist() == [[1, 0], [0, 0]]
    assert not evaluate(linalg.pinv, np.zeros((2, 3))).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_lstsq_matches_scipy(make, backend, dtype, tol, shape):
    a, b = make.general(*shape, dtype=dtype), make.general(*shape[:-1], 2, dtype=dtype)
    x, residuals, rank, s = evaluate(linalg.lstsq, a, b, backend=backend)
    for place in np.ndindex(*shape[:-2]):
        theirs, _, their_rank, their_s = scipy.linalg.lstsq(a[place], b[place])
        np.testing.assert_allclose(x[place], theirs, rtol=tol, atol=tol)
        np.testing.assert_allclose(s[place], their_s, rtol=tol)
        assert rank[place] == their_rank
        left = np.sum(np.abs(b[place] - a[place] @ theirs) ** 2, axis=0)
        np.testing.assert_allclose(residuals[place], left, atol=10 * tol)


def test_lstsq_of_a_vector(make):
    a, b = make.general(5, 2), make.general(5)
    x, residuals, _, _ = evaluate(linalg.lstsq, a, b)
    theirs = np.linalg.lstsq(a, b)
    np.testing.assert_allclose(x, theirs[0])
    np.testing.assert_allclose(residuals, theirs[1][0])


@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives(make, shape):
    check_derivatives(linalg.pinv, make.general(*shape), rtol=1e-5)
    check_derivatives(
        lambda a, b: linalg.lstsq(a, b)[:2], make.general(*shape), make.general(*shape[:-1], 2), rtol=1e-5
    )


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
def test_derivatives_of_complex_matrices(adjoint_holds, make, shape):
    adjoint_holds(linalg.pinv, make.general(*shape, dtype="complex128"))
    adjoint_holds(
        lambda a, b: linalg.lstsq(a, b)[0],
        make.general(*shape, dtype="complex128"),
        make.general(shape[0], 2, dtype="complex128"),
    )


def test_shapes_are_inferred(make):
    check_shapes(linalg.pinv, make.general(2, 3, 4))
    check_shapes(lambda a, b: linalg.lstsq(a, b), make.general(2, 4, 3), make.general(2, 4, 2))
