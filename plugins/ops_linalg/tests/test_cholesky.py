"""Cholesky factors and what is solved with them: against SciPy, and their derivatives."""

import numpy as np
import pytest
import scipy.linalg

import core
import plugin_ops_linalg as linalg
from core.testing import check_derivatives, check_shapes, evaluate
from plugin_ops_linalg.families.cholesky import CholeskyGradient, CholeskyInverse, GramGradient

SHAPES = [(0, 0), (1, 1), (5, 5), (3, 4, 4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lower", [True, False])
def test_cholesky_matches_scipy(agree, make, backend, dtype, tol, shape, lower):
    agree(
        lambda a: linalg.cholesky(a, lower=lower),
        lambda a: scipy.linalg.cholesky(a, lower=lower),
        make.positive(*shape, dtype=dtype),
        backend=backend,
        tol=tol,
    )


def test_an_empty_stack_gives_an_empty_stack(backend):
    assert evaluate(linalg.cholesky, np.zeros((2, 0, 3, 3)), backend=backend).shape == (2, 0, 3, 3)


def test_cholesky_reads_one_triangle_alone(make):
    a = make.positive(4, 4)
    rubbish = np.triu(np.full((4, 4), np.pi), 1)
    np.testing.assert_allclose(evaluate(linalg.cholesky, np.tril(a) + rubbish), np.linalg.cholesky(a))


def test_cholesky_takes_matrices_in_column_major_order(make, fortran, backend):
    a = make.positive(3, 5, 5)
    rubbish = fortran(np.tril(a) + np.triu(np.ones((5, 5)), 1))
    np.testing.assert_allclose(evaluate(linalg.cholesky, rubbish, backend=backend), np.linalg.cholesky(a))


def test_integers_are_computed_with_as_float64():
    assert evaluate(linalg.cholesky, np.array([[4, 2], [2, 5]])).tolist() == [[2.0, 0.0], [1.0, 2.0]]


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3, 3)])
def test_derivatives_of_cholesky(make, shape, lower):
    check_derivatives(lambda a: linalg.cholesky(a, lower=lower), make.positive(*shape), rtol=1e-5)


@pytest.mark.parametrize("n", [1, 3, 47, 48, 49, 100])
def test_the_gradient_is_that_of_its_formula(make, backend, n):
    factor, g = np.tril(make.triangular(n, n) / n) + 2 * np.eye(n), make.general(n, n)
    expected = evaluate(CholeskyGradient.formula, factor, g)
    for views in (lambda x: x, lambda x: x.T.copy().T):
        got = evaluate(CholeskyGradient(), views(factor), g, backend=backend)
        np.testing.assert_allclose(got, expected, atol=1e-12 * max(1, np.abs(expected).max()))
    got = evaluate(lambda f, g: CholeskyGradient()(f.T, g), factor.T.copy(), g, backend=backend)
    np.testing.assert_allclose(got, expected, atol=1e-12 * max(1, np.abs(expected).max()))


def test_second_derivatives(make):
    def gradient(a):
        return core.grad((linalg.cholesky(a) ** 2).sum() + linalg.cholesky(a)[1, 0] ** 3, a)

    check_derivatives(gradient, make.positive(3, 3), rtol=1e-5)


@pytest.mark.parametrize("lower", [True, False])
def test_derivatives_of_complex_cholesky(adjoint_holds, make, lower):
    adjoint_holds(lambda a: linalg.cholesky(a, lower=lower), make.positive(3, 3, dtype="complex128"))


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (4, 4), (2, 3, 3)])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("columns", [0, 1, 3])
def test_cho_solve_matches_scipy(agree, make, backend, dtype, tol, shape, lower, columns):
    agree(
        lambda c, b: linalg.cho_solve((c, lower), b),
        lambda c, b: scipy.linalg.cho_solve((c, lower), b),
        make.triangular(*shape, dtype=dtype),
        make.general(*shape[:-1], columns, dtype=dtype),
        backend=backend,
        tol=tol,
    )


def test_cho_solve_takes_a_vector(make):
    a, b = make.positive(4, 4), make.general(4)
    got = evaluate(lambda a, b: linalg.cho_solve(linalg.cho_factor(a), b), a, b)
    np.testing.assert_allclose(got, np.linalg.solve(a, b))


