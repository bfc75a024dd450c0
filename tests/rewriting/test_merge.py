"""Merging: what becomes one, and what stays two."""

import numpy as np

from core.graph import FunctionGraph
from core.op import Op
from core.rewriting import merge
from core.tensor.arithmetic import add
from core.tensor.functions import exp, sin
from core.tensor.type import TensorType, constant

x, y = TensorType("float64", 1)("x"), TensorType("float64", 1)("y")


def merged(*outputs):
    graph = FunctionGraph([x, y], outputs)
    merge(graph)
    graph.check()
    return graph


def test_equal_ops_on_equal_inputs_become_one():
    graph = merged(exp(x) + exp(x), exp(x))
    assert [str(node.op) for node in graph.toposort()] == ["exp", "add"]


def test_whole_expressions_become_one():
    graph = merged(sin(exp(x) + y), sin(exp(x) + y))
    assert graph.outputs[0] is graph.outputs[1]


def test_other_inputs_or_another_order_stay_apart():
    assert len(merged(exp(x), exp(y), x + y, y + x).nodes) == 4


def test_equal_constants_become_one():
    graph = merged(add(x, constant(2.0)), add(y, constant(2.0)))
    assert len({node.inputs[1] for node in graph.toposort()}) == 1


def test_constants_that_differ_in_sign_of_zero_dtype_or_shape_stay_apart():
    values = [
        constant(0.0),
        constant(-0.0),
        constant(0.0, dtype="float32"),
        constant([0.0]),
        constant(False),
        constant(0),
    ]
    graph = merged(*(add(x, value) for value in values))
    assert len({node.inputs[1] for node in graph.toposort()}) == len(values)


def test_equal_nans_become_one():
    graph = merged(add(x, constant(np.nan)), add(x, constant(np.nan)))
    assert len(graph.nodes) == 1


def test_an_op_without_props_is_equal_to_itself_only():
    class Plain(Op):
        itypes, otypes = [x.type], [x.type]

    one, other = Plain(), Plain()
    assert len(merged(one(x), one(x), other(x)).nodes) == 2


def test_what_is_known_of_either_is_known_of_the_one():
    a, b = exp(x), exp(x)
    b.type = TensorType("float64", (3,))
    assert merged(a, b).outputs[0].type.shape == (3,)


def test_a_graph_20000_deep_is_merged():
    a = b = x
    for _ in range(20_000):
        a, b = sin(a), sin(b)
    assert len(merged(a, b).nodes) == 20_000
