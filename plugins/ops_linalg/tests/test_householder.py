"""Products of reflections against LAPACK, and their derivatives."""

import numpy as np
import pytest
import scipy.linalg

import plugin_ops_linalg as linalg
from core.errors import ShapeError
from core.testing import check_derivatives, evaluate


def reflectors(make, m, n, dtype="float64"):
    (raw, tau), _ = scipy.linalg.qr(make.general(m, n, dtype=dtype), mode="raw")
    return np.ascontiguousarray(raw), tau


@pytest.mark.parametrize("m, n", [(1, 1), (5, 3), (4, 4)])
def test_reflections_of_qr_make_q(make, backend, dtype, tol, m, n):
    raw, tau = reflectors(make, m, n, dtype)
    q = evaluate(linalg.householder_product, raw, tau, backend=backend)
    assert q.dtype == dtype
    expected = scipy.linalg.qr(make.general(m, n, dtype=dtype), mode="economic")[0]
    np.testing.assert_allclose(q, expected, rtol=tol, atol=tol)


def test_fewer_reflections_than_columns_and_none_at_all(make):
    raw, tau = reflectors(make, 5, 3)
    q = evaluate(linalg.householder_product, raw, tau[:1])
    v = np.concatenate([[1], raw[1:, 0]])
    np.testing.assert_allclose(q, (np.eye(5) - tau[0] * np.outer(v, v))[:, :3], atol=1e-12)
    np.testing.assert_array_equal(evaluate(linalg.householder_product, raw, tau[:0]), np.eye(5, 3))
    np.testing.assert_array_equal(evaluate(linalg.householder_product, raw, 0 * tau), np.eye(5, 3))


def test_stacks_of_reflections(make):
    pairs = [reflectors(make, 4, 2), reflectors(make, 4, 2)]
    raw, tau = (np.stack([2 * part[k] if k else part[k] for part in pairs]) for k in (0, 1))
    q = evaluate(linalg.householder_product, raw, tau)
    np.testing.assert_allclose(q[1], evaluate(linalg.householder_product, raw[1], tau[1]), atol=1e-12)


def test_derivatives(make, adjoint_holds):
    check_derivatives(linalg.householder_product, make.general(2, 4, 3), make.general(2, 3, seed=1), rtol=1e-5)
    adjoint_holds(
        linalg.householder_product, make.general(4, 2, dtype="complex128"), make.general(2, dtype="complex128", seed=1)
    )


def test_too_few_axes_are_an_error(make):
    with pytest.raises(ShapeError, match="householder_product needs ndim >= 1"):
        linalg.householder_product(make.general(3, 2), 1.0)
