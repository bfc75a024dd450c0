"""The hook ``instrument``: plugins that watch a function run."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.errors import ShapeError
from core.records import Backend, Probe


class Watching:
    """A plugin that notes what is entered and left."""

    def __init__(self):
        self.programs, self.events = [], []

    @core.hookimpl
    def instrument(self, program):
        self.programs.append(program)
        return self

    def enter(self, step):
        self.events.append(("enter", str(getattr(step, "op", step))))

    def leave(self, step):
        self.events.append(("leave", str(getattr(step, "op", step))))


class Whole:
    """A backend whose executables run in one piece."""

    name = "whole"

    def probe(self):
        return Probe(("cpu",))

    def fingerprint(self):
        return "1"

    def compile_graph(self, graph):
        def run(arrays):
            return [array * 2 for array in arrays]

        run.sources, run.program = {"a.c": "text"}, "the program"
        return run


@pytest.fixture
def watching():
    plugin = Watching()
    core.plugins.register(plugin, name="watching")
    yield plugin
    core.plugins.unregister(plugin)


def test_each_node_of_an_interpreted_function_is_entered_and_left(watching):
    x = ct.vector("x")
    f = core.function([x], ct.exp(-x), mode="none", backend="interpreter")
    assert len(watching.programs) == 1 and watching.events == []
    f([0.0])
    assert watching.events == [("enter", "negative"), ("leave", "negative"), ("enter", "exp"), ("leave", "exp")]


def test_a_node_that_fails_is_left_too(watching):
    x, y = ct.vector("x"), ct.vector("y")
    f = core.function([x, y], x + y, backend="interpreter")
    with pytest.raises(ShapeError):
        f(np.zeros(2), np.zeros(3))
    assert watching.events == [("enter", "add"), ("leave", "add")]


def test_a_program_that_runs_in_one_piece_is_one_step(watching):
    x = ct.vector("x")
    f = core.function([x], x * 2, backend=Backend("whole", None, Whole()))
    assert_array_equal(f([1.0]), [2])
    assert watching.programs == ["the program"]
    assert watching.events == [("enter", "the program"), ("leave", "the program")]
    assert f.sources == {"a.c": "text"} and f.program == "the program"


def test_functions_made_without_watchers_are_not_slowed():
    x = ct.vector("x")
    f = core.function([x], x + 1, backend="interpreter")
    assert f._run._watchers == []
