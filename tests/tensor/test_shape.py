"""Lengths, promises, axes permuted and shapes changed: values, types and derivatives against NumPy."""

import numpy as np
import pytest

import core.tensor as ct
from core.compile.function import function
from core.errors import AxisError, DTypeError, ShapeError
from core.graph import DisconnectedType
from core.ir.codes import Code
from core.ir.expr import const, length
from core.tensor.shape import as_length, as_lengths, checked_length, static_length, static_shape
from core.tensor.type import TensorConstant, TensorType, constant
from core.testing import available_backends, check_lowering, check_op, check_shapes, evaluate, random

SHAPES = [(), (1,), (0,), (5,), (0, 4), (4, 0), (3, 4), (2, 3, 4)]


def tensor(name, *lengths, dtype="float64"):
    return TensorType(dtype, lengths)(name)


def scalar(name, dtype="int64"):
    return TensorType(dtype, ())(name)


def assert_same(got, expected):
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert np.array_equal(got, expected)


def agree(function, *arrays, expected, derivatives=None):
    """``function`` gives ``expected`` on every backend, with known and unknown lengths, and keeps its contract."""
    for backend in available_backends():
        for static in (False, True):
            assert_same(evaluate(function, *arrays, backend=backend, static=static), expected)
    check_op(function, *arrays, derivatives=derivatives, backends=())


# --- lengths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", SHAPES)
def test_shape_of_gives_the_lengths(lengths):
    for static in (False, True):
        got = evaluate(lambda x: list(ct.shape_of(x)) or [ct.size(x)], random(lengths), static=static)
        assert [int(n) for n in got] == (list(lengths) or [1])


def test_a_known_length_is_a_constant():
    x = tensor("x", 3, None)
    n, m = ct.shape(x)
    assert isinstance(n, TensorConstant) and int(n.data) == 3 and n.dtype == "int64"
    assert m.owner.op == ct.ShapeI(1) and m.type == TensorType("int64", ())


def test_a_length_keeps_its_contract():
    check_shapes(ct.ShapeI(-1), random((3, 4)))
    check_lowering(ct.ShapeI(-1), random((3, 4)))
    x = tensor("x", None)
    node = ct.shape_i(x, 0).owner
    assert node.op.connection_pattern(node) == [[False]]
    assert node.op.grad([x], [constant(1)])[0].type == DisconnectedType()
    assert node.op.R_op([x], [x]) == [None]


@pytest.mark.parametrize("lengths", SHAPES)
def test_size_counts_elements(lengths):
    assert evaluate(ct.size, random(lengths)) == np.prod(lengths)
    assert int(ct.size(constant(random(lengths))).data) == np.prod(lengths)


def test_size_along_an_axis_is_its_length():
    assert evaluate(lambda x: ct.size(x, -1), random((3, 4))) == 4


@pytest.mark.parametrize("axis", [2, -3])
def test_a_length_of_an_axis_that_is_not_there_is_refused(axis):
    with pytest.raises(AxisError, match="needs -2 <= axis < 2, because x has ndim=2"):
        ct.shape_i(tensor("x", 3, None), axis)
    with pytest.raises(AxisError, match=rf"ShapeI\(axis={axis}\) needs -2 <= axis < 2"):
        ct.ShapeI(axis)(tensor("x", 3, None))


def test_arithmetic_of_known_lengths_is_known():
    x = tensor("x", 3, None)
    assert static_length(x.shape[0] * 2 + 1) == 7
    assert static_length(x.shape[1] * 2) is None
    assert ct.reshape(tensor("y", None), (x.shape[0] * 2, 5)).type.shape == (6, 5)


@pytest.mark.parametrize("bad", [1.5, True, "3", None, [2]])
def test_a_length_that_is_no_integer_is_refused(bad):
    with pytest.raises(DTypeError, match="a length must be an int or a symbolic integer with ndim=0, got"):
        as_length(bad)


@pytest.mark.parametrize("kind", [TensorType("float64", ()), TensorType("int64", (2,)), TensorType("bool", ())])
def test_a_symbolic_length_that_is_no_integer_scalar_is_refused(kind):
    with pytest.raises(DTypeError, match="a length must be an int or a symbolic integer with ndim=0, got n"):
        as_length(kind("n"))


def test_a_vector_of_unknown_length_is_no_shape():
    with pytest.raises(ShapeError, match="needs a known number of lengths, but the length of v is not known"):
        as_lengths(tensor("v", None, dtype="int64"))


