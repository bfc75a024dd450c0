"""What the tests of rules share: a graph rewritten, the ops that remain, and whether the meaning is kept."""

import numpy as np
import pytest

import core.tensor.rules  # noqa: F401 - fills the stages
from core.graph import Constant, FunctionGraph, Variable
from core.rewriting import STAGES, rewrite


def run(graph, *arrays):
    """The outputs of ``graph``, node by node with NumPy."""
    values = dict(zip(graph.inputs, map(np.asarray, arrays), strict=True))
    for node in graph.toposort():
        cells = [[None] for _ in node.outputs]
        node.op.perform(node, [x.data if isinstance(x, Constant) else values[x] for x in node.inputs], cells)
        values.update(zip(node.outputs, (cell[0] for cell in cells), strict=True))
    return [out.data if isinstance(out, Constant) else values[out] for out in graph.outputs]


class Rewritten:
    """A graph before and after rewriting."""

    def __init__(self, out, inputs, stages):
        outputs = [out] if isinstance(out, Variable) else list(out)
        self.before, self.after = FunctionGraph(inputs, outputs), FunctionGraph(inputs, outputs)
        self.log = rewrite(self.after, stages)
        self.after.check()

    @property
    def ops(self):
        """The names of the ops that remain, in order."""
        return [str(node.op) for node in self.after.toposort()]

    @property
    def out(self):
        return self.after.outputs[0]

    def same_on(self, *arrays, rtol=0.0):
        """Whether the values before and after agree: to the bit unless ``rtol`` is given, signed zeros included."""
        for old, new in zip(run(self.before, *arrays), run(self.after, *arrays), strict=True):
            assert old.dtype == new.dtype
            assert old.shape == new.shape
            np.testing.assert_allclose(new, old, rtol=rtol, atol=0)
            if not rtol and old.dtype.kind == "f":
                np.testing.assert_array_equal(np.signbit(new)[~np.isnan(new)], np.signbit(old)[~np.isnan(old)])
        return True

    def value(self, *arrays):
        return run(self.after, *arrays)[0]


@pytest.fixture
def rewritten():
    """``rewritten(out, *inputs)``: the graph after all stages, or after ``stages``."""
    return lambda out, *inputs, stages=STAGES: Rewritten(out, inputs, stages)


@pytest.fixture
def special():
    """Floats among which every special case is found."""
    return np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-300, -1e300, 3.0, np.inf, -np.inf, np.nan])
