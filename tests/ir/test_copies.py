"""Copies that are not made: of what products read and write, and of rows that steps would make twice."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.ir.check.oracle import evaluate_lengths
from core.ir.check.run import Driver
from core.ir.program import KernelStep, LibraryStep, LoopStep
from core.testing import random

pytestmark = pytest.mark.usefixtures("gemm")


def made(inputs, outputs, **options):
    return core.function(inputs, outputs, backend=Driver("ir"), **options)


def kinds(f):
    return [type(step) for step in f.program.steps]


def test_a_stack_times_a_matrix_is_one_product_without_copies():
    x, w = ct.tensor("x", dtype="float64", ndim=3), ct.matrix("w")
    f = made([x, w], ct.tensordot(x, w, 1))
    assert kinds(f) == [LibraryStep]
    assert_allclose(f(random((2, 3, 4)), random((4, 5))), random((2, 3, 4)) @ random((4, 5)))


def test_rows_of_a_slice_of_a_stack_are_read_where_they_lie():
    x, w = ct.tensor("x", dtype="float64", ndim=3), ct.matrix("w")
    f = made([x, w], x[1:].reshape((-1, x.shape[2])).T @ w)
    assert kinds(f) == [LibraryStep]
    a, b = random((3, 2, 4)), random((4, 5), seed=1)
    assert_allclose(f(a, b), a[1:].reshape(-1, 4).T @ b)


@pytest.mark.parametrize("view", [lambda x: x[::-1], lambda x: x[:, 1:], lambda x: x.transpose(1, 0, 2)])
def test_a_stack_whose_rows_do_not_follow_each_other_is_copied(view):
    x, w = ct.tensor("x", dtype="float64", ndim=3), ct.matrix("w")
    f = made([x, w], view(x).reshape((-1, x.shape[2])) @ w)
    assert KernelStep in kinds(f)
    a, b = random((3, 2, 4)), random((4, 5), seed=1)
    assert_allclose(f(a, b), view(a).reshape(-1, 4) @ b)


def test_a_product_whose_result_others_read_in_its_own_shape_stays_in_that():
    x, w, v = ct.tensor("x", dtype="float64", ndim=3), ct.matrix("w"), ct.vector("v")
    tall = x.reshape((-1, x.shape[2])) @ w
    stack = tall.reshape((x.shape[0], x.shape[1], w.shape[1]))
    f = made([x, w, v], [stack, tall.sum(0) + v])
    a, b, c = random((3, 2, 4)), random((4, 5), seed=1), random((5,), seed=2)
    got = f(a, b, c)
    assert_allclose(got[0], a @ b)
    assert_allclose(got[1], (a @ b).sum((0, 1)) + c)


def network(n_known):
    """A recurrent network's loss, and the gradients of its matrices."""
    n, m, k = (6, 2, 3) if n_known else (None, None, None)
    x = ct.tensor("x", dtype="float64", shape=(n, m, k))
    wx, wh, h = ct.matrix("wx"), ct.matrix("wh"), ct.matrix("h")
    last = core.scan(lambda row, h: ct.tanh(row @ wx + h @ wh), sequences=x, outputs_info=h)[-1]
    loss = ((last - h) ** 2).mean()
    return [x, wx, wh, h], [loss, *core.grad(loss, [wx, wh])]


@pytest.mark.parametrize("n_known", [False, True])
def test_a_recurrent_network_keeps_its_states_and_one_more_stack(n_known):
    inputs, outputs = network(n_known)
    f = made(inputs, outputs)
    arrays = [random((6, 2, 3)), random((3, 3), seed=1), random((3, 3), seed=2), random((2, 3), seed=3)]
    given = dict(zip(f.program.inputs, arrays, strict=True))
    sizes = evaluate_lengths(f.program.slot_sizes, given)
    stack = arrays[0].nbytes
    assert sum(size >= stack for size in sizes) == 2  # all states; and products of inputs, then gradients
    plain = core.function(inputs, outputs, backend="interpreter", mode="none")
    for got, expected in zip(f(*arrays), plain(*arrays), strict=True):
        assert_allclose(got, expected, rtol=1e-12)


def test_a_row_that_two_results_have_is_made_once():
    x, h, w = ct.matrix("x"), ct.vector("h"), ct.matrix("w")
    step = lambda x, h: (ct.tanh(x + h @ w), row := 2 * x + h, row)
    outs = core.scan(step, sequences=x, outputs_info=[h, None, None])
    f = made([x, h, w], [outs[0], ct.exp(outs[1]), ct.sin(outs[2])], mode="none")
    (loop,) = [step for step in f.program.steps if isinstance(step, LoopStep)]
    assert len(loop.iteration.results) == 1
    arrays = random((4, 3)), random((3,), seed=1), random((3, 3), seed=2)
    plain = core.function([x, h, w], [outs[0], ct.exp(outs[1]), ct.sin(outs[2])], backend="interpreter", mode="none")
    for got, expected in zip(f(*arrays), plain(*arrays), strict=True):
        assert_allclose(got, expected, rtol=1e-12)


def test_lengths_that_steps_take_for_equal_are_equal_around_them_and_may_be_one():
    x, h, w = ct.matrix("x"), ct.vector("h"), ct.matrix("w")
    out = core.scan(lambda x, h: ct.tanh(x + h @ w), sequences=x, outputs_info=h)
    f = made([x, h, w], core.grad((out**2).sum(), [x, h, w]))
    plain = core.function([x, h, w], core.grad((out**2).sum(), [x, h, w]), backend="interpreter", mode="none")
    for width in (3, 1):  # a column that is broadcast to the width of the states
        arrays = random((4, width)), random((3,), seed=1), random((3, 3), seed=2)
        for got, expected in zip(f(*arrays), plain(*arrays), strict=True):
            assert got.shape == expected.shape
            assert_allclose(got, expected, rtol=1e-12)
    with pytest.raises(ValueError, match="add|tanh"):
        f(random((4, 2)), random((3,)), random((3, 3)))
    assert np.isfinite(f(random((1, 3)), random((3,)), random((3, 3)))[0]).all()


def test_what_python_reads_of_a_product_is_there():
    class Sorted(core.Op):
        __props__ = ()

        def make_node(self, x):
            return core.Apply(self, [x], [x.type()])

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = np.sort(inputs[0])

        def infer_shape(self, node, input_shapes):
            return input_shapes

    x, w = ct.matrix("x"), ct.matrix("w")
    product = x @ w
    with pytest.warns(core.errors.CoreWarning, match="Python computes it"):
        f = made([x, w], [product.reshape((1, x.shape[0], w.shape[1])), Sorted()(product)])
    a, b = random((2, 3)), random((3, 4), seed=1)
    stack, ordered = f(a, b)
    assert_allclose(stack, (a @ b)[None])
    assert_allclose(ordered, np.sort(a @ b))
