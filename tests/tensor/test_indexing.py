"""Indexing: what x[key] reads and writes, against NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core.tensor as ct
from core.errors import ArgumentError, AxisError, DTypeError, IndexOutOfBounds, ShapeError
from core.tensor.keys import Slice, resolve
from core.testing import available_backends, check_lowering, check_op, check_shapes, evaluate, random

S = np.s_
V, M, T, E = (5,), (3, 4), (2, 3, 4), (0, 4)
BASIC = [
    *[
        (V, key)
        for key in (S[1:], S[:-1], S[::2], S[::-1], S[3:0:-2], S[-2:], S[:2], S[10:], S[-10:3], S[4:1], S[1:-1])
    ],
    *[(V, key) for key in (S[-1], S[...], S[:], S[-3:4:2], S[:-7:-1], S[100::-3], S[-100::-3], S[0:0])],
    *[(M, key) for key in (S[1], S[:, 1], S[..., 0], S[1, 2], S[None, 1, :, None], S[1:, ::-2], S[np.int8(1), None])],
    *[(E, key) for key in (S[:, 1], S[::-1], S[:, ::2])],
    *[(T, key) for key in (S[1, ..., None, ::3], S[:, ::-1, -3:-1], S[0, 0, 0])],
    *[((), key) for key in (S[()], S[...])],
]
MASK = np.array([True, False, True])
ADVANCED = [
    *[(V, key) for key in ([0, 2, 2], [], np.array([[0, 1], [-1, -5]]), np.array([3], "uint8"))],
    *[(M, key) for key in (S[[0, 2], [1, 1]], S[[0, 2]], S[:, [0, 2]], S[1, [0, 2]], S[[[0], [2]], [1, 3]])],
    *[(T, key) for key in (S[[0, 1], :, [1, 2]], S[0, :, [1, 2]], S[:, [0, 1], [1, 2]], S[:, [0, 1], 1:3])],
    *[(T, key) for key in (S[1:, [0, 1], ::-1], S[[1], None, [0, 2]], S[..., [0, 2], None])],
    *[(M, key) for key in (MASK, S[MASK, 1], S[MASK, ::2], random(M) > 0)],
    *[(T, key) for key in (S[:, MASK], S[0, random(M) > 0])],
    (E, S[:, [1, 1]]),
]


def ids(cases):
    return [f"{shape}-{key}".replace("\n", "") for shape, key in cases]


def written(x, key, y, add):
    """What NumPy makes of writing."""
    out = x.copy()
    if add:
        np.add.at(out, key, y)
    else:
        out[key] = y
    return out


# --- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("shape, key", BASIC + ADVANCED, ids=ids(BASIC + ADVANCED))
def test_reading_matches_numpy(backend, shape, key):
    x = random(shape)
    for static in (False, True):
        assert_array_equal(evaluate(lambda x: x[key], x, backend=backend, static=static), x[key], strict=True)


@pytest.mark.parametrize("shape, key", BASIC + ADVANCED, ids=ids(BASIC + ADVANCED))
def test_reading_keeps_the_contract(shape, key):
    check_op(lambda x: x[key], random(shape), backends=())


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_slices_match_numpy_with_any_part_symbolic(n):
    rng, x = np.random.default_rng(n), np.arange(float(n))
    for _ in range(25):
        parts = [
            None if rng.integers(2) else int(p) for p in (*rng.integers(-7, 8, 2), rng.choice([-3, -2, -1, 1, 2, 3]))
        ]
        symbolic = [p is not None and bool(rng.integers(2)) for p in parts]

        def read(x, *given, parts=tuple(parts), symbolic=tuple(symbolic)):
            given = iter(given)
            return x[slice(*(next(given) if s else p for p, s in zip(parts, symbolic, strict=True)))]

        def write(x, y, *given, read=read):
            return ct.set_subtensor(read(x, *given), y)

        given = [np.int64(p) for p, s in zip(parts, symbolic, strict=True) if s]
        expected = x[slice(*parts)]
        assert_array_equal(evaluate(read, x, *given), expected, err_msg=str(parts))
        check_shapes(read, x, *given)
        check_lowering(read, x, *given)
        y = random(expected.shape)
        assert_array_equal(evaluate(write, x, y, *given), written(x, slice(*parts), y, add=False), err_msg=str(parts))
        check_lowering(write, x, y, *given)


@pytest.mark.parametrize("dtype", ["int8", "uint64", "int64"])
@pytest.mark.parametrize("i", [0, 2])
def test_a_symbolic_index_may_have_any_integer_dtype(dtype, i):
    x = random((3, 2))
    check_op(lambda x, i: x[i], x, np.asarray(i, dtype), backends=())
    assert_array_equal(evaluate(lambda x, i: x[i], x, np.asarray(i, dtype)), x[i])


def test_a_negative_symbolic_index_counts_from_the_end():
    x = random((3, 2))
    assert_array_equal(evaluate(lambda x, i: x[i], x, np.int64(-1)), x[-1])
    check_lowering(lambda x, i: x[i], x, np.int64(-1))


def test_index_arrays_may_be_symbolic():
    x, i, j = random((3, 4)), np.array([0, -1, 2]), np.array([[3], [-4]])
    assert_array_equal(evaluate(lambda x, i, j: x[i, j], x, i, j), x[i, j])
    check_op(lambda x, i, j: x[i, j], x, i, j, backends=())


def test_the_classes_of_a_batch_pick_one_score_of_each_row():
    scores, classes = random((5, 3)), np.array([0, 2, 1, 1, 0])
    check_op(lambda s, y: s[ct.arange(y.shape[0]), y], scores, classes, backends=())


def test_masks_may_be_symbolic():
    x = random((3, 4))
    assert_array_equal(evaluate(lambda x, m: x[m], x, x > 0), x[x > 0])
    assert_array_equal(evaluate(lambda x: x[x > 0], x), x[x > 0])


def test_lengths_that_are_known_stay_known():
    x = ct.tensor("x", dtype="float64", shape=(5, None, 3))
    assert x[1:4, :, 0].type.shape == (3, None)
    assert x[::-2, 2:, None].type.shape == (3, None, 1, 3)
    assert x[:, :0].type.shape == (5, 0, 3)
    assert x[[0, 1, 2], :, [[0], [1]]].type.shape == (2, 3, None)


def test_slices_of_complementary_ends_have_one_length():
    n = ct.lscalar("n")
    lengths = [resolve(Slice(a, b), n)[1] for a, b in ((2, None), (None, -2), (1, -1))]
    assert len({(out.owner.op, out.owner.inputs[0].owner.inputs[1].data.item()) for out in lengths}) == 1


def test_iterating_gives_the_rows():
    x = ct.tensor("x", dtype="float64", shape=(3, 2))
    assert [row.type.shape for row in x] == [(2,), (2,), (2,)]


# --- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("shape, key", BASIC + ADVANCED, ids=ids(BASIC + ADVANCED))
def test_writing_matches_numpy(shape, key, add):
    x = random(shape)
    y = random(x[key].shape, seed=3)
    write = ct.inc_subtensor if add else ct.set_subtensor
    for backend in available_backends():
        got = evaluate(lambda x, y: write(x[key], y), x, y, backend=backend)
        assert_array_equal(got, written(x, key, y, add), strict=True)


@pytest.mark.parametrize("write", [ct.set_subtensor, ct.inc_subtensor])
@pytest.mark.parametrize("shape, key", BASIC[::2] + ADVANCED[::2], ids=ids(BASIC[::2] + ADVANCED[::2]))
def test_writing_keeps_the_contract(shape, key, write):
    x = random(shape)
    check_op(lambda x, y: write(x[key], y), x, random(x[key].shape, seed=3), backends=())
    check_op(lambda x, y: write(x[key], y), x, np.array(2.0), backends=())


def test_the_last_value_for_one_place_stays_and_gets_the_gradient():
    x, y, i = random((3,)), random((5,), seed=8), np.array([0, 2, 0, 2, 1])
    assert_array_equal(evaluate(lambda x, y: ct.set_subtensor(x[i], y), x, y), written(x, i, y, add=False))
    check_op(lambda x, y: ct.set_subtensor(x[i], y), x, y, backends=())


def test_values_for_one_place_add_up():
    x, y, i = random((3,)), random((5,), seed=8), np.array([0, 2, 0, 2, 1])
    assert_array_equal(evaluate(lambda x, y: ct.inc_subtensor(x[i], y), x, y), written(x, i, y, add=True))
    check_op(lambda x, y: ct.inc_subtensor(x[i], y), x, y, backends=())


def test_writing_goes_through_a_transposition():
    x, y = random((3, 4)), random((4, 2), seed=1)
    expected = x.copy()
    expected[1:].T[...] = y
    assert_array_equal(evaluate(lambda x, y: ct.set_subtensor(x[1:].T, y), x, y), expected)
    check_op(lambda x, y: ct.inc_subtensor(x[1:].T, y), x, y, backends=())


def test_a_written_number_takes_the_dtype_of_the_tensor():
    assert evaluate(lambda x: ct.set_subtensor(x[0], 2), random((3,), "float32")).dtype == "float32"
    assert_array_equal(evaluate(lambda x: ct.inc_subtensor(x[1:], 2), np.arange(3)), [0, 3, 4])


def test_writing_integers_and_bools_has_no_gradient_and_works():
    check_op(lambda x: ct.set_subtensor(x[::2], 7), np.arange(5), backends=())
    check_op(lambda x: ct.inc_subtensor(x[[0, 0, 1]], True), np.zeros(3, "bool"), backends=())


# --- functions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize(
    "mode, indices", [("raise", [[0, 1], [-1, 2]]), ("wrap", [5, -7]), ("clip", [50, -70, 1]), ("raise", 2)]
)
def test_take_matches_numpy(axis, mode, indices):
    x, i = random((3, 4)), np.array(indices)
    expected = np.take(x, i, axis, mode=mode)
    assert_array_equal(evaluate(lambda x, i: ct.take(x, i, axis, mode), x, i), expected)
    check_op(lambda x, i: ct.take(x, i, axis, mode), x, i, backends=())


@pytest.mark.parametrize("shape, axis", [((3, 4), None), ((3, 4), 1), ((3, 4), (0, -1)), ((0, 2), 0), ((), None)])
def test_flip_matches_numpy(shape, axis):
    x = random(shape)
    assert_array_equal(evaluate(lambda x: ct.flip(x, axis), x), np.flip(x, axis), strict=True)
    check_op(lambda x: ct.flip(x, axis), x, backends=())


@pytest.mark.parametrize("n", [0, 1, 2, 5])
@pytest.mark.parametrize("axis", [0, -1])
def test_diff_matches_numpy(n, axis):
    x = random((3, 4))
    assert_array_equal(evaluate(lambda x: ct.diff(x, n, axis), x), np.diff(x, n, axis), strict=True)
    check_op(lambda x: ct.diff(x, n, axis), x, backends=())


def test_diff_of_bools_says_where_they_differ():
    x = random((6,)) > 0
    assert_array_equal(evaluate(ct.diff, x), np.diff(x), strict=True)


@pytest.mark.parametrize(
    "axis, indices", [(1, [[0, 1], [3, -1], [2, 2]]), (0, [[0, 1, 2, 2]]), (-1, [[2]]), (None, [0, 11, -1])]
)
def test_take_along_axis_matches_numpy(axis, indices):
    x, i = random((3, 4)), np.array(indices)
    expected = np.take_along_axis(x, i, axis)
    assert_array_equal(evaluate(lambda x, i: ct.take_along_axis(x, i, axis), x, i), expected)
    check_op(lambda x, i: ct.take_along_axis(x, i, axis), x, i, backends=())


@pytest.mark.parametrize("shape", [(5,), (3, 4), (0, 2)])
def test_nonzero_matches_numpy(shape):
    x = random(shape, "int64", low=0, high=1)
    for got, expected in zip(evaluate(ct.nonzero, x), np.nonzero(x), strict=True):
        assert_array_equal(got, expected, strict=True)
    assert_array_equal(evaluate(lambda x: ct.nonzero(x, return_matrix=True), x), np.stack(np.nonzero(x)))
    assert_array_equal(evaluate(ct.flatnonzero, x), np.flatnonzero(x))
    assert_array_equal(evaluate(ct.nonzero_values, x), x[np.nonzero(x)])


# --- errors --------------------------------------------------------------------------------------------------------

x3 = ct.tensor("x3", dtype="float64", shape=(3, None))


@pytest.mark.parametrize(
    "key, error, text",
    [
        (
            3,
            IndexOutOfBounds,
            r"an index needs -3 <= i < 3, because axis 0 of x3 has length 3, got 3\n  x3 was made at",
        ),
        (S[:, 0, 0], IndexOutOfBounds, "x3 was given 3 indices, but has ndim=2"),
        (S[..., 0, ...], IndexOutOfBounds, r"a key may hold '\.\.\.' once, got it 2 times in indexing x3"),
        ([0, -4], IndexOutOfBounds, "an index needs -3 <= i < 3, because axis 0 of x3 has length 3, got -4"),
        (
            np.ones(2, "bool"),
            IndexOutOfBounds,
            r"a mask needs length 3 along its axis 0, as the tensor, but .* has length 2",
        ),
        (1.0, DTypeError, r"an index must be an integer, a slice, '\.\.\.', None or an array, got 1.0 of type float"),
        (True, DTypeError, "got True of type bool"),
        (S["a":], DTypeError, "got 'a' of type str"),
        (ct.scalar("s"), DTypeError, "an index must be an integer with ndim=0, got s of type"),
        (ct.vector("v"), DTypeError, "an index must be an integer, got v of dtype float64"),
        (S[ct.lvector("i") :], DTypeError, "an index must be an integer with ndim=0, got i of type"),
        (S[::0], ShapeError, "a slice needs a step that is not 0, got ::0"),
        (S[[0, 1], [0, 1, 2]], ShapeError, "cannot broadcast the index arrays"),
    ],
)
def test_a_bad_key_is_an_error_when_the_graph_is_built(key, error, text):
    with pytest.raises(error, match=text):
        x3[key]


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("read", [lambda x, i: x[i], lambda x, i: x[:, i], lambda x, i: x[i.reshape((1,))]])
@pytest.mark.parametrize("i", [4, -5])
def test_an_index_outside_its_axis_is_an_error_when_it_runs(backend, read, i):
    with pytest.raises(IndexOutOfBounds, match="is out of (bounds|range)"):
        evaluate(read, random((4, 4)), np.int64(i), backend=backend)


def test_the_run_time_error_names_op_and_shape():
    with pytest.raises(
        IndexOutOfBounds, match=r"Subtensor\(key=\[i, :\]\) cannot read from shape \(4, 2\): index 9 is out"
    ):
        evaluate(lambda x, i: x[i], random((4, 2)), np.int64(9))


def test_a_step_of_0_is_an_error_when_it_runs():
    with pytest.raises(ShapeError, match="slice step cannot be zero"):
        evaluate(lambda x, i: x[::i], random((4,)), np.int64(0))


def test_index_arrays_that_do_not_broadcast_are_an_error_when_it_runs():
    with pytest.raises(ShapeError, match="could not be broadcast together"):
        evaluate(lambda x, i, j: x[i, j], random((4, 4)), np.array([0, 1]), np.array([0, 1, 2]))


@pytest.mark.parametrize("backend", available_backends())
def test_a_mask_of_another_shape_is_an_error_when_it_runs(backend):
    with pytest.raises(IndexOutOfBounds, match=r"a mask needs shape \(4,\), as the tensor, got shape \(3,\)"):
        evaluate(lambda x, m: x[m], random((4,)), np.ones(3, "bool"), backend=backend)


def test_writing_needs_an_indexed_tensor():
    x = ct.vector("x")
    with pytest.raises(ArgumentError, match=r"set_subtensor needs x\[key\] as its first argument, got x"):
        ct.set_subtensor(x, 0)
    with pytest.raises(ArgumentError, match=r"inc_subtensor needs x\[key\]"):
        ct.inc_subtensor(x * 2, 0)


def test_writing_needs_a_value_of_the_same_kind():
    with pytest.raises(
        DTypeError, match=r"set_subtensor needs a value that can become int64, got .* of dtype float64; cast it"
    ):
        ct.set_subtensor(ct.lvector("x")[0], ct.scalar("y"))


@pytest.mark.parametrize("shape", [(4,), (1, 2, 3, 2)])
def test_writing_needs_a_value_that_broadcasts(shape):
    x = ct.tensor("x", dtype="float64", shape=(3, 2))
    with pytest.raises(ShapeError, match="inc_subtensor cannot broadcast y of"):
        ct.inc_subtensor(x[:2], ct.tensor("y", dtype="float64", shape=shape))


@pytest.mark.parametrize("key", [slice(0, 1), [0]])
def test_writing_needs_a_value_that_broadcasts_when_it_runs(key):
    with pytest.raises(ShapeError, match=r"needs a value of shape \(1,\), because that is x\[key\], got shape \(3,\)"):
        evaluate(lambda x, y: ct.set_subtensor(x[key], y), random((5,)), random((3,)))


def test_the_ops_check_what_they_are_given():
    x, y = ct.vector("x"), ct.fvector("y")
    read, gather = x[1:].owner.op, x[[0]].owner.op
    with pytest.raises(
        ArgumentError, match=r"Subtensor\(key=\[1:\]\) needs ndim=1 and 0 indices, got m with ndim=2 and 0"
    ):
        read(ct.matrix("m"))
    with pytest.raises(ArgumentError, match="needs ndim=1 and 1 indices, got x with ndim=1 and 0"):
        gather(x)
    with pytest.raises(DTypeError, match="needs integers as indices, got x of dtype float64"):
        gather(x, x)
    with pytest.raises(DTypeError, match="needs a value of dtype float64, got y of dtype float32"):
        ct.SetSubtensor(read.key)(x, y)
    with pytest.raises(ShapeError, match=r"needs a value of .*, because that is x\[key\], got s of"):
        ct.IncSubtensor(read.key)(x, ct.scalar("s"))


def test_nonzero_checks_what_it_is_given():
    with pytest.raises(ShapeError, match="nonzero needs ndim >= 1, got s with ndim=0"):
        ct.nonzero(ct.scalar("s"))
    with pytest.raises(ShapeError, match="NonZero needs a vector of bool, got m of type"):
        ct.NonZero()(ct.matrix("m"), 3)


def test_take_diff_and_flip_check_their_arguments():
    x = ct.matrix("x")
    with pytest.raises(AxisError, match="take needs -2 <= axis < 2"):
        ct.take(x, 0, axis=2)
    with pytest.raises(ArgumentError, match="take needs mode 'raise', 'wrap' or 'clip', got 'no'"):
        ct.take(x, 0, mode="no")
    with pytest.raises(DTypeError, match="take needs integers as indices, got x of dtype float64"):
        ct.take(x, x)
    with pytest.raises(ArgumentError, match="diff needs n >= 0, got -1"):
        ct.diff(x, -1)
    with pytest.raises(AxisError, match="flip needs -2 <= axis < 2"):
        ct.flip(x, 2)
    with pytest.raises(ShapeError, match="take_along_axis needs indices with ndim=2, got ndim=1"):
        ct.take_along_axis(x, ct.lvector("i"))
