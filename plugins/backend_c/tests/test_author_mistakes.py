"""A lower or kernel that is wrong is told with its op and the line that made the node."""

import pytest

import core
import core.tensor as ct
from core.errors import CoreError
from core.ir.view import View


class Written(core.Op):
    """An op of one vector whose ``lower`` or ``kernel`` is wrong."""

    def make_node(self, x):
        return core.Apply(self, [x], [x.type()])

    def infer_shape(self, node, input_shapes):
        return input_shapes


class RaisesInLower(Written):
    def lower(self, node, x):
        return x.missing


class NoViewFromLower(Written):
    def lower(self, node, x):
        return x.at([0])


class FloatAsIndex(Written):
    def lower(self, node, x):
        return View(x.dtype, x.shape, lambda index: x.at([index[0] * 0.5]))


class ChoosesInPython(Written):
    def lower(self, node, x):
        return View(x.dtype, x.shape, lambda index: x.at(index) if x.at(index) > 0 else 0.0)


class RaisesInKernel(Written):
    def kernel(self, k, x, y):
        y.missing()


class WritesItsInput(Written):
    def kernel(self, k, x, y):
        with k.grid(x.shape) as (i,):
            x[i] = 1.0


@pytest.mark.parametrize(
    ("op", "said"),
    [
        (RaisesInLower(), "lower of RaisesInLower failed: AttributeError"),
        (NoViewFromLower(), "lower of NoViewFromLower must return a View for each output"),
        (FloatAsIndex(), r"lower of FloatAsIndex failed: an index must be an integer, got .* of dtype float64"),
        (ChoosesInPython(), "lower of ChoosesInPython failed: .* has no truth value; use select"),
        (RaisesInKernel(), "kernel of RaisesInKernel failed: AttributeError"),
        (WritesItsInput(), "kernel of WritesItsInput failed: x is an input, so a kernel cannot store into it"),
    ],
)
def test_what_an_author_wrote_wrong_names_the_op_and_the_users_line(op, said):
    x = ct.dvector("x")
    with pytest.raises(CoreError, match=rf"{said}(.|\n)*made at .*test_author_mistakes.py"):
        core.function([x], op(x), backend="c")
