"""Eigenvalues and eigenvectors against SciPy, and their derivatives, equal values included."""

import numpy as np
import pytest
import scipy.linalg

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import ArgumentError
from core.testing import check_derivatives, check_shapes, evaluate

SHAPES = [(0, 0), (1, 1), (5, 5), (2, 3, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lower", [True, False])
def test_eigh_decomposes(make, backend, dtype, tol, shape, lower):
    a = make.hermitian(*shape, dtype=dtype)
    part = np.tril(a) + 7 * np.triu(a, 1) if lower else np.triu(a) + 7 * np.tril(a, -1)
    w, v = evaluate(lambda a: linalg.eigh(a, lower=lower), part, backend=backend)
    assert w.dtype == np.linalg.eigvalsh(a).dtype and v.dtype == dtype
    np.testing.assert_allclose(w, np.linalg.eigvalsh(a), rtol=tol, atol=10 * tol)
    np.testing.assert_allclose(np.abs(v), np.abs(np.linalg.eigh(a)[1]), atol=20 * tol)
    np.testing.assert_allclose(a @ v, v * w[..., None, :], atol=20 * tol)
    np.testing.assert_allclose(v.conj().swapaxes(-1, -2) @ v, np.broadcast_to(np.eye(shape[-1]), shape), atol=20 * tol)


@pytest.mark.parametrize("shape", SHAPES)
def test_eigvalsh_matches_numpy(agree, make, backend, dtype, tol, shape):
    agree(linalg.eigvalsh, np.linalg.eigvalsh, make.hermitian(*shape, dtype=dtype), backend=backend, tol=tol)


@pytest.mark.parametrize("type", [1, 2, 3])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3, 3)])
def test_pairs_of_matrices_match_scipy(make, dtype, tol, shape, type, lower):
    a, b = make.hermitian(*shape, dtype=dtype), make.positive(*shape, dtype=dtype, seed=1)
    w, v = evaluate(lambda a, b: linalg.eigh(a, b, lower=lower, type=type), a, b)
    only = evaluate(lambda a, b: linalg.eigvalsh(a, b, lower=lower, type=type), a, b)
    for place in np.ndindex(*shape[:-2]):
        theirs = scipy.linalg.eigvalsh(a[place], b[place], type=type)
        np.testing.assert_allclose(w[place], theirs, rtol=tol, atol=10 * tol)
        np.testing.assert_allclose(only[place], theirs, rtol=tol, atol=10 * tol)
    left = {1: a @ v, 2: a @ b @ v, 3: b @ a @ v}[type]
    right = (b @ v if type == 1 else v) * w[..., None, :]
    np.testing.assert_allclose(left, right, atol=200 * tol)
    metric = np.linalg.inv(b) if type == 3 else b
    unit = v.conj().swapaxes(-1, -2) @ metric @ v
    np.testing.assert_allclose(unit, np.broadcast_to(np.eye(shape[-1]), shape), atol=20 * tol)


def test_types_of_pairs_are_three():
    with pytest.raises(ArgumentError, match="eigh needs type 1, 2 or 3, got 4"):
        linalg.eigh(ct.matrix(), ct.matrix(), type=4)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3, 3)])
def test_derivatives_of_eigh(make, shape):
    check_derivatives(linalg.eigh, make.hermitian(*shape), rtol=1e-5)
    check_derivatives(lambda a: linalg.eigh(a, lower=False)[1], make.hermitian(*shape), rtol=1e-5)
    check_derivatives(linalg.eigvalsh, make.hermitian(*shape), rtol=1e-5)


@pytest.mark.parametrize("type", [1, 2, 3])
def test_derivatives_of_pairs(make, type):
    check_derivatives(
        lambda a, b: linalg.eigh(a, b, type=type), make.hermitian(3, 3), make.positive(3, 3, seed=1), rtol=1e-5
    )


def test_derivatives_of_complex_hermitian_matrices(adjoint_holds, make):
    def projector(a):  # does not depend on the phases of the vectors
        w, v = linalg.eigh(a)
        return w, v[:, :1] @ v[:, :1].conj().T

    adjoint_holds(projector, make.hermitian(3, 3, dtype="complex128"), tol=1e-7)


def test_the_gradient_is_right_where_eigenvalues_are_equal():
    """exp(a) by its eigenvalues depends smoothly on a, and does not depend on the choice among vectors."""

    def exponential(a):
        w, v = linalg.eigh(a)
        return (v * ct.exp(w)) @ v.T

    a = ct.matrix("a")
    weights = np.array([[1.0, 2.0], [2.0, -1.0]])
    gradient = core.grad((exponential(a) * weights).sum(), a).eval({a: np.eye(2)}, backend="interpreter")
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(np.diag(gradient), np.e * np.diag(weights))  # along the eigenvectors


def test_the_sum_of_a_function_of_equal_eigenvalues_has_its_gradient(make):
    q, _ = np.linalg.qr(make.general(4, 4))
    value = (q * [1.0, 1.0, 1.0, 2.0]) @ q.T
    a = ct.matrix("a")
    gradient = core.grad(ct.log(linalg.eigvalsh(a)).sum(), a).eval({a: value}, backend="interpreter")
    whole = np.linalg.inv(value)  # of log det
    np.testing.assert_allclose(gradient, np.tril(whole, -1) * 2 + np.diag(np.diag(whole)), atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (5, 5), (2, 3, 3)])
def test_eig_matches_numpy(agree, make, backend, dtype, tol, shape):
    a = make.general(*shape, dtype=dtype)

    def reference(a):
        w, v = np.linalg.eig(a)
        kind = np.result_type(a.dtype, "complex64")
        return w.astype(kind), v.astype(kind)

    def up_to_phases(a):  # rounding decides on the phase of a vector
        w, v = reference(a)
        return w, abs(v)

    def both(a):
        w, v = linalg.eig(a)
        return w, abs(v)

    agree(both, up_to_phases, a, backend=backend, tol=tol)
    agree(linalg.eigvals, lambda a: reference(a)[0], a, backend=backend, tol=10 * tol)
    w, v = evaluate(linalg.eig, a, backend=backend)
    np.testing.assert_allclose(a @ v, v * w[..., None, :], atol=10 * tol)


def test_derivatives_of_eig(adjoint_holds, make):
    def projector(a):
        w, v = linalg.eig(a)
        return w, v[:, :1] @ linalg.inv(v)[:1]

    adjoint_holds(projector, make.general(3, 3, dtype="complex128"), tol=1e-7)
    adjoint_holds(linalg.eigvals, make.general(3, 3, dtype="complex128"), tol=1e-7)
    check_derivatives(lambda a: ct.real(linalg.eigvals(a)), make.hermitian(3, 3), rtol=1e-5)


def test_shapes_are_inferred(make):
    check_shapes(linalg.eigh, make.hermitian(2, 3, 3))
    check_shapes(linalg.eig, make.general(2, 3, 3))
    check_shapes(linalg.eigvals, make.general(2, 3, 3))
