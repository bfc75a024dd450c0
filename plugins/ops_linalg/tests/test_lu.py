"""LU factors against SciPy, and their derivatives."""

import numpy as np
import pytest
import scipy.linalg

import plugin_ops_linalg as linalg
from core import dtypes
from core.testing import check_derivatives, check_shapes, evaluate

SHAPES = [(0, 0), (3, 0), (0, 3), (1, 1), (4, 4), (5, 3), (3, 5), (2, 3, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_lu_matches_scipy(agree, make, backend, dtype, tol, shape):
    def reference(a):
        p, lower, upper = scipy.linalg.lu(a)
        p = np.eye(len(a)) if a.size == 0 else p  # SciPy gives (0, 0) for (3, 0)
        return p.real.astype(dtypes.real_of(dtype)), lower, upper

    agree(linalg.lu, reference, make.general(*shape, dtype=dtype), backend=backend, tol=tol)


@pytest.mark.parametrize("shape", SHAPES[3:])
def test_lu_in_its_other_forms_matches_scipy(agree, make, shape):
    a = make.general(*shape)
    agree(lambda a: linalg.lu(a, permute_l=True), lambda a: scipy.linalg.lu(a, permute_l=True), a)
    p, lower, upper = evaluate(lambda a: linalg.lu(a, p_indices=True), a)
    for place in np.ndindex(*shape[:-2]):
        np.testing.assert_allclose(lower[place][p[place]] @ upper[place], a[place], atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3, 3)])
@pytest.mark.parametrize("trans", [0, 1, 2])
def test_lu_solve_solves(make, backend, dtype, tol, shape, trans):
    a, b = make.regular(*shape, dtype=dtype), make.general(*shape[:-1], 2, dtype=dtype)
    got = evaluate(lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b, trans=trans), a, b, backend=backend)
    system = [a, a.swapaxes(-1, -2), a.conj().swapaxes(-1, -2)][trans]
    np.testing.assert_allclose(system @ got, b, rtol=tol, atol=tol)
    assert got.dtype == dtype


def test_lu_factor_matches_scipy(agree, make):
    agree(linalg.lu_factor, scipy.linalg.lu_factor, make.general(2, 4, 4))


def test_a_singular_matrix_has_factors():
    factors, _ = evaluate(linalg.lu_factor, np.ones((3, 3)))
    assert factors[1, 1] == 0


def test_permutations_of_pivots():
    pivots = np.array([2, 2, 3, 3], "int32")
    p = evaluate(linalg.pivot_to_permutation, pivots)
    inverse = evaluate(lambda x: linalg.pivot_to_permutation(x, inverse=True), pivots)
    assert p.tolist() == [2, 0, 3, 1]
    assert p[inverse].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("shape", SHAPES[3:])
def test_derivatives(make, shape):
    check_derivatives(linalg.lu, make.general(*shape), rtol=1e-5)
    check_derivatives(lambda a: linalg.lu_factor(a)[0], make.general(*shape), rtol=1e-5)


@pytest.mark.parametrize("trans", [0, 1])
def test_derivatives_of_lu_solve(make, trans):
    check_derivatives(
        lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b, trans=trans), make.regular(3, 3), make.general(2, 3, 2)
    )


def test_derivatives_of_complex_factors(adjoint_holds, make):
    adjoint_holds(lambda a: linalg.lu_factor(a)[0], make.general(3, 3, dtype="complex128"))


def test_shapes_are_inferred(make):
    for shape in ((2, 3, 3), (3, 4), (4, 3)):
        check_shapes(linalg.lu, make.general(*shape))
