"""Broadcasting, joining, splitting and diagonals: values, types and derivatives against NumPy."""

import numpy as np
import pytest

import core.tensor as ct
from core.errors import ArgumentError, AxisError, ShapeError
from core.tensor.type import TensorType, as_tensor
from core.testing import available_backends, check_derivatives, check_op, evaluate, random

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


# --- broadcasting --------------------------------------------------------------------------------------------------

BROADCASTS = [((), (3,)), ((), ()), ((1,), (0,)), ((4,), (3, 4)), ((3, 1), (3, 4)), ((0,), (2, 0)), ((1, 1), (2, 3, 4))]


@pytest.mark.parametrize("lengths, new", BROADCASTS)
def test_broadcast_to_matches_numpy(lengths, new):
    x = random(lengths)
    agree(lambda x: ct.broadcast_to(x, new), x, expected=np.array(np.broadcast_to(x, new)))


def test_broadcast_to_takes_symbolic_lengths():
    x = random((3, 1))
    agree(
        lambda x, n: ct.broadcast_to(x, (2, 3, n)),
        x,
        np.array(4),
        expected=np.array(np.broadcast_to(x, (2, 3, 4))),
    )


def test_a_broadcast_knows_what_can_be_known():
    assert ct.broadcast_to(tensor("x", 3, 1), (scalar("n"), scalar("m"))).type.shape == (3, None)
    x = tensor("x", 3, 4)
    assert ct.broadcast_to(x, (3, 4)) is x


def test_a_broadcast_that_cannot_be_is_refused_at_once():
    with pytest.raises(ShapeError, match=r"Alloc cannot broadcast x, of shape \(3,\), to \(4,\)"):
        ct.broadcast_to(tensor("x", 3), 4)
    with pytest.raises(ShapeError, match=r"Alloc cannot broadcast x, of ndim=2, to ndim=1"):
        ct.broadcast_to(tensor("x", 3, 4), 4)
    with pytest.raises(ShapeError, match=r"Alloc needs lengths >= 0, got -1"):
        ct.broadcast_to(tensor("x", 1), -1)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("lengths, new", [((3,), 4), ((3,), 1), ((0,), 3), ((1,), -2)])
def test_a_broadcast_that_turns_out_not_to_fit_is_refused(backend, lengths, new):
    text = "cannot broadcast an array of shape" if backend == "interpreter" else "Alloc"
    with pytest.raises(ShapeError, match=text):
        evaluate(lambda x, n: ct.broadcast_to(x, n), random(lengths), np.array(new), backend=backend)


def test_broadcast_arrays_matches_numpy():
    x, y = random((3, 1)), random(4)
    for static in (False, True):
        got = evaluate(lambda x, y: ct.broadcast_arrays(x, y), x, y, static=static)
        for a, b in zip(got, np.broadcast_arrays(x, y), strict=True):
            assert_same(a, b)
    check_op(lambda x, y: ct.broadcast_arrays(x, y), x, y, backends=())


def test_broadcast_arrays_need_lengths_that_fit():
    with pytest.raises(ShapeError, match="do not broadcast: 3 and 4"):
        ct.broadcast_arrays(tensor("x", 3), tensor("y", 4))


@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("lengths", [(3, 4), (0, 4), (2, 1)])
def test_repeat_matches_numpy(lengths, axis):
    x = random(lengths)
    agree(lambda x: ct.repeat(x, 3, axis), x, expected=np.repeat(x, 3, axis))
    assert_same(evaluate(lambda x, n: ct.repeat(x, n, axis), x, np.array(2)), np.repeat(x, 2, axis))


@pytest.mark.parametrize("reps", [2, (2,), (2, 3), (3, 1, 2), (0, 2)])
@pytest.mark.parametrize("lengths", [(), (3,), (2, 3)])
def test_tile_matches_numpy(lengths, reps):
    x = random(lengths)
    agree(lambda x: ct.tile(x, reps), x, expected=np.tile(x, reps))


# --- Join ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lengths, axis",
    [
        ([(3,)], 0),
        ([(3,), (0,), (2,)], 0),
        ([(2, 3), (1, 3)], 0),
        ([(2, 3), (2, 1)], -1),
        ([(0, 3), (0, 3)], 0),
        ([(2, 3, 4), (2, 1, 4), (2, 2, 4)], 1),
    ],
)
def test_concatenate_matches_numpy(lengths, axis):
    xs = [random(n, seed=k) for k, n in enumerate(lengths)]
    agree(lambda *xs: ct.concatenate(xs, axis), *xs, expected=np.concatenate(xs, axis))