def test_a_vector_of_known_length_is_a_shape():
    x, v = tensor("x", None), tensor("v", 2, dtype="int64")
    run = function([x, v], ct.reshape(x, v), backend="interpreter")
    assert run(np.arange(6.0), np.array([2, 3])).shape == (2, 3)
    assert static_shape(as_lengths(np.array([2, 3]))) == (2, 3)


def test_only_lengths_that_might_be_negative_are_checked():
    n, free = length("x", 0), length("y", 0) - 3
    assert checked_length(n * 2 + 1) is n * 2 + 1
    assert checked_length(7) is const(7)
    assert checked_length(free).code is Code.SAME


# --- promises ------------------------------------------------------------------------------------------------------


def test_a_promised_length_is_known():
    x = ct.specify_shape(tensor("x", None, None, 3), (2, None, 3))
    assert x.type.shape == (2, None, 3)
    assert x.owner.op == ct.SpecifyShape((0,))


def test_a_promise_that_says_nothing_new_is_the_tensor_itself():
    x = tensor("x", 2, None)
    assert ct.specify_shape(x, (2, None)) is x


def test_a_promise_keeps_its_contract():
    agree(lambda x: ct.specify_shape(x, (3, None)), random((3, 4)), expected=random((3, 4)))
    check_op(lambda x, n: ct.specify_shape(x, (n, 4)), random((3, 4)), np.array(3), backends=())


@pytest.mark.parametrize("backend", available_backends())
def test_a_broken_promise_is_refused_when_it_runs(backend):
    with pytest.raises(ShapeError, match=r"SpecifyShape\(axes=\(0,\)\)"):
        evaluate(lambda x: ct.specify_shape(x, (3, None)), random((2, 4)), backend=backend)
    if backend == "interpreter":
        with pytest.raises(ShapeError, match=r"needs length 3 along axis 0, got shape \(2, 4\)"):
            evaluate(lambda x: ct.specify_shape(x, (3, None)), random((2, 4)), backend=backend)


def test_a_promise_that_cannot_be_kept_is_refused_at_once():
    with pytest.raises(ShapeError, match="needs length 3 along axis 0, but x has length 2"):
        ct.specify_shape(tensor("x", 2), (3,))


def test_a_promise_needs_an_entry_for_each_axis():
    with pytest.raises(ShapeError, match="specify_shape needs 2 lengths for x, got 1"):
        ct.specify_shape(tensor("x", 2, 3), (2,))


def test_a_negative_length_is_refused():
    with pytest.raises(ShapeError, match="needs lengths >= 0, got -3"):
        ct.specify_shape(tensor("x", None), (-3,))


# --- DimShuffle ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lengths, pattern, expected",
    [
        ((), ("x",), (1,)),
        ((5,), ("x", 0), (1, 5)),
        ((3, 4), (1, 0), (4, 3)),
        ((3, 4), (1, "x", 0), (4, 1, 3)),
        ((0, 4), (1, 0), (4, 0)),
        ((1, 4), (1,), (4,)),
        ((1, 1), (), ()),
        ((2, 1, 4), (2, "x", 0), (4, 1, 2)),
    ],
)
def test_dimshuffle_permutes_adds_and_drops_axes(lengths, pattern, expected):
    x = random(lengths)
    kept = [p for p in pattern if p != "x"]
    dropped = [axis for axis in range(x.ndim) if axis not in kept]
    agree(lambda x: ct.dimshuffle(x, *pattern), x, expected=x.transpose(*kept, *dropped).reshape(expected))


def test_dimshuffle_takes_a_pattern_as_one_argument():
    x = tensor("x", 3, None)
    assert ct.dimshuffle(x, (1, "x", -2)).owner.op == ct.DimShuffle(2, (1, "x", 0))
    assert ct.dimshuffle(x, 0, 1) is x


def test_dimshuffle_is_a_view():
    assert ct.DimShuffle.view_map == {0: [0]}
    out = ct.transpose(tensor("x", 3, None))
    assert out.type.shape == (None, 3)


@pytest.mark.parametrize("pattern", [(0, 0), (2,), (-1,), ("y",)])
def test_a_pattern_that_does_not_fit_is_refused(pattern):
    with pytest.raises(AxisError, match=r"needs each of 0 \.\. 1 at most once in its pattern, and otherwise 'x'"):
        ct.DimShuffle(2, pattern)


def test_dimshuffle_needs_the_ndim_it_was_made_for():
    with pytest.raises(ShapeError, match="needs ndim=2, but x has ndim=1"):
        ct.DimShuffle(2, (1, 0))(tensor("x", 3))


