"""Norms, traces, ranks, condition numbers and null spaces against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.linalg

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import ArgumentError, NullGradientError
from core.testing import check_derivatives, evaluate

MATRIX_ORDERS = [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]
VECTOR_ORDERS = [None, 0, 1, 2, 3, -1, -2, 0.5, np.inf, -np.inf]


@pytest.mark.parametrize("ord", MATRIX_ORDERS)
@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("axis", [(-2, -1), (2, 0)])
def test_norms_of_matrices_are_numpys(make, backend, dtype, tol, ord, keepdims, axis):
    x = make.general(2, 3, 4, dtype=dtype)
    got = evaluate(lambda x: linalg.norm(x, ord, axis, keepdims), x, backend=backend)
    expected = np.linalg.norm(x, ord, axis, keepdims)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=tol)


@pytest.mark.parametrize("ord", VECTOR_ORDERS)
@pytest.mark.parametrize("axis", [0, -1])
def test_norms_of_vectors_are_numpys(make, backend, dtype, tol, ord, axis):
    x = make.general(3, 4, dtype=dtype)
    got = evaluate(lambda x: linalg.norm(x, ord, axis), x, backend=backend)
    np.testing.assert_allclose(got, np.linalg.norm(x, ord, axis), rtol=tol)
    got = evaluate(lambda x: linalg.vector_norm(x, 2 if ord is None else ord), x)
    np.testing.assert_allclose(got, np.linalg.vector_norm(x, ord=2 if ord is None else ord), rtol=tol)


def test_defaults_are_numpys(make):
    for x in (make.general(4), make.general(2, 3), make.general(2, 3, 4), np.arange(4)):
        np.testing.assert_allclose(evaluate(linalg.norm, x), np.linalg.norm(x))
        np.testing.assert_allclose(
            evaluate(lambda x: linalg.norm(x, keepdims=True), x), np.linalg.norm(x, keepdims=True)
        )


def test_norms_of_nothing_and_of_what_is_not_finite():
    assert evaluate(linalg.norm, np.zeros((0, 3))) == 0
    assert np.isnan(evaluate(linalg.norm, np.array([1.0, np.nan])))
    assert evaluate(linalg.norm, np.array([1.0, -np.inf])) == np.inf


def test_orders_that_there_are_not():
    with pytest.raises(ArgumentError, match="needs ord 'fro', .* got 3"):
        linalg.norm(ct.matrix(), 3)
    with pytest.raises(ArgumentError, match="needs a number as ord, got 'fro'"):
        linalg.norm(ct.vector(), "fro")
    with pytest.raises(ArgumentError, match="one axis or two"):
        linalg.norm(ct.tensor3(), 2)


@pytest.mark.parametrize("ord", MATRIX_ORDERS)
def test_derivatives_of_norms_of_matrices(make, ord):
    check_derivatives(lambda x: linalg.norm(x, ord, (-2, -1)), make.general(2, 3, 4), rtol=1e-5)


@pytest.mark.parametrize("ord", [1, 2, 3, -2, 0.5, np.inf, -np.inf])
def test_derivatives_of_norms_of_vectors(make, ord):
    check_derivatives(lambda x: linalg.norm(x, ord, 1), make.general(2, 3, 4), rtol=1e-5)


@pytest.mark.parametrize("offset", [-1, 0, 2])
def test_traces_are_numpys(make, backend, offset):
    x = make.general(2, 3, 4)
    np.testing.assert_allclose(
        evaluate(lambda x: linalg.trace(x, offset), x, backend=backend), np.linalg.trace(x, offset=offset)
    )


@pytest.mark.parametrize("p", [None, 1, -1, 2, -2, np.inf, "fro"])
def test_condition_numbers_are_numpys(make, p):
    x = make.regular(2, 3, 3)
    np.testing.assert_allclose(evaluate(lambda x: linalg.cond(x, p), x), np.linalg.cond(x, p))
    check_derivatives(lambda x: linalg.cond(x, p), x, rtol=1e-5)


def test_ranks_are_numpys(make, backend):
    x = np.stack([make.general(3, 1) @ make.general(1, 4), make.general(3, 4), np.zeros((3, 4))])
    assert evaluate(linalg.matrix_rank, x, backend=backend).tolist() == [1, 3, 0]
    assert evaluate(lambda x: linalg.matrix_rank(x, tol=10.0), x).tolist() == [0, 0, 0]
    assert evaluate(lambda x: linalg.matrix_rank(x, rtol=1e-3), x).tolist() == [1, 3, 0]
    h = np.diag([1.0, -2.0, 0.0])
    assert evaluate(lambda x: linalg.matrix_rank(x, hermitian=True), h) == 2
    assert evaluate(linalg.matrix_rank, np.zeros(3)) == 0
    assert evaluate(linalg.matrix_rank, np.ones(3)) == 1


def test_null_spaces_are_scipys(make, dtype, tol):
    a = make.general(2, 4, dtype=dtype)
    got = evaluate(linalg.null_space, a)
    assert got.dtype == dtype and got.shape == scipy.linalg.null_space(a).shape
    np.testing.assert_allclose(a @ got, np.zeros((2, 2)), atol=10 * tol)
    np.testing.assert_allclose(got.conj().T @ got, np.eye(2), atol=10 * tol)
    assert evaluate(linalg.null_space, np.zeros((0, 2))).tolist() == [[1, 0], [0, 1]]


def test_null_spaces_have_no_gradient_and_need_finite_elements():
    a = ct.matrix("a")
    with pytest.raises(NullGradientError, match="free within their space"):
        core.grad(linalg.null_space(a).sum(), a)
    with pytest.raises(linalg.LinAlgError, match="not finite"):
        evaluate(linalg.null_space, np.full((2, 2), np.nan))
