"""Triangular systems against SciPy, and their derivatives."""

import numpy as np
import pytest
import scipy.linalg

import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import ArgumentError
from core.testing import check_derivatives, check_shapes, evaluate


@pytest.mark.parametrize("shape", [(1, 1), (2, 5, 5)])
@pytest.mark.parametrize("columns", [0, 3])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("trans", [0, 1, 2])
def test_solve_triangular_matches_scipy(agree, make, backend, dtype, tol, shape, columns, lower, trans):
    agree(
        lambda a, b: linalg.solve_triangular(a, b, trans=trans, lower=lower),
        lambda a, b: scipy.linalg.solve_triangular(a, b, trans=trans, lower=lower),
        make.triangular(*shape, dtype=dtype),
        make.general(*shape[:-1], columns, dtype=dtype),
        backend=backend,
        tol=tol,
    )


def test_a_unit_diagonal_is_not_read(make):
    a, b = make.triangular(4, 4), make.general(4)
    got = evaluate(lambda a, b: linalg.solve_triangular(a, b, lower=True, unit_diagonal=True), a, b)
    np.testing.assert_allclose(got, np.linalg.solve(np.tril(a, -1) + np.eye(4), b))


def test_leading_axes_broadcast(agree, make, backend):
    agree(
        lambda a, b: linalg.solve_triangular(a, b),
        lambda a, b: scipy.linalg.solve_triangular(a, b),
        make.triangular(2, 1, 3, 3),
        make.general(4, 3, 2),
        backend=backend,
    )


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("trans", ["N", "T", "C"])
@pytest.mark.parametrize("unit", [True, False])
def test_derivatives(make, static, lower, trans, unit):
    def op(a, b):
        return linalg.solve_triangular(a, b, trans, lower, unit)

    check_derivatives(op, make.triangular(3, 3), make.general(2, 3, 2), static=static)
    check_derivatives(op, make.triangular(1, 3, 3), make.general(2, 3, 2), static=static)


@pytest.mark.parametrize("trans", ["N", "T", "C"])
def test_derivatives_of_complex_systems(adjoint_holds, make, trans):
    adjoint_holds(
        lambda a, b: linalg.solve_triangular(a, b, trans, lower=True),
        make.triangular(3, 3, dtype="complex128"),
        make.general(3, 2, dtype="complex128"),
    )


def test_shapes_are_inferred(make):
    check_shapes(linalg.solve_triangular, make.triangular(2, 1, 3, 3), make.general(4, 3, 2))


def test_a_zero_on_the_diagonal_is_named(backend):
    a = np.diag([1.0, 2.0, 0.0])
    with pytest.raises(linalg.LinAlgError, match="element 2 of its diagonal is 0"):
        evaluate(linalg.solve_triangular, a, np.ones(3), backend=backend)


def test_trans_is_one_of_three():
    with pytest.raises(ArgumentError, match="trans 0, 1, 2, 'N', 'T' or 'C', got 3"):
        linalg.solve_triangular(ct.matrix(), ct.vector(), trans=3)
