"""Reductions: values, dtypes, shapes and derivatives against NumPy and differences."""

import warnings

import numpy as np
import pytest

import core.tensor as ct
from core.compile.function import function
from core.errors import AxisError, DTypeError, ShapeError
from core.graph import DisconnectedType
from core.ir.codes import Combine
from core.tensor.type import TensorType, constant
from core.testing import available_backends, check_derivatives, check_lowering, check_shapes, evaluate, random

SHAPES_AND_AXES = [
    ((), None),
    ((1,), 0),
    ((5,), None),
    ((5,), -1),
    ((3, 4), None),
    ((3, 4), 0),
    ((3, 4), -1),
    ((3, 4), (0, 1)),
    ((3, 4), ()),
    ((2, 3, 4), 1),
    ((2, 3, 4), (0, -1)),
    ((2, 1, 4), (1, 2)),
]
EMPTY = [((0,), 0), ((0, 4), 0), ((0, 4), 1), ((4, 0), 0), ((4, 0), -1), ((4, 0), None)]
WITH_IDENTITY = ["sum", "prod", "any", "all"]
ALL = [*WITH_IDENTITY, "max", "min", "mean", "var", "std", "ptp"]


def oracle(name, x, axis, **options):
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        return np.asarray(getattr(np, name)(x, axis=axis, **options))


def assert_like_numpy(got, expected, rtol=1e-12):
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape, axis", SHAPES_AND_AXES)
def test_a_reduction_matches_numpy(backend, name, shape, axis):
    x = random(shape)
    got = evaluate(lambda x: getattr(ct, name)(x, axis), x, backend=backend)
    assert_like_numpy(got, oracle(name, x, axis))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape, axis", SHAPES_AND_AXES)
def test_keepdims_leaves_axes_of_length_one(name, shape, axis):
    x = random(shape)
    got = evaluate(lambda x: getattr(ct, name)(x, axis, keepdims=True), x)
    assert_like_numpy(got, oracle(name, x, axis, keepdims=True))


@pytest.mark.parametrize("name", [*WITH_IDENTITY, "mean", "var"])
@pytest.mark.parametrize("shape, axis", EMPTY)
def test_a_reduction_of_nothing_matches_numpy(name, shape, axis):
    x = random(shape)
    assert_like_numpy(evaluate(lambda x: getattr(ct, name)(x, axis), x), oracle(name, x, axis))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("shape, axis", [(s, a) for s, a in SHAPES_AND_AXES if not isinstance(a, tuple)])
def test_a_position_matches_numpy(name, keepdims, shape, axis):
    x = random(shape)
    got = evaluate(lambda x: getattr(ct, name)(x, axis, keepdims=keepdims), x)
    assert_like_numpy(got, oracle(name, x, axis, keepdims=keepdims))


def test_a_position_along_several_axes_is_row_major_in_them():
    x = random((3, 4, 5))
    got = evaluate(lambda x: ct.argmax(x, (0, 2)), x)
    assert np.array_equal(got, x.transpose(1, 0, 2).reshape(4, 15).argmax(-1))


@pytest.mark.parametrize("name", ["argmax", "argmin", "max", "min"])
def test_nan_wins(name):
    x = np.array([[1.0, np.nan, 3.0, np.nan], [2.0, 0.0, 5.0, 5.0]])
    assert_like_numpy(evaluate(lambda x: getattr(ct, name)(x, 1), x), oracle(name, x, 1))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_the_first_of_equal_extremes_is_the_position(name):
    x = np.array([2, 7, 7, 2, 7])
    assert evaluate(getattr(ct, name), x) == getattr(np, name)(x)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "max", "argmin", "any", "all"])
@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "uint8", "uint32", "float16", "float32", "float64"])
def test_dtypes_are_those_of_numpy(name, dtype):
    x = random((3, 4), dtype, low=0, high=3)
    got = evaluate(lambda x: getattr(ct, name)(x, 0), x)
    assert_like_numpy(got, oracle(name, x, 0), rtol=2e-3 if dtype == "float16" else 1e-6)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "any", "all"])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_reduced_as_in_numpy(name, dtype):
    x = random((3, 4), dtype)
    assert_like_numpy(evaluate(lambda x: getattr(ct, name)(x, 1), x), oracle(name, x, 1), rtol=1e-5)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_dtype_says_what_is_accumulated_in(name, dtype):
    x = random((3, 4), "int32", low=1, high=9)
    if name == "var" and dtype == "complex128":
        dtype = "float32"
    got = evaluate(lambda x: getattr(ct, name)(x, 0, dtype=dtype), x)
    assert_like_numpy(got, oracle(name, x, 0, dtype=dtype), rtol=1e-6)


def test_a_mean_of_halves_does_not_overflow():
    x = np.full(4, 60000, "float16")
    assert evaluate(ct.mean, x) == np.float16(60000)


@pytest.mark.parametrize("ddof", [0, 1, 5, 6])
def test_ddof_is_taken_from_the_count(ddof):
    x = random((5, 2))
    for static in (False, True):
        got = evaluate(lambda x: ct.var(x, 0, ddof=ddof), x, static=static)
        assert_like_numpy(got, oracle("var", x, 0, ddof=ddof))


