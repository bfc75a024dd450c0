"""TensorType, constants, and how values and numbers become tensors."""

import pickle

import numpy as np
import pytest

import core.tensor as ct
from core.errors import AxisError, DTypeError, ShapeError
from core.graph import NullType
from core.tensor.type import (
    TensorConstant,
    TensorType,
    TensorVariable,
    as_operands,
    as_tensor,
    broadcast_static,
    constant,
    normalize_axes,
    normalize_axis,
)

# --- the type itself -----------------------------------------------------------------------------------------------


def test_types_compare_and_hash_by_dtype_and_shape():
    assert TensorType("float32", (None, 3)) == TensorType(np.float32, (None, 3))
    assert hash(TensorType("float32", 2)) == hash(TensorType("float32", (None, None)))
    assert TensorType("float32", 2) != TensorType("float64", 2)
    assert TensorType("float32", (1, None)) != TensorType("float32", 2)


def test_a_type_shows_its_dtype_and_what_is_known_of_its_shape():
    assert str(TensorType("int8", (None, 3))) == "TensorType(int8, shape=(?, 3))"


def test_a_type_survives_pickle():
    kind = TensorType("complex64", (None, 1))
    assert pickle.loads(pickle.dumps(kind)) == kind


def test_a_type_admits_those_of_which_more_is_known():
    assert TensorType("float64", 2).is_super(TensorType("float64", (3, None)))
    assert not TensorType("float64", (3, None)).is_super(TensorType("float64", 2))
    assert not TensorType("float64", 2).is_super(TensorType("float32", 2))
    assert not TensorType("float64", 2).is_super(TensorType("float64", 1))


@pytest.mark.parametrize("n", [-1, 2.0, True, "3"])
def test_a_length_must_be_none_or_an_int_not_below_zero(n):
    with pytest.raises(ShapeError, match=r"a length in shape=\(2, .*\) must be None or an int >= 0, got"):
        TensorType("float64", (2, n))


def test_an_unknown_dtype_is_named_with_the_nearest_known_one():
    with pytest.raises(DTypeError, match=r"dtype 'float63' is not one of bool, .*Did you mean 'float64'"):
        TensorType("float63", 1)


# --- filter --------------------------------------------------------------------------------------------------------


def test_filter_gives_back_an_array_of_the_right_dtype_itself():
    x = np.zeros((2, 3))
    assert TensorType("float64", 2).filter(x) is x


@pytest.mark.parametrize(
    "dtype, value",
    [
        ("float64", np.float32(1.5)),
        ("float64", 3),
        ("float32", 1.1),
        ("float32", 2),
        ("int8", 100),
        ("int64", np.int32(7)),
        ("complex64", 1 + 2j),
        ("float64", True),
    ],
)
def test_filter_converts_what_loses_nothing_and_python_floats(dtype, value):
    out = TensorType(dtype, 0).filter(value)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, value, rtol=1e-6)


def test_filter_converts_an_empty_list_to_any_dtype():
    assert TensorType("int32", 1).filter([]).dtype == "int32"


def test_filter_converts_foreign_byte_order():
    out = TensorType("float64", 1).filter(np.arange(3, dtype=">f8"))
    assert out.dtype.isnative
    np.testing.assert_array_equal(out, [0, 1, 2])


@pytest.mark.parametrize(
    "dtype, value, text",
    [
        (
            "float32",
            np.zeros(()),
            r"expected dtype float32, got an array of dtype float64, shape \(\); convert it, or allow",
        ),
        ("int8", 300, "expected dtype int8, got 300 of type int; convert it"),
        ("int64", 1.5, "expected dtype int64, got 1.5 of type float; convert it"),
        ("int64", np.float64(1), "expected dtype int64, got a NumPy scalar of dtype float64"),
        ("float64", "abc", "expected dtype float64, got 'abc' of type str"),
        ("float64", [[1], [2, 3]], "expected something like an array of dtype float64, got .* of type list"),
    ],
)
def test_filter_refuses_what_would_lose_something(dtype, value, text):
    with pytest.raises(DTypeError, match=text):
        TensorType(dtype, 0).filter(value)


