"""Systems whose matrix is given by diagonals or by shifted vectors, against SciPy, and their derivatives."""

import numpy as np
import pytest
import scipy.linalg

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import ArgumentError, ShapeError
from core.testing import check_derivatives, check_shapes, evaluate

BANDS = [(0, 0), (1, 1), (2, 1), (0, 2), (1, 0)]


def banded(make, bands, n, *lead, dtype="float64"):
    """Diagonals of a matrix far from singular."""
    ab = make.general(*lead, sum(bands) + 1, n, dtype=dtype)
    ab[..., bands[1], :] += 4
    return ab


@pytest.mark.parametrize("bands", BANDS)
@pytest.mark.parametrize("n", [0, 1, 2, 5])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_banded_systems_match_scipy(make, backend, dtype, tol, bands, n, lead):
    ab, b = banded(make, bands, n, *lead, dtype=dtype), make.general(n, 3, dtype=dtype)
    got = evaluate(lambda ab, b: linalg.solve_banded(bands, ab, b), ab, b, backend=backend)
    assert got.dtype == dtype and got.shape == (*lead, n, 3)
    for place in np.ndindex(*lead):
        if n > max(bands):  # a shorter one SciPy does not take
            np.testing.assert_allclose(got[place], scipy.linalg.solve_banded(bands, ab[place], b), rtol=tol, atol=tol)


def test_a_matrix_smaller_than_its_band_is_solved(make):
    ab = banded(make, (3, 2), 2)
    a = np.array([[ab[2, 0], ab[1, 1]], [ab[3, 0], ab[2, 1]]])
    got = evaluate(lambda ab, b: linalg.solve_banded((3, 2), ab, b), ab, np.ones(2))
    np.testing.assert_allclose(a @ got, np.ones(2))


@pytest.mark.parametrize("bands", BANDS)
def test_derivatives_of_banded_systems(make, adjoint_holds, bands):
    check_derivatives(
        lambda ab, b: linalg.solve_banded(bands, ab, b), banded(make, bands, 5, 2), make.general(5, 2), rtol=1e-5
    )
    arrays = banded(make, bands, 4, dtype="complex128"), make.general(4, 2, dtype="complex128")
    adjoint_holds(lambda ab, b: linalg.solve_banded(bands, ab, b), *arrays)


def test_corners_of_a_band_have_no_gradient(make):
    ab, b = ct.matrix("ab"), ct.vector("b")
    gradient = core.grad(linalg.solve_banded((1, 2), ab, b).sum(), ab)
    found = gradient.eval({ab: banded(make, (1, 2), 4), b: np.ones(4)}, backend="interpreter")
    assert found[0, 0] == found[0, 1] == found[1, 0] == found[3, 3] == 0


def test_bad_bands_are_errors(backend):
    with pytest.raises(ShapeError, match="needs ab with 3 rows, its diagonals, got 2"):
        linalg.solve_banded((1, 1), ct.tensor(shape=(2, 5)), ct.vector())
    with pytest.raises(ArgumentError, match="needs numbers of diagonals"):
        linalg.solve_banded((-1, 1), ct.matrix(), ct.vector())

    def solve(bands, ab, n):
        return evaluate(lambda ab, b: linalg.solve_banded(bands, ab, b), ab, np.ones(n), backend=backend)

    with pytest.raises(ShapeError, match="needs ab with 3 rows"):
        solve((1, 1), np.ones((2, 5)), 5)
    for bands, n in (((1, 1), 3), ((2, 0), 3), ((0, 0), 1)):
        with pytest.raises(linalg.LinAlgError, match="singular: pivot 0 is 0"):
            solve(bands, np.zeros((sum(bands) + 1, n)), n)
    with pytest.raises(linalg.LinAlgError, match="finite"):
        solve((1, 1), np.full((3, 4), np.nan), 4)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_toeplitz_systems_match_scipy(agree, make, backend, dtype, tol, n):
    c, r, b = make.general(2, n, dtype=dtype), make.general(n, dtype=dtype, seed=1), make.general(n, 3, dtype=dtype)
    c[..., :1] = 4

    def reference(c, r, b):
        return b if n == 0 else scipy.linalg.solve_toeplitz((c, r), b).astype(dtype)

    agree(
        lambda c, r, b: linalg.solve_toeplitz((c, r), b), reference, c, r, b, backend=backend, tol=tol, ndims=[1, 1, 2]
    )