@pytest.mark.parametrize("name", [*ALL, "argmax"])
@pytest.mark.parametrize("shape, axis", [((), None), ((5,), 0), ((3, 4), None), ((2, 3, 4), -2), ((1, 4), 0)])
def test_shapes_and_lowering_agree_with_a_run(name, shape, axis):
    x = random(shape)
    check_shapes(lambda x: getattr(ct, name)(x, axis), x)
    check_lowering(lambda x: getattr(ct, name)(x, axis), x)


@pytest.mark.parametrize("combine", list(Combine))
@pytest.mark.parametrize("dtype", ["int8", "uint8", "bool", "float16", "float32"])
def test_every_combination_lowers_to_what_it_performs(combine, dtype):
    x = random((3, 4), dtype, low=-2, high=3)
    for axes in (0, (0, 1), ()):
        check_lowering(ct.Reduce(combine, axes), x, atol=2e-3 if dtype == "float16" else 1e-12)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "var", "std", "ptp"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
def test_derivatives_agree_with_differences(name, axis):
    check_derivatives(lambda x: getattr(ct, name)(x, axis), random((3, 4)))


@pytest.mark.parametrize("name", ["sum", "prod"])
def test_derivatives_of_an_empty_tensor_are_empty(name):
    check_derivatives(lambda x: getattr(ct, name)(x, 0), np.zeros((0, 3)))


def test_derivatives_keep_to_axes_of_length_one():
    check_derivatives(lambda x: ct.sum(x * 2, 1), random((1, 4)))
    check_derivatives(lambda x: ct.sum(x, 0) * x, random((1, 1)))


@pytest.mark.parametrize("zeros", [[], [1], [1, 3]])
def test_the_gradient_of_a_product_is_right_where_elements_are_zero(zeros):
    x = np.array([2.0, 3.0, 5.0, 7.0])
    x[zeros] = 0
    check_derivatives(ct.prod, x)


@pytest.mark.parametrize("name", ["max", "min"])
def test_each_of_equal_extremes_gets_the_whole_gradient(name):
    x = TensorType("float64", 1)("x")
    node = getattr(ct, name)(x).owner
    (g,) = node.op.grad(node.inputs, [constant(3.0)])
    assert np.array_equal(function([x], g, backend="interpreter")(np.ones(3)), [3.0, 3.0, 3.0])


@pytest.mark.parametrize("name", ["any", "all", "argmax", "argmin"])
def test_what_is_discrete_has_no_gradient(name):
    x = TensorType("float64", 1)("x")
    node = getattr(ct, name)(x).owner
    assert node.op.connection_pattern(node) == [[False]]
    assert node.op.grad([x], [constant(1.0)])[0].type == DisconnectedType()
    assert node.op.R_op([x], [x]) == [None]


def test_a_sum_of_integers_has_no_gradient():
    x = TensorType("int64", 1)("x")
    node = ct.sum(x).owner
    assert node.op.connection_pattern(node) == [[False]]
    assert node.op.grad([x], [constant(1.0)])[0].type == DisconnectedType()
    assert node.op.R_op([x], [None]) == [None]


def test_static_lengths_that_remain_are_known():
    x = TensorType("float32", (3, None, 5))("x")
    assert ct.sum(x, 1).type == TensorType("float32", (3, 5))
    assert ct.max(x, -1, keepdims=True).type == TensorType("float32", (3, None, 1))


def test_equal_reductions_are_equal():
    x = TensorType("float32", (3, None))("x")
    assert ct.sum(x, -1).owner.op == ct.sum(x, 1).owner.op == ct.sum(x, [1]).owner.op
    assert ct.sum(x, 0).owner.op != ct.sum(x, 1).owner.op
    assert ct.sum(x, 0, dtype="float32").owner.op == ct.sum(x, 0).owner.op
    assert str(ct.sum(x, 0, dtype="float64").owner.op) == "sum(axis=(0,), dtype=float64)"


def test_flops_are_the_elements_read():
    assert ct.Reduce(Combine.ADD, (0,)).flops([(3, 4)], [(4,)]) == 12


@pytest.mark.parametrize("axis", [2, -3, (0, 5)])
def test_an_axis_that_the_input_lacks_is_refused(axis):
    with pytest.raises(AxisError, match=r"needs -2 <= axis < 2, because x has ndim=2"):
        ct.sum(TensorType("float64", 2)("x"), axis)


def test_an_axis_named_twice_is_refused():
    with pytest.raises(AxisError, match=r"got an axis twice in axis=\(0, -2\)"):
        ct.max(TensorType("float64", 2)("x"), (0, -2))


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_complex_numbers_have_no_order(name):
    with pytest.raises(DTypeError, match="needs numbers that have an order, got x of dtype complex64"):
        getattr(ct, name)(TensorType("complex64", 1)("x"))


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
@pytest.mark.parametrize("shape, axis", [((0,), 0), ((0, 4), 0), ((4, 0), None)])
def test_the_extreme_of_nothing_is_refused(name, shape, axis):
    with pytest.raises(ShapeError, match=r"of an empty axis does not exist: got shape"):
        evaluate(lambda x: getattr(ct, name)(x, axis), np.zeros(shape), backend="interpreter")


@pytest.mark.parametrize("name", ["max", "argmin"])
def test_extremes_of_no_lines_are_empty(name):
    got = evaluate(lambda x: getattr(ct, name)(x, 1), np.zeros((0, 4)))
    assert got.shape == (0,)