@pytest.mark.parametrize("lower", [True, False])
def test_derivatives_of_cho_solve(make, adjoint_holds, lower):
    def op(c, b):
        return linalg.cho_solve((c, lower), b)

    check_derivatives(op, make.triangular(2, 3, 3), make.general(3, 2))
    adjoint_holds(op, make.triangular(3, 3, dtype="complex128"), make.general(3, 2, dtype="complex128"))


def test_shapes_are_inferred(make):
    check_shapes(linalg.cholesky, make.positive(2, 3, 3))
    check_shapes(lambda c, b: linalg.cho_solve((c, True), b), make.triangular(2, 3, 3), make.general(3, 2))


def test_the_leading_minor_that_fails_is_named(backend):
    a = np.diag([1.0, 2.0, -1.0, 1.0])
    with pytest.raises(linalg.LinAlgError, match="leading minor of order 3 is not positive") as error:
        evaluate(linalg.cholesky, a, backend=backend)
    assert "Cholesky" in str(error.value) and "(4, 4)" in str(error.value) and "test_cholesky.py" in str(error.value)


def test_the_matrix_of_a_stack_that_fails_is_named(make, backend):
    a = make.positive(2, 3, 3)
    a[1, 0, 0] = -1
    with pytest.raises(linalg.LinAlgError, match=r"minor of order 1 .*matrix \(1,\) of the stack"):
        evaluate(linalg.cholesky, a, backend=backend)


def test_nan_can_be_had_instead_of_an_error(make, backend):
    a = make.positive(3, 3, 3)
    good = np.linalg.cholesky(a)
    a[1, 0, 0] = -1
    got = evaluate(lambda a: linalg.cholesky(a, on_error="nan"), a, backend=backend)
    assert np.isnan(got[1]).all()
    np.testing.assert_allclose(got[[0, 2]], good[[0, 2]])


def test_a_singular_factor_is_named(make):
    factor = np.diag([1.0, 0.0, 2.0])
    with pytest.raises(linalg.LinAlgError, match="element 1 of its diagonal is 0"):
        evaluate(lambda c, b: linalg.cho_solve((c, True), b), factor, np.ones(3))


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 9, 40])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_the_inverse_from_a_factor(make, backend, dtype, tol, n, lower, whole):
    a = make.positive(2, n, n, dtype=dtype) + n * np.eye(n, dtype=dtype)
    factor = np.linalg.cholesky(a)
    factor = factor if lower else factor.conj().swapaxes(-1, -2)
    rubbish = np.triu(np.ones((n, n), dtype), 1) if lower else np.tril(np.ones((n, n), dtype), -1)
    got = evaluate(CholeskyInverse(lower, whole), factor + rubbish, backend=backend)
    expected = np.linalg.inv(a)
    if not whole:
        expected = np.tril(expected) if lower else np.triu(expected)
    np.testing.assert_allclose(got, expected, rtol=tol, atol=tol)


@pytest.mark.parametrize("n", [3, 20])
def test_the_inverse_from_a_singular_factor_is_an_error(backend, n):
    factor = np.diag(np.arange(n, 0.0, -1))
    factor[1, 1] = 0
    with pytest.raises(linalg.LinAlgError, match="element 1 of its diagonal is 0"):
        evaluate(CholeskyInverse(), factor, backend=backend)


@pytest.mark.parametrize("lower", [True, False])
def test_derivatives_of_what_is_made_of_factors(make, adjoint_holds, lower):
    factor, g = make.triangular(3, 3), make.general(2, 3, 3, seed=1)
    check_derivatives(GramGradient(lower), factor, g)
    complex_factor = make.triangular(3, 3, dtype="complex128")
    adjoint_holds(GramGradient(lower), complex_factor, make.general(3, 3, dtype="complex128"))
    for whole in (True, False):
        check_derivatives(CholeskyInverse(lower, whole), make.triangular(2, 3, 3), rtol=1e-5)


def test_the_gradient_of_a_gram_matrix_is_that_of_its_formula(make, dtype, tol):
    factor, g = make.triangular(2, 4, 4, dtype=dtype), make.general(4, 4, dtype=dtype, seed=1)
    for lower in (True, False):
        op = GramGradient(lower)
        got, formula = (evaluate(f, factor, g, mode="none") for f in (op, op.formula))
        np.testing.assert_allclose(got, formula, rtol=tol, atol=tol)