def test_concatenate_without_axis_ravels():
    xs = [random((2, 3)), random(2)]
    assert_same(evaluate(lambda *xs: ct.concatenate(xs, None), *xs), np.concatenate(xs, None))


@pytest.mark.parametrize(
    "dtypes", [("float32", "int32"), ("int8", "uint8"), ("bool", "int16"), ("float64", "complex64")]
)
def test_joined_tensors_are_promoted(dtypes):
    xs = [random(3, dtype) for dtype in dtypes]
    agree(lambda *xs: ct.concatenate(xs), *xs, expected=np.concatenate(xs), derivatives=False)


def test_a_joined_input_of_integers_gets_no_gradient():
    check_derivatives(lambda x, i: ct.concatenate([x, i]), random(3), random(2, "int32"))
    node = ct.concatenate([tensor("x", 3), tensor("i", 3, dtype="int64")]).owner
    assert node.op.connection_pattern(node) == [[True], [False]]
    assert node.op.R_op(node.inputs, [None, None]) == [None]


def test_a_join_knows_its_length():
    assert ct.concatenate([tensor("x", 3, None), tensor("y", 2, 4)]).type.shape == (5, 4)
    assert ct.concatenate([tensor("x", None, None), tensor("y", 2, 4)]).type.shape == (None, 4)


def test_a_join_needs_something_to_join():
    with pytest.raises(ShapeError, match="needs at least one tensor to join, got none"):
        ct.concatenate([])
    with pytest.raises(ShapeError, match="stack needs at least one tensor, got none"):
        ct.stack([])


def test_a_join_needs_one_ndim():
    with pytest.raises(ShapeError, match="needs tensors of one ndim >= 1, got ndim 1, 2"):
        ct.concatenate([tensor("x", 3), tensor("y", 3, 4)])
    with pytest.raises(ShapeError, match="needs tensors of one ndim >= 1, got ndim 0"):
        ct.concatenate([tensor("x")])
    with pytest.raises(ShapeError, match="stack needs tensors of one ndim, got ndim 1, 2"):
        ct.stack([tensor("x", 3), tensor("y", 3, 4)])


def test_a_join_needs_an_axis_that_is_there():
    with pytest.raises(AxisError, match=r"Join\(axis=1\) needs -1 <= axis < 1"):
        ct.concatenate([tensor("x", 3)], 1)
    with pytest.raises(AxisError, match="stack needs -2 <= axis < 2, because x has ndim=1, got axis=2"):
        ct.stack([tensor("x", 3)], 2)


def test_a_join_needs_equal_lengths_elsewhere():
    with pytest.raises(ShapeError, match="needs equal lengths along axis 1, got 3 and 4"):
        ct.concatenate([tensor("x", None, 3), tensor("y", None, 4)])


@pytest.mark.parametrize("backend", available_backends())
def test_a_join_of_what_turns_out_to_differ_is_refused(backend):
    text = r"Join\(axis=0\) cannot join arrays of shapes \(2, 3\) and \(2, 4\)" if backend == "interpreter" else "Join"
    with pytest.raises(ShapeError, match=text):
        evaluate(lambda x, y: ct.concatenate([x, y]), random((2, 3)), random((2, 4)), backend=backend)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_stack_matches_numpy(axis):
    xs = [random(3, seed=k) for k in range(2)]
    agree(lambda *xs: ct.stack(xs, axis), *xs, expected=np.stack(xs, axis))


@pytest.mark.parametrize("lengths", [(), (3,), (2, 3)])
@pytest.mark.parametrize("name", ["hstack", "vstack", "column_stack"])
def test_stacks_match_numpy(name, lengths):
    xs = [random(lengths, seed=k) for k in range(2)]
    assert_same(evaluate(lambda *xs: getattr(ct, name)(xs), *xs), getattr(np, name)(xs))


@pytest.mark.parametrize("sections, axis", [(3, 0), (2, -1), ([1, 4], 0), ([0, 2], 1), ([], 0), (np.array([2]), 0)])
def test_split_matches_numpy(sections, axis):
    x = random((6, 4))
    for static in (False, True):
        got = evaluate(lambda x: ct.split(x, sections, axis), x, static=static)
        for a, b in zip(got, np.split(x, sections, axis), strict=True):
            assert_same(a, b)


