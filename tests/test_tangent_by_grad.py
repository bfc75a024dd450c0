"""Tangents of ops that have ``grad`` alone: the transpose of a transpose."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.errors import NullGradientError
from core.graph import Apply, DisconnectedType
from core.op import Op, disconnected, grad_undefined
from core.testing import check_derivatives


class ProductAndTotal(Op):
    """x * z * k for an integer k, and the sum of x; with ``grad`` alone."""

    __props__ = ()

    def make_node(self, x, z, k):
        scalar = ct.TensorType("float64", 0)
        return Apply(self, [ct.as_tensor(x), ct.as_tensor(z), ct.as_tensor(k)], [ct.as_tensor(x).type(), scalar])

    def perform(self, node, inputs, output_storage):
        x, z, k = inputs
        output_storage[0][0], output_storage[1][0] = x * z * k, np.asarray(x.sum())

    def infer_shape(self, node, input_shapes):
        return [input_shapes[0], ()]

    def grad(self, inputs, output_grads):
        x, z, k = inputs
        along_x, along_z = disconnected(), disconnected()
        if not isinstance(output_grads[0].type, DisconnectedType):
            along_x, along_z = output_grads[0] * z * k, output_grads[0] * x * k
        if not isinstance(output_grads[1].type, DisconnectedType):
            total = ct.zeros_like(x) + output_grads[1]
            along_x = total if isinstance(along_x.type, DisconnectedType) else along_x + total
        return [along_x, along_z, disconnected()]


def test_an_op_with_grad_alone_has_a_tangent():
    check_derivatives(ProductAndTotal(), np.array([1.0, 2.0]), np.array([3.0, -1.0]), np.array([2, 5]))
    check_derivatives(ProductAndTotal(), np.zeros(0), np.zeros(0), np.zeros(0, "int64"))


def test_a_tangent_by_grad_leaves_nothing_of_how_it_was_found():
    x, v = ct.dvector("x"), ct.dvector("v")
    tangent = core.Rop(ProductAndTotal()(x, 2.0 * x, ct.constant([1, 1]))[0], x, v)
    f = core.function([x, v], tangent, backend="interpreter")
    assert_allclose(f([1.0, 3.0], [1.0, 1.0]), [4.0, 12.0])


def test_a_tangent_by_a_grad_that_has_no_gradient_says_so():
    @core.as_op([ct.TensorType("float64", 1)], [ct.TensorType("float64", 1)])
    def opaque(g):
        return 2 * g

    class Doubled(Op):
        __props__ = ()

        def make_node(self, x):
            return Apply(self, [x], [x.type()])

        def grad(self, inputs, output_grads):
            return [opaque(output_grads[0])]

    x, v = ct.dvector("x"), ct.dvector("v")
    with pytest.raises(
        NullGradientError, match="Doubled has no R_op, and its grad cannot be differentiated in its place"
    ):
        core.Rop(Doubled()(x), x, v)


def test_a_tangent_through_an_undefined_gradient_is_told():
    class Jumps(Op):
        __props__ = ()

        def make_node(self, x):
            return Apply(self, [x], [x.type()])

        def grad(self, inputs, output_grads):
            return [grad_undefined(self, 0, inputs[0], "it jumps")]

    x, v = ct.dvector("x"), ct.dvector("v")
    with pytest.raises(NullGradientError, match="is undefined: it jumps"):
        core.Rop(Jumps()(x), x, v)
