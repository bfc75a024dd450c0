"""checkpoint: the same values, gradients that compute again, and less that is kept."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.testing import available_backends
from core.testing.derivatives import check_derivatives

backends = pytest.mark.parametrize("backend", available_backends())
x, m = ct.dvector("x"), ct.dmatrix("m")
A = np.linspace(-1, 1, 7)


def link(h):
    """Sums keep each step from being computed where it is read."""
    for _ in range(3):
        h = ct.tanh(ct.cumsum(h) * 0.1 + h)
    return h


def chain(wrap, links=6):
    h = x
    for _ in range(links):
        h = wrap(link)(h)
    return h.sum()


@backends
def test_values_and_gradients_are_the_same_bit_for_bit(backend):
    found = []
    for wrap in (core.checkpoint, lambda f: f):
        cost = chain(wrap)
        found.append(core.function([x], [cost, core.grad(cost, x)], backend=backend)(A))
    for one, other in zip(*found, strict=True):
        assert_array_equal(one, other)


def tanhs(graph):
    """How often tanh is computed in a graph and those inside of it."""
    count = 0
    for node in graph.toposort():
        count += str(node.op) == "tanh"
        for inner in getattr(node.op, "inner_graphs", dict)().values():
            count += tanhs(inner)
    return count


def test_the_gradient_computes_again_what_is_inside():
    cost = chain(core.checkpoint)
    f = core.function([x], core.grad(cost, x), backend="interpreter")
    assert tanhs(f.graph) == 6 * 3 + 5 * 3
    plain = core.function([x], core.grad(chain(lambda f: f), x), backend="interpreter")
    assert tanhs(plain.graph) == 18


def test_values_alone_are_computed_once():
    f = core.function([x], chain(core.checkpoint), backend="interpreter")
    assert tanhs(f.graph) == 18


@pytest.mark.parametrize("backend", [name for name in available_backends() if name != "interpreter"])
def test_less_memory_is_planned(backend):
    slots = []
    for wrap in (core.checkpoint, lambda f: f):
        f = core.function([x], core.grad(chain(wrap, 8), x), backend=backend)
        slots.append(len(f.program.slot_sizes))
    assert slots[0] < slots[1] / 2


def test_gradients_reach_what_is_around():
    w = core.shared(np.eye(7) * 0.5, name="w")
    h = ct.sin(x)
    y = core.checkpoint(lambda a: ct.tanh(w @ a) * h)(x)
    for v in (w, x, h):
        g = core.function([x], core.grad(y.sum(), v), backend="interpreter")(A)
        e = core.function([x], core.grad((ct.tanh(w @ x) * h).sum(), v), backend="interpreter")(A)
        assert_allclose(g, e)


def test_all_derivatives_are_right():
    check_derivatives(core.checkpoint(lambda a, b: ct.tanh(b @ a)), A, np.ones((2, 7)) * 0.2)
    y = core.checkpoint(lambda a: (a**3).sum())(x)
    assert_allclose(core.function([x], core.hessian(y, x), backend="interpreter")(A), np.diag(6 * A), atol=1e-12)


def test_several_results_and_plain_arguments():
    @core.checkpoint
    def both(a, factor, *, plus):
        return a * factor, ct.exp(a) + plus

    u, v = both(x, 3.0, plus=1.0)
    assert isinstance(both(x, 3.0, plus=1.0), tuple)
    g = core.grad((u * v).sum(), x)
    f = core.function([x], g, backend="interpreter")
    assert_allclose(f(A), 3 * (np.exp(A) + 1) + 3 * A * np.exp(A))


def test_checkpoints_nest():
    inner = core.checkpoint(link)
    y = core.checkpoint(lambda a: inner(inner(a)))(x).sum()
    g = core.function([x], core.grad(y, x), backend="interpreter")
    e = core.function([x], core.grad(link(link(x)).sum(), x), backend="interpreter")
    assert_array_equal(g(A), e(A))
