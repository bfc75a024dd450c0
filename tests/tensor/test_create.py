"""Tensors made from lengths and numbers, against NumPy."""

import numpy as np
import pytest

import core.tensor as ct
from core.compile.function import function
from core.errors import ArgumentError, DTypeError, ShapeError
from core.graph import DisconnectedType
from core.tensor.type import TensorType, constant
from core.testing import available_backends, check_derivatives, check_op, evaluate, random

SHAPES = [(), 3, (1,), (0,), (0, 4), (3, 4), (2, 3, 4)]


def tensor(name, *lengths, dtype="float64"):
    return TensorType(dtype, lengths)(name)


def computed(out, backend="interpreter"):
    """The value of a graph without inputs."""
    return function([], out, backend=backend)()


def assert_same(got, expected):
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got, expected)


# --- filled --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zeros", "ones"])
@pytest.mark.parametrize("lengths", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "int8", "bool", "complex64"])
def test_zeros_and_ones_match_numpy(name, lengths, dtype):
    expected = getattr(np, name)(lengths, dtype)
    out = getattr(ct, name)(lengths, dtype)
    assert out.type == TensorType(dtype, expected.shape)
    assert_same(computed(out), expected)


def test_zeros_of_a_symbolic_shape():
    x = random((3, 4))
    for backend in available_backends():
        assert_same(evaluate(lambda x: ct.zeros(x.shape), x, backend=backend), np.zeros((3, 4)))
        assert_same(
            evaluate(lambda n: ct.ones((n, 2), "int32"), np.array(3), backend=backend), np.ones((3, 2), "int32")
        )


@pytest.mark.parametrize("backend", available_backends())
def test_a_negative_length_is_refused(backend):
    with pytest.raises(ShapeError, match="Alloc needs lengths >= 0, got -1"):
        ct.zeros((2, -1))
    with pytest.raises(ShapeError, match="Alloc"):
        evaluate(ct.zeros, np.array(-1), backend=backend)


def test_empty_is_zeros():
    assert_same(computed(ct.empty((2, 3))), np.zeros((2, 3)))


@pytest.mark.parametrize("value", [7, 2.5, True, [1, 2, 3]])
def test_full_has_the_dtype_of_its_value(value):
    assert_same(computed(ct.full((2, 3), value)), np.full((2, 3), value, np.asarray(value).dtype))
    assert_same(computed(ct.full((2, 3), value, "float32")), np.full((2, 3), value, "float32"))


@pytest.mark.parametrize("name", ["zeros_like", "ones_like", "empty_like"])
def test_like_takes_shape_and_dtype(name):
    like = getattr(ct, name)
    expected = np.ones_like if name == "ones_like" else np.zeros_like
    x = random((2, 3), "float32")
    assert_same(evaluate(like, x), expected(x))
    assert_same(evaluate(lambda x: like(x, "int8"), x), expected(x, "int8"))


def test_full_like_casts_its_value():
    x = random((2, 3), "int32")
    assert_same(evaluate(lambda x: ct.full_like(x, 7.0), x), np.full_like(x, 7))
    assert_same(evaluate(lambda x: ct.full_like(x, 7, "float64"), x), np.full_like(x, 7, "float64"))


def test_alloc_takes_lengths_one_by_one():
    x = random(3)
    check_op(lambda x, n: ct.alloc(x, n, 3), x, np.array(2), backends=())
    assert_same(evaluate(lambda x: ct.alloc(x, 2, 3, dtype="float32"), x), np.tile(x.astype("float32"), (2, 1)))


def test_what_is_made_of_lengths_is_not_folded_into_an_array():
    for out in (ct.zeros((3, 4)), ct.arange(5)):
        assert not out.owner.op.do_constant_folding(out.owner)


# --- arange --------------------------------------------------------------------------------------------------------

RANGES = [
    (5,),
    (0,),
    (-3,),
    (2, 7),
    (7, 2),
    (0, 10, 3),
    (10, 0, -3),
    (0, 10, -1),
    (0, 9, 3),
    (5.0,),
    (0.5, 3),
    (0, 1, 0.1),
    (1.0, 0.0, -0.3),
    (0, 1, 0.25),
]


