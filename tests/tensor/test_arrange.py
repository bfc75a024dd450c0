"""Padding, turning, cutting, places: against NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.errors import ArgumentError, AxisError, ShapeError
from core.testing import available_backends, check_derivatives, evaluate, random

X = random((3, 4))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("width", [0, 2, (1, 3), [(1,), (2,)], [(0, 5), (7, 1)], [(3,)]])
def test_padding_is_numpys(mode, width):
    for shape in ((3, 4), (1, 4), (1, 1)):
        x = random(shape)
        assert_array_equal(evaluate(lambda a: ct.pad(a, width, mode), x), np.pad(x, width, mode))


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_padding_is_numpys_on_every_backend(backend, mode):
    x = random((3, 4), "float32")
    assert_array_equal(
        evaluate(lambda a: ct.pad(a, [(1, 2), (0, 2)], mode), x, backend=backend), np.pad(x, [(1, 2), (0, 2)], mode)
    )


def test_padding_with_numbers_and_its_derivative():
    assert_array_equal(evaluate(lambda a: ct.pad(a, 1, constant_values=7.5), X), np.pad(X, 1, constant_values=7.5))
    for mode in ("constant", "edge", "reflect", "wrap"):
        check_derivatives(lambda a, m=mode: ct.pad(a, [(1, 2), (2, 0)], m), X)


def test_padding_needs_a_mode_and_widths_that_fit():
    with pytest.raises(ArgumentError, match="pad knows the modes 'constant'.*got 'mean'"):
        ct.pad(ct.dvector("x"), 1, "mean")
    with pytest.raises(ShapeError, match="pad needs a pair of widths for each of the 1 axes of x"):
        ct.pad(ct.dvector("x"), [(1, 1), (2, 2)])


@pytest.mark.parametrize("k", range(-2, 6))
def test_turns_are_numpys(k):
    assert_array_equal(evaluate(lambda a: ct.rot90(a, k), X), np.rot90(X, k))
    x = random((2, 3, 4))
    assert_array_equal(evaluate(lambda a: ct.rot90(a, k, (2, 0)), x), np.rot90(x, k, (2, 0)))


def test_turning_needs_two_axes():
    with pytest.raises(AxisError, match="rot90 needs two different axes"):
        ct.rot90(ct.dmatrix("x"), 1, (0, -2))


@pytest.mark.parametrize("name", ["fliplr", "flipud", "tril", "triu"])
def test_functions_of_a_matrix_are_numpys(name):
    assert_array_equal(evaluate(getattr(ct, name), X), getattr(np, name)(X))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("start", [0, 1, 2, 3, -1])
def test_axes_roll_as_numpys_do(axis, start):
    x = random((2, 3, 4))
    assert_array_equal(evaluate(lambda a: ct.rollaxis(a, axis, start), x), np.rollaxis(x, axis, start))


def test_pieces_are_numpys():
    x = random((4, 6, 2))
    for name in ("vsplit", "hsplit", "dsplit"):
        got, want = evaluate(lambda a, f=name: getattr(ct, f)(a, 2), x), getattr(np, name)(x, 2)
        assert all(np.array_equal(a, b) for a, b in zip(got, want, strict=True))
    got = evaluate(lambda a: list(ct.unstack(a, 1)), X, static=True)
    assert all(np.array_equal(a, X[:, i]) for i, a in enumerate(got))
    with pytest.raises(ShapeError, match="unstack needs a known length, but that of axis 0 of x is not"):
        ct.unstack(ct.dvector("x"))


def test_joins_are_numpys():
    y = random((3, 4), seed=1)
    assert_array_equal(evaluate(lambda a, b: ct.dstack([a, b]), X, y), np.dstack([X, y]))
    assert_array_equal(evaluate(lambda a, b: ct.dstack([a, b]), X[0], y[0]), np.dstack([X[0], y[0]]))
    assert_array_equal(evaluate(ct.append, X, y), np.append(X, y))
    assert_array_equal(evaluate(lambda a, b: ct.append(a, b, 1), X, y), np.append(X, y, 1))
    got = evaluate(lambda a: ct.stacklists([[a[0], a[1]], [a[2], 0.0]]), X[0])
    assert_array_equal(got, [[X[0, 0], X[0, 1]], [X[0, 2], 0]])


def test_new_axes_come_left_and_right():
    x = ct.dmatrix("x")
    assert ct.shape_padleft(x, 2).type.shape == (1, 1, None, None)
    assert ct.shape_padright(x).type.shape == (None, None, 1)
    assert ct.shape_padaxis(x, 1).type.shape == (None, 1, None)


def test_flat_places_and_indices_are_each_others_inverse():
    flat = np.array([[0, 5], [11, 7]])
    got = evaluate(lambda i: list(ct.unravel_index(i, (3, 4))), flat)
    assert_array_equal(got, np.unravel_index(flat, (3, 4)))
    assert_array_equal(evaluate(lambda i, j: ct.ravel_multi_index((i, j), (3, 4)), *got), flat)
    with pytest.raises(ShapeError, match="ravel_multi_index needs 2 indices for 2 axes, got 1"):
        ct.ravel_multi_index([1], (3, 4))


@pytest.mark.parametrize("k", [-1, 0, 2])
def test_places_of_triangles_are_numpys(k):
    for name in ("tril_indices", "triu_indices"):
        want = getattr(np, name)(3, k, 4)
        assert_array_equal(evaluate(lambda a, f=name: list(getattr(ct, f)(3, k, 4)), X), want)
        assert_array_equal(evaluate(lambda n, f=name: list(getattr(ct, f)(n, k, 4)), np.array(3)), want)


def test_a_diagonal_can_be_filled():
    want = X.copy()
    np.fill_diagonal(want, 9)
    assert_array_equal(evaluate(lambda a: ct.fill_diagonal(a, 9), X), want)
    assert_array_equal(evaluate(lambda a: ct.fill_diagonal(a, 9, 1), X), np.where(np.eye(3, 4, 1, dtype=bool), 9, X))
    with pytest.raises(ShapeError, match="fill_diagonal needs ndim >= 2, but x has ndim=1"):
        ct.fill_diagonal(ct.dvector("x"), 0)


@pytest.mark.parametrize("increasing", [False, True])
def test_powers_in_columns_are_numpys(increasing):
    for n in (None, 2, 5):
        got = evaluate(lambda a, m=n: ct.vander(a, m, increasing), X[0])
        assert_allclose(got, np.vander(X[0], n, increasing), rtol=1e-14)