def test_an_axis_that_is_known_to_be_longer_cannot_be_dropped():
    with pytest.raises(ShapeError, match="drops axis 0 of x, whose length is 3, not 1"):
        ct.squeeze(tensor("x", 3, 4), 0)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("lengths, axis", [((3, 4), 0), ((3,), 0), ((0, 2), 0)])
def test_an_axis_that_turns_out_longer_cannot_be_dropped(backend, lengths, axis):
    text = "drops axis 0, whose length is not 1: got shape" if backend == "interpreter" else "DimShuffle"
    with pytest.raises(ShapeError, match=text):
        evaluate(lambda x: ct.squeeze(x, axis), random(lengths), backend=backend)


@pytest.mark.parametrize("axes", [None, (0, 1, 2), (2, 0, 1), (-1, 0, -2)])
def test_transpose_matches_numpy(axes):
    x = random((2, 3, 4))
    agree(lambda x: ct.transpose(x, axes), x, expected=np.ascontiguousarray(x.transpose(axes)))


@pytest.mark.parametrize("axes", [(0,), (0, 0), (0, 1, 1)])
def test_transpose_needs_each_axis_once(axes):
    with pytest.raises(AxisError, match="transpose needs each of the 2 axes of x once"):
        ct.transpose(tensor("x", 3, 4), axes)


@pytest.mark.parametrize("axis1, axis2", [(0, 1), (-1, 0), (1, 1)])
def test_swapaxes_matches_numpy(axis1, axis2):
    x = random((2, 3, 4))
    assert_same(evaluate(lambda x: ct.swapaxes(x, axis1, axis2), x), np.swapaxes(x, axis1, axis2))


@pytest.mark.parametrize("source, destination", [(0, -1), (-1, 0), ((0, 1), (-1, -2)), ((2, 0), (0, 1)), (1, 1)])
def test_moveaxis_matches_numpy(source, destination):
    x = random((2, 3, 4))
    assert_same(evaluate(lambda x: ct.moveaxis(x, source, destination), x), np.moveaxis(x, source, destination))


def test_moveaxis_needs_as_many_places_as_axes():
    with pytest.raises(AxisError, match=r"as many places as axes, got source=\(0, 1\) and destination=0"):
        ct.moveaxis(tensor("x", 3, 4), (0, 1), 0)
    with pytest.raises(AxisError, match="got an axis twice"):
        ct.moveaxis(tensor("x", 3, 4), (0, 0), (0, 1))


@pytest.mark.parametrize("axis", [0, -1, 1, (0, -1), (1, 2)])
def test_expand_dims_matches_numpy(axis):
    x = random((3, 4))
    assert_same(evaluate(lambda x: ct.expand_dims(x, axis), x), np.expand_dims(x, axis))


@pytest.mark.parametrize("axis", [2, -3, (0, 0), (0, -3), "x"])
def test_expand_dims_needs_places_of_the_result(axis):
    with pytest.raises(AxisError, match="expand_dims needs different axes with -"):
        ct.expand_dims(tensor("x", 3), axis)


@pytest.mark.parametrize("axis", [0, -1, (0, 2)])
def test_squeeze_matches_numpy(axis):
    x = random((1, 3, 1))
    agree(lambda x: ct.squeeze(x, axis), x, expected=x.squeeze(axis))


def test_squeeze_without_axis_drops_what_is_known_to_be_one():
    assert ct.squeeze(tensor("x", 1, None, 1, 3)).type.shape == (None, 3)


