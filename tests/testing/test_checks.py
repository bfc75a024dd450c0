"""check_shapes, check_lowering and check_op must pass what is right and catch each kind of wrong."""

import numpy as np
import pytest

import core.tensor as ct
from core.errors import CheckError, GraphError, ShapeError
from core.graph import Apply
from core.ir.view import View
from core.op import Op
from core.tensor.type import TensorType
from core.testing import check_lowering, check_op, check_shapes, random

X = random((3, 4))


class Twice(Op):
    """2 x, with lies that a test may ask for."""

    def __init__(self, kind=None, shape=None, factor=2.0, dtype=None, lengths=None):
        self.kind, self.shape, self.factor, self.dtype, self.lengths = kind, shape, factor, dtype, lengths

    def __str__(self):
        return "Twice"

    def make_node(self, x):
        x = ct.as_tensor(x)
        return Apply(self, [x], [self.kind or x.type])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0] * 2

    def infer_shape(self, node, input_shapes):
        return [self.shape(input_shapes[0])] if self.shape else list(input_shapes)

    def lower(self, node, x):
        shape = x.shape if self.lengths is None else self.lengths
        return View(self.dtype or x.dtype, shape, lambda index: x.at(index) * self.factor)

    def grad(self, inputs, output_grads):
        return [output_grads[0] * 2.0]

    def R_op(self, inputs, eval_points):
        return [eval_points[0] * 2.0]


def test_an_honest_op_passes_everything():
    check_op(Twice(), X)
    check_op(ct.exp, X)
    check_op(lambda x, y: (x * y).sum(axis=1), X, random((1, 4)))


@pytest.mark.parametrize("shape", [(), (0,), (1, 1), (3, 0)])
def test_an_honest_op_passes_with_small_and_empty_arrays(shape):
    check_op(Twice(), random(shape))


def test_an_op_of_integers_has_no_derivatives_to_check():
    check_op(lambda x: x + x, random(3, "int64"))


def test_a_wrong_derivative_is_caught_by_check_op():
    class Wrong(Twice):
        def grad(self, inputs, output_grads):
            return [output_grads[0] * 3.0]

    check_op(Wrong(), X, derivatives=False, backends=())
    with pytest.raises(CheckError, match="grad by input 0"):
        check_op(Wrong(), X, backends=())


def test_a_type_that_the_result_does_not_have_is_caught():
    with pytest.raises(Exception, match="float32"):
        check_shapes(Twice(kind=TensorType("float32", 2)), X)
    with pytest.raises(Exception, match="5"):
        check_shapes(Twice(kind=TensorType("float64", (5, None))), X)


def test_a_wrong_inferred_shape_is_caught():
    with pytest.raises(ShapeError, match=r"infer_shape of Twice gives \(4, 4\), but the output has shape \(3, 4\)"):
        check_shapes(Twice(shape=lambda s: (s[1], s[1])), X)


def test_a_wrong_number_of_inferred_lengths_is_caught():
    with pytest.raises(ShapeError, match="infer_shape of Twice gives 1 lengths, but the output has ndim=2"):
        check_shapes(Twice(shape=lambda s: (s[0],)), X)


def test_inferred_shapes_may_be_ints():
    check_shapes(Twice(shape=lambda s: (3, 4)), X)


def test_a_lowering_with_other_values_is_caught_and_the_element_named():
    with pytest.raises(GraphError, match=r"lower of Twice gives .* at \(0, 0\) of output 0, but perform gives"):
        check_lowering(Twice(factor=2.001), X)


def test_a_lowering_of_another_dtype_is_caught():
    with pytest.raises(
        GraphError, match=r"lower of Twice gives output 0 dtype float32 and shape \(3, 4\), but perform gives"
    ):
        check_lowering(Twice(dtype="float32"), X)


def test_a_lowering_of_another_shape_is_caught():
    with pytest.raises(
        GraphError, match=r"gives output 0 dtype float64 and shape \(2, 4\), but perform gives float64 and \(3, 4\)"
    ):
        check_lowering(Twice(lengths=(2, 4)), X)


def test_a_lowering_that_reads_outside_is_caught():
    with pytest.raises(GraphError, match=r"lower of Twice fails for output 0: .* reads outside axis 0 of length 3"):
        check_lowering(Twice(lengths=(5, 4)), X)


def test_nan_is_equal_to_nan():
    check_lowering(Twice(), np.array([np.nan, np.inf]))


def test_half_precision_is_compared_with_its_own_tolerance():
    check_lowering(ct.exp, random(5, "float16"))
    check_lowering(ct.exp, random(5, "float32"))
