"""Pickling of compiled functions and shared variables."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.errors import ArgumentError, CoreWarning
from core.records import Backend, Probe
from core.testing import available_backends


def again(thing):
    return pickle.loads(pickle.dumps(thing))


@pytest.mark.parametrize("backend", available_backends())
def test_a_function_computes_the_same_after_pickling(backend):
    x = ct.matrix("x")
    w = core.shared(np.arange(6.0).reshape(3, 2), name="w")
    f = core.function([x], {"y": ct.exp(x).sum(axis=0) * w[0], "n": x.shape[0]}, name="f", backend=backend)
    g, given = again(f), np.random.default_rng(0).normal(size=(4, 2))
    assert (g.name, g.backend, g.inputs, g.outputs) == (f.name, f.backend, f.inputs, f.outputs)
    assert_array_equal(g(given)["y"], f(given)["y"])
    assert g(given)["n"] == 4


def test_updates_and_values_of_shared_variables_are_kept():
    w = core.shared(np.zeros(2), name="w")
    f = core.function([], w, updates={w: w + 1}, backend="interpreter")
    f()
    g = again(f)
    assert_array_equal(g(), [1, 1])
    assert_array_equal(g.shared[0].get_value(), [2, 2])
    assert_array_equal(w.get_value(), [1, 1])


def test_functions_pickled_together_keep_sharing():
    w = core.shared(0.0, name="w")
    add = core.function([], updates={w: w + 1}, backend="interpreter")
    read = core.function([], w, backend="interpreter")
    add, read, w = again((add, read, w))
    add()
    assert read() == 1
    assert w.get_value() == 1


def test_defaults_names_and_checks_of_arguments_are_kept():
    x = ct.vector("x")
    f = core.function([core.In(x, name="data", value=[1.0, 2.0])], x * 2, name="f", backend="interpreter")
    g = again(f)
    assert_array_equal(g(), [2, 4])
    with pytest.raises(ArgumentError, match="function 'f' has no argument 'x'; it takes data"):
        g(x=1)


def test_the_users_line_is_kept():
    x = ct.vector("x")
    f = again(core.function([x], x + x[:2], backend="interpreter"))
    with pytest.raises(core.errors.ShapeError, match=r"test_pickle.py:\d+: f = again\(core.function"):
        f(np.zeros(3))


def test_a_graph_of_5000_nodes_in_a_row_pickles():
    x = ct.vector("x")
    out = x
    for _ in range(5000):
        out = ct.sin(out) + x
    f = core.function([x], out, mode="none", backend="interpreter")
    assert_array_equal(again(f)([0.5]), f([0.5]))


def test_a_shared_variable_with_a_deep_default_update_pickles():
    w = core.shared(0.0, name="w")
    new = w
    for _ in range(3000):
        new = new + 1
    w.default_update = new
    v = again(w)
    core.function([], v, mode="none", backend="interpreter")()
    assert v.get_value() == 3000
    assert w.get_value() == 0


def test_a_deep_copy_has_its_own_shared_variables():
    w = core.shared(0.0, name="w")
    f = core.function([], updates={w: w + 1}, backend="interpreter")
    copy.deepcopy(f)()
    assert w.get_value() == 0


def test_a_copy_shares_its_shared_variables():
    w = core.shared(0.0, name="w")
    f = core.function([], updates={w: w + 1}, backend="interpreter")
    copy.copy(f)()
    assert w.get_value() == 1


class Elsewhere:
    """A backend that only the machine that pickles has."""

    name = "elsewhere"

    def probe(self):
        return Probe(("cpu",))

    def fingerprint(self):
        return "1"

    def compile_graph(self, graph):
        return core.backend.resolve("interpreter").driver.compile_graph(graph)


def test_a_function_of_a_backend_that_is_missing_runs_on_another_and_says_so():
    x = ct.vector("x")
    f = core.function([x], x + 1, name="f", backend=Backend("elsewhere", None, Elsewhere()))
    assert f.backend == "elsewhere"
    with pytest.warns(CoreWarning, match="function 'f' was made for backend 'elsewhere', and now runs on"):
        g = again(f)
    assert_array_equal(g([1.0]), [2])
