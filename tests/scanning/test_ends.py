"""Gradients of costs that read the last rows of a state: right for any reading, and no sequence of zeros is made."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.scanning.form import State
from core.scanning.op import Scan
from core.tensor.indexing import IncSubtensor
from core.testing import available_backends


def rows(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def states(x, h):
    return core.scan(lambda x, h: ct.tanh(x + 0.5 * h), sequences=x, outputs_info=h)


def of_two(x, start):
    return core.scan(
        lambda x, before, last: ct.sin(last) - 0.3 * before * x,
        sequences=x,
        outputs_info={"initial": start, "taps": [-2, -1]},
    )


READINGS = {
    "the last row": lambda h: h[-1],
    "an element of the last row": lambda h: h[-1, 0],
    "a part of the last row": lambda h: h[-1, 1:],
    "the last row, twice": lambda h: h[-1] * h[-1],
    "the last row and all": lambda h: h[-1] + (h**2).sum(0),
    "the last row and the first": lambda h: h[-1] * h[0],
    "the last row among others": lambda h: h[-2:],
    "a row from the front": lambda h: h[0],
    "a row that is chosen": lambda h: h[ct.constant(1) - 1],
}


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("name", READINGS)
def test_gradients_of_some_rows_are_those_of_differences(name, n):
    read = READINGS[name]
    core.verify_grad(lambda x, h: read(states(x, h)), [rows(n, 3), rows(3, seed=1)])
    core.verify_grad(lambda x, h: read(of_two(x, h)), [rows(n, 3), rows(2, 3, seed=1)])


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", READINGS)
def test_second_derivatives_of_some_rows_are_those_of_differences(name, backend):
    x, h = ct.matrix("x"), ct.matrix("h")
    cost = READINGS[name](of_two(x, h)).sum()
    slope = core.function([x, h], core.grad(cost, h), backend="interpreter")
    value, start = rows(3, 2), rows(2, 2, seed=1)
    found = core.function([x, h], core.hessian(cost, h), backend=backend, on_unused_input="ignore")(value, start)
    for at in np.ndindex(start.shape):
        step = np.zeros(start.shape)
        step[at] = 1e-6
        difference = (slope(value, start + step) - slope(value, start - step)) / 2e-6
        assert_allclose(found[at], difference, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("n, expected", [(1, [1.0]), (4, [0.0, 0.0, 0.5, 1.0])])
def test_a_truncated_gradient_of_the_last_row_goes_back_as_far_as_it_is_told(n, expected):
    x = ct.vector("x")
    h = core.scan(lambda x, h: 0.5 * h + x, sequences=x, outputs_info=0.0, truncate_gradient=2)
    assert_allclose(core.function([x], core.grad(h[-1], x), backend="interpreter")(np.ones(n)), expected)


def test_a_gradient_of_the_last_row_needs_no_zeros_for_the_others():
    x, h = ct.matrix("x"), ct.vector("h")
    f = core.function([x, h], core.grad(states(x, h)[-1].sum(), h), backend="interpreter")
    updates = [node for node in f.graph.toposort() if isinstance(node.op, IncSubtensor)]
    assert all(node.out.type.shape[0] == 1 for node in updates)
    assert any(isinstance(node.op, Scan) and node.op.form.backwards for node in f.graph.toposort())


def test_a_gradient_of_all_rows_is_the_sequence_as_it_was_given():
    x, h, w = ct.matrix("x"), ct.vector("h"), ct.matrix("w")
    f = core.function([x, h, w], core.grad((states(x, h) * w).sum(), h), backend="interpreter")
    assert not any(isinstance(node.op, IncSubtensor) for node in f.graph.toposort())


@pytest.mark.parametrize("backend", available_backends())
def test_the_gradient_of_a_gradient_of_a_loop_goes_forwards_again(backend):
    x, h = ct.matrix("x"), ct.vector("h")
    first = core.grad(states(x, h)[-1].sum(), x)
    second = core.grad((first**2).sum(), x)
    f = core.function([x, h], second, backend=backend)
    slope = core.function([x, h], (first**2).sum(), backend="interpreter")
    value, start = rows(4, 2), rows(2, seed=1)
    found = f(value, start)
    for at in np.ndindex(value.shape):
        step = np.zeros(value.shape)
        step[at] = 1e-6
        difference = (slope(value + step, start) - slope(value - step, start)) / 2e-6
        assert_allclose(found[at], difference, rtol=1e-5, atol=1e-7)


def test_a_backward_scan_takes_and_makes_rows_from_the_last_to_the_first():
    from core.inner import InnerGraph
    from core.scanning.form import Form

    row, total, x = ct.scalar("row"), ct.scalar("total"), ct.vector("x")
    step = InnerGraph([row, total], [total + row, total * row])
    form = Form(1, (State((-1,)),), 0, ((),), backwards=True)
    trace, result = Scan(step, form)(x.shape[0], x, ct.zeros(1))
    made, results = core.function([x], [trace, result], backend="interpreter")([1.0, 2.0, 4.0])
    assert_allclose(made, [0, 4, 6, 7])
    assert_allclose(results, [6, 8, 0])
    assert "backwards" in repr(form)
    with pytest.raises(core.errors.ArgumentError, match="needs to go forwards where a step may be the last"):
        stopping = InnerGraph([row, total], [total + row, total > row])
        Scan(stopping, Form(1, (State((-1,)),), 0, (), True, backwards=True))(x.shape[0], x, ct.zeros(1))
