"""as_op: an op of a Python function."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.errors import ArgumentError, DTypeError, NullGradientError
from core.tensor import TensorType

vector, scalar = TensorType("float64", 1), TensorType("float64", 0)


@core.as_op(vector, vector)
def backwards(x):
    """x from its end."""
    return x[::-1]


@core.as_op([vector, vector], [scalar, vector], infer_shape=lambda node, shapes: [(), shapes[0]])
def dot_and_sum(x, y):
    return float(x @ y), x + y


def test_a_function_of_arrays_becomes_an_op():
    x = ct.vector("x")
    assert_array_equal((backwards(x) + x).eval({x: [1.0, 2.0]}, backend="interpreter"), [3, 3])
    assert (str(backwards), backwards.__doc__) == ("backwards", "x from its end.")


def test_it_may_have_several_outputs():
    x, y = ct.vector("x"), ct.vector("y")
    f = core.function([x, y], dot_and_sum(x, y), backend="interpreter")
    product, total = f([1.0, 2.0], [3.0, 4.0])
    assert product == 11
    assert_array_equal(total, [4, 6])


def test_its_output_shapes_may_be_known_without_computing():
    x, y = ct.vector("x"), ct.vector("y")
    node = dot_and_sum(x, y)[0].owner
    assert node.op.shapes(None, node, [(3,), (3,)]) == [(), (3,)]
    assert not backwards.defines("infer_shape")


def test_it_pickles_by_name():
    assert pickle.loads(pickle.dumps(backwards)) is backwards
    x = ct.vector("x")
    f = pickle.loads(pickle.dumps(core.function([x], backwards(x), backend="interpreter")))
    assert_array_equal(f([1.0, 2.0]), [2, 1])


def test_it_has_no_gradient():
    x = ct.vector("x")
    with pytest.raises(NullGradientError, match="backwards has no gradient yet"):
        core.grad(backwards(x).sum(), x)


def test_arguments_that_are_no_types_are_refused():
    with pytest.raises(ArgumentError, match="as_op needs types, got 'float64' of type str"):
        core.as_op(["float64"], vector)


def test_the_wrong_number_of_results_is_told():
    @core.as_op([vector], [vector, vector])
    def one(x):
        return [x]

    x = ct.vector("x")
    with pytest.raises(ArgumentError, match="one must return 2 values, it returned 1"):
        one(x)[0].eval({x: [1.0]}, backend="interpreter")


def test_a_result_of_the_wrong_dtype_is_told():
    @core.as_op(vector, vector)
    def to_complex(x):
        return x * 1j

    x = ct.vector("x")
    with pytest.raises(DTypeError, match="to_complex failed: expected dtype float64, got an array of dtype complex128"):
        to_complex(x).eval({x: np.ones(1)}, backend="interpreter")


def test_infer_shape_may_take_the_graph_too():
    @core.as_op(vector, vector, infer_shape=lambda fgraph, node, shapes: [(shapes[0][0] + 1,)])
    def longer(x):
        return np.append(x, 0.0)

    node = longer(ct.vector("x")).owner
    assert node.op.shapes(None, node, [(3,)]) == [(4,)]
