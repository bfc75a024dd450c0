"""Constant folding: what is computed when the graph is compiled, and what is left for run time."""

import numpy as np
import pytest

from core.graph import Apply, Constant, FunctionGraph
from core.op import Op
from core.rewriting import canonicalize, rewrite
from core.rewriting.folding import LIMIT_BYTES
from core.tensor.arithmetic import floor_divide
from core.tensor.functions import exp, log
from core.tensor.type import TensorType, constant

x = TensorType("float64", 1)("x")


def folded(out):
    graph = FunctionGraph([x], [out])
    rewrite(graph, canonicalize)
    graph.check()
    return graph.outputs[0]


def test_a_graph_of_constants_is_its_value():
    out = folded(exp(constant([0.0, 1.0])) + 1)
    assert isinstance(out, Constant)
    np.testing.assert_array_equal(out.data, np.exp([0.0, 1.0]) + 1)


def test_nan_and_infinities_fold_without_a_warning(recwarn):
    np.testing.assert_array_equal(folded(log(constant([0.0, -1.0]))).data, [-np.inf, np.nan])
    assert not [one for one in recwarn if issubclass(one.category, RuntimeWarning)]


def test_the_dtype_and_shape_are_kept():
    out = folded(floor_divide(constant([[7, 8]], dtype="int8"), constant(2, dtype="int8")))
    assert (out.type.dtype, out.data.shape) == ("int8", (1, 2))


def test_what_depends_on_an_input_stays():
    assert not isinstance(folded(x + exp(constant(1.0))), Constant)


class Fails(Op):
    """An op that cannot compute."""

    __props__ = ()

    def make_node(self, v):
        return Apply(self, [v], [v.type])

    def perform(self, node, inputs, output_storage):
        raise ZeroDivisionError("only when it runs")


def test_an_error_is_left_for_run_time():
    assert isinstance(folded(Fails()(constant(1.0))).owner.op, Fails)


class Unwilling(Fails):
    """An op that does not want to be folded, such as a random draw."""

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0]

    def do_constant_folding(self, node):
        return False


def test_an_op_may_refuse():
    assert isinstance(folded(Unwilling()(constant(1.0))).owner.op, Unwilling)


class BadResult(Fails):
    """An op whose perform gives something of another type."""

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = "text"


def test_a_result_of_the_wrong_type_is_left_for_run_time():
    assert isinstance(folded(BadResult()(constant(1.0))).owner.op, BadResult)


class Repeat(Op):
    """n copies of a number; its static shape is not known."""

    __props__ = ()

    def make_node(self, value, n):
        return Apply(self, [value, n], [TensorType("float64", 1)])

    def infer_shape(self, node, input_shapes):
        return [(node.inputs[1] * 2 // 2,)]

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = np.full(int(inputs[1]), inputs[0])


@pytest.mark.parametrize("n, small", [(3, True), (LIMIT_BYTES // 8, True), (LIMIT_BYTES, False), (10**15, False)])
def test_a_large_result_of_small_inputs_is_left_for_run_time(n, small):
    assert isinstance(folded(Repeat()(constant(1.5), constant(n))), Constant) is small


def test_a_large_result_of_large_inputs_is_folded():
    assert isinstance(folded(exp(constant(np.zeros(LIMIT_BYTES)))), Constant)


class Opaque(Repeat):
    """As Repeat, without saying its shape."""

    infer_shape = Op.infer_shape

    def perform(self, node, inputs, output_storage):
        raise MemoryError("nobody may ask")


def test_a_result_of_unknown_size_is_left_for_run_time():
    assert isinstance(folded(Opaque()(constant(1.5), constant(10**15))).owner.op, Opaque)