@pytest.mark.parametrize("lengths", [(), (3,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("name", ["atleast_1d", "atleast_2d", "atleast_3d"])
def test_at_least_so_many_axes_as_in_numpy(name, lengths):
    x = random(lengths)
    assert_same(evaluate(getattr(ct, name), x), getattr(np, name)(x))


# --- Reshape -------------------------------------------------------------------------------------------------------

RESHAPES = [
    ((), (1,)),
    ((), (1, 1)),
    ((1,), ()),
    ((6,), (2, 3)),
    ((6,), (2, -1)),
    ((2, 3), 6),
    ((2, 3), (-1,)),
    ((2, 3, 4), (6, 4)),
    ((2, 3, 4), (4, -1, 2)),
    ((0,), (0, 3)),
    ((0, 4), (4, 0)),
    ((0, 4), (-1, 2)),
    ((4, 0), (0,)),
    ((2, 3), (2, 3)),
]


@pytest.mark.parametrize("lengths, new", RESHAPES)
def test_reshape_matches_numpy(lengths, new):
    x = random(lengths)
    agree(lambda x: ct.reshape(x, new), x, expected=x.reshape(new))


@pytest.mark.parametrize("n, m", [(2, 3), (-1, 2), (3, -1), (6, 1)])
def test_reshape_takes_symbolic_lengths_also_minus_one(n, m):
    x = random((2, 3))
    agree(lambda x, n, m: ct.reshape(x, (n, m)), x, np.array(n), np.array(m), expected=x.reshape(n, m))


def test_reshape_infers_what_is_known():
    x = tensor("x", 2, 3, 4)
    assert ct.reshape(x, (4, -1)).type.shape == (4, 6)
    assert ct.reshape(x, (scalar("n"), 6)).type.shape == (4, 6)
    assert ct.reshape(tensor("y", None), (4, -1)).type.shape == (4, None)


def test_minus_one_beside_lengths_of_the_tensor_is_what_remains_of_it():
    x = tensor("x", None, 3, 4)
    assert ct.reshape(x, (x.shape[0], -1)).type.shape == (None, 12)
    assert ct.reshape(x, (x.shape[0], 2, -1)).type.shape == (None, 2, 6)
    assert evaluate(lambda x: ct.reshape(x, (x.shape[0], -1)), np.zeros((0, 3, 4))).shape == (0, 12)


def test_reshape_can_be_told_ndim():
    assert ct.reshape(tensor("x", 6), (2, 3), ndim=2).ndim == 2
    with pytest.raises(ShapeError, match=r"told ndim=3, but shape=\(2, 3\) has 2 lengths"):
        ct.reshape(tensor("x", 6), (2, 3), ndim=3)


@pytest.mark.parametrize("lengths, new", [((6,), (4,)), ((6,), (4, -1)), ((0,), (0, -1)), ((2, None), (3, 3, -1, -1))])
def test_a_shape_that_cannot_be_is_refused_at_once(lengths, new):
    with pytest.raises(ShapeError, match=r"cannot give x, of shape|allows one length of -1, got"):
        ct.reshape(tensor("x", *lengths), new)


def test_a_negative_length_other_than_minus_one_is_refused():
    with pytest.raises(ShapeError, match=r"Reshape\(ndim=1\) needs lengths >= 0, got -2"):
        ct.reshape(tensor("x", None), (-2,))
    with pytest.raises(ShapeError, match=r"needs lengths >= 0 or one -1, got \(-2, -3\)"):
        evaluate(lambda x, n: ct.reshape(x, (n, n - 1)), random(6), np.array(-2), backend="interpreter")


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize(
    "lengths, new", [((6,), (4,)), ((6,), (4, -1)), ((0,), (0, -1)), ((2, 3), ()), ((0,), (1,)), ((5,), (0,))]
)
def test_a_shape_that_turns_out_not_to_fit_is_refused(backend, lengths, new):
    text = "cannot give an array of shape" if backend == "interpreter" else "Reshape"
    with pytest.raises(ShapeError, match=text):
        evaluate(lambda x: ct.reshape(x, new), random(lengths), backend=backend)


def test_reshape_needs_as_many_lengths_as_it_was_made_for():
    with pytest.raises(ShapeError, match=r"Reshape\(ndim=2\) needs 2 lengths, got 1"):
        ct.Reshape(2)(tensor("x", 6), 6)


def test_lengths_of_a_reshape_do_not_get_a_gradient():
    x, n = tensor("x", None), scalar("n")
    node = ct.reshape(x, (n, -1)).owner
    assert node.op.connection_pattern(node) == [[True], [False], [False]]
    assert [g.type for g in node.op.grad(node.inputs, [node.out])[1:]] == [DisconnectedType()] * 2
    assert node.op.R_op(node.inputs, [None, None, None]) == [None]


@pytest.mark.parametrize("lengths", SHAPES)
def test_ravel_matches_numpy(lengths):
    x = random(lengths)
    agree(ct.ravel, x, expected=x.ravel())


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_flatten_keeps_the_first_axes(ndim):
    for x in (random((2, 3, 4)), random((0, 3, 4))):
        agree(
            lambda x: ct.flatten(x, ndim),
            x,
            expected=x.reshape((*x.shape[: ndim - 1], int(np.prod(x.shape[ndim - 1 :])))),
        )


@pytest.mark.parametrize("ndim", [0, 3])
def test_flatten_cannot_add_axes(ndim):
    with pytest.raises(ShapeError, match=rf"flatten needs 1 <= ndim <= 2, because x has ndim=2, got ndim={ndim}"):
        ct.flatten(tensor("x", 2, 3), ndim)
