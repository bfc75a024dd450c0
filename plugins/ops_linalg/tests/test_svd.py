"""Singular values and vectors: what they are, and their derivatives, equal values included."""

import numpy as np
import pytest

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import NullGradientError
from core.testing import check_derivatives, check_shapes, evaluate

SHAPES = [(0, 0), (3, 0), (0, 3), (1, 1), (4, 4), (5, 3), (3, 5), (2, 4, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("full", [True, False])
def test_singular_values_and_vectors_are_numpys(agree, make, backend, dtype, tol, shape, full):
    agree(
        lambda a: linalg.svd(a, full_matrices=full),
        lambda a: tuple(np.linalg.svd(a, full_matrices=full)),
        make.general(*shape, dtype=dtype),
        backend=backend,
        tol=tol,
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_alone_are_numpys(agree, make, dtype, tol, shape):
    a = make.general(*shape, dtype=dtype)
    agree(linalg.svdvals, lambda a: np.linalg.svd(a, compute_uv=False), a, tol=tol)
    agree(lambda a: linalg.svd(a, compute_uv=False), lambda a: np.linalg.svd(a, compute_uv=False), a, tol=tol)


@pytest.mark.parametrize("shape", SHAPES[3:])
def test_derivatives(make, shape):
    check_derivatives(lambda a: linalg.svd(a, full_matrices=False), make.general(*shape), rtol=1e-5)
    check_derivatives(linalg.svdvals, make.general(*shape), rtol=1e-5)
    check_derivatives(lambda a: linalg.svd(a, full_matrices=False)[0], make.general(*shape), rtol=1e-5)
    check_derivatives(lambda a: linalg.svd(a, full_matrices=False)[2], make.general(*shape), rtol=1e-5)


def low_rank(a):
    """The best approximation of rank 2: it does not depend on the phases of singular vectors."""
    u, s, vh = linalg.svd(a, full_matrices=False)
    return (u[..., :2] * s[:2].astype(u.dtype)) @ vh[..., :2, :]


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4)])
def test_derivatives_of_complex_matrices(adjoint_holds, make, shape):
    adjoint_holds(low_rank, make.general(*shape, dtype="complex128"), tol=1e-7)


def test_the_gradient_is_finite_and_right_where_singular_values_are_equal(make):
    """U Vh, the nearest orthogonal matrix, does not depend on the choice among vectors of equal singular values."""

    def nearest(a):
        u, _, vh = linalg.svd(a, full_matrices=False)
        return u @ vh

    q, _ = np.linalg.qr(make.general(3, 3))
    a = ct.matrix("a")
    weights = make.general(3, 3, seed=3)
    gradient = core.grad((nearest(a) * weights).sum(), a).eval({a: 2 * q}, backend="interpreter")
    assert np.isfinite(gradient).all()


def test_free_vectors_have_no_gradient():
    a = ct.matrix("a")
    with pytest.raises(NullGradientError, match="last vectors of full_matrices=True are free"):
        core.grad(linalg.svd(a)[0].sum(), a)


def test_singular_values_have_a_gradient_beside_free_vectors(make):
    check_derivatives(lambda a: linalg.svd(a)[1], make.general(4, 2))


def test_shapes_are_inferred(make):
    for full in (True, False):
        for shape in ((2, 3, 3), (3, 4), (4, 3)):
            check_shapes(lambda a, f=full: linalg.svd(a, full_matrices=f), make.general(*shape))


def test_elements_that_are_not_finite_are_an_error():
    with pytest.raises(linalg.LinAlgError, match=r"input 0 is nan at \(0, 0\), not finite"):
        evaluate(linalg.svdvals, np.full((2, 2), np.nan))