def test_filter_loses_precision_only_where_it_may():
    kind = TensorType("float32", 1)
    assert kind.filter(np.zeros(2), allow_downcast=True).dtype == "float32"
    with pytest.raises(DTypeError, match="expected dtype float32, got"):
        kind.filter([0.1, 0.2], allow_downcast=False)


def test_strict_filter_accepts_arrays_of_its_dtype_alone():
    with pytest.raises(DTypeError, match=r"expected a NumPy array of dtype float64, got 1\.0 of type float"):
        TensorType("float64", 0).filter(1.0, strict=True)


def test_filter_checks_ndim_and_known_lengths():
    with pytest.raises(ShapeError, match=r"expected ndim=2, got ndim=1 \(shape \(3,\)\)"):
        TensorType("float64", 2).filter(np.zeros(3))
    with pytest.raises(ShapeError, match=r"expected length 4 along axis 1, got 3 \(shape \(2, 3\)\)"):
        TensorType("float64", (None, 4)).filter(np.zeros((2, 3)))


def test_filter_refuses_a_symbolic_variable():
    with pytest.raises(DTypeError, match=r"expected a value of TensorType\(float64.*, got the symbolic variable x"):
        TensorType("float64", 1).filter(ct.vector("x"))


def test_values_equal_takes_nan_as_equal_to_nan():
    kind = TensorType("float64", 1)
    assert kind.values_equal(np.array([1, np.nan]), np.array([1, np.nan]))
    assert not kind.values_equal(np.zeros(1), np.zeros(2))


# --- constants -----------------------------------------------------------------------------------------------------


