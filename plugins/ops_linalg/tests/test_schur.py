"""Schur factors of one matrix and of two, against SciPy, and the derivatives of complex ones."""

import numpy as np
import pytest
import scipy.linalg

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import ArgumentError, NullGradientError
from core.testing import check_shapes, evaluate

SHAPES = [(0, 0), (1, 1), (5, 5), (2, 3, 3)]


def adjoint(x):
    return x.conj().swapaxes(-1, -2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("output", ["real", "complex"])
def test_schur_matches_scipy(agree, make, backend, dtype, tol, shape, output):
    kind = np.result_type(dtype, "complex64") if output == "complex" else np.dtype(dtype)

    def reference(a):
        if a.size == 0:
            return np.zeros((0, 0), kind), np.zeros((0, 0), kind)
        return tuple(x.astype(kind) for x in scipy.linalg.schur(a.astype(kind), output=output))

    a = make.general(*shape, dtype=dtype)
    agree(lambda a: linalg.schur(a, output=output), reference, a, backend=backend, tol=tol)


@pytest.mark.parametrize("sort", ["lhp", "rhp", "iuc", "ouc", lambda re, im=0.0: re > 0.1])
def test_schur_puts_the_chosen_eigenvalues_first(make, sort):
    a = make.general(4, 4)
    t, z, count = evaluate(lambda a: linalg.schur(a, sort=sort), a)
    theirs = scipy.linalg.schur(a, sort=sort)
    np.testing.assert_allclose(t, theirs[0], atol=1e-12)
    np.testing.assert_allclose(z @ t @ z.T, a, atol=1e-12)
    assert count == theirs[2]


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3, 3)])
@pytest.mark.parametrize("output", ["real", "complex"])
def test_qz_factors_two_matrices(make, dtype, tol, shape, output):
    a, b = make.general(*shape, dtype=dtype), make.general(*shape, dtype=dtype, seed=1)
    aa, bb, q, z = evaluate(lambda a, b: linalg.qz(a, b, output=output), a, b)
    for whole, part in ((a, aa), (b, bb)):
        np.testing.assert_allclose(q @ part @ adjoint(z), whole, atol=20 * tol)
    for factor in (q, z):
        np.testing.assert_allclose(adjoint(factor) @ factor, np.broadcast_to(np.eye(shape[-1]), shape), atol=20 * tol)
    np.testing.assert_allclose(np.tril(bb, -1), 0, atol=20 * tol)
    assert aa.dtype == (np.result_type(dtype, "complex64") if output == "complex" else dtype)


@pytest.mark.parametrize("sort", ["lhp", "rhp", "iuc", "ouc"])
@pytest.mark.parametrize("output", ["real", "complex"])
def test_ordqz_matches_scipy(make, sort, output):
    a, b = make.general(4, 4), make.general(4, 4, seed=1)
    got = evaluate(lambda a, b: linalg.ordqz(a, b, sort=sort, output=output), a, b)
    for mine, theirs in zip(got, scipy.linalg.ordqz(a, b, sort=sort, output=output), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-10)


def test_derivatives_of_complex_schur_factors(adjoint_holds, make):
    def invariant(a):  # does not depend on the phases of the columns
        t, z = linalg.schur(a, output="complex")
        return ct.diagonal(t), z[:, :2] @ z[:, :2].conj().T, ct.real(t * ct.conj(t))

    adjoint_holds(invariant, make.general(4, 4, dtype="complex128"), tol=1e-7)


def test_second_derivatives_of_schur_factors(adjoint_holds, make):
    weights = ct.constant(make.general(3, 3, seed=5))

    def slope(a):
        t, z = linalg.schur(a, output="complex")
        cost = (weights * ct.real(t * ct.conj(t))).sum() + (weights * ct.real(z[:, :1] @ z[:, :1].conj().T)).sum()
        return core.grad(cost, a)

    adjoint_holds(slope, make.general(3, 3, dtype="complex128"), tol=1e-5)


def test_complex_schur_factors_of_a_real_matrix_have_a_gradient(make):
    a = ct.matrix("a")
    t, _ = linalg.schur(a, output="complex")
    cost = ct.real(ct.diagonal(t) ** 3).sum()  # the trace of a^3
    value = make.general(4, 4)
    gradient = core.grad(cost, a).eval({a: value}, backend="interpreter")
    np.testing.assert_allclose(gradient, 3 * (value @ value).T, atol=1e-10)


@pytest.mark.parametrize("name", ["qz", "ordqz"])
def test_derivatives_of_complex_qz_factors(adjoint_holds, make, name):
    def invariant(a, b):  # does not depend on the phases of pairs of columns
        aa, bb, *_, q, z = getattr(linalg, name)(a, b, output="complex")
        one = ct.diagonal(aa), ct.diagonal(bb), ct.real(aa * ct.conj(aa))
        return [*one, q[:, :2] @ q[:, :2].conj().T, z[:, :2] @ z[:, :2].conj().T, q[:, :1] @ z[:, :1].conj().T]

    adjoint_holds(invariant, *(make.general(4, 4, dtype="complex128", seed=k) for k in (0, 1)), tol=1e-7)


def test_the_eigenvalues_of_ordqz_have_derivatives(adjoint_holds, make):
    def values(a, b):
        _, _, alpha, beta, _, _ = linalg.ordqz(a, b, output="complex")
        return [alpha / beta]

    adjoint_holds(values, *(make.general(3, 3, dtype="complex128", seed=k) for k in (0, 1)), tol=1e-7)


def test_second_derivatives_of_qz_factors(adjoint_holds, make):
    weights = ct.constant(make.general(3, 3, seed=5))

    def slope(a, b):
        aa, _, q, _ = linalg.qz(a, b, output="complex")
        cost = (weights * ct.real(aa * ct.conj(aa))).sum() + (weights * ct.real(q[:, :1] @ q[:, :1].conj().T)).sum()
        return core.grad(cost, [a, b])

    adjoint_holds(slope, *(make.general(3, 3, dtype="complex128", seed=k) for k in (0, 1)), tol=1e-5)


def test_what_has_no_derivative_says_so():
    a = ct.matrix("a")
    with pytest.raises(NullGradientError, match="output='complex' has derivatives"):
        core.grad(linalg.schur(a)[0].sum(), a)
    with pytest.raises(NullGradientError, match="output='complex' has derivatives"):
        core.grad(linalg.qz(a, a)[0].sum(), a)
    with pytest.raises(NullGradientError, match="output='complex' has derivatives"):
        core.grad(linalg.ordqz(a, a)[0].sum(), a)


def test_bad_arguments_are_errors():
    with pytest.raises(ArgumentError, match="schur needs output 'real' or 'complex', got 'reel'"):
        linalg.schur(ct.matrix(), output="reel")
    with pytest.raises(ArgumentError, match="ordqz needs sort from 'lhp'"):
        linalg.ordqz(ct.matrix(), ct.matrix(), sort="left")
    with pytest.raises(ArgumentError, match="qz does not sort"):
        linalg.qz(ct.matrix(), ct.matrix(), sort="lhp")
    with pytest.raises(linalg.LinAlgError, match="not finite"):
        evaluate(linalg.schur, np.full((2, 2), np.nan))


def test_shapes_are_inferred(make):
    check_shapes(linalg.schur, make.general(2, 3, 3))
    check_shapes(lambda a, b: linalg.ordqz(a, b), make.general(2, 3, 3), make.general(3, 3, seed=1))
