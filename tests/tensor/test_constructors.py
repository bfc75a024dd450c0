"""Symbolic inputs by their many names."""

import inspect

import pytest

import core.tensor as ct
from core.errors import ArgumentError, DTypeError, ShapeError
from core.tensor.type import TensorType


def test_tensor_takes_a_name_a_dtype_and_a_shape():
    x = ct.tensor("x", dtype="float32", shape=(None, 3))
    assert x.name == "x"
    assert x.type == TensorType("float32", (None, 3))
    assert ct.tensor("x", "int8", (2,)).type == TensorType("int8", (2,))


def test_tensor_is_float64_unless_told():
    assert ct.tensor("x", ndim=2).type == TensorType("float64", 2)
    assert ct.tensor(ndim=0).name is None


def test_tensor_needs_shape_or_ndim():
    with pytest.raises(ArgumentError, match=r"tensor\('x'\) needs shape or ndim, got neither"):
        ct.tensor("x")


def test_shape_and_ndim_must_agree():
    assert ct.tensor("x", shape=(1, None), ndim=2).type.shape == (1, None)
    with pytest.raises(ShapeError, match=r"tensor\('x'\) needs len\(shape\) == ndim, got shape=\(3,\) and ndim=2"):
        ct.tensor("x", shape=(3,), ndim=2)


@pytest.mark.parametrize("ndim", [-1, 1.5, True])
def test_ndim_must_be_an_int_not_below_zero(ndim):
    with pytest.raises(ShapeError, match=rf"tensor\('x'\) needs an int >= 0 as ndim, got {ndim}"):
        ct.tensor("x", ndim=ndim)


def test_a_bare_number_is_no_shape():
    with pytest.raises(
        ShapeError, match=r"tensor\('x'\) needs a tuple of lengths as shape, got 3; for one axis write \(3,\)"
    ):
        ct.tensor("x", shape=3)


def test_a_name_must_be_a_string():
    with pytest.raises(ArgumentError, match="a variable's name must be a string, got 3 of type int"):
        ct.tensor(3, ndim=1)


@pytest.mark.parametrize(
    "kind, shape",
    [
        ("scalar", ()),
        ("vector", (None,)),
        ("row", (1, None)),
        ("col", (None, 1)),
        ("matrix", (None, None)),
        ("tensor3", (None,) * 3),
        ("tensor7", (None,) * 7),
    ],
)
@pytest.mark.parametrize(
    "prefix, dtype",
    [
        ("", "float64"),
        ("b", "int8"),
        ("w", "int16"),
        ("i", "int32"),
        ("l", "int64"),
        ("f", "float32"),
        ("d", "float64"),
        ("c", "complex64"),
        ("z", "complex128"),
    ],
)
def test_every_name_of_the_table_makes_its_type(kind, shape, prefix, dtype):
    x = getattr(ct, prefix + kind)("x")
    assert (x.name, x.type) == ("x", TensorType(dtype, shape))


def test_a_constructor_without_prefix_takes_a_dtype():
    assert ct.matrix("x", dtype="int8").dtype == "int8"
    assert ct.matrix("x", "float32").dtype == "float32"
    with pytest.raises(DTypeError, match="Did you mean 'int32'"):
        ct.matrix("x", dtype="imt32")


def test_a_constructor_with_prefix_takes_no_dtype():
    with pytest.raises(TypeError, match="dtype"):
        ct.fmatrix("x", dtype="int8")


def test_a_constructor_takes_a_static_shape_of_its_own_rank():
    assert ct.fmatrix("x", shape=(None, 3)).type == TensorType("float32", (None, 3))
    with pytest.raises(ShapeError, match=r"fmatrix\('x'\) needs shape of length 2, got \(3,\)"):
        ct.fmatrix("x", shape=(3,))


def test_plurals_make_several_at_once():
    for made in (ct.vectors("x y z"), ct.vectors("x", "y", "z"), ct.vectors("x, y, z")):
        assert [v.name for v in made] == ["x", "y", "z"]
    assert [v.type for v in ct.fmatrices("a b")] == [TensorType("float32", 2)] * 2
    assert [v.dtype for v in ct.scalars("a b", dtype="int8")] == ["int8", "int8"]
    assert [v.name for v in ct.icols(2)] == [None, None]


@pytest.mark.parametrize("names", [(), (1.5,), ("x", 2), (True,)])
def test_plurals_need_names_or_a_number(names):
    with pytest.raises(ArgumentError, match=r'dvectors needs names \("x y", or "x", "y"\) or one number, got'):
        ct.dvectors(*names)


def test_constructors_are_documented_and_named():
    assert ct.frow.__doc__ == "A symbolic row, shape (1, ?), float32."
    assert ct.matrix.__doc__ == "A symbolic matrix, shape (?, ?), by default float64."
    assert ct.matrices.__name__ == "matrices"
    assert list(inspect.signature(ct.fmatrix).parameters) == ["name", "shape"]


def test_the_users_line_is_kept():
    x = ct.matrix("x")
    assert x.source.text == 'x = ct.matrix("x")'
