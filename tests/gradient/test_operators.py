"""core.Lop and core.Rop: products with a Jacobian from either side."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.errors import (
    ArgumentError,
    DisconnectedInputError,
    GradientError,
    NullGradientError,
)
from core.gradient import Lop, Rop
from core.graph import Variable
from core.testing import check_derivatives, evaluate, random
from core.testing.values import compiled

from .custom import Custom
from .variables import X, scalar, vector


def test_lop_is_a_row_vector_times_the_jacobian():
    A, v = random((3, 4), seed=1), random(3, seed=2)
    got = evaluate(lambda A, x, v: Lop((A * x).sum(axis=1), x, v), A, random(4), v)
    assert_allclose(got, v @ A)


def test_lop_adds_over_outputs_even_where_one_output_leads_to_another():
    def product(x, v, w):
        y = x * x
        return Lop([y, y * y], x, [v, w])

    x, v, w = (random(3, seed=seed) for seed in range(3))
    assert_allclose(evaluate(product, x, v, w), 2 * x * v + 4 * x**3 * w)


def test_lop_of_the_same_output_twice_adds_both_points():
    x, v = random(3), random(3, seed=1)
    assert_allclose(evaluate(lambda x, v: Lop([x * x] * 2, x, [v, v]), x, v), 4 * x * v)
    y = vector()
    z = y * y
    g = Lop([z, z], y, [vector("v"), vector("w")])
    assert g.type == y.type


def test_lop_needs_a_point_for_each_output():
    x = vector()
    with pytest.raises(ArgumentError, match="Lop needs one eval_point for each of 1 outputs, got 2"):
        Lop(x * x, x, [x, x])


def test_lop_checks_its_points():
    x = vector()
    with pytest.raises(GradientError, match=r"an eval_point of Lop for .* needs dtype float64 and ndim=1, got"):
        Lop(x * x, x, scalar("v"))


def test_lop_of_an_unrelated_variable_is_an_error():
    x, z = vector("x"), vector("z")
    with pytest.raises(DisconnectedInputError, match="does not depend on z"):
        Lop(x * x, z, x)


def test_rop_is_the_jacobian_times_a_column_vector():
    A, v = random((3, 4), seed=1), random(4, seed=2)
    assert_allclose(evaluate(lambda A, x, v: Rop((A * x).sum(axis=1), x, v), A, random(4), v), A @ v)


def test_rop_adds_over_variables():
    x, y, u, v = (random(3, seed=seed) for seed in range(4))
    assert_allclose(evaluate(lambda x, y, u, v: Rop(x * y, [x, y], [u, v]), x, y, u, v), u * y + x * v)


def test_rop_with_none_leaves_a_variable_still():
    x, y, u = (random(3, seed=seed) for seed in range(3))
    assert_allclose(evaluate(lambda x, y, u: Rop(x * y, [x, y], [u, None]), x, y, u), u * y)


def test_rop_returns_one_result_for_one_output_and_a_list_for_a_list():
    x, v = vector("x"), vector("v")
    assert isinstance(Rop(x * x, x, v), Variable)
    assert len(Rop([x * x, x + 1], x, v)) == 2
    assert isinstance(Rop((x * x,), x, v), tuple)


def test_rop_of_the_variable_itself_is_the_tangent():
    x, v = vector("x"), vector("v")
    assert Rop(x, x, v) is v


def test_rop_with_respect_to_an_inner_variable_takes_its_tangent_as_given():
    def product(x, v):
        y = x * x
        return Rop(y * x, [y], [v])

    x, v = random(3), random(3, seed=1)
    assert_allclose(evaluate(product, x, v), v * x)


def test_rop_of_an_output_that_does_not_move_is_an_error_or_what_is_wanted():
    x, z, v = vector("x"), vector("z"), vector("v")
    with pytest.raises(DisconnectedInputError, match="y does not depend on wrt differentiably"):
        y = z * z
        y.name = "y"
        Rop(y, x, v)
    with pytest.warns(UserWarning, match="does not depend on wrt"):
        Rop(z * z, x, v, disconnected_outputs="warn")
    assert Rop(z * z, x, v, disconnected_outputs="ignore", return_disconnected="none") is None
    zero = Rop(z * z, x, v, disconnected_outputs="ignore")
    assert_array_equal(compiled([x, z, v], [zero])(np.ones(2), np.ones(3), np.ones(2))[0], np.zeros(3))


def test_rop_does_not_pass_integers():
    x, v = vector("x"), vector("v")
    with pytest.raises(DisconnectedInputError):
        Rop(x.astype("int64"), x, v)
    with pytest.raises(DisconnectedInputError):
        Rop(x.astype("int64").astype("float64"), x, v)


def test_rop_of_an_op_without_one_is_an_error_that_names_it():
    x = vector()
    with pytest.raises(NullGradientError, match=r"there is no tangent of .*: Custom has no R_op"):
        Rop(Custom()(x) * 2.0, x, vector("v"))


def test_rop_checks_the_number_of_points():
    x = vector()
    with pytest.raises(ArgumentError, match="Rop needs one eval_point for each of 1 variables, got 2"):
        Rop(x * x, x, [x, x])


def test_rop_rejects_a_variable_given_twice():
    x = vector()
    with pytest.raises(ArgumentError, match="Rop got x twice in wrt"):
        Rop(x * x, [x, x], [x, x])


def test_rop_rejects_unknown_choices():
    x = vector()
    with pytest.raises(ArgumentError, match="disconnected_outputs needs one of"):
        Rop(x, x, x, disconnected_outputs="perhaps")
    with pytest.raises(ArgumentError, match="return_disconnected needs one of"):
        Rop(x, x, x, return_disconnected="perhaps")


def test_rop_checks_its_points():
    x = vector()
    with pytest.raises(GradientError, match="an eval_point of Rop for x needs dtype float64 and ndim=1, got"):
        Rop(x * x, x, scalar("v"))


def test_rop_uses_no_gradient():
    def never(inputs, output_grads):
        raise AssertionError("asked for a gradient")

    x, v = vector("x"), vector("v")
    assert Rop(Custom(never, lambda xs, us: [us[0]])(x), x, v) is v


def test_forward_and_backward_agree_on_a_larger_graph():
    check_derivatives(lambda x, y: [ct.tanh(x * y).sum(axis=0), ct.exp(x) / (1 + y * y)], X, random((3, 1), seed=3))
