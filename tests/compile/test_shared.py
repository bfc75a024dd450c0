"""Shared variables: their values, types and default updates."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.errors import ArgumentError, DTypeError, ShapeError
from core.graph import DisconnectedType
from core.tensor import TensorType


@pytest.mark.parametrize(
    "value, dtype, ndim",
    [(1, "int64", 0), (1.0, "float64", 0), (True, "bool", 0), (1j, "complex128", 0), (np.float32(1), "float32", 0)]
    + [([1, 2], "int64", 1), (np.zeros((2, 3), "float32"), "float32", 2), (np.zeros(2, ">i4"), "int32", 1)],
)
def test_the_type_comes_from_the_value(value, dtype, ndim):
    w = core.shared(value)
    assert w.type == TensorType(dtype, ndim)
    assert_array_equal(w.get_value(), value)
    assert isinstance(w.get_value(), np.ndarray) and w.get_value().dtype.isnative


def test_lengths_are_static_only_when_asked():
    assert core.shared(np.zeros((2, 3))).type.shape == (None, None)
    assert core.shared(np.zeros((2, 3)), shape=(None, 3)).type.shape == (None, 3)


def test_the_value_is_a_copy_unless_borrowed():
    value = np.zeros(3)
    copied, borrowed = core.shared(value), core.shared(value, borrow=True)
    value[0] = 5
    assert copied.get_value()[0] == 0
    assert borrowed.get_value()[0] == 5


def test_a_view_is_copied():
    value = np.zeros(6)
    w = core.shared(value[::2])
    value[:] = 1
    assert_array_equal(w.get_value(), [0, 0, 0])
    assert w.get_value(borrow=True).flags.c_contiguous


def test_get_value_gives_a_copy_unless_borrowed():
    w = core.shared(np.zeros(3))
    w.get_value()[0] = 5
    assert w.get_value()[0] == 0
    w.get_value(borrow=True)[0] = 5
    assert w.get_value()[0] == 5


def test_set_value_takes_any_shape_of_the_same_ndim():
    w = core.shared(np.zeros(3))
    w.set_value([1, 2, 3, 4])
    assert_array_equal(w.get_value(), [1, 2, 3, 4])


def test_set_value_copies_unless_borrowed():
    w, value = core.shared(np.zeros(2)), np.zeros(2)
    w.set_value(value)
    value[0] = 1
    assert w.get_value()[0] == 0
    w.set_value(value, borrow=True)
    assert w.get_value(borrow=True) is value


@pytest.mark.parametrize(
    "new, kind, text",
    [
        (np.zeros((2, 2)), ShapeError, "shared variable w: expected ndim=1, got ndim=2"),
        (
            np.zeros(2, complex),
            DTypeError,
            "shared variable w: expected dtype float64, got an array of dtype complex128",
        ),
        ("abc", DTypeError, "shared variable w: expected dtype float64, got 'abc' of type str"),
    ],
)
def test_a_wrong_value_is_refused_and_the_old_one_stays(new, kind, text):
    w = core.shared(np.zeros(2), name="w")
    with pytest.raises(kind, match=text):
        w.set_value(new)
    assert_array_equal(w.get_value(), [0, 0])


def test_a_static_length_is_held():
    w = core.shared(np.zeros(2), name="w", shape=(2,))
    with pytest.raises(ShapeError, match="shared variable w: expected length 2 along axis 0, got 3"):
        w.set_value(np.zeros(3))


def test_a_shape_that_the_value_has_not_is_refused():
    with pytest.raises(ShapeError, match="shared variable w: expected length 3 along axis 0, got 2"):
        core.shared(np.zeros(2), name="w", shape=(3,))


def test_strict_takes_only_arrays_of_the_dtype():
    w = core.shared(np.zeros(2), name="w", strict=True)
    with pytest.raises(DTypeError, match=r"expected a NumPy array of dtype float64, got .* of type list"):
        w.set_value([1.0, 2.0])


def test_allow_downcast_lets_precision_be_lost():
    w = core.shared(np.zeros(2, "float32"), allow_downcast=True)
    w.set_value(np.ones(2))
    assert w.get_value().dtype == "float32"


def test_a_value_must_be_an_array_or_number():
    for value, kind in ((object(), "object"), ("abc", "str"), (None, "NoneType"), ([1, [2, "a"][1]], "list")):
        with pytest.raises(DTypeError, match=f"shared needs an array or a number, got .* of type {kind}"):
            core.shared(value)


def test_a_symbolic_value_is_refused():
    x = ct.vector("x")
    with pytest.raises(ArgumentError, match="shared needs a value, got the symbolic variable x"):
        core.shared(x)


def test_a_shared_variable_is_a_tensor_variable():
    w = core.shared(np.arange(3.0), name="w")
    assert_array_equal((w * 2).eval(backend="interpreter"), [0, 2, 4])
    assert str(w) == "w"


def test_functions_share_one_value():
    w = core.shared(0.0)
    add = core.function([], updates={w: w + 1}, backend="interpreter")
    read = core.function([], w, backend="interpreter")
    add(), add()
    assert read() == 2


def test_set_value_is_seen_by_functions_made_before():
    w = core.shared(0.0)
    read = core.function([], w, backend="interpreter")
    w.set_value(7.0)
    assert read() == 7


def test_a_default_update_must_fit_the_variable():
    w = core.shared(np.zeros(2), name="w")
    with pytest.raises(DTypeError, match=r"the update of w needs dtype float64, got .* of dtype float32"):
        w.default_update = w.astype("float32")
    with pytest.raises(ShapeError, match=r"the update of w needs ndim=1, got .* with ndim=0"):
        w.default_update = w.sum()
    assert w.default_update is None


def test_an_update_of_another_known_length_is_refused():
    w = core.shared(np.zeros(2), name="w", shape=(2,))
    with pytest.raises(ShapeError, match=r"the update of w needs length 2 along axis 0, got new with 3"):
        w.default_update = ct.constant(np.zeros(3), name="new")


def test_a_default_update_can_be_taken_back():
    w = core.shared(0.0)
    w.default_update = w + 1
    w.default_update = None
    assert w.default_update is None


def test_a_deep_copy_has_its_own_value():
    w = core.shared(np.zeros(2), name="w")
    twin = copy.deepcopy(w)
    twin.set_value(np.ones(2))
    assert_array_equal(w.get_value(), [0, 0])
    assert twin.type == w.type and twin.name == "w"


def test_an_update_that_is_no_tensor_is_refused():
    w = core.shared(np.zeros(2), name="w")
    with pytest.raises(
        DTypeError, match=r"the update of w needs type TensorType\(.*\), got other of type DisconnectedType"
    ):
        w.default_update = DisconnectedType()("other")
