"""Rules of lengths, views, reductions, products and indexing: which ops remain, near misses, and the same values."""

import numpy as np
import pytest

from core.gradient import grad
from core.graph import FunctionGraph
from core.ir.codes import Combine
from core.tensor.arithmetic import maximum
from core.tensor.broadcast import broadcast_to
from core.tensor.create import arange
from core.tensor.dimshuffle import dimshuffle, transpose
from core.tensor.elementwise import broadcast_length
from core.tensor.functions import exp, sin
from core.tensor.indexing import inc_subtensor, set_subtensor
from core.tensor.join import concatenate
from core.tensor.reduce import Reduce, argmax, max, sum
from core.tensor.reshape import reshape
from core.tensor.rules.lengths import covers, lengths
from core.tensor.shape import specify_shape
from core.tensor.type import TensorType

x, y = TensorType("float64", 1)("x"), TensorType("float64", 1)("y")
a, b = TensorType("float64", 2)("a"), TensorType("float64", 2)("b")
column = TensorType("float64", (None, 1))("column")
i = TensorType("int64", 0)("i")
MATRIX = np.arange(12.0).reshape(3, 4)
SHAPE = "ShapeI(axis=0)"


# --- lengths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "length, ops",
    [
        (exp(sin(x)).shape[0], [SHAPE]),
        ((exp(x) * 2 + x).shape[0], [SHAPE]),
        (a.T.shape[1], [SHAPE]),
        (sum(a, axis=1).shape[0], [SHAPE]),
        ((a @ b).shape[0], [SHAPE]),
        (concatenate([x, x]).shape[0], [SHAPE, "add"]),
        (broadcast_to(x, (i, x.shape[0])).shape[0], []),
        (specify_shape(x, (3,)).shape[0], []),
        (arange(x.shape[0]).shape[0], [SHAPE]),
        ((arange(x.shape[0]) + x).shape[0], [SHAPE]),
        (arange(i).shape[0], ["arange_length"]),
    ],
)
def test_asking_for_a_length_does_not_run_the_op(rewritten, length, ops):
    assert rewritten(length, x, a, b, i).ops == ops


def test_the_length_of_a_broadcast_is_worked_out_from_both(rewritten):
    result = rewritten((x + y).shape[0], x, y)
    assert result.ops == ["ShapeI(axis=0)", "ShapeI(axis=0)", "broadcast_length"]
    assert result.value(np.ones(1), np.ones(5)) == 5
    assert result.value(np.ones(5), np.ones(1)) == 5


def test_a_length_broadcast_with_itself_is_itself(rewritten):
    n, m = x.shape[0], y.shape[0]
    assert rewritten(broadcast_length(n, n), x).ops == [SHAPE]
    assert rewritten(broadcast_length(n, 1), x).ops == [SHAPE]
    assert rewritten(broadcast_length(broadcast_length(n, m), m), x, y).ops == [SHAPE, SHAPE, "broadcast_length"]


def test_the_length_of_a_graph_20000_deep_is_found(rewritten):
    deep = x
    for _ in range(20_000):
        deep = deep * y
    assert rewritten(deep.shape[0], x, y).ops == [SHAPE, SHAPE, "broadcast_length"]


def test_lengths_that_broadcast_together_are_equal_whatever_the_order():
    graph = FunctionGraph([x, y], [x + y, y * sin(x), x], clone=False)
    one, other, alone = graph.outputs
    assert lengths(graph, one) == lengths(graph, other) != lengths(graph, alone)


def test_an_operand_covers_the_result_only_when_it_surely_has_its_shape():
    graph = FunctionGraph([x, y, a, column], [x + y, exp(x) + x, a + column], clone=False)
    assert covers(graph, [x, y], graph.outputs[0])
    assert not covers(graph, [x], graph.outputs[0])
    assert covers(graph, [x], graph.outputs[1])
    assert not covers(graph, [a], graph.outputs[2])  # a may have length 1 where column has not


def test_a_promise_that_holds_is_dropped(rewritten):
    assert rewritten(specify_shape(x, x.shape), x).ops == []
    assert "SpecifyShape(axes=(0,))" in rewritten(specify_shape(x, (y.shape[0],)), x, y).ops


