"""Linear systems of every structure against SciPy, and their derivatives."""

import numpy as np
import pytest
import scipy.linalg

import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import ArgumentError, ShapeError
from core.testing import check_derivatives, check_shapes, evaluate

STRUCTURES = ["gen", "sym", "her", "pos", "tridiagonal", "diagonal", "upper triangular", "lower triangular"]


def full(assume_a, a, lower):
    """The matrix that is meant: what the structure says is not there, or follows from the rest, is put in."""
    part = np.tril(a) if lower else np.triu(a)
    off = part - np.diag(np.diag(a))
    real = np.diag(np.diag(a).real)
    return {
        "gen": a,
        "sym": part + off.T,
        "her": off + off.conj().T + real,
        "pos": off + off.conj().T + real,
        "tridiagonal": np.tril(np.triu(a, -1), 1),
        "diagonal": np.diag(np.diag(a)),
        "upper triangular": np.triu(a),
        "lower triangular": np.tril(a),
    }[assume_a]


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (2, 5, 5)])
@pytest.mark.parametrize("assume_a", STRUCTURES)
@pytest.mark.parametrize("lower", [True, False])
def test_solve_matches_numpy_on_the_matrix_that_is_meant(agree, make, backend, dtype, tol, shape, assume_a, lower):
    a = make.positive(*shape, dtype=dtype) if assume_a == "pos" else make.regular(*shape, dtype=dtype)
    agree(
        lambda a, b: linalg.solve(a, b, assume_a=assume_a, lower=lower),
        lambda a, b: np.linalg.solve(full(assume_a, a, lower), b),
        a,
        make.general(*shape[:-1], 2, dtype=dtype),
        backend=backend,
        tol=tol,
    )


@pytest.mark.parametrize("assume_a", STRUCTURES)
def test_transposed_systems(make, assume_a):
    a, b = make.positive(4, 4), make.general(4, 2)
    got = evaluate(lambda a, b: linalg.solve(a, b, assume_a=assume_a, lower=True, transposed=True), a, b)
    np.testing.assert_allclose(got, np.linalg.solve(full(assume_a, a, True).T, b), rtol=1e-10)


def test_a_vector_gives_a_vector_and_leading_axes_broadcast(make, backend):
    a, b = make.regular(2, 3, 4, 4), make.general(4)
    np.testing.assert_allclose(evaluate(linalg.solve, a[0, 0], b, backend=backend), np.linalg.solve(a[0, 0], b))
    b = make.general(3, 4, 1)
    np.testing.assert_allclose(evaluate(linalg.solve, a, b, backend=backend), np.linalg.solve(a, b))


def test_long_names_are_scipys(make):
    a, b = make.positive(3, 3), make.general(3)
    for name in ("general", "symmetric", "hermitian", "positive definite", "banded"):
        np.testing.assert_allclose(
            evaluate(lambda a, b, n=name: linalg.solve(a, b, assume_a=n), a, b), scipy.linalg.solve(a, b)
        )


@pytest.mark.parametrize("assume_a", STRUCTURES)
@pytest.mark.parametrize("lower", [True, False])
def test_derivatives(make, adjoint_holds, assume_a, lower):
    def op(a, b):
        return linalg.solve(a, b, assume_a=assume_a, lower=lower)

    check_derivatives(op, make.positive(2, 3, 3), make.general(3, 2))
    adjoint_holds(op, make.positive(3, 3, dtype="complex128"), make.general(3, 2, dtype="complex128"))


@pytest.mark.parametrize("static", [False, True])
def test_gradients_of_what_was_broadcast_are_summed(make, static):
    check_derivatives(linalg.solve, make.regular(1, 3, 3), make.general(4, 3, 2), static=static)
    check_derivatives(linalg.solve, make.regular(2, 4, 3, 3), make.general(4, 3, 1), static=static)


def test_shapes_are_inferred(make):
    check_shapes(linalg.solve, make.regular(2, 1, 3, 3), make.general(4, 3, 2))


@pytest.mark.parametrize("assume_a", ["gen", "sym", "tridiagonal"])
def test_a_singular_matrix_is_an_error_that_names_the_pivot(backend, assume_a):
    a = np.diag([1.0, 0.0, 2.0])
    with pytest.raises(linalg.LinAlgError, match="singular: pivot 1 is 0"):
        evaluate(lambda a, b: linalg.solve(a, b, assume_a=assume_a), a, np.ones(3), backend=backend)


def test_a_matrix_that_is_not_positive_definite_is_an_error_that_names_the_minor():
    with pytest.raises(linalg.LinAlgError, match="leading minor of order 2 is not positive"):
        evaluate(lambda a, b: linalg.solve(a, b, assume_a="pos"), np.diag([1.0, -1.0]), np.ones(2))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_elements_that_are_not_finite_are_an_error(backend, bad):
    a = np.eye(3)
    a[1, 2] = bad
    with pytest.raises(linalg.LinAlgError, match=r"input 0 .*not finite"):
        evaluate(linalg.solve, a, np.ones(3), backend=backend)
    with pytest.raises(linalg.LinAlgError, match=r"input 1 .*not finite"):
        evaluate(linalg.solve, np.eye(3), np.full(3, np.nan), backend=backend)


def test_finite_elements_need_not_be_checked():
    got = evaluate(lambda a, b: linalg.solve(a, b, check_finite=False), np.eye(2), np.array([np.nan, 1.0]))
    assert np.isnan(got[0])


def test_a_structure_that_is_not_known_is_an_error_with_a_suggestion():
    with pytest.raises(ArgumentError, match=r"got 'tridiagonl'.*Did you mean 'tridiagonal'"):
        linalg.solve(ct.matrix(), ct.vector(), assume_a="tridiagonl")


def test_matrices_that_are_not_square_are_an_error_at_once_or_at_run_time(backend):
    with pytest.raises(linalg.LinAlgError, match=r"needs square matrices, got shape \(2, 3\)"):
        linalg.solve(ct.tensor("a", shape=(2, 3)), ct.vector())
    with pytest.raises(linalg.LinAlgError, match=r"needs square matrices, got shape \(2, 3\)"):
        evaluate(linalg.solve, np.ones((2, 3)), np.ones(2), backend=backend)


def test_lengths_that_differ_are_an_error_at_once_or_at_run_time(backend):
    with pytest.raises(ShapeError, match="needs equal lengths n, got 2 and 3"):
        linalg.solve(ct.tensor("a", shape=(2, 2)), ct.tensor("b", shape=(3,)))
    with pytest.raises(ShapeError, match=r"needs equal lengths.* 2 and .*3"):
        evaluate(linalg.solve, np.eye(2), np.ones(3), backend=backend)
