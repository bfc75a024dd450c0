"""The slow evaluator of the loop IR: it must be right, and stricter than any backend."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.errors import BackendError, GraphError, IndexOutOfBounds, ShapeError
from core.ir.axes import reduce, same_length, spread, unravel, wrap_index
from core.ir.builder import Buffer, KernelBuilder
from core.ir.check.oracle import evaluate_at, evaluate_lengths, evaluate_view, run_kernel
from core.ir.codes import Code, Combine
from core.ir.expr import Call, cast, const, guarded, index, length, load, make, select
from core.ir.nodes import Assign, If, Kernel, Let, Local, Loop, Store
from core.ir.scatter import Scatter
from core.ir.view import View


def stored(name, ndim, dtype="float64"):
    return View(dtype, [length(name, axis) for axis in range(ndim)], lambda at: load(name, at, dtype))


def numbers(*shape):
    return np.arange(np.prod(shape, dtype=int), dtype="float64").reshape(shape)


X, PLACES = stored("x", 2), stored("i", 1, "int64")
N, M = X.shape


def over(shape, at, dtype="float64"):
    return View(dtype, shape, lambda k: at(*k))


# --- views ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (4, 0), (1, 1)])
def test_a_stored_view_is_its_array_copied(shape):
    x = numbers(*shape)
    out = evaluate_view(X, {"x": x})
    assert_array_equal(out, x)
    assert not np.shares_memory(out, x)


def test_the_result_has_the_dtype_of_the_view():
    assert evaluate_view(over([N], lambda k: k, "int32"), {"x": numbers(3, 1)}).dtype == "int32"


def test_a_transpose_and_a_slice_are_index_arithmetic():
    x = numbers(3, 4)
    assert_array_equal(evaluate_view(over([M, N], lambda j, i: X.at((i, j))), {"x": x}), x.T)
    assert_array_equal(evaluate_view(over([N, 2], lambda i, j: X.at((i, 3 - 2 * j))), {"x": x}), x[:, ::-2])


def test_a_gather_reads_at_another_views_elements():
    x, i = numbers(3, 4), np.array([2, 0, 0])
    gathered = over([*PLACES.shape, M], lambda a, b: X.at((PLACES.at((a,)), b)))
    assert_array_equal(evaluate_view(gathered, {"x": x, "i": i}), x[i])


def test_a_constant_view_fills_its_shape():
    assert_array_equal(
        evaluate_view(over([N, M], lambda i, j: const(7.0, "float64")), {"x": numbers(2, 3)}), np.full((2, 3), 7.0)
    )


def test_a_0d_view_gives_a_0d_array():
    out = evaluate_view(over([], lambda: reduce(Combine.ADD, [N, M], lambda i, j: X.at((i, j)))), {"x": numbers(2, 3)})
    assert out.shape == () and out == 15


def test_a_negative_length_is_an_error():
    with pytest.raises(ShapeError, match=r"a length is negative in shape \(-1,\)"):
        evaluate_view(over([const(-1)], lambda k: k), {})


def test_a_missing_array_is_an_error():
    with pytest.raises(BackendError, match="x is read, but no array was given for it"):
        evaluate_view(X, {})


def test_a_read_outside_an_array_is_an_error():
    with pytest.raises(IndexOutOfBounds, match=r"reads outside axis 1 of length 4"):
        evaluate_view(over([N, M], lambda i, j: X.at((i, j + 1))), {"x": numbers(3, 4)})
    with pytest.raises(IndexOutOfBounds, match=r"reads outside axis 0 of length 3"):
        evaluate_view(over([N], lambda i: X.at((i - 1, const(0)))), {"x": numbers(3, 4)})


def test_nothing_read_is_nothing_read_wrongly():
    assert evaluate_view(over([const(0)], lambda i: X.at((i + 100, i))), {"x": numbers(3, 4)}).shape == (0,)


def test_a_load_with_the_wrong_number_of_indices_is_an_error():
    with pytest.raises(ShapeError, match="gives 2 indices for an array of shape"):
        evaluate_view(over([], lambda: load("x", (0, 0), "float64")), {"x": numbers(2, 2, 2)})


def test_a_free_variable_is_an_error():
    with pytest.raises(BackendError, match="the loop variable i is free"):
        evaluate_view(over([], lambda: X.at((index("i"), const(0)))), {"x": numbers(2, 2)})


def test_a_local_outside_a_kernel_is_an_error():
    with pytest.raises(BackendError, match="the local t is read before it has a value"):
        evaluate_view(over([], lambda: Local("t", "float64").expr), {})


# --- guards and choices ---------------------------------------------------------------------------------------------


def test_padding_reads_only_inside():
    x = numbers(3, 4)
    padded = over([N, M + 2], lambda i, j: guarded((j >= 1) & (j < M + 1), X.at((i, j - 1)), 0.0))
    assert_array_equal(evaluate_view(padded, {"x": x}), np.pad(x, ((0, 0), (1, 1))))


def test_joining_reads_each_piece_only_inside():
    y = stored("y", 2)
    joined = over([N + y.shape[0], M], lambda i, j: guarded(i < N, X.at((i, j)), y.at((i - N, j))))
    a, b = numbers(3, 2), numbers(2, 2)
    assert_array_equal(evaluate_view(joined, {"x": a, "y": b}), np.concatenate([a, b]))
    assert_array_equal(evaluate_view(joined, {"x": a[:0], "y": b}), b)
    assert_array_equal(evaluate_view(joined, {"x": a, "y": b[:0]}), a)


def test_guards_nest():
    view = over([const(6)], lambda i: guarded(i >= 1, guarded(i < 4, X.at((i - 1, const(0))), -1.0), -2.0))
    assert evaluate_view(view, {"x": numbers(3, 1)}).tolist() == [-2, 0, 1, 2, -1, -1]


def test_a_guard_with_a_wrong_condition_is_caught():
    with pytest.raises(IndexOutOfBounds):
        evaluate_view(over([N + 2], lambda i: guarded(i <= N, X.at((i, const(0))), 0.0)), {"x": numbers(3, 1)})


def test_a_choice_reads_both_sides():
    with pytest.raises(IndexOutOfBounds):
        evaluate_view(over([N + 1], lambda i: select(i < N, X.at((i, const(0))), 0.0)), {"x": numbers(3, 1)})


def test_a_reduction_under_a_guard_and_a_guard_under_a_reduction():
    x = numbers(3, 4)
    shifted = over([N], lambda i: reduce(Combine.ADD, [M], lambda j: guarded(j > i, X.at((i, j)), 0.0)))
    assert_array_equal(evaluate_view(shifted, {"x": x}), np.triu(x, 1).sum(axis=1))
    row = over([N + 1], lambda i: guarded(i < N, reduce(Combine.MAX, [M], lambda j: X.at((i, j))), 0.0))
    assert_array_equal(evaluate_view(row, {"x": x}), [*x.max(axis=1), 0])


# --- checks that run ------------------------------------------------------------------------------------------------


def test_an_index_is_wrapped_and_checked():
    x = numbers(3, 1)
    view = over(PLACES.shape, lambda k: X.at((wrap_index(PLACES.at((k,)), N), const(0))))
    assert evaluate_view(view, {"x": x, "i": np.array([0, -1, 2, -3])}).tolist() == [0, 2, 2, 0]
    for bad in (3, -4):
        with pytest.raises(IndexOutOfBounds, match="an index is outside an axis of length 3"):
            evaluate_view(view, {"x": x, "i": np.array([0, bad])})


def test_lengths_that_must_be_equal_are_checked():
    view = over([same_length(N, M)], lambda k: X.at((k, k)))
    assert evaluate_view(view, {"x": numbers(2, 2)}).tolist() == [0, 3]
    with pytest.raises(ShapeError, match=r"lengths 2 and 3 must be equal: same\(x.shape\[0\], x.shape\[1\]\)"):
        evaluate_view(view, {"x": numbers(2, 3)})


@pytest.mark.parametrize("big, small, expected", [(3, 3, 1), (3, 1, 3), (1, 1, 1), (0, 1, 0)])
def test_spread_counts_what_shares_an_element(big, small, expected):
    assert evaluate_lengths([spread(N, M)], {"x": numbers(big, small)}) == (expected,)


def test_spread_of_lengths_that_do_not_broadcast_is_an_error():
    with pytest.raises(ShapeError, match="length 2 does not broadcast to 3"):
        evaluate_lengths([spread(N, M)], {"x": numbers(3, 2)})


def test_unravel_gives_the_coordinates_of_a_position():
    view = over([N * M], lambda k: X.at(unravel(k, (N, M))))
    assert_array_equal(evaluate_view(view, {"x": numbers(3, 4)}), np.arange(12))


def test_one_point_can_be_evaluated_alone():
    i = index("i")
    assert evaluate_at(X.at((i, i + 1)), {i: 2}, {"x": numbers(3, 4)}) == 11


# --- reductions -----------------------------------------------------------------------------------------------------

NUMPY = {
    Combine.ADD: np.sum,
    Combine.MUL: np.prod,
    Combine.MAX: np.max,
    Combine.MIN: np.min,
    Combine.OR: np.any,
    Combine.AND: np.all,
    Combine.ARGMAX: np.argmax,
    Combine.ARGMIN: np.argmin,
}


def rows(combine, dtype="float64"):
    x = stored("x", 2, dtype)
    return View(
        reduce(combine, [M], lambda j: x.at((const(0), j))).dtype,
        [N],
        lambda k: reduce(combine, [M], lambda j: x.at((*k, j))),
    )


@pytest.mark.parametrize("combine", NUMPY)
@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_reductions_are_numpys(combine, dtype):
    x = np.array([[1, 0, 3, 3], [0, 0, 0, 0], [-2, 5, -2, 1]]).astype(dtype)
    logical = {Combine.ADD: np.any, Combine.MUL: np.all} if dtype == "bool" else {}  # the IR does not widen
    assert_array_equal(evaluate_view(rows(combine, dtype), {"x": x}), (NUMPY | logical)[combine](x, axis=1))


@pytest.mark.parametrize("combine", [Combine.MAX, Combine.MIN, Combine.ARGMAX, Combine.ARGMIN, Combine.ADD])
def test_nan_passes_through_a_reduction_and_the_first_wins(combine):
    x = np.array([[1.0, np.nan, 3.0, np.nan], [np.inf, 1.0, -np.inf, 0.0]])
    with np.errstate(all="ignore"):
        assert_array_equal(evaluate_view(rows(combine), {"x": x}), NUMPY[combine](x, axis=1))


@pytest.mark.parametrize("combine", [Combine.ADD, Combine.MUL, Combine.OR, Combine.AND])
def test_a_reduction_of_nothing_is_its_identity(combine):
    assert_array_equal(evaluate_view(rows(combine), {"x": numbers(2, 0)}), NUMPY[combine](numbers(2, 0), axis=1))


@pytest.mark.parametrize("combine", [Combine.MAX, Combine.MIN])
def test_the_largest_of_nothing_is_an_error_unless_nobody_asks(combine):
    with pytest.raises(ShapeError, match=f"the {combine.value} of nothing has no value"):
        evaluate_view(rows(combine), {"x": numbers(2, 0)})
    assert evaluate_view(rows(combine), {"x": numbers(0, 0)}).shape == (0,)


def test_reductions_nest():
    x = numbers(3, 4)

    def softmax(i, j):
        top = reduce(Combine.MAX, [M], lambda k: X.at((i, k)))
        total = reduce(Combine.ADD, [M], lambda k: Call("exp", X.at((i, k)) - top))
        return Call("exp", X.at((i, j)) - top) / total

    e = np.exp(x - x.max(axis=1, keepdims=True))
    assert_allclose(evaluate_view(over([N, M], softmax), {"x": x}), e / e.sum(axis=1, keepdims=True), rtol=1e-14)


def test_a_reduction_inside_a_reduction_sees_the_outer_variables():
    x = numbers(3, 4)
    view = over([], lambda: reduce(Combine.ADD, [N], lambda i: i * reduce(Combine.MAX, [M], lambda j: X.at((i, j)))))
    assert evaluate_view(view, {"x": x}) == sum(i * x[i].max() for i in range(3))


def test_an_extent_may_depend_on_an_outer_variable():
    x = numbers(4, 4)
    view = over([N], lambda i: reduce(Combine.ADD, [i], lambda j: X.at((i, j))))
    assert_array_equal(evaluate_view(view, {"x": x}), np.tril(x, -1).sum(axis=1))
    ones = over([N], lambda i: reduce(Combine.MAX, [i + 1], lambda j: X.at((j, i))))
    assert_array_equal(evaluate_view(ones, {"x": x}), [x[: i + 1, i].max() for i in range(4)])


def test_positions_over_two_variables_are_flat():
    x = np.array([[1.0, 9.0, 2.0], [3.0, 4.0, 5.0]])
    view = over([], lambda: reduce(Combine.ARGMAX, [N, M], lambda i, j: X.at((i, j))), "int64")
    assert evaluate_view(view, {"x": x}) == x.argmax()


def test_a_sum_in_another_dtype():
    x = stored("x", 1, "int8")
    view = over([], lambda: reduce(Combine.ADD, x.shape, lambda k: x.at((k,)), dtype="int64"), "int64")
    assert evaluate_view(view, {"x": np.full(3, 100, "int8")}) == 300


# --- scatters -------------------------------------------------------------------------------------------------------


def scattered(combine, base="x", dtype="float64"):
    values, places = stored("v", 1, dtype), stored("i", 1, "int64")
    target = stored(base, 1, dtype)
    return Scatter(
        dtype,
        target.shape,
        target,
        places.shape,
        lambda k: (wrap_index(places.at((k,)), target.shape[0]),),
        lambda k: values.at((k,)),
        combine,
    )


def test_a_scatter_that_adds_adds_for_each_writer():
    x, i, v = numbers(4), np.array([1, 1, -1]), np.array([10.0, 20.0, 30.0])
    expected = x.copy()
    np.add.at(expected, i, v)
    assert_array_equal(evaluate_view(scattered(Combine.ADD), {"x": x, "i": i, "v": v}), expected)
    assert_array_equal(x, numbers(4))


def test_the_last_writer_of_a_scatter_that_sets_wins():
    got = evaluate_view(scattered(None), {"x": numbers(4), "i": np.array([1, 1]), "v": np.array([10.0, 20.0])})
    assert got.tolist() == [0, 20, 2, 3]


def test_a_scatter_of_nothing_is_its_base():
    got = evaluate_view(scattered(None), {"x": numbers(4), "i": np.array([], "int64"), "v": np.array([])})
    assert_array_equal(got, numbers(4))


def test_a_scatter_to_a_wrapped_index_out_of_range_is_an_error():
    with pytest.raises(IndexOutOfBounds, match="an index is outside an axis of length 4"):
        evaluate_view(scattered(None), {"x": numbers(4), "i": np.array([4]), "v": np.array([1.0])})


def test_a_scatter_outside_its_base_is_an_error():
    x = stored("x", 1)
    bad = Scatter("float64", x.shape, x, x.shape, lambda k: (k + 1,), lambda k: x.at((k,)), None)
    with pytest.raises(IndexOutOfBounds, match="a scatter writes outside axis 0 of length 3"):
        evaluate_view(bad, {"x": numbers(3)})


def test_a_scatter_whose_base_has_another_shape_is_an_error():
    x = stored("x", 1)
    bad = Scatter("float64", (const(5),), x, (), lambda: (const(0),), lambda: const(1.0, "float64"), None)
    with pytest.raises(ShapeError, match=r"a scatter of shape \(5,\) starts from a base of shape \(3,\)"):
        evaluate_view(bad, {"x": numbers(3)})


# --- kernels --------------------------------------------------------------------------------------------------------


def test_a_kernel_runs_in_order():
    i, total = index("i"), Local("t", "float64")
    n = length("x", 0)
    body = [
        Let(total, const(0.0, "float64"), constant=False),
        Loop(
            i,
            n,
            [Assign(total, total.expr + load("x", (i,), "float64")), Store("y", i, total.expr)],
        ),
    ]
    y = np.zeros(4)
    run_kernel(Kernel("cumsum", ["x"], ["y"], body), {"x": np.arange(4.0), "y": y})
    assert_array_equal(y, np.cumsum(np.arange(4.0)))


def test_a_kernel_runs_backwards_and_chooses():
    i = index("i")
    seen = Local("t", "int64")
    body = [
        Let(seen, const(0), constant=False),
        Loop(
            i,
            const(3),
            [
                If(i < 2, [Store("y", i, cast(seen.expr, "float64"))], [Store("y", i, const(-1.0, "float64"))]),
                Assign(seen, seen.expr + 1),
            ],
            reverse=True,
        ),
    ]
    y = np.zeros(3)
    run_kernel(Kernel("k", [], ["y"], body), {"y": y})
    assert y.tolist() == [2, 1, -1]


def test_a_kernel_reads_and_writes_by_row_major_position():
    x, y = numbers(2, 3), np.zeros((2, 3))
    i = index("i")
    body = [Loop(i, const(6), [Store("y", i, load("x", (5 - i,), "float64"))])]
    run_kernel(Kernel("flip", ["x"], ["y"], body), {"x": x, "y": y})
    assert_array_equal(y, x[::-1, ::-1])


def test_a_kernel_that_writes_outside_is_caught():
    body = [Store("y", const(3), const(1.0, "float64"))]
    with pytest.raises(IndexOutOfBounds, match="a kernel writes element 3 of y, which has 3"):
        run_kernel(Kernel("k", [], ["y"], body), {"y": np.zeros(3)})


def test_a_kernel_that_reads_outside_is_caught():
    body = [Store("y", const(0), make(Code.LOAD, "float64", (const(9),), "x"))]
    with pytest.raises(IndexOutOfBounds, match="reads outside axis 0 of length 3"):
        run_kernel(Kernel("k", ["x"], ["y"], body), {"x": np.zeros(3), "y": np.zeros(3)})


def test_a_kernel_of_the_builder_runs():
    k = KernelBuilder()
    x = Buffer(k, "x", "float64", [length("x", 0), length("x", 1)], False)
    y = Buffer(k, "y", "float64", [length("x", 0), length("x", 1)], True)
    with k.grid(x.shape[:1]) as (i,):
        total = k.local("float64", 0)
        with k.loop(x.shape[1], reverse=True) as j:
            total += x[i, j]
            y[i, j] = total
    a = numbers(2, 3)
    out = np.zeros((2, 3))
    run_kernel(Kernel("k", ["x"], ["y"], k.body), {"x": a, "y": out})
    assert_array_equal(out, np.cumsum(a[:, ::-1], axis=1)[:, ::-1])


def test_a_builder_rejects_stores_to_inputs_and_wrong_indices():
    k = KernelBuilder()
    x = Buffer(k, "x", "float64", [length("x", 0)], False)
    with pytest.raises(GraphError, match="x is an input, so a kernel cannot store into it"):
        x[0] = 1.0
    with pytest.raises(GraphError, match="x has 1 axes, but 2 indices were given in a kernel"):
        x[0, 0]
