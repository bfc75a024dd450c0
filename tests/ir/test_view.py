"""Views: shapes and index arithmetic, by the slow evaluator."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.errors import GraphError, ShapeError
from core.ir.check.oracle import evaluate_view
from core.ir.expr import const, length, load
from core.ir.view import View, broadcast_shapes, broadcast_to, reshape


def stored(name, ndim, dtype="float64"):
    return View(dtype, [length(name, axis) for axis in range(ndim)], lambda index: load(name, index, dtype))


def numbers(*shape):
    return np.arange(np.prod(shape, dtype=int), dtype="float64").reshape(shape)


X, Y = stored("x", 2), stored("y", 1)


def test_a_view_takes_ints_as_lengths_and_as_indices():
    view = View("float64", (3, 4), X.at)
    assert view.shape == (const(3), const(4)) and view.ndim == 2
    assert view.at((0, 1)) is load("x", (0, 1), "float64")


def test_a_0d_view_has_its_value_at_nothing():
    assert stored("s", 0).at() is load("s", (), "float64")


def test_an_index_of_the_wrong_length_is_an_error():
    with pytest.raises(GraphError, match="a view with ndim=2 needs 2 indices, got 1"):
        X.at((0,))


def test_broadcast_shapes_line_up_from_the_right():
    assert broadcast_shapes() == ()
    assert broadcast_shapes(X.shape, ()) == X.shape
    assert broadcast_shapes(X.shape, (const(1),)) == X.shape
    assert broadcast_shapes((const(1), const(3)), (const(2), const(1))) == (const(2), const(3))


@pytest.mark.parametrize(
    "x, y", [((3, 4), (4,)), ((3, 1), (4,)), ((1, 1), (4,)), ((3, 4), (1,)), ((0, 4), (1,)), ((3, 1), (0,))]
)
def test_broadcasting_is_numpys(x, y):
    shape = broadcast_shapes(X.shape, Y.shape)
    a, b = broadcast_to(X, shape), broadcast_to(Y, shape)
    total = View("float64", shape, lambda index: a.at(index) + b.at(index))
    arrays = {"x": numbers(*x), "y": numbers(*y)}
    assert_array_equal(evaluate_view(total, arrays), arrays["x"] + arrays["y"])


def test_shapes_that_do_not_broadcast_are_an_error_when_it_runs():
    shape = broadcast_shapes(X.shape, Y.shape)
    with pytest.raises(ShapeError, match=r"lengths 4 and 3 do not broadcast: join\(x.shape\[1\], y.shape\[0\]\)"):
        evaluate_view(broadcast_to(X, shape), {"x": numbers(2, 4), "y": numbers(3)})


def test_a_length_of_zero_broadcasts_with_one_and_not_with_two():
    shape = broadcast_shapes(X.shape, Y.shape)
    assert evaluate_view(broadcast_to(Y, shape), {"x": numbers(2, 0), "y": numbers(1)}).shape == (2, 0)
    with pytest.raises(ShapeError, match="do not broadcast"):
        evaluate_view(broadcast_to(Y, shape), {"x": numbers(2, 0), "y": numbers(2)})


@pytest.mark.parametrize("shape", [(12,), (4, 3), (2, 2, 3), (1, 12, 1), (3, 4)])
def test_reshape_keeps_the_order(shape):
    x = numbers(3, 4)
    view = reshape(X, [const(n) for n in shape])
    assert_array_equal(evaluate_view(view, {"x": x}), x.reshape(shape))


def test_reshape_there_and_back_is_index_arithmetic_that_vanishes():
    flat = reshape(X, [X.shape[0] * X.shape[1]])
    assert reshape(X, X.shape) is X
    back = reshape(flat, X.shape)
    assert_array_equal(evaluate_view(back, {"x": numbers(3, 4)}), numbers(3, 4))


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0, 1)])
def test_reshape_of_nothing(shape):
    assert evaluate_view(reshape(X, [const(n) for n in shape]), {"x": numbers(0, 4)}).shape == shape


def test_reshape_of_one_element_to_0d_and_back():
    assert evaluate_view(reshape(X, []), {"x": numbers(1, 1)}).shape == ()
    assert evaluate_view(reshape(stored("s", 0), [const(1), const(1)]), {"s": np.float64(3)}).tolist() == [[3.0]]
