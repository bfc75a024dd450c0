"""Loops on a device: steps are queued on rows of arrays, which are parts of buffers; nothing is left to Python."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import IndexOutOfBounds
from core.ir.program import HostStep, LoopStep
from core.ir.work import alone

x, h, w, b = ct.matrix("x"), ct.vector("h"), ct.matrix("w"), ct.tensor3("b")


@pytest.fixture(params=["memory that is shared, one launch a loop", "memory of its own, launches for each step"])
def memory(request, monkeypatch):
    shares = request.param.startswith("memory that is shared")
    if not shares:
        monkeypatch.setattr(alone, "LAUNCH", 0)
    with core.config.override({"opencl.zero_copy": shares}):
        yield


def steps(f, kind):
    return [step for step in f.program.steps if isinstance(step, kind)]


def recurrent(x, h, w):
    return core.scan(lambda row, h, w: ct.tanh(row + h @ w), sequences=x, outputs_info=h, non_sequences=w)


def agree(inputs, outputs, *arrays):
    """Whether the device's loops are right, when they come for the first time and later."""
    f = core.function(inputs, outputs, backend="opencl", strict=True)
    assert steps(f, LoopStep) and not steps(f, HostStep)
    expected = core.function(inputs, outputs, backend="interpreter")(*arrays)
    for _ in range(3):
        for got, want in zip(f(*arrays), expected, strict=True):
            assert_allclose(got, want, rtol=1e-10, atol=1e-12)
    return f


def random(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) / max(shape[-1], 1) for shape in shapes]


def test_loops_and_their_gradients_run_on_rows_of_any_length(memory):
    out = recurrent(x, h, w)
    f = agree([x, h, w], [out, out[-1], *core.grad((out**2).sum(), [x, h, w])], *random((5, 33), (33,), (33, 33)))
    for shapes in [((1, 1), (1,), (1, 1)), ((3, 7), (7,), (7, 7))]:
        arrays = random(*shapes)
        assert_allclose(f(*arrays)[0][0], np.tanh(arrays[0][0] + arrays[1] @ arrays[2]), rtol=1e-12)
    assert_array_equal(core.function([x, h, w], out.shape, backend="opencl")(*random((0, 2), (2,), (2, 2))), [0, 2])


@pytest.mark.parametrize("products", ["auto", "kernels"])
def test_products_in_a_step_take_rows_where_they_lie(memory, products):
    out = core.scan(lambda row, m, w: ct.tanh(row + m @ w), sequences=b, outputs_info=x, non_sequences=w)
    with core.config.override({"opencl.products": products}):
        agree([b, x, w], [out, *core.grad((out**2).sum(), [x, w])], *random((3, 5, 9), (5, 9), (9, 9)))


def test_float64_that_is_stored_as_float32_lies_in_rows_of_that():
    with core.config.override({"opencl.float64": "float32"}):
        f = core.function([x, h], core.scan(lambda row, h: row + h, sequences=x, outputs_info=h), backend="opencl")
        assert_allclose(f(np.ones((4, 3)), np.zeros(3)), np.arange(1.0, 5.0)[:, None] * np.ones(3))


def test_steps_of_a_few_elements_are_one_kernel():
    known = ct.specify_shape(x, (7, 3)), ct.specify_shape(h, (3,)), ct.specify_shape(w, (3, 3))
    f = core.function([x, h, w], recurrent(*known), backend="opencl", strict=True)
    assert not steps(f, LoopStep) and not steps(f, HostStep)
    arrays = random((7, 3), (3,), (3, 3))
    expected = core.function([x, h, w], recurrent(*known), backend="interpreter")(*arrays)
    assert_allclose(f(*arrays), expected, rtol=1e-12)


def test_a_loop_goes_on_until_a_step_says_that_it_is_the_last(memory):
    out = core.scan(lambda h: (h / 2, core.until((h < 1).all())), outputs_info=h, n_steps=50)
    f = core.function([h], out, backend="opencl", strict=True)
    for _ in range(3):
        assert_array_equal(f(np.array([16.0, 3.0])), np.array([16.0, 3.0]) / 2.0 ** np.arange(1, 7)[:, None])


def test_steps_choose_and_have_loops_of_their_own(memory):
    choice = core.scan(lambda r, h: core.ifelse(r.sum() > 0, ct.tanh(r + h), h * 0.5), sequences=x, outputs_info=h)
    inner = core.scan(
        lambda m, h: core.scan(lambda row, h: row * h, sequences=m, outputs_info=h)[-1], sequences=b, outputs_info=h
    )
    agree([x, b, h], [choice, inner], *random((6, 4), (3, 2, 4), (4,)))


def test_a_bad_index_in_a_step_is_the_users_and_values_stay():
    i, kept = ct.lvector("i"), core.shared(np.zeros(()))
    out = core.scan(lambda k, h: h[k], sequences=i, non_sequences=h)
    f = core.function([h, i], out, updates={kept: out.sum()}, backend="opencl")
    assert_array_equal(f(np.arange(4.0), np.array([2, 0])), [2.0, 0.0])
    with pytest.raises(IndexOutOfBounds):
        f(np.arange(4.0), np.array([2, 9]))
    assert kept.get_value() == 2.0


def test_training_through_a_loop_stays_on_the_device():
    rows, weights = core.shared(random((6, 5))[0]), core.shared(np.eye(5) / 2)
    loss = (recurrent(rows, ct.zeros((5,)), weights) ** 2).sum()
    step = core.function([], updates={weights: weights - 0.1 * core.grad(loss, weights)}, backend="opencl", strict=True)
    plain = core.function([], [loss, core.grad(loss, weights)], backend="interpreter")
    for _ in range(5):
        expected = weights.get_value() - 0.1 * plain()[1]
        step()
        assert_allclose(weights.get_value(), expected, rtol=1e-10, atol=1e-12)
