"""Which views a library call reads where they lie, and that it reads the right elements."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core.tensor as ct
from core.errors import BackendError
from core.ir.definitions import Operand, Value
from core.ir.expr import const
from core.ir.library import LibraryCall
from core.ir.passes.operands import stacked
from core.ir.program import KernelStep, LibraryStep
from core.testing import random

pytestmark = pytest.mark.usefixtures("gemm")
X = random((4, 6))
STACK = random((3, 4, 6))
W = random((6, 6), seed=1)

IN_PLACE = [
    ("a matrix", X, lambda x: x),
    ("a transposed matrix", X, lambda x: x.T),
    ("rows", X, lambda x: x[1:3]),
    ("every second row", X, lambda x: x[::2]),
    ("columns", X, lambda x: x[:, 2:5]),
    ("transposed columns", X, lambda x: x[:, 2:5].T),
    ("columns of rows of a transposed matrix", X, lambda x: x.T[1:5, 1:][:, ::2]),
    ("a matrix of a stack", STACK, lambda x: x[1]),
    ("the last matrix of a stack", STACK, lambda x: x[-1].T),
    ("one row of each matrix", STACK, lambda x: x[:, 2]),
    ("a row as a matrix", X, lambda x: x[1][None]),
    ("a column as a matrix", X, lambda x: x[:, 1][:, None]),
    ("a column as a row", X, lambda x: x[:, 1][None]),
    ("an element as a matrix", X, lambda x: x[1, 2][None, None]),
]
COPIED = [
    ("reversed rows", X, lambda x: x[::-1]),
    ("every second column", X, lambda x: x[:, ::2]),
    ("one column of each matrix", STACK, lambda x: x[:, :, 1]),
    ("a row many times", X, lambda x: x[1] + 0 * x[:, :1]),
    ("a diagonal", W, lambda x: x.diagonal()[:, None]),
]


def steps(f, kind):
    return [step for step in f.program.steps if isinstance(step, kind)]


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("name, array, view", IN_PLACE, ids=[case[0] for case in IN_PLACE])
def test_views_are_read_where_they_lie(compiled, name, array, view, static):
    x = ct.tensor("x", dtype="float64", shape=array.shape if static else (None,) * array.ndim)
    f = compiled([x], view(x) @ view(x).T)
    assert not steps(f, KernelStep)
    assert_allclose(f(array), view(array) @ view(array).T)


@pytest.mark.parametrize("name, array, view", COPIED, ids=[case[0] for case in COPIED])
def test_views_that_no_routine_can_read_are_copied(compiled, name, array, view):
    x = ct.tensor("x", dtype="float64", ndim=array.ndim)
    f = compiled([x], view(x) @ view(x).T)
    assert steps(f, KernelStep) and steps(f, LibraryStep)
    assert_allclose(f(array), view(array) @ view(array).T)


def test_a_matrix_of_a_stack_is_chosen_when_the_function_runs(compiled):
    x, t = ct.tensor("x", dtype="float64", ndim=3), ct.lscalar("t")
    f = compiled([x, t], x[t] @ x[t].T)
    assert not steps(f, KernelStep)
    for k in (0, 2, -1):
        assert_allclose(f(STACK, k), STACK[k] @ STACK[k].T)
    with pytest.raises(IndexError, match="index 3 is out of range"):
        f(STACK, 3)


def test_an_index_that_is_computed_is_checked_before_the_call(compiled):
    x, t = ct.tensor("x", dtype="float64", ndim=3), ct.lvector("t")
    f = compiled([x, t], x[t.max()] @ x[t.max()].T)
    assert_allclose(f(STACK, [0, 2, 1]), STACK[2] @ STACK[2].T)
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        f(STACK, [0, 3])


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize(
    "a_shape, b_shape",
    [
        ((5, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (1, 3, 4)),
        ((2, 1, 2, 3), (4, 3, 2)),
        ((0, 2, 3), (3, 2)),
        ((1, 2, 3), (1, 3, 1)),
        ((3, 2, 0), (0, 2)),
    ],
)
def test_stacked_products_are_calls_without_copies(compiled, a_shape, b_shape, static):
    pair = [
        ct.tensor(name, dtype="float64", shape=shape if static else (None,) * len(shape))
        for name, shape in (("a", a_shape), ("b", b_shape))
    ]
    f = compiled(pair, ct.matmul(*pair))
    assert not steps(f, KernelStep)
    a, b = random(a_shape), random(b_shape, seed=1)
    assert_allclose(f(a, b), a @ b)


def test_heads_of_attention_are_read_where_they_lie(compiled):
    """(n, heads, d) seen as (heads, n, d), times its own transpose."""
    x = ct.tensor("x", dtype="float64", ndim=3)
    heads = x.dimshuffle(1, 0, 2)
    f = compiled([x], ct.matmul(heads, heads.dimshuffle(0, 2, 1)))
    assert not steps(f, KernelStep)
    h = STACK.transpose(1, 0, 2)
    assert_allclose(f(STACK), h @ h.transpose(0, 2, 1))


def test_products_of_stacks_of_other_lengths_are_refused(compiled):
    a, b = (ct.tensor(name, dtype="float64", ndim=3) for name in "ab")
    f = compiled([a, b], ct.matmul(a, b))
    for shapes in (((2, 3, 4), (3, 4, 5)), ((2, 3, 4), (2, 5, 4))):
        with pytest.raises(ValueError, match="MatMul"):
            f(np.zeros(shapes[0]), np.zeros(shapes[1]))


@pytest.mark.parametrize(
    "name, view",
    [
        ("rows", lambda x: x[1:3]),
        ("a transposed matrix", lambda x: x.T),
        ("columns", lambda x: x[:, 1:4]),
        ("one column", lambda x: x[:, 1:2]),
        ("one row", lambda x: x[1:2]),
    ],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_vector_meets_a_matrix_where_both_lie(compiled, name, view, side):
    x, v = ct.dmatrix("x"), ct.dmatrix("v")
    n = view(X).shape[1 if side == "right" else 0]
    column = lambda v: v[:n, 2]
    f = compiled([x, v], view(x) @ column(v) if side == "right" else column(v) @ view(x))
    assert not steps(f, KernelStep)
    assert_allclose(f(X, W), view(X) @ column(W) if side == "right" else column(W) @ view(X))


def test_a_matrix_that_would_be_written_for_a_vector_alone_is_computed_in_loops(compiled):
    x, v = ct.dmatrix("x"), ct.dvector("v")
    f = compiled([x, v], [ct.exp(x) @ v, v[:4] @ (x * x), ct.exp(x) @ x.T])
    first, second, third = f(X, W[0])
    assert len(steps(f, LibraryStep)) == 1
    assert_allclose(first, np.exp(X) @ W[0])
    assert_allclose(second, W[0][:4] @ (X * X))
    assert_allclose(third, np.exp(X) @ X.T)


@pytest.mark.parametrize("times, in_memory", [(1, False), (2, True)])
def test_a_matrix_is_written_where_many_products_with_vectors_read_it(compiled, times, in_memory):
    x, v = ct.matrix("x"), ct.vector("v")
    centred, w, expected, rows = x - x.mean(axis=0), v, W[0], X - X.mean(axis=0)
    for _ in range(times):
        w, expected = centred.T @ (centred @ w), rows.T @ (rows @ expected)
    f = compiled([x, v], w)
    assert any(isinstance(step, LibraryStep) for step in f.program.steps) == in_memory
    assert_allclose(f(X, W[0]), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(5, 2, 3), (2, 2, 5, 3), (0, 2, 3), (2, 0, 3), (1, 2, 3)])
def test_a_stack_times_one_matrix_is_one_tall_product(compiled, shape):
    x, w = ct.tensor("x", dtype="float64", ndim=len(shape)), ct.dmatrix("w")
    f = compiled([x, w], ct.tanh(x @ w + (x * 2) @ w))
    calls = steps(f, LibraryStep)
    assert [step.call.batch for step in calls] == [0] * len(calls) and all(len(s.results[0].shape) == 2 for s in calls)
    a, b = random(shape), random((3, 4), seed=1)
    assert_allclose(f(a, b), np.tanh(a @ b + (a * 2) @ b))


def test_a_stack_that_does_not_lie_in_a_row_is_a_call_for_each_matrix(compiled):
    x, w = ct.tensor("x", dtype="float64", ndim=3), ct.dmatrix("w")
    f = compiled([x, w], x[:, 1:] @ w)
    assert [step.call.batch for step in steps(f, LibraryStep)] == [1] and not steps(f, KernelStep)
    assert_allclose(f(STACK, W), STACK[:, 1:] @ W)


@pytest.mark.parametrize("shape", [(), (3, 4)])
def test_a_call_whose_ranks_do_not_fit_its_operands_is_refused_with_what_was_said(shape):
    lengths = tuple(map(const, shape))
    operand = Operand.whole(Value("x", "float64", len(shape)), lengths)
    with pytest.raises(BackendError, match=rf"call of 'asum' has batch=0 and ranks=\(1,\).* of ndim {len(shape)}"):
        stacked(LibraryCall("asum", ranks=(1,)), [operand], [()])
