"""Fusion: what shares a loop, what is stored, and what must not be put together."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.compile.function import function
from core.errors import IndexOutOfBounds
from core.gradient import Lop, grad
from core.ir.check.run import Driver
from core.ir.codes import Code
from core.ir.nodes import expressions
from core.ir.walk import walk
from core.testing import random

x, y, m = ct.matrix("x"), ct.matrix("y"), ct.matrix("m")
a, b = ct.vector("a"), ct.vector("b")
cube = ct.tensor3("cube")
i, j = ct.lvector("i"), ct.lvector("j")
rows_of_40 = ct.matrix("rows_of_40", shape=(None, 40))  # known: too few for registers side by side, too many for blocks
X40 = random((3, 40))
X, Y, A, B = random((3, 4)), random((3, 4), seed=1), random(4, seed=2), random(4, seed=3)


def normed(x):
    centred = x - x.mean(axis=1, keepdims=True)
    return a * centred / ct.sqrt((centred * centred).mean(axis=1, keepdims=True) + 1e-5) + b


def test_a_chain_of_elementwise_ops_broadcasts_and_views_is_one_loop(compiled, kernels, loops):
    f = compiled([x, a], ct.tanh(2 * x[::-1, 1:] + a[:-1]).T - 1)
    (kernel,) = kernels(f)
    assert [loop.kind.value for loop in loops(kernel)] == ["grid", "simd"]
    assert f.program.slots == {}
    assert_allclose(f(X, A), np.tanh(2 * X[::-1, 1:] + A[:-1]).T - 1)


def test_softmax_of_rows_is_one_kernel_that_takes_each_exponential_once(compiled, kernels, loops, calls):
    f = compiled([rows_of_40], ct.softmax(rows_of_40, axis=1))
    (kernel,) = kernels(f)
    assert len(loops(kernel, "grid")) == 1
    assert len(loops(kernel, "simd")) == 3
    assert calls(kernel, "exp") == 1
    e = np.exp(X40 - X40.max(axis=1, keepdims=True))
    assert_allclose(f(X40), e / e.sum(axis=1, keepdims=True))


def test_layer_norm_is_one_kernel_that_stores_nothing_but_its_result(compiled, kernels, loops):
    f = compiled([rows_of_40, a, b], normed(rows_of_40))
    (kernel,) = kernels(f)
    assert [str(value) for value in kernel.writes] == [str(f.program.outputs[0])]
    assert len(loops(kernel, "grid")) == 1


def test_layer_norm_backward_with_both_column_sums_is_one_kernel(compiled, kernels):
    f = compiled([x, a, b, y], list(grad((normed(x) * y).sum(), [x, a, b])))
    assert len(kernels(f)) == 1


def test_layer_norm_adds_up_three_rows_and_divides_no_element(compiled, kernels, loops):
    out = ct.layer_norm(rows_of_40, weight=a)
    f = compiled([rows_of_40, a, y], list(Lop(out, [rows_of_40, a], y)), mode=None)
    (kernel,) = kernels(f)
    inner = [loop for loop in loops(kernel, "simd") if loop.body]
    assert sum(len(loop.reductions) > 0 for loop in inner) == 3
    assert not any(e.code is Code.DIV for loop in inner for e in walk(expressions(loop.body)))


def test_rows_are_not_taken_by_columns_for_the_sake_of_what_would_grow_in_memory(compiled, kernels, loops):
    f = compiled([x, a], [ct.logsumexp(x + ct.sin(a), axis=1), ct.sin(a)])
    vector, rows = kernels(f)
    assert len(loops(vector)) == 1
    assert next(loop.kind.value for loop in loops(rows)) == "grid"
    assert not any(loop.kind.value == "combine" for loop in loops(rows))
    expected = np.log(np.exp(X + np.sin(A)).sum(axis=1))
    assert_allclose(f(X, A)[0], expected)


def test_sums_of_column_sums_do_not_break_the_columns_into_pieces(compiled, kernels, loops):
    cube = ct.tensor("cube", dtype="float64", shape=(None, None, None))
    f = compiled([cube], cube.sum(axis=0).sum(axis=0))
    columns, total = kernels(f)
    assert len(loops(columns, "simd")) > 0 and len(loops(total, "simd")) > 0
    assert all(str(e.payload) != "cube" for root in expressions(total.body) for e in walk([root]))
    value = random((4, 5, 3))
    assert_allclose(f(value), value.sum(axis=(0, 1)))


def test_columns_do_not_wait_for_a_sum_over_all_of_them(compiled, kernels, loops):
    total = ct.abs((x - x.mean(axis=0)) / ct.sqrt(x.var(axis=0) + 1.0) * a).sum()
    f = compiled([x, a], [total, grad(total, x)])
    assert any(loop.variable.payload.endswith("_tile") for kernel in kernels(f) for loop in loops(kernel))
    assert_allclose(f(X, A)[0], np.abs((X - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + 1.0) * A).sum())


def test_sums_of_row_sums_take_one_pass(compiled, kernels):
    f = compiled([x], [x.sum(axis=1), x.sum(axis=1).sum()])
    assert len(kernels(f)) == 1
    assert_allclose(f(X)[1], X.sum())


def test_a_value_and_its_gradient_share_loops(compiled, kernels, loops, calls):
    f = compiled([a], [ct.exp(a).sum(), grad(ct.exp(a).sum(), a)])
    (kernel,) = kernels(f)
    assert len(loops(kernel)) == 1
    assert calls(kernel, "exp") == 1
    assert_allclose(f(A)[1], np.exp(A))


def test_a_matrix_and_its_transpose_keep_two_loops(compiled, kernels, loops):
    f = compiled([m], m + m.T)
    (kernel,) = kernels(f)
    assert len(loops(kernel)) > 1  # strips.py may make more of them
    square = random((3, 3))
    assert_array_equal(f(square), square + square.T)


def test_column_sums_and_row_sums_of_a_matrix_take_one_pass(compiled, kernels):
    f = compiled([x], [x.sum(axis=0), x.sum(axis=1)])
    (kernel,) = kernels(f)
    loads = {e for root in expressions(kernel.body) for e in walk([root]) if e.code is Code.LOAD}
    assert sum(str(e.payload) == "x" for e in loads) == 1
    assert_allclose(f(X)[0], X.sum(axis=0))
    assert_allclose(f(X)[1], X.sum(axis=1))


def test_an_expensive_vector_is_computed_once_and_not_for_every_row(compiled, kernels, loops, calls):
    f = compiled([x, a], x + ct.exp(a))
    first, second = kernels(f)
    assert (calls(first, "exp"), len(loops(first))) == (1, 1)
    assert calls(second, "exp") == 0
    assert_allclose(f(X, A), X + np.exp(A))


def test_a_cheap_vector_is_computed_anew_for_every_row(compiled, kernels):
    f = compiled([x, a], x + 2 * a)
    assert len(kernels(f)) == 1
    assert f.program.slots == {}


def test_equal_reductions_are_computed_once(compiled, kernels, loops):
    x = rows_of_40
    f = compiled([x], [x - x.sum(axis=1, keepdims=True), x * x.sum(axis=1, keepdims=True)])
    (kernel,) = kernels(f)
    assert [len(loop.reductions) for loop in loops(kernel, "simd")] == [1, 0]
    assert_allclose(f(X40)[1], X40 * X40.sum(axis=1, keepdims=True))


def test_what_shares_no_operand_stays_apart(compiled, kernels):
    f = compiled([a, b], [ct.exp(a), ct.exp(b)])
    assert len(kernels(f)) == 2


@pytest.mark.parametrize(
    "join",
    [
        lambda m, a, b: m.concatenate([a, b]),
        lambda m, a, b: m.concatenate([b[1:], a, b]),
        lambda m, a, b: m.stack([a, b]),
    ],
)
def test_what_is_joined_is_read_in_one_kernel_and_never_outside_its_array(compiled, kernels, join):
    f = compiled([a, b], join(ct, a, b))
    assert len(kernels(f)) == 1
    assert_array_equal(f(A, B), join(np, A, B))  # the oracle refuses any access outside an array


def test_a_value_that_no_output_needs_is_not_computed(compiled, kernels):
    f = compiled([a, b], [2 * a, ct.exp(b).shape[0]])
    assert not any("exp" in str(kernel) for kernel in kernels(f))
    assert f(A, B)[1] == 4


def test_a_check_of_indices_runs_before_the_kernel_that_reads_there(compiled):
    f = compiled([a, i], ct.exp(a[i]).sum())
    steps = [type(step).__name__ for step in f.program.steps]
    assert steps == ["KernelStep", "KernelStep", "CheckStep", "KernelStep"]  # extremes, what they mean; then the sum
    with pytest.raises(IndexOutOfBounds, match="AdvancedSubtensor.*index .* is out of bounds"):
        f(A, [0, 4])


@pytest.mark.parametrize("places", [[0, 9], [-5, 0], [10**9, 0]])
@pytest.mark.parametrize(
    "build",
    [
        lambda: a[i],
        lambda: a[i[j]],
        lambda: (a[i] * 2).sum(),
        lambda: ct.softmax(x[:, i], axis=1),
        lambda: ct.inc_subtensor(a[i], 1.0),
        lambda: grad(ct.tanh(a[i]).sum(), a),
        lambda: a[i].cumsum(),
        lambda: ct.dot(x[i], x.T),
        lambda: [a[i] * 2, (a[i] + 1).sum(), i * 2],
    ],
)
def test_nothing_is_read_outside_an_array_before_its_index_is_checked(compiled, build, places):
    f = compiled([a, x, i, j], build())
    with pytest.raises(IndexOutOfBounds, match="is out of bounds for axis"):  # and not the oracle's "reads outside"
        f(A, X, places, [0, 1])


def test_what_an_index_is_computed_from_is_stored_before_it_is_used(compiled):
    f = compiled([x], x[x.argmax(axis=0)])
    assert_array_equal(f(X), X[X.argmax(axis=0)])


def test_a_value_read_at_another_index_of_its_own_kernel_is_in_memory(compiled):
    n = ct.lscalar("n")
    f = compiled([x, n], [ct.set_subtensor(x[:, n:], (x * 2).sum(axis=1, keepdims=True))])
    expected = X.copy()
    expected[:, 2:] = 2 * X.sum(axis=1, keepdims=True)
    assert_allclose(f(X, 2)[0], expected)


def test_a_row_value_that_is_stored_and_read_in_one_kernel_is_stored_first(compiled):
    sums, doubled = cube + x[:, :, None], x * 2
    f = compiled([cube, x], [sums, doubled, cube * doubled[:, :, None]])
    CUBE = random((3, 4, 2))
    assert_allclose(f(CUBE, X)[2], CUBE * (X * 2)[:, :, None])


def test_two_positions_along_different_axes_of_one_array(compiled):
    CUBE = random((3, 4, 2))
    f = compiled([cube], [cube.argmax(axis=2), cube.argmax(axis=0), cube.argmin(axis=1)])
    for got, expected in zip(f(CUBE), [CUBE.argmax(2), CUBE.argmax(0), CUBE.argmin(1)], strict=True):
        assert_array_equal(got, expected)


def work(compile):
    """How many function calls a compilation takes, built-in ones included: a clock that other processes do not move."""
    count = 0

    def tick(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(tick)
    try:
        compile()
    finally:
        sys.setprofile(None)
    return count


def chain(length):
    out = a
    for k in range(length):
        out = out * 0.5 + b if k % 2 else ct.tanh(out)
    return out


def many_operands(length):
    vectors = [ct.vector() for _ in range(length)]
    return vectors, sum(vectors[1:], vectors[0])


GROWING = {
    "a chain": lambda n: ([a, b], chain(n)),
    "a sum of many vectors": many_operands,
    "many sums of one matrix": lambda n: ([x, a], [(x * (k + 1)).sum(axis=1).sum() + a[0] for k in range(n // 4)]),
    "many softmaxes": lambda n: ([x], [ct.softmax(x + k, axis=1) for k in range(n // 8)]),
}


@pytest.mark.parametrize("graph", GROWING.values(), ids=GROWING.keys())
def test_the_work_of_lowering_is_in_proportion_to_the_graph(compiled, graph):
    small, large = graph(200), graph(1_600)
    assert work(lambda: compiled(*large)) < 10 * work(lambda: compiled(*small))


def test_a_stack_of_row_functions_is_stored_before_it_would_be_computed_too_often(compiled, kernels, calls):
    def exponentials(n):
        out = rows_of_40
        for _ in range(n):
            out = ct.softmax(2 * out, axis=1)
        f = compiled([rows_of_40], out)
        e = X40
        for _ in range(n):
            e = np.exp(2 * e)
            e /= e.sum(axis=1, keepdims=True)
        assert_allclose(f(X40), e, rtol=1e-12)
        return sum(calls(kernel, "exp") for kernel in kernels(f)), len(f.program.slots)

    assert exponentials(3) == (3, 0)  # nothing but the result is in memory
    few, many = exponentials(10)[0], exponentials(30)[0]
    assert 30 <= many <= 4 * few <= 80


def test_a_chain_deeper_than_the_recursion_limit_is_compiled(compiled):
    depth = 5 * sys.getrecursionlimit()
    f = compiled([a, b], chain(depth))
    assert f([1.0], [1.0]).shape == (1,)


def squares_between(points, means):
    return ((points[:, None, :] - means[None, :, :]) ** 2).sum(axis=2)


def test_a_group_waits_for_the_only_one_that_reads_it_and_shares_its_loops(compiled, kernels):
    points, means, score = ct.matrix("points"), ct.matrix("means"), ct.vector("score")
    between = squares_between(points, means)
    offset = ct.log_softmax(score)  # made after the squares, needed beside them
    f = compiled([points, means, score], (between + offset[None, :]).max(axis=1))
    with_squares = [kernel for kernel in kernels(f) if points_of(f) in kernel.reads]
    assert len(with_squares) == 1 and f.program.outputs[0] in with_squares[0].writes
    where, centres, s = random((7, 3)), random((4, 3), seed=1), random((4,), seed=2)
    squares = ((where[:, None, :] - centres) ** 2).sum(axis=2)
    assert_allclose(f(where, centres, s), (squares + s - np.log(np.exp(s).sum())).max(axis=1))


def points_of(f):
    return f.program.inputs[0]


def test_a_group_that_another_reads_too_does_not_wait(compiled, kernels):
    points, means = ct.matrix("points"), ct.matrix("means")
    between = squares_between(points, means)
    total = between.sum(axis=0)
    f = compiled([points, means], (between - ct.log_softmax(total)[None, :]).max(axis=1))
    where, centres = random((7, 3)), random((4, 3), seed=1)
    squares = ((where[:, None, :] - centres) ** 2).sum(axis=2)
    sums = squares.sum(axis=0)
    assert_allclose(f(where, centres), (squares - (sums - np.log(np.exp(sums).sum()))).max(axis=1), rtol=1e-12)
    assert [points_of(f) in kernel.reads for kernel in kernels(f)].index(True) == 0


def test_a_group_that_a_product_reads_too_does_not_wait(gemm):
    points, means, score = ct.matrix("points"), ct.matrix("means"), ct.vector("score")
    between = squares_between(points, means)
    product = between @ between.T
    f = function([points, means, score], [product, (between + ct.log_softmax(score)).max(axis=1)], backend=Driver("ir"))
    where, centres, s = random((7, 3)), random((4, 3), seed=1), random((4,), seed=2)
    squares = ((where[:, None, :] - centres) ** 2).sum(axis=2)
    got = f(where, centres, s)
    assert_allclose(got[0], squares @ squares.T)
    assert_allclose(got[1], (squares + s - np.log(np.exp(s).sum())).max(axis=1))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_indices_of_every_dtype_are_checked_at_both_ends(compiled, dtype):
    i = ct.tensor("i", dtype=dtype, shape=(None,))
    f = compiled([a, i], a[i] * 2)
    assert_array_equal(f([1.0, 2.0, 3.0], np.array([2, 0, 1], dtype)), [6, 2, 4])
    assert_array_equal(f([], np.array([], dtype)), [])
    wrong = [(3, 3), (100, 3)] if dtype.startswith("u") else [(3, 3), (-4, 3), (-128, 100)]
    for index, n in wrong:
        with pytest.raises(IndexOutOfBounds):
            f(np.ones(n), np.array([0, index, 1], dtype))
    with pytest.raises(IndexOutOfBounds):
        f([], np.array([0], dtype))
    if not dtype.startswith("u"):
        assert_array_equal(f([1.0, 2.0, 3.0], np.array([-3, -1], dtype)), [2, 6])


def test_axes_that_one_array_of_indices_goes_along_share_its_extremes(compiled, kernels):
    first, second = ct.dvector("first"), ct.dvector("second")
    f = compiled([first, second, i], (first[i] - second[i]) ** 2)
    extremes, checks, _ = kernels(f)
    assert [str(value) for value in extremes.writes] == ["min_index", "max_index"]
    assert checks.reads == extremes.writes and len(checks.writes) == 2
    with pytest.raises(IndexOutOfBounds):
        f([1.0, 2.0], [1.0, 2.0, 3.0], [0, 2])
    with pytest.raises(IndexOutOfBounds):
        f([1.0, 2.0, 3.0], [1.0, 2.0], [0, 2])
