"""Matrix equations against SciPy, and their derivatives."""

import numpy as np
import pytest
import scipy.linalg

import plugin_ops_linalg as linalg
from core.testing import check_derivatives, check_shapes, evaluate


@pytest.mark.parametrize("m, n", [(1, 1), (3, 2), (0, 2)])
def test_sylvester_matches_scipy(agree, make, backend, dtype, tol, m, n):
    arrays = make.regular(2, m, m, dtype=dtype), make.regular(n, n, dtype=dtype), make.general(2, m, n, dtype=dtype)
    agree(linalg.solve_sylvester, scipy.linalg.solve_sylvester, *arrays, backend=backend, tol=tol)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 3, 3)])
@pytest.mark.parametrize("name", ["solve_continuous_lyapunov", "solve_discrete_lyapunov"])
def test_lyapunov_matches_scipy(agree, make, backend, dtype, tol, shape, name):
    a, q = make.general(*shape, dtype=dtype) / 2, make.hermitian(*shape, dtype=dtype)
    if "continuous" in name:
        a = make.regular(*shape, dtype=dtype)
    reference = getattr(scipy.linalg, name)
    agree(getattr(linalg, name), lambda a, q: reference(a, q).astype(dtype), a, q, backend=backend, tol=10 * tol)


@pytest.mark.parametrize("n, m", [(1, 1), (3, 2)])
def test_riccati_matches_scipy(agree, make, backend, n, m):
    arrays = make.general(2, n, n), make.general(n, m), make.positive(n, n), make.positive(m, m)
    agree(linalg.solve_discrete_are, scipy.linalg.solve_discrete_are, *arrays, backend=backend, tol=1e-8)


def test_derivatives_of_sylvester(make, adjoint_holds):
    check_derivatives(linalg.solve_sylvester, make.regular(2, 3, 3), make.regular(2, 2), make.general(3, 2))
    arrays = [make.regular(3, 3, dtype="complex128"), make.regular(2, 2, dtype="complex128")]
    adjoint_holds(linalg.solve_sylvester, *arrays, make.general(3, 2, dtype="complex128"))


@pytest.mark.parametrize("name", ["solve_continuous_lyapunov", "solve_discrete_lyapunov"])
def test_derivatives_of_lyapunov(make, adjoint_holds, name):
    op = getattr(linalg, name)
    scale = 1 if "continuous" in name else 0.2
    check_derivatives(op, scale * make.regular(2, 3, 3), make.general(3, 3))
    adjoint_holds(op, scale * make.regular(3, 3, dtype="complex128"), make.general(3, 3, dtype="complex128"))


def test_derivatives_of_riccati(make):
    arrays = make.general(2, 3, 3), make.general(3, 2), make.positive(3, 3), make.positive(2, 2)
    check_derivatives(linalg.solve_discrete_are, *arrays, rtol=1e-5, atol=1e-7)


def test_singular_equations_are_an_error():
    with pytest.raises(linalg.LinAlgError, match="Sylvester"):
        evaluate(linalg.solve_sylvester, np.eye(2), -np.eye(2), np.ones((2, 2)))


def test_shapes_are_inferred(make):
    check_shapes(linalg.solve_sylvester, make.regular(2, 3, 3), make.regular(2, 2), make.general(3, 2))
    check_shapes(linalg.solve_discrete_lyapunov, make.general(3, 3) / 2, make.general(2, 3, 3))