def test_a_toeplitz_matrix_of_one_vector_is_hermitian(make):
    c, b = make.general(4, dtype="complex128"), make.general(4, dtype="complex128", seed=2)
    c[0] = 5
    x = evaluate(linalg.solve_toeplitz, c, b)
    np.testing.assert_allclose(scipy.linalg.toeplitz(c) @ x, b, atol=1e-12)


def test_derivatives_of_toeplitz_systems(make, adjoint_holds):
    def op(c, r, b):
        return linalg.solve_toeplitz((c, r), b)

    c, r = make.general(2, 4) + [5, 0, 0, 0], make.general(4, seed=1)
    check_derivatives(op, c, r, make.general(4, 2), rtol=1e-5)
    complex_ones = [x.astype("complex128") * (1 + 0.2j) for x in (c[0], r, make.general(4, 2))]
    adjoint_holds(op, *complex_ones)


def test_a_toeplitz_matrix_with_a_singular_minor_is_an_error():
    with pytest.raises(linalg.LinAlgError, match="SolveToeplitz.*the leading minor of order 1 is 0"):
        evaluate(linalg.solve_toeplitz, np.array([0.0, 1.0]), np.ones(2))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_circulant_systems_match_scipy(agree, make, backend, dtype, tol, n):
    c, b = make.general(2, n, dtype=dtype), make.general(n, dtype=dtype, seed=1)
    c[..., :1] = 4

    def reference(c, b):
        return b if n == 0 else scipy.linalg.solve_circulant(c, b).astype(dtype)

    agree(
        lambda c, b: linalg.solve_circulant(c, b, baxis=-1, outaxis=-1),
        reference,
        c,
        b,
        backend=backend,
        tol=tol,
        ndims=[1, 1],
    )


def test_circulant_axes_are_those_of_scipy(make):
    c, b = make.general(3, 4, 2) + 4 * np.eye(4)[:1].T, make.general(4, 3, 2, seed=1)
    got = evaluate(lambda c, b: linalg.solve_circulant(c, b, caxis=1, baxis=0, outaxis=-1), c, b)
    np.testing.assert_allclose(got, scipy.linalg.solve_circulant(c, b, caxis=1, baxis=0, outaxis=-1), atol=1e-12)


def test_a_singular_circulant_matrix_is_an_error_or_solved_as_well_as_it_can_be():
    c, b = np.ones(3), np.array([1.0, 2.0, 4.0])
    with pytest.raises(linalg.LinAlgError, match="singular: eigenvalue 1 is 0"):
        evaluate(linalg.solve_circulant, c, b)
    got = evaluate(lambda c, b: linalg.solve_circulant(c, b, singular="lstsq"), c, b)
    np.testing.assert_allclose(got, scipy.linalg.solve_circulant(c, b, singular="lstsq"), atol=1e-12)
    with pytest.raises(ArgumentError, match="needs singular 'raise' or 'lstsq'"):
        linalg.solve_circulant(ct.vector(), ct.vector(), singular="no")


def test_derivatives_of_circulant_systems(make, adjoint_holds):
    def op(c, b):
        return linalg.solve_circulant(c, b, baxis=-1, outaxis=-1)

    c, b = make.general(2, 4) + [5, 0, 0, 0], make.general(4, seed=1)
    check_derivatives(op, c, b, rtol=1e-5)
    adjoint_holds(op, c[0] * (1 + 0.3j), b * (1 - 0.5j))


def test_shapes_are_inferred(make):
    check_shapes(lambda ab, b: linalg.solve_banded((1, 1), ab, b), banded(make, (1, 1), 4, 2), make.general(4, 3))
    check_shapes(linalg.solve_toeplitz, make.general(2, 4) + [5, 0, 0, 0], make.general(4, 3))