def test_a_constant_keeps_a_copy_that_nobody_can_change():
    x = np.zeros(3)
    c = constant(x)
    x[0] = 1
    assert c.data[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        c.data[0] = 1


def test_a_constant_knows_its_shape_and_shows_its_value():
    c = constant([[1, 2], [3, 4]], dtype="int8")
    assert c.type == TensorType("int8", (2, 2))
    assert str(c) == "[[1, 2], [3, 4]]"
    assert str(constant(2.5)) == "2.5"
    assert str(constant(2.5, name="c")) == "c"


def test_equal_constants_have_equal_signatures_and_signed_zeros_do_not():
    assert constant(1.0).signature() == constant(1.0).signature()
    assert constant(0.0).signature() != constant(-0.0).signature()
    assert constant(1).signature() != constant(1.0).signature()


@pytest.mark.parametrize(
    "value, text",
    [
        (object(), "expected an array or number, got <object"),
        ("abc", "expected an array or number, got 'abc' of type str"),
        ([[1], [2, 3]], "expected an array or number, got .* of type list"),
    ],
)
def test_what_is_no_number_is_no_constant(value, text):
    with pytest.raises(DTypeError, match=text):
        constant(value)


def test_a_list_with_variables_in_it_is_no_constant():
    with pytest.raises(
        DTypeError, match=r"a list with symbolic variables in it is no constant; join them with ct\.stack"
    ):
        as_tensor([ct.scalar("x"), 1.0])


# --- values to variables -------------------------------------------------------------------------------------------


def test_as_tensor_gives_python_numbers_the_dtype_of_numpy():
    assert [as_tensor(x).dtype for x in (True, 1, 1.0, 1j)] == ["bool", "int64", "float64", "complex128"]


def test_as_tensor_gives_back_a_variable_itself():
    x = ct.vector("x")
    assert as_tensor(x) is x


def test_as_tensor_checks_dtype_ndim_and_type():
    x = ct.vector("x")
    with pytest.raises(DTypeError, match="expected dtype float32, got x of dtype float64; use cast"):
        as_tensor(x, dtype="float32")
    with pytest.raises(ShapeError, match="expected a tensor with ndim=2, got x with ndim=1"):
        as_tensor(x, ndim=2)
    with pytest.raises(DTypeError, match=r"expected a tensor, got .* of type NullType"):
        as_tensor(NullType()())


def test_operands_that_are_python_numbers_take_the_dtype_of_the_rest():
    x, y = as_operands(ct.fvector("x"), 2)
    assert (x.dtype, y.dtype) == ("float32", "float32")
    assert [v.dtype for v in as_operands(1, 2.0)] == ["int64", "float64"]


# --- variables -----------------------------------------------------------------------------------------------------


def test_a_variable_has_no_truth_value():
    with pytest.raises(DTypeError, match=r"x is symbolic and has no truth value; use where\(condition, a, b\)"):
        bool(ct.vector("x"))


def test_a_variable_is_no_array():
    with pytest.raises(DTypeError, match=r"x is symbolic and has no array; compile it with core\.function"):
        np.asarray(ct.vector("x"))


def test_a_variable_of_unknown_length_has_no_len_and_is_not_iterated():
    x = ct.vector("x")
    with pytest.raises(ShapeError, match=r"x has no known length; use x\.shape\[0\], which is symbolic"):
        len(x)
    with pytest.raises(ShapeError, match="cannot iterate over x: the length of its first axis is not known"):
        list(x)


def test_a_variable_of_known_length_has_len_and_is_iterated():
    x = ct.tensor("x", shape=(3, None))
    assert len(x) == 3
    assert [row.ndim for row in x] == [1, 1, 1]


def test_an_error_shows_the_users_line():
    x = ct.vector("x")
    with pytest.raises(DTypeError, match=r'x was made at .*test_types\.py:\d+: x = ct\.vector\("x"\)'):
        bool(x)


def test_a_constant_is_a_tensor_variable():
    assert isinstance(constant(1), TensorConstant)
    assert isinstance(constant(1), TensorVariable)


# --- axes and broadcasting -----------------------------------------------------------------------------------------


def test_axes_are_counted_from_the_front():
    x = ct.tensor3("x")
    assert normalize_axis(-1, x) == 2
    assert normalize_axes(None, x) == (0, 1, 2)
    assert normalize_axes((-1, 0), x) == (0, 2)


def test_an_axis_outside_the_tensor_is_refused():
    x = ct.matrix("x")
    with pytest.raises(AxisError, match=r"needs -2 <= axis < 2, because x has ndim=2 \(float64\)"):
        normalize_axis(2, x)
    with pytest.raises(AxisError, match=r"needs an int as axis, got 1\.5 of type float"):
        normalize_axis(1.5, x)
    with pytest.raises(AxisError, match=r"got an axis twice in axis=\(0, -2\), because x has ndim=2"):
        normalize_axes((0, -2), x)


@pytest.mark.parametrize(
    "shapes, expected",
    [
        (((), ()), ()),
        (((3, 1), (1, 4)), (3, 4)),
        (((None,), (3,)), (3,)),
        (((None,), (1,)), (None,)),
        (((None, 1), (4,)), (None, 4)),
        (((0,), (1,)), (0,)),
    ],
)
def test_static_shapes_broadcast_as_far_as_they_are_known(shapes, expected):
    assert broadcast_static(*shapes) == expected


def test_static_shapes_that_do_not_broadcast_are_refused():
    with pytest.raises(ShapeError, match=r"shapes \(2,\), \(3,\) do not broadcast: 2 and 3 along axis 0"):
        broadcast_static((2,), (3,))


def test_a_type_tells_what_numpy_calls_its_dtype_in_c():
    assert TensorType("float64", 1).dtype_specs() == (np.float64, "npy_float64", "NPY_FLOAT64")
    assert TensorType("bool", 0).dtype_specs() == (np.bool_, "npy_bool", "NPY_BOOL")
