"""Choices inside of ops of graphs, and the other way round: on every backend, without Python where that can be."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.ir.check.run import Driver
from core.testing import available_backends

backends = pytest.mark.parametrize("backend", [*available_backends(), pytest.param(Driver(), id="ir")])
c, x, m = ct.bscalar("c"), ct.dvector("x"), ct.dmatrix("m")
A, M = np.array([0.5, -1.0, 2.0, 0.25]), np.random.default_rng(0).random((4, 4))


def strictly(inputs, outputs, backend):
    return core.function(inputs, outputs, backend=backend, strict=True)


@backends
@pytest.mark.parametrize("inline", [True, False])
def test_a_choice_inside_of_an_op(backend, inline):
    op = core.OpFromGraph([c, x], [core.ifelse(c, ct.tanh(x), x * x)], inline=inline)
    y = op(c, x)
    f = strictly([c, x], [y, core.grad(y.sum(), x), core.Rop(y, x, x)], backend)
    t = np.tanh(A)
    for got, expected in zip(f(1, A), (t, 1 - t * t, (1 - t * t) * A), strict=True):
        assert_allclose(got, expected)
    for got, expected in zip(f(0, A), (A * A, 2 * A, 2 * A * A), strict=True):
        assert_allclose(got, expected)


@backends
def test_an_op_inside_of_a_choice(backend):
    op = core.OpFromGraph([x], [ct.exp(x) * x], inline=False)
    y = core.ifelse(c, op(x) * 2, op(x * 3))
    f = strictly([c, x], [y, core.grad(y.sum(), x)], backend)
    assert_allclose(f(1, A), [2 * np.exp(A) * A, 2 * np.exp(A) * (A + 1)])
    assert_allclose(f(0, A), [np.exp(3 * A) * A * 3, 3 * np.exp(3 * A) * (3 * A + 1)])


@backends
def test_a_choice_that_is_computed_again(backend):
    part = core.checkpoint(lambda a, b: core.ifelse(a.sum() > 0, ct.tanh(b @ a), ct.sin(b @ a)))
    y = part(part(x, m), m)
    f = strictly([x, m], [y, core.grad(y.sum(), x)], backend)
    plain = ct.tanh(m @ ct.tanh(m @ x)), ct.sin(m @ ct.sin(m @ x))
    for value, expected in ((A, plain[0]), (-A, plain[1])):
        e = core.function([x, m], [expected, core.grad(expected.sum(), x)], backend="interpreter")(value, M)
        for got, wanted in zip(f(value, M), e, strict=True):
            assert_allclose(got, wanted, rtol=1e-10)


@backends
def test_matrices_of_derivatives_of_a_choice(backend):
    outputs = [
        core.jacobian(core.ifelse(c, ct.exp(x), x * x), x),
        core.hessian(core.ifelse(c, ct.exp(x).sum(), (x**3).sum()), x),
    ]
    f = strictly([c, x], outputs, backend)
    assert_allclose(f(1, A), [np.diag(np.exp(A))] * 2)
    assert_allclose(f(0, A), [np.diag(2 * A), np.diag(6 * A)])


@pytest.mark.filterwarnings("ignore:.*Python computes it")  # of the loop, where a backend has none
@backends
def test_a_choice_in_each_step_of_a_loop(backend):
    def step(v, h):
        return core.ifelse(v > 0, ct.tanh(h) * v, ct.cumsum(h) + v)

    rows = core.scan(step, sequences=x, outputs_info=ct.zeros((3,)))
    f = core.function([x], [rows[-1], core.grad(rows[-1].sum(), x)], backend=backend)
    h = np.zeros(3)
    for v in A:
        h = np.tanh(h) * v if v > 0 else np.cumsum(h) + v
    value, g = f(A)
    assert_allclose(value, h)
    eps = 1e-6
    for k, e in enumerate(np.eye(4) * eps):
        assert_allclose(g[k], (f(A + e)[0].sum() - f(A - e)[0].sum()) / (2 * eps), rtol=1e-6, atol=1e-8)


@backends
def test_lengths_that_are_computed_are_chosen_too(backend):
    z = core.ifelse(c, x[: ct.argmax(x)], ct.exp(x))
    f = core.function([c, x], [z, z.sum()], backend=backend)
    for flag, expected in ((1, A[:2]), (0, np.exp(A))):
        assert_allclose(f(flag, A)[0], expected)
        assert_allclose(f(flag, A)[1], expected.sum())


@pytest.mark.parametrize("backend", [name for name in available_backends() if name != "interpreter"])
def test_an_op_of_a_graph_becomes_the_code_of_the_graph(backend):
    def model(a, b):
        return ct.tanh(b @ a).sum() + (a * a).sum()

    texts = []
    for wrap in (lambda f: f, core.op_from_graph, core.checkpoint):
        cost = wrap(model)(x, m)
        texts.append(str(core.function([x, m], cost, backend=backend).program))
    assert texts[0] == texts[1] == texts[2]


def test_results_of_a_choice_of_what_was_given_are_copies():
    u, v = core.ifelse(c, (x, x), (x * 2, x[::-1]))
    for backend in available_backends():
        f = core.function([c, x], [u, v, u], backend=backend)
        given = A.copy()
        first, second, third = f(1, given)
        first[:], second[:] = 7, 8
        assert_array_equal(given, A)
        assert_array_equal(third, A)