@pytest.mark.parametrize("arguments", RANGES)
@pytest.mark.parametrize("dtype", [None, "int32", "float32", "float16", "uint8"])
def test_arange_matches_numpy(arguments, dtype):
    if dtype is not None and not dtype.startswith("f") and any(isinstance(a, float) for a in arguments):
        arguments = tuple(int(10 * a) for a in arguments)
    expected = np.arange(*arguments, dtype=dtype)
    out = ct.arange(*arguments, dtype=dtype)
    assert out.type == TensorType(expected.dtype, expected.shape)
    for backend in available_backends():
        assert_same(computed(out, backend), expected)


@pytest.mark.parametrize("arguments", RANGES)
def test_arange_of_symbolic_numbers_keeps_its_contract(arguments):
    numbers = [np.array(a) for a in arguments]
    for backend in available_backends():
        assert_same(evaluate(ct.arange, *numbers, backend=backend), np.arange(*arguments))
    check_op(ct.arange, *numbers, derivatives=False, backends=())


@pytest.mark.parametrize("dtypes", [("int8",), ("float32",), ("uint8", "int32"), ("float16", "float32"), ("bool",)])
def test_arange_has_the_dtype_of_numpy(dtypes):
    numbers = [np.array(k + 1, d) for k, d in enumerate(dtypes)]
    assert_same(evaluate(ct.arange, *numbers), np.arange(*(n[()] for n in numbers)))


def test_arange_in_half_precision_lowers_as_it_performs():
    check_op(
        lambda a, b: ct.arange(a, b, 0.1, dtype="float16"), np.array(0.3), np.array(2.0), derivatives=False, backends=()
    )


def test_derivatives_of_arange_agree_with_differences():
    check_derivatives(lambda a, b: ct.arange(a, 2.2, b), np.array(0.1), np.array(0.5))


def test_arange_of_integers_has_no_gradient():
    n = tensor("n", dtype="int64")
    node = ct.arange(n).owner
    assert node.op.connection_pattern(node) == [[False], [False], [False]]
    assert {g.type for g in node.op.grad(node.inputs, [node.out])} == {DisconnectedType()}
    assert node.op.R_op(node.inputs, [None, None, None]) == [None]


def test_a_step_of_zero_is_refused():
    with pytest.raises(ShapeError, match="needs a step other than 0, got start=0, stop=5, step=0"):
        ct.arange(0, 5, 0)
    with pytest.raises(ShapeError, match="needs a step other than 0"):
        evaluate(lambda step: ct.arange(0, 5, step), np.array(0), backend="interpreter")


def test_a_range_without_end_is_refused():
    with pytest.raises(ShapeError, match=r"cannot count from 0\.0 to inf by 1\.0"):
        ct.arange(np.inf)


def test_arange_needs_real_scalars():
    with pytest.raises(DTypeError, match="needs real scalars, got x of type"):
        ct.arange(tensor("x", 3))
    with pytest.raises(DTypeError, match="needs real scalars, got z of type"):
        ct.arange(tensor("z", dtype="complex64"), dtype="float32")


@pytest.mark.parametrize("dtype", ["bool", "complex64"])
def test_arange_needs_an_integer_or_float_dtype(dtype):
    with pytest.raises(DTypeError, match=f"ARange needs an integer or float dtype, got {dtype}"):
        ct.arange(3, dtype=dtype)


# --- spaced numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize("num", [0, 1, 2, 7])
@pytest.mark.parametrize("start, stop", [(0, 1), (2.0, -3.0), ([0.0, 1.0], 5), (1, 1)])
def test_linspace_matches_numpy(start, stop, num, endpoint):
    expected = np.linspace(start, stop, num, endpoint)
    got = computed(ct.linspace(start, stop, num, endpoint))
    assert got.dtype == expected.dtype and got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-15)
    symbolic = evaluate(lambda n: ct.linspace(start, stop, n, endpoint), np.array(num))
    np.testing.assert_allclose(symbolic, expected, rtol=1e-14, atol=1e-15)


def test_linspace_takes_a_dtype():
    assert_same(computed(ct.linspace(0, 5, 4, dtype="int32")), np.linspace(0, 5, 4, dtype="int32"))
    assert computed(ct.linspace(np.float32(0), np.float32(1), 4)).dtype == "float32"