def test_split_needs_a_length_that_divides():
    with pytest.raises(ShapeError, match="split needs a length that 4 divides along axis 0 of x, got 6"):
        ct.split(tensor("x", 6), 4)
    with pytest.raises(ShapeError, match="SpecifyShape"):
        evaluate(lambda x: ct.split(x, 4), random(6))


@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("shift", [0, 1, -1, 5, -7])
@pytest.mark.parametrize("lengths", [(3, 4), (0, 4), (1, 1)])
def test_roll_matches_numpy(lengths, shift, axis):
    x = random(lengths)
    for static in (False, True):
        assert_same(evaluate(lambda x: ct.roll(x, shift, axis), x, static=static), np.roll(x, shift, axis))


@pytest.mark.parametrize("shift, axis", [((1, 2), (0, 2)), (1, (0, -1)), ((1, 2), (1, 1)), ((), ())])
def test_roll_takes_several_axes(shift, axis):
    x = random((2, 3, 4))
    assert_same(evaluate(lambda x: ct.roll(x, shift, axis), x), np.roll(x, shift, axis))


def test_roll_needs_a_shift_for_each_axis():
    with pytest.raises(ArgumentError, match=r"a shift for each of 1 axes, or one for all, got \(1, 2\)"):
        ct.roll(ct.dmatrix("x"), (1, 2), 0)


def test_roll_takes_a_symbolic_shift():
    x = random((3, 4))
    assert_same(evaluate(lambda x, n: ct.roll(x, n, 0), x, np.array(2)), np.roll(x, 2, 0))
    check_derivatives(lambda x: ct.roll(x, 2, 0), x)


# --- diagonals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 1, -1, 3, -5])
@pytest.mark.parametrize("lengths", [(3, 4), (4, 3), (0, 4), (1, 1)])
def test_diag_of_a_matrix_matches_numpy(lengths, offset):
    x = random(lengths)
    agree(lambda x: ct.diag(x, offset), x, expected=np.diag(x, offset))


@pytest.mark.parametrize("offset", [0, 2, -1])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_diag_of_a_vector_matches_numpy(n, offset):
    x = random(n)
    agree(lambda x: ct.diag(x, offset), x, expected=np.diag(x, offset))


def test_diagonal_and_trace_match_numpy():
    x = random((2, 3, 4))
    agree(lambda x: ct.diagonal(x, 1, 0, -1), x, expected=np.array(np.diagonal(x, 1, 0, -1)))
    agree(lambda x: ct.diagonal(x), x, expected=np.array(np.diagonal(x)))
    np.testing.assert_allclose(evaluate(ct.trace, x), np.trace(x))


def test_a_known_diagonal_has_a_known_length():
    assert ct.diag(tensor("x", 3, 4), 2).type.shape == (2,)
    assert ct.diag(tensor("v", 3), -2).type.shape == (5, 5)
    assert ct.diag(tensor("v", None), -2).type.shape == (None, None)


def test_a_diagonal_needs_a_matrix():
    with pytest.raises(ShapeError, match="diag needs a vector or a matrix, but x has ndim=3"):
        ct.diag(tensor("x", 1, 2, 3))
    with pytest.raises(ShapeError, match=r"Diagonal\(offset=0\) needs ndim >= 2, but x has ndim=1"):
        ct.Diagonal()(tensor("x", 1))
    with pytest.raises(ShapeError, match="needs a diagonal with ndim >= 1, but x has ndim=0"):
        ct.FromDiagonal()(tensor("x"), 1, 1)
    with pytest.raises(AxisError, match="diagonal needs two different axes of x, got axis1=0 and axis2=-2"):
        ct.diagonal(tensor("x", 1, 2), 0, 0, -2)


def test_a_diagonal_must_have_the_length_of_its_matrix():
    with pytest.raises(ShapeError, match=r"of a 3 by 4 matrix needs 3 elements, got shape \(2,\)"):
        evaluate(lambda d: ct.FromDiagonal()(d, 3, 4), random(2), backend="interpreter")


def test_a_list_of_numbers_is_rearranged_too():
    assert as_tensor(ct.concatenate([[1, 2], [3]])).type.shape == (3,)
    assert ct.reshape([1, 2, 3, 4], (2, 2)).type.shape == (2, 2)


@pytest.mark.parametrize("dtype", ["bool", "int8", "complex64"])
def test_a_diagonal_keeps_its_dtype(dtype):
    x = random(3, dtype)
    agree(ct.diag, x, expected=np.diag(x), derivatives=False)
