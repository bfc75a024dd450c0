"""What a call runs: Python, or what the backend's executable offers in its place."""

import inspect

import numpy as np
import pytest

import core.tensor as ct
from core.compile.calling import Caller
from core.compile.function import function
from core.compile.interpreter import Interpreted
from core.compile.shared import shared
from core.errors import ArgumentError
from core.graph import Type


class Bound:
    """Counts calls, and leaves them all to Python."""

    def __init__(self, *how):
        self.reads, self.writes, self.layout, self.lengths, self.fetched, self.slow_path = how
        self.calls = 0

    def __call__(self, *args, **named):
        self.calls += 1
        return self.slow_path(*args, **named)


class Driver:
    """The interpreter, with a way to bind calls."""

    name = "binding"

    def __init__(self, bind=Bound):
        self.bind = bind

    def compile_graph(self, graph):
        run = Interpreted(graph)
        run.bind = self.bind
        return run


def test_a_call_runs_what_the_executable_binds():
    v, m = ct.dvector("v"), ct.tensor("m", dtype="float64", shape=(None, 2))
    state, count = shared(np.zeros(2)), shared(0)
    f = function([v, m], {"a": v + state, "b": m}, updates={state: v, count: count + 1}, backend=Driver())
    bound = f.__call__
    assert type(bound) is Bound and type(bound.slow_path) is Caller
    assert bound.reads == [state.cell, count.cell] and bound.writes == [state.cell, count.cell]
    assert bound.layout == ("a", "b") and bound.lengths == [(None,), (None, 2)]
    assert bound.fetched == (True, True, False, False)
    results = f([1, 2], m=np.ones((1, 2)))
    assert results["a"].tolist() == [1, 2] and bound.calls == 1
    assert state.get_value().tolist() == [1, 2] and count.get_value() == 1


def test_a_call_runs_python_where_the_executable_binds_nothing():
    v = ct.dvector("v")
    f = function([v], v + 1, backend=Driver(lambda *how: None))
    assert type(f.__call__) is Caller
    assert f([1, 2]).tolist() == [2, 3]


def test_new_values_whose_shape_must_be_checked_are_not_bound():
    v, state = ct.dvector("v"), shared(np.zeros(2), shape=(2,))
    f = function([v], updates={state: v}, backend=Driver())
    assert type(f.__call__) is Caller


def test_arguments_that_are_no_arrays_are_not_bound():
    class Anything(Type):
        def filter(self, value, strict=False, allow_downcast=None):
            return value

    a, v = Anything().make_variable("a"), ct.dvector("v")
    f = function([a, v], [a, v + 1], backend=Driver())
    assert type(f.__call__) is Caller
    assert f("text", [1])[0] == "text"


def test_copies_are_bound_to_their_own_shared_variables():
    a, b = shared(np.zeros(2)), shared(np.ones(2))
    f = function([], a * 2, backend=Driver())
    g = f.copy(swap={a: b})
    assert f.__call__.reads == [a.cell] and g.__call__.reads == [b.cell]
    assert f().tolist() == [0, 0] and g().tolist() == [2, 2]


def test_a_watched_function_is_not_bound(monkeypatch):
    class Watcher:
        def enter(self, step):
            pass

        leave = enter

    monkeypatch.setattr(Interpreted, "watch", property())  # it then runs as one step
    monkeypatch.setattr("core.plugins.is_implemented", lambda hook: hook == "instrument")
    monkeypatch.setattr("core.plugins.call_each", lambda hook, **_: [(None, Watcher())] if hook == "instrument" else [])
    v = ct.dvector("v")
    f = function([v], v + 1, backend=Driver())
    assert type(f.__call__) is Caller
    assert f([1]).tolist() == [2]


def test_a_function_looks_like_any_other_callable():
    v = ct.dvector("v")
    f = function([v], v + 1, backend="interpreter")
    assert callable(f) and str(inspect.signature(f)) == "(*args, **named)"
    with pytest.raises(ArgumentError, match="takes 1 argument"):
        f()
