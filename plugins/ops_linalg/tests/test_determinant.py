"""Determinants, inverses and adjugates against NumPy, and their derivatives."""

import numpy as np
import pytest

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.testing import check_derivatives, check_shapes, evaluate

SHAPES = [(0, 0), (1, 1), (5, 5), (2, 3, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["inv", "det", "slogdet"])
def test_values_are_numpys(agree, make, backend, dtype, tol, shape, name):
    reference = getattr(np.linalg, name)

    def plain(a):
        found = reference(a)
        found = tuple(found) if name == "slogdet" else found
        return tuple(map(np.asarray, found)) if isinstance(found, tuple) else np.asarray(found)

    agree(getattr(linalg, name), plain, make.regular(*shape, dtype=dtype), backend=backend, tol=tol)


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_the_adjugate_times_the_matrix_is_the_determinant(make, dtype, tol, shape):
    a = make.general(*shape, dtype=dtype)
    expected = np.linalg.det(a)[..., None, None] * np.eye(shape[-1])
    np.testing.assert_allclose(evaluate(linalg.adjugate, a) @ a, expected, atol=10 * tol)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3, 3)])
@pytest.mark.parametrize("name", ["inv", "det", "adjugate"])
def test_derivatives(make, shape, name):
    check_derivatives(getattr(linalg, name), make.regular(*shape), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3, 3)])
def test_derivatives_of_slogdet(make, shape):
    check_derivatives(lambda a: linalg.slogdet(a)[1], make.regular(*shape))
    check_derivatives(lambda a: linalg.slogdet(a), make.regular(*shape))


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "adjugate"])
def test_derivatives_of_complex_matrices(adjoint_holds, make, name):
    adjoint_holds(getattr(linalg, name), make.regular(3, 3, dtype="complex128"))


def test_the_gradient_of_the_determinant_of_a_singular_matrix_is_its_cofactors():
    value = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    a = ct.matrix("a")
    gradient = core.grad(linalg.det(a), a).eval({a: value}, backend="interpreter")
    cofactors = [
        [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(value, i, axis=0), j, axis=1)) for j in range(3)]
        for i in range(3)
    ]
    np.testing.assert_allclose(gradient, cofactors, atol=1e-12)


def test_the_logarithm_does_not_overflow():
    sign, logabsdet = evaluate(linalg.slogdet, -1e300 * np.eye(3))
    assert sign == -1 and logabsdet == pytest.approx(3 * np.log(1e300))


def test_singular_matrices(backend):
    sign, logabsdet = evaluate(linalg.slogdet, np.ones((2, 2)), backend=backend)
    assert sign == 0 and logabsdet == -np.inf
    assert evaluate(linalg.det, np.ones((2, 2)), backend=backend) == 0
    with pytest.raises(linalg.LinAlgError, match="singular: pivot 1 is 0"):
        evaluate(linalg.inv, np.ones((2, 2)), backend=backend)


def test_second_derivatives(make):
    def gradient(a):
        return core.grad(linalg.slogdet(a)[1] + linalg.det(a), a)

    check_derivatives(gradient, make.regular(3, 3))


def test_shapes_are_inferred(make):
    for op in (linalg.inv, linalg.det, linalg.slogdet, linalg.adjugate):
        check_shapes(op, make.regular(2, 3, 3))
