"""Loops for threads: which are divided, what their chunks have for themselves, and that nothing else changes."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose

import core.ir.cpu.parallel
import core.tensor as ct
from core.compile.function import function
from core.dataclass import replace
from core.errors import VerifyError
from core.gradient import grad
from core.ir.check.run import Driver
from core.ir.check.verify_kernel import verify_kernel
from core.ir.codes import Code
from core.ir.cpu.epilogues import TILE
from core.ir.cpu.parallel import chunk_length, shared_by, split
from core.ir.definitions import Value
from core.ir.evaluate import evaluate_scalar
from core.ir.expr import const, index, length, make
from core.ir.nodes import Assign, Kernel, Let, Local, Loop, LoopKind, Store
from core.ir.program import KernelStep
from core.ir.rebuild import lengths_in
from core.ir.target import Target
from core.testing import random
from core.testing.graphs import graphs

x, y = ct.matrix("x"), ct.matrix("y")
a, i = ct.vector("a"), ct.lvector("i")
X, Y, A, AT_THESE = random((5, 4)), random((5, 4)), random((4,)), np.array([0, 3, 0, 1])


@pytest.fixture(autouse=True)
def short_loops_are_worth_it(monkeypatch):
    monkeypatch.setattr(core.ir.cpu.parallel, "GRAIN", 1)


def in_chunks(inputs, outputs, chunk=2):
    return function(
        inputs, outputs, backend=Driver("ir", Target(threads=True), chunk), mode="none", on_unused_input="ignore"
    )


def kernels_of(f):
    return [kernel for step in f.program.steps if isinstance(step, KernelStep) for kernel in step.kernels]


def splits_of(f):
    return [kernel.split for kernel in kernels_of(f) if kernel.split]


GRAPHS = {
    "elements": ([a], lambda: ct.exp(a) + 1, [A], np.exp(A) + 1),
    "rows": ([x], lambda: x.sum(axis=1), [X], X.sum(axis=1)),
    "columns": ([x], lambda: x.sum(axis=0), [X], X.sum(axis=0)),
    "extremes of columns": ([x], lambda: x.max(axis=0), [X], X.max(axis=0)),
    "everything": ([x], lambda: x.sum(), [X], X.sum()),
    "the largest of everything": ([x], lambda: x.max(), [X], X.max()),
    "products of float32": ([x], lambda: x.astype("float32").prod(), [X], X.astype("float32").prod()),
    "counts": ([x], lambda: (x > 0).sum(axis=0), [X], (X > 0).sum(axis=0)),
    "any": ([x], lambda: (x > 0).any(axis=0), [X], (X > 0).any(axis=0)),
    "softmax": ([x], lambda: ct.softmax(x, axis=1), [X], np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)),
    "softmax of columns": ([x], lambda: ct.softmax(x, axis=0), [X], np.exp(X) / np.exp(X).sum(axis=0)),
    "the mean and what is left": ([x], lambda: x - x.mean(), [X], X - X.mean()),
    "a scatter": ([a, i], lambda: ct.inc_subtensor((a + 1)[i], a), [A, AT_THESE], None),
    "running sums": ([x], lambda: x.cumsum(axis=1), [X], X.cumsum(axis=1)),
}


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize("name", GRAPHS)
def test_chunks_in_any_order_give_what_the_whole_loop_gives(name, chunk):
    inputs, output, arrays, expected = GRAPHS[name]
    if expected is None:
        expected = A + 1
        np.add.at(expected, AT_THESE, A)
    assert_allclose(in_chunks(inputs, output(), chunk)(*arrays), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0), (1, 4), (4, 1)])
def test_empty_and_short_loops_are_right(shape):
    value = random(shape)
    total, columns, rows, changed = in_chunks([x], [x.sum(), x.sum(axis=0), x.sum(axis=1), ct.exp(x)])(value)
    assert_allclose(total, value.sum())
    assert_allclose(columns, value.sum(axis=0))
    assert_allclose(rows, value.sum(axis=1))
    assert_allclose(changed, np.exp(value))


def test_random_graphs_do_not_depend_on_how_their_loops_are_divided():
    @settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(graph=graphs(without=("matmul",)))
    def check(graph):
        results = in_chunks(graph.inputs, graph.outputs)(*graph.arrays)
        for got, want in zip(results, graph.expected, strict=True):
            assert_allclose(got, want, **graph.tolerance(), err_msg=str(graph))

    check()


def test_nan_and_infinity_pass_through_extremes_that_chunks_share():
    value = np.array([[1.0, np.nan], [np.inf, 2.0], [3.0, -np.inf]])
    largest, of_columns = in_chunks([x], [x.max(), x.max(axis=0)], chunk=1)(value)
    assert np.isnan(largest)
    assert np.array_equal(of_columns, [np.inf, np.nan], equal_nan=True)


# --- what is divided, and what chunks have for themselves -------------------------------------------------------------


def test_independent_iterations_need_nothing_of_their_own():
    (division,) = splits_of(in_chunks([a], ct.exp(a)))
    assert not division.parts and not division.private


def test_a_row_that_is_kept_is_private_to_each_worker():
    cube = ct.tensor3("cube")
    (division,) = splits_of(in_chunks([x, cube], (ct.softmax(x, axis=1)[:, :, None] * cube).sum(axis=2)))
    assert len(division.private) == 1 and not division.parts


@pytest.mark.parametrize("n", [10, 100, 2048])
def test_short_rows_in_blocks_are_as_much_work_as_they_are_long(n):
    f32 = ct.fmatrix("f32")
    (rows,) = splits_of(in_chunks([f32], ct.logsumexp(f32, axis=1)))
    work = evaluate_scalar(rows.work, dict.fromkeys(lengths_in([rows.work]), n))
    assert 16 * n < work / min(TILE, n) < 2000 + 64 * n  # as many rows as columns here, a tile of them at a time


def test_columns_that_grow_row_by_row_have_parts_and_a_total_of_the_same_nest_has_a_register():
    f = in_chunks([x], [x.sum(axis=0), x.sum()])
    (division,) = splits_of(f)
    assert len(division.parts) == 1
    first, end = kernels_of(f)
    assert division.number in first.takes
    assert end.takes == [division.count]


def test_a_gradient_that_a_loop_grows_beside_rows_has_parts():
    w = ct.vector("w")
    loss = ((x * w).sum(axis=1) ** 2).sum()
    f = in_chunks([x, w], grad(loss, [w]))
    (g,) = f(X, A)
    assert_allclose(g, 2 * X.T @ (X @ A))
    assert any(division.parts or division.number in k.takes for k in kernels_of(f) if (division := k.split))


def test_a_scatter_keeps_its_order_while_its_base_is_divided():
    f = in_chunks([a, i], ct.inc_subtensor((a + 1)[i], a))
    *_, base, scatter = kernels_of(f)
    assert base.split and not scatter.split


def test_a_loop_of_known_length_is_divided_only_if_it_is_worth_it(monkeypatch):
    v = ct.tensor("v", dtype="float64", shape=(1000,))
    assert splits_of(in_chunks([v], ct.exp(v)))
    monkeypatch.setattr(core.ir.cpu.parallel, "GRAIN", 10**6)
    assert not splits_of(in_chunks([v], ct.exp(v)))


def test_without_threads_kernels_stay_whole():
    f = function([x], x.sum(axis=0), backend=Driver("ir"), mode="none")
    assert not splits_of(f)


# --- the rule, statement by statement ---------------------------------------------------------------------------------

V, W = Value("v", "float64"), Value("w", "float64")
N, AT, J, T = length(V, 0), index("i"), index("j"), Local("t", "float64")
ZERO = const(0.0, "float64")


def read(value, at=AT):
    return make(Code.LOAD, "float64", (at,), value)


def over(*body, kind=LoopKind.COMBINE):
    return Loop(AT, N, list(body), kind)


ORDERED = {
    "a loop in order": over(Store(W, AT, read(V)), kind=LoopKind.ORDER),
    "a register that is read": over(Assign(T, T.expr + read(V)), Store(W, AT, T.expr)),
    "a register that is set": over(Assign(T, read(V))),
    "a register that is combined in two ways": over(Assign(T, T.expr + read(V)), Assign(T, T.expr * read(V))),
    "a register that takes itself in": over(Assign(T, T.expr + T.expr * read(V))),
    "a place that is set by all": over(Store(W, const(0), read(V))),
    "a place that is read while it grows": over(
        Store(W, const(0), read(W, const(0)) + read(V)), Store(W, const(1), read(W, const(0)))
    ),
    "a value that grows and is set": over(Store(W, const(0), read(W, const(0)) + read(V)), Store(W, AT, read(V))),
}


@pytest.mark.parametrize("loop", ORDERED.values(), ids=ORDERED.keys())
def test_what_needs_an_order_is_not_divided(loop):
    assert shared_by(loop, []) is None
    kernel = Kernel("k", [V], [W], [Let(T, ZERO, False), loop, Store(W, const(0), T.expr)])
    assert split(kernel, {V: (N,), W: (N,)}) == [kernel]


def test_a_register_that_does_not_start_from_nothing_is_not_divided():
    loop = over(Assign(T, T.expr + read(V)))
    for start, pieces in ((ZERO, 2), (const(1.0, "float64"), 1)):
        kernel = Kernel("k", [V], [W], [Let(T, start, False), loop, Store(W, const(0), T.expr)])
        assert len(split(kernel, {V: (N,), W: ()})) == pieces


def test_a_value_that_grows_but_was_not_cleared_here_is_not_divided():
    grows = over(Store(W, const(0), read(W, const(0)) + read(V)))
    clear = Loop(J, const(1), [Store(W, J, ZERO)], LoopKind.SIMD)
    to_one = Loop(J, const(1), [Store(W, J, const(1.0, "float64"))], LoopKind.SIMD)
    in_part = Loop(J, const(0), [Store(W, J, ZERO)], LoopKind.SIMD)
    for body, divided in (
        ([grows], False),
        ([clear, grows], True),
        ([to_one, grows], False),
        ([in_part, grows], False),
    ):
        pieces = split(Kernel("k", [V], [W], body), {V: (N,), W: (const(1),)})
        assert any(piece.split and piece.split.parts for piece in pieces) is divided


def test_a_constant_is_computed_again_in_each_piece_that_needs_it():
    scale = Local("scale", "float64")
    body = [
        Let(scale, read(V, const(0)) + 1.0),
        Let(T, ZERO, False),
        over(Assign(T, T.expr + read(V) * scale.expr)),
        Store(W, const(0), T.expr / scale.expr),
    ]
    first, end = split(Kernel("k", [V], [W], body), {V: (N,), W: ()})
    assert body[0] in first.body and body[0] in end.body


# --- the verifier -----------------------------------------------------------------------------------------------------


def divided_sum():
    kernel = Kernel("k", [V], [W], [Let(T, ZERO, False), over(Assign(T, T.expr + read(V))), Store(W, const(0), T.expr)])
    return split(kernel, {V: (N,), W: ()})[0]


def test_a_divided_loop_of_the_pass_is_legal():
    verify_kernel(divided_sum())


def test_the_verifier_wants_registers_to_be_left_behind():
    piece = divided_sum()
    with pytest.raises(VerifyError, match="must leave its registers"):
        verify_kernel(replace(piece, body=piece.body[:-1], writes=[]))


def test_the_verifier_wants_an_order_to_be_kept():
    piece = divided_sum()
    (loop,) = (s for s in piece.body if isinstance(s, Loop))
    broken = replace(loop, body=[*loop.body, Assign(T, read(V))], kind=LoopKind.ORDER)
    body = [broken if s is loop else s for s in piece.body]
    with pytest.raises(VerifyError, match="need an order"):
        verify_kernel(replace(piece, body=body))


def test_the_verifier_wants_parts_for_what_grows():
    grows = over(Store(W, const(0), read(W, const(0)) + read(V)))
    clear = Loop(J, const(1), [Store(W, J, ZERO)], LoopKind.SIMD)
    piece, _ = split(Kernel("k", [V], [W], [clear, grows]), {V: (N,), W: (const(1),)})
    verify_kernel(piece)
    piece.split.parts = {}
    with pytest.raises(VerifyError, match="must have parts"):
        verify_kernel(piece)


def test_the_verifier_wants_a_combine_loop_to_combine():
    with pytest.raises(VerifyError, match="need an order"):
        verify_kernel(Kernel("k", [V], [W], [over(Store(W, const(0), read(V)))]))


# --- how long a chunk is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 5, 1000, 10**6, 10**12])
@pytest.mark.parametrize("work", [0, 1, 100, 10**7, -3])
@pytest.mark.parametrize("multiple", [1, 64])
def test_chunks_are_long_enough_and_not_too_many(n, work, multiple):
    length = chunk_length(n, work, 240_000, multiple)
    assert length >= 1
    if length < n:
        assert length % multiple == 0
        assert -(-n // length) <= core.ir.cpu.parallel.MOST_CHUNKS
        assert work <= 0 or length * work >= min(240_000, work) - work
