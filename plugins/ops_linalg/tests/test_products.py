"""Products, powers, and inverses of tensors, against NumPy."""

import numpy as np
import pytest

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import ArgumentError, ShapeError
from core.testing import check_derivatives, evaluate


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, -1, -2])
@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 3), (2, 3, 3)])
def test_powers_are_numpys(make, backend, dtype, tol, n, shape):
    a = make.regular(*shape, dtype=dtype)
    got = evaluate(lambda a: linalg.matrix_power(a, n), a, backend=backend)
    expected = np.linalg.matrix_power(a, n)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=tol, atol=10 * tol * max(1, np.abs(expected).max(initial=0)))


def test_powers_of_integers_are_integers():
    a = np.array([[1, 2], [3, 4]])
    assert evaluate(lambda a: linalg.matrix_power(a, 3), a).tolist() == np.linalg.matrix_power(a, 3).tolist()
    assert evaluate(lambda a: linalg.matrix_power(a, 0), a).dtype == "int64"


def test_derivatives_of_powers(make):
    for n in (3, -2):
        check_derivatives(lambda a, n=n: linalg.matrix_power(a, n), make.regular(2, 3, 3))


def test_powers_need_a_square_matrix_and_an_int():
    with pytest.raises(linalg.LinAlgError, match="needs square matrices"):
        linalg.matrix_power(ct.tensor("a", shape=(2, 3)), 2)
    with pytest.raises(ShapeError, match="needs ndim >= 2"):
        linalg.matrix_power(ct.vector(), 2)
    with pytest.raises(ArgumentError, match="needs an int as n"):
        linalg.matrix_power(ct.matrix(), 2.5)


@pytest.mark.parametrize("static", [False, True])
def test_products_of_several_are_numpys(make, backend, static):
    a, b, c, v = make.general(2, 5), make.general(5, 3), make.general(3, 4), make.general(4)
    for factors in ([a, b], [a, b, c], [a, b, c, v], [v[:2], a, b], [v[:2], a, b, c, v]):
        got = evaluate(lambda *x: linalg.multi_dot(x), *factors, backend=backend, static=static)
        np.testing.assert_allclose(got, np.linalg.multi_dot(factors), rtol=1e-10)
        assert got.shape == np.linalg.multi_dot(factors).shape


def test_the_cheapest_order_is_taken_where_shapes_are_known():
    a, b, c = (ct.tensor(shape=shape) for shape in ((10, 100), (100, 5), (5, 50)))
    f = core.function([a, b, c], linalg.multi_dot([a, b, c]), backend="interpreter")
    first = f.graph.toposort()[0]
    assert [x.type.shape for x in first.inputs] == [(10, 100), (100, 5)]


def test_products_need_matrices():
    with pytest.raises(ArgumentError, match="two matrices at least"):
        linalg.multi_dot([ct.matrix()])
    with pytest.raises(ShapeError, match="needs ndim 2 of factor 1, got 1"):
        linalg.multi_dot([ct.matrix(), ct.vector(), ct.matrix()])


def test_cross_and_outer_are_numpys(make, backend):
    a, b = make.general(2, 3), make.general(4, 1, 3)
    np.testing.assert_allclose(evaluate(linalg.cross, a, b, backend=backend), np.cross(a, b))
    x, y = make.general(3, 2), make.general(3, 2, seed=1)
    got = evaluate(lambda x, y: linalg.cross(x, y, axis=0), x, y, backend=backend)
    np.testing.assert_allclose(got, np.linalg.cross(x, y, axis=0))
    np.testing.assert_allclose(evaluate(linalg.outer, a[0], a[1]), np.outer(a[0], a[1]))
    check_derivatives(linalg.cross, a, b)


def test_cross_and_outer_check_shapes():
    with pytest.raises(ShapeError, match="cross needs length 3"):
        linalg.cross(ct.tensor(shape=(2,)), ct.tensor(shape=(3,)))
    with pytest.raises(ShapeError, match="outer needs vectors"):
        linalg.outer(ct.matrix(), ct.vector())


@pytest.mark.parametrize("axes", [None, (0, 2)])
def test_tensorsolve_is_numpys(make, backend, axes):
    a = np.eye(2 * 3 * 4) + make.general(24, 24) / 10
    a = a.reshape(6, 4, 2, 3, 4) if axes is None else np.moveaxis(a.reshape(6, 4, 2, 3, 4), (2, 3), (0, 2))
    axes = None if axes is None else (0, 2, 4)
    b = make.general(6, 4)
    got = evaluate(lambda a, b: linalg.tensorsolve(a, b, axes), a, b, backend=backend)
    np.testing.assert_allclose(got, np.linalg.tensorsolve(a, b, axes), rtol=1e-9)


def test_tensorinv_is_numpys(make, backend):
    a = (np.eye(24) + make.general(24, 24) / 10).reshape(4, 6, 8, 3)
    np.testing.assert_allclose(evaluate(linalg.tensorinv, a, backend=backend), np.linalg.tensorinv(a), rtol=1e-9)
    b = a.reshape(24, 8, 3)
    got = evaluate(lambda a: linalg.tensorinv(a, ind=1), b)
    np.testing.assert_allclose(got, np.linalg.tensorinv(b, ind=1), rtol=1e-9)
    with pytest.raises(ArgumentError, match="needs ind > 0"):
        linalg.tensorinv(ct.tensor4(), 0)


def test_derivatives_of_systems_of_tensors(make):
    check_derivatives(linalg.tensorsolve, (np.eye(6) + make.general(6, 6) / 9).reshape(2, 3, 6), make.general(2, 3))
    check_derivatives(linalg.tensorinv, (np.eye(6) + make.general(6, 6) / 9).reshape(2, 3, 6))