def test_derivatives_of_linspace_agree_with_differences():
    check_derivatives(lambda a, b: ct.linspace(a, b, 5), np.array(0.3), np.array(1.7))


def test_logspace_matches_numpy():
    np.testing.assert_allclose(computed(ct.logspace(0, 3, 5)), np.logspace(0, 3, 5))
    np.testing.assert_allclose(computed(ct.logspace(0, 3, 5, False, 2.0)), np.logspace(0, 3, 5, False, 2.0))
    assert computed(ct.logspace(0, 3, 5, dtype="float32")).dtype == "float32"


def test_geomspace_matches_numpy():
    for start, stop in [(1, 1000), (-8.0, -0.5)]:
        np.testing.assert_allclose(computed(ct.geomspace(start, stop, 4)), np.geomspace(start, stop, 4))
    assert computed(ct.geomspace(1, 4, 3, dtype="float32")).dtype == "float32"


# --- matrices ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 1, -2, 5])
@pytest.mark.parametrize("n, m", [(3, None), (3, 4), (4, 2), (0, 3), (1, 1)])
@pytest.mark.parametrize("name", ["eye", "tri"])
def test_eye_and_tri_match_numpy(name, n, m, k):
    for backend in available_backends():
        assert_same(computed(getattr(ct, name)(n, m, k, "int32"), backend), getattr(np, name)(n, m, k, "int32"))
    assert_same(evaluate(lambda n: getattr(ct, name)(n, m, k), np.array(n)), getattr(np, name)(n, m, k))


def test_identity_matches_numpy():
    assert_same(computed(ct.identity(3)), np.identity(3))


@pytest.mark.parametrize("k", [0, 1, -2, 5])
@pytest.mark.parametrize("lengths", [(3, 3), (3, 4), (0, 4), (2, 4, 3)])
@pytest.mark.parametrize("name", ["tril", "triu"])
def test_triangles_match_numpy(name, lengths, k):
    x = random(lengths)
    for backend in available_backends():
        assert_same(evaluate(lambda x: getattr(ct, name)(x, k), x, backend=backend), getattr(np, name)(x, k))
    check_op(lambda x: getattr(ct, name)(x, k), x, backends=())


@pytest.mark.parametrize("name", ["tril", "triu"])
def test_a_triangle_needs_a_matrix(name):
    with pytest.raises(ShapeError, match=f"{name} needs ndim >= 2, but x has ndim=1"):
        getattr(ct, name)(tensor("x", 3))


# --- codes and grids -----------------------------------------------------------------------------------------------


def test_one_hot_marks_the_class():
    i = np.array([[0, 2], [1, -1]])
    expected = (i[..., None] == np.arange(3)).astype("float32")
    for backend in available_backends():
        assert_same(evaluate(lambda i: ct.one_hot(i, 3, "float32"), i, backend=backend), expected)
        assert_same(evaluate(lambda i, n: ct.one_hot(i, n, "float32"), i, np.array(3), backend=backend), expected)


def test_one_hot_needs_integers():
    with pytest.raises(DTypeError, match="one_hot needs integer classes, got x of dtype float64"):
        ct.one_hot(tensor("x", 3), 3)


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("lengths", [(3,), (3, 4), (2, 3, 4), (0, 2)])
def test_meshgrid_matches_numpy(lengths, indexing):
    xs = [random(n, seed=k) for k, n in enumerate(lengths)]
    got = evaluate(lambda *xs: ct.meshgrid(*xs, indexing=indexing), *xs)
    for a, b in zip(got, np.meshgrid(*xs, indexing=indexing), strict=True):
        assert_same(a, b)


def test_meshgrid_says_what_it_needs():
    with pytest.raises(ArgumentError, match="meshgrid needs indexing='xy' or 'ij', got 'yx'"):
        ct.meshgrid(tensor("x", 3), indexing="yx")
    with pytest.raises(ShapeError, match="meshgrid needs vectors, but x has ndim=2"):
        ct.meshgrid(tensor("x", 3, 4))


def test_a_number_is_a_grid_of_one():
    (got,) = ct.meshgrid(constant(2.0))
    assert_same(computed(got), np.array([2.0]))