# --- views ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "out, ops",
    [
        (a.T.T, []),
        (transpose(x), []),
        (dimshuffle(dimshuffle(a, 1, "x", 0), 2, 0), []),
        (dimshuffle(a.T, 1, "x", 0), ["DimShuffle(input_ndim=2, pattern=(0, 'x', 1))"]),
        (reshape(a, a.shape), []),
        (broadcast_to(a, a.shape), []),
        (a[:], []),
        (a[:, 0:], []),
        (set_subtensor(a[:], exp(a)), ["exp"]),
        (set_subtensor(a[:], b), ["second"]),  # b may have lengths of 1
        (inc_subtensor(a[:], a), ["add"]),
    ],
)
def test_a_view_that_changes_nothing_is_dropped(rewritten, out, ops):
    assert rewritten(out, a, b, x).ops == ops


def test_a_reshape_of_a_reshape_is_one(rewritten):
    result = rewritten(reshape(reshape(a, (2, 6)), (4, 3)), a)
    assert result.ops == ["Reshape(ndim=2)"]
    assert result.same_on(MATRIX)


@pytest.mark.parametrize("out", [a.T, a[1:], a[:, ::-1], a[::2], broadcast_to(a, (2, 3, 4)), reshape(a, (4, 3))])
def test_a_view_that_changes_something_stays(rewritten, out):
    result = rewritten(out, a)
    assert len(result.ops) == 1
    assert result.same_on(MATRIX)


def test_reading_what_was_set_is_the_value(rewritten):
    assert not any(op.startswith("Set") for op in rewritten(set_subtensor(a[i], x)[i], a, x, i).ops)
    assert any(op.startswith("Set") for op in rewritten(set_subtensor(a[i], x)[i + 1], a, x, i).ops)


# --- reductions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", [sum, max, argmax])
def test_a_reduction_along_a_length_of_one_is_a_view(rewritten, reduction):
    result = rewritten(reduction(column, axis=1), column)
    assert not any(op.startswith(("sum", "max", "argmax")) for op in result.ops)
    assert result.same_on(np.array([[1.0], [np.nan], [-np.inf]]))


def test_a_reduction_of_a_reduction_is_one(rewritten):
    result = rewritten(sum(sum(a, axis=1), axis=0), a)
    assert result.ops == ["sum(axis=(0, 1))"]
    assert result.same_on(MATRIX)
    assert rewritten(max(sum(a, axis=1), axis=0), a).ops == ["sum(axis=(1,))", "max(axis=(0,))"]


def test_a_sum_that_is_rounded_in_between_stays(rewritten):
    inner = Reduce(Combine.ADD, 1, "float32")(a)
    assert len(rewritten(Reduce(Combine.ADD, 0, "float64")(inner), a).ops) == 2


def test_the_sum_of_a_negative_is_the_negative_of_the_sum(rewritten):
    result = rewritten(sum(-a, axis=0), a)
    assert result.ops == ["sum(axis=(0,))", "negative"]
    assert result.same_on(MATRIX + 1)


# --- products ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "out, ops",
    [
        ((b.T @ a.T).T, ["Dot"]),
        ((b @ a.T).T, ["DimShuffle(input_ndim=2, pattern=(1, 0))", "Dot"]),
        ((b @ a).T, ["Dot", "DimShuffle(input_ndim=2, pattern=(1, 0))"]),
    ],
)
def test_the_transpose_of_a_product_of_transposes_is_a_product(rewritten, out, ops):
    square = np.arange(9.0).reshape(3, 3)
    result = rewritten(out, a, b)
    assert result.ops == ops
    assert result.same_on(square, square * 2 - 5)


# --- gradients -----------------------------------------------------------------------------------------------------


def test_no_gradient_is_summed_back_where_nothing_was_broadcast(rewritten):
    result = rewritten(grad(sum(exp(x) * sin(x) + x), x), x)
    assert not any(op.startswith(("Unbroadcast", "second", "ShapeI")) for op in result.ops)
    assert result.same_on(np.array([0.5, -1.0]), rtol=1e-14)


def test_a_gradient_is_summed_back_where_something_may_be_broadcast(rewritten):
    result = rewritten(grad(sum(x * y), x), x, y)
    assert any(op.startswith("Unbroadcast") for op in result.ops)
    assert result.same_on(np.ones(1), np.arange(3.0))
    assert result.same_on(np.ones(3), np.arange(3.0))


def test_masks_are_kept(rewritten):
    result = rewritten(grad(sum(maximum(x, 0)), x), x)
    assert result.same_on(np.array([-1.0, 0.0, 2.0, np.nan]))
