"""Groups that are alike: one is scheduled, the others get copies of its kernels with their own values in them."""

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.testing import assert_allclose

import core.tensor as ct
from core.compile.function import function
from core.graph import clone_replace
from core.ir.check.run import Driver
from core.ir.cpu.schedule import Scheduler
from core.ir.nodes import Let, statements
from core.ir.target import Target
from core.testing.graphs import graphs
from core.testing.values import random

x, v = ct.matrix("x"), ct.vector("v")


@pytest.fixture
def scheduled(monkeypatch):
    """The groups that were scheduled."""
    groups, kernel = [], Scheduler.kernel

    def noted(self, name, comment):
        groups.append(self.group)
        return kernel(self, name, comment)

    monkeypatch.setattr(Scheduler, "kernel", noted)
    return groups


def stored(x, axis=0):
    """A value in memory: what reads it is another kernel."""
    return ct.cumsum(x, axis)


def layers(count, step):
    out = stored(x, 1)
    for number in range(count):
        out = stored(step(number, out), 1)
    return out


@pytest.mark.parametrize("count", [3, 30])
def test_layers_that_are_alike_are_scheduled_once(compiled, scheduled, count):
    f = compiled([x], layers(count, lambda k, h: ct.softmax(ct.tanh(h) + 1, axis=1)))
    assert len(scheduled) == 1
    a = random((3, 4))
    want = np.cumsum(a, 1)
    for _ in range(count):
        e = np.exp(np.tanh(want) + 1)
        want = np.cumsum(e / e.sum(axis=1, keepdims=True), 1)
    assert_allclose(f(a), want, rtol=1e-12)


NEAR_MISSES = {
    "another function": lambda k, h: ct.tanh(h) if k else ct.sin(h),
    "another constant": lambda k, h: ct.tanh(h) + (1.0 + k),
    "a zero of the other sign": lambda k, h: ct.tanh(h) * (0.0 if k else -0.0),
    "another dtype": lambda k, h: ct.tanh(h) if k else ct.tanh(h.astype("float32")),
    "another axis": lambda k, h: h - h.max(axis=k, keepdims=True),
    "another reduction": lambda k, h: h - (h.max if k else h.min)(axis=1, keepdims=True),
    "one value for two": lambda k, h: ct.exp(h) * (h if k else stored(h)),
    "another order of axes": lambda k, h: ct.tanh(stored(h) + (h.T if k else h)),
    "another length": lambda k, h: ct.tanh(h[: 2 + k] if k else h[:2]),
}


@pytest.mark.parametrize("difference", NEAR_MISSES)
def test_groups_that_differ_are_scheduled_each(compiled, scheduled, difference):
    inputs = [ct.tensor(name, ndim=2, shape=(3, 3)) for name in "yz"]
    compiled(inputs, [stored(NEAR_MISSES[difference](k, stored(y, 1)), 1) for k, y in enumerate(inputs)])
    assert len(scheduled) == 2
    scheduled.clear()
    compiled(inputs, [stored(NEAR_MISSES[difference](1, stored(y, 1)), 1) for y in inputs])
    assert len(scheduled) == 1


def test_a_value_that_is_read_later_makes_a_difference(compiled):
    rows = [stored(x + k, 1) for k in range(2)]
    sums = [row.sum(axis=1) for row in rows]
    f = compiled([x], [ct.exp(rows[0] - sums[0][:, None]), ct.exp(rows[1] - sums[1][:, None]), sums[1]])
    a = random((3, 4))
    b, c = np.cumsum(a, 1), np.cumsum(a + 1, 1)
    want = [np.exp(b - b.sum(1, keepdims=True)), np.exp(c - c.sum(1, keepdims=True)), c.sum(1)]
    for got, expected in zip(f(a), want, strict=True):
        assert_allclose(got, expected, rtol=1e-12)


def test_lengths_that_differ_take_each_others_place(compiled, scheduled):
    y = ct.matrix("y")
    f = compiled([x, y], [ct.softmax(x, axis=0), ct.softmax(y, axis=0)])
    assert len(scheduled) == 1
    a = random((3, 4))
    for got, given_ in zip(f(a, a.T), (a, a.T), strict=True):
        assert_allclose(got, np.exp(given_) / np.exp(given_).sum(axis=0), rtol=1e-12)


def test_lengths_that_are_read_from_memory_are_left_alone(compiled, scheduled):
    n = ct.lvector("n")
    counts = [ct.cumsum(n)[k] for k in range(2)]
    f = compiled([n], [ct.exp(ct.arange(count) * 1.0) for count in counts])
    assert [len(out) for out in f(np.array([2, 3]))] == [2, 5]


def test_registers_are_called_after_their_own_values(compiled, kernels):
    w, u = ct.matrix("w"), ct.matrix("u")
    f = compiled([w, u], [ct.exp(w) * w, ct.exp(u) * u])
    names = [{s.local.name for s in statements(kernel.body) if isinstance(s, Let)} for kernel in kernels(f)]
    assert names == [{"w_ij"}, {"u_ij"}] and [kernel.name[:2] for kernel in kernels(f)] == ["k0", "k1"]


def test_each_has_memory_and_chunks_of_its_own():
    driver = Driver("ir", Target(threads=True), chunk=2)
    inputs = [ct.matrix(name) for name in "abc"]
    f = function(inputs, [stored(ct.exp(a)).sum(axis=0) for a in inputs], backend=driver, mode="none")
    split = [kernel.split for step in f.program.steps for kernel in getattr(step, "kernels", ()) if kernel.split]
    assert len(split) >= 3 and len({id(one) for one in split}) == len(split)
    parts = [value for one in split for value in (*one.parts.values(), *one.private.values())]
    assert len(set(parts)) == len(parts)
    arrays = [random((5, 3)) for _ in inputs]
    for got, a in zip(f(*arrays), arrays, strict=True):
        assert_allclose(got, np.cumsum(np.exp(a), 0).sum(axis=0), rtol=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(graph=graphs())
def test_a_graph_beside_its_copy_gives_what_it_gives_alone(graph):
    copies = {old: old.type() for old in graph.inputs}
    twins = clone_replace(graph.outputs, copies)
    inputs, arrays = [*graph.inputs, *copies.values()], [*graph.arrays, *graph.arrays]
    for target in (Target(), Target(threads=True)):
        driver = Driver("ir", target, chunk=2)
        f = function(inputs, [*graph.outputs, *twins], backend=driver, mode="none", on_unused_input="ignore")
        results = f(*arrays)
        count = len(graph.outputs)
        for got, twin, want in zip(results[:count], results[count:], graph.expected, strict=True):
            assert_allclose(got, want, **graph.tolerance())
            np.testing.assert_array_equal(got, twin)
