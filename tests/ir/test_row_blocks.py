"""Rows by blocks: what goes together, what must not, which program serves, and that the numbers stay."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose

import core.ir.passes.rows as rows
import core.tensor as ct
from core.compile.function import function
from core.dataclass import replace
from core.errors import IndexOutOfBounds, ShapeError, VerifyError
from core.gradient import grad
from core.ir.check.run import Driver
from core.ir.check.verify import verify
from core.ir.program import BlockStep, LibraryStep
from core.ir.row_blocks import Way
from core.ir.target import Target
from core.testing import random
from core.testing.graphs import graphs

N = 11  # rows, in blocks of 2, the last of 1; in pieces of 3 blocks
x, w, v = ct.tensor("x", shape=(N, 4)), ct.tensor("w", shape=(4, 5)), ct.tensor("v", shape=(5, 3))
b, y, u = ct.tensor("b", shape=(5,)), ct.tensor("y", shape=(N,)), ct.tensor("u", shape=(4,))
labels = ct.tensor("labels", dtype="int64", shape=(N,))
few = ct.tensor("few", dtype="int64", shape=(None,))
INPUTS = [x, w, v, b, y, u, labels]
X, W, V, B, Y, U = (random(each.type.shape, seed=k) for k, each in enumerate(INPUTS[:-1]))
LABELS = np.arange(N) % 3
ARRAYS = [X, W, V, B, Y, U, LABELS]

pytestmark = pytest.mark.usefixtures("gemm")


@pytest.fixture(autouse=True)
def short_blocks_pay(monkeypatch):
    for name, value in {
        "LEAST": 2,
        "MULTIPLE": 1,
        "BLOCK": 1,
        "TALL": 0,
        "OVER": 0,
        "PIECES": 2,
        "MOST_PIECES": 3,
        "FEWEST": 0,
    }.items():
        monkeypatch.setattr(rows, name, value)


def by_blocks(inputs, outputs):
    driver = Driver("ir", Target(blocks=True))
    return function(inputs, outputs, backend=driver, mode="none", on_unused_input="ignore")


def steps(f, kind):
    return [step for step in f.program.steps if isinstance(step, kind)]


def ways(f):
    """How each output of the blocks of a function lies."""
    return sorted(part.way.value for step in steps(f, BlockStep) for part in step.blocks.outputs)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def one_hot(k):
    return np.eye(3)[k]


TOGETHER = {
    "elements of a product": (lambda: ct.tanh(x @ w + b), lambda: np.tanh(X @ W + B), ["rows"]),
    "products of products": (lambda: ct.tanh(x @ w) @ v, lambda: np.tanh(X @ W) @ V, ["rows"]),
    "a vector of products": (lambda: (ct.exp(x @ u) * y).sum(), lambda: (np.exp(X @ U) * Y).sum(), ["each"]),
    "sums of rows": (lambda: ct.exp(x @ w).sum(axis=1), lambda: np.exp(X @ W).sum(axis=1), ["rows"]),
    "softmax": (lambda: ct.softmax(x @ w @ v, axis=1), lambda: softmax(X @ (W @ V)), ["rows"]),
    "sums of columns": (lambda: ct.exp(x @ w).sum(axis=0), lambda: np.exp(X @ W).sum(axis=0), ["each"]),
    "extremes": (lambda: (x @ w).max(axis=0), lambda: (X @ W).max(axis=0), ["each"]),
    "the row of an extreme": (lambda: (x @ w).argmax(axis=0), lambda: (X @ W).argmax(axis=0), ["each", "each", "rows"]),
    "which column is largest": (lambda: (x @ w).argmax(axis=1), lambda: (X @ W).argmax(axis=1), ["rows"]),
    "a product along the rows": (lambda: x.T @ ct.tanh(x @ w), lambda: X.T @ np.tanh(X @ W), ["grown"]),
    "a vector along the rows": (lambda: ct.exp(x @ u) @ x, lambda: np.exp(X @ U) @ X, ["grown"]),
    "a step": (
        lambda: w - 0.1 * (x.T @ ct.tanh(x @ w)),
        lambda: W - 0.1 * (X.T @ np.tanh(X @ W)),
        ["grown"],
    ),
    "sums of products": (lambda: (x @ w + x[:, ::-1] @ w).sum(), lambda: (X @ W + X[:, ::-1] @ W).sum(), ["each"]),
    "numbers of rows": (
        lambda: ((x @ u) * ct.arange(N)).sum(),
        lambda: ((X @ U) * np.arange(N)).sum(),
        ["each"],
    ),
    "neighbours of an argument": (
        lambda: ct.tanh(x @ w) + x[::-1][:, :1],
        lambda: np.tanh(X @ W) + X[::-1][:, :1],
        ["rows"],
    ),
    "elements of labels": (
        lambda: (x @ w @ v)[ct.arange(N), labels].sum(),
        lambda: (X @ W @ V)[np.arange(N), LABELS].sum(),
        ["each"],
    ),
    "rows and their sum": (
        lambda: [ct.tanh(x @ w), ct.tanh(x @ w).sum()],
        lambda: [np.tanh(X @ W), np.tanh(X @ W).sum()],
        ["each", "rows"],
    ),
    "scaled arguments": (lambda: (x * 2 + 1) @ w @ v + 1, lambda: (X * 2 + 1) @ W @ V + 1, ["rows"]),
    "every second row": (
        lambda: ct.exp(ct.concatenate([x, x])[::2] @ w).sum(),
        lambda: np.exp(np.concatenate([X, X])[::2] @ W).sum(),
        ["each"],
    ),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_rows_that_go_together_go_by_blocks(name):
    build, expected, lie = TOGETHER[name]
    f = by_blocks(INPUTS, build())
    assert ways(f) == lie
    results, wanted = f(*ARRAYS), expected()
    for got, want in zip(*([each] if not isinstance(each, list) else each for each in (results, wanted)), strict=True):
        assert_allclose(got, want, rtol=1e-12, atol=1e-12)


SUMS = {
    "a sum": (lambda: x.sum(axis=0), lambda: X.sum(axis=0), 1),
    "a maximum and a sum": (lambda: [x.max(axis=0), ct.exp(x).sum(axis=0)], lambda: [X.max(0), np.exp(X).sum(0)], 1),
    "elements and their sum": (lambda: [ct.exp(x), ct.exp(x).sum(axis=0)], lambda: [np.exp(X), np.exp(X).sum(0)], 1),
    "a variance": (lambda: x.var(axis=0), lambda: X.var(axis=0), 2),
    "a sum of exponentials": (lambda: ct.logsumexp(x, axis=0), lambda: np.log(np.exp(X).sum(axis=0)), 2),
    "a sum of columns that a product leads to": (
        lambda: ((x @ w - (x @ w).mean(axis=0)) ** 2).sum(axis=0),
        lambda: ((X @ W - (X @ W).mean(axis=0)) ** 2).sum(axis=0),
        2,
    ),
    "a sum of everything": (lambda: x.sum(), lambda: X.sum(), 0),
    "sums of rows": (lambda: x.sum(axis=1), lambda: X.sum(axis=1), 0),
    "sums of columns of normal rows": (lambda: ct.softmax(x, axis=1).sum(axis=0), lambda: softmax(X).sum(axis=0), 0),
    "columns that wait for their sum": (lambda: ct.softmax(x, axis=0), lambda: softmax(X.T).T, 0),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_narrow_columns_go_by_blocks(name):
    build, expected, count = SUMS[name]
    f = by_blocks(INPUTS, build())
    assert len(steps(f, BlockStep)) == count
    results, wanted = f(*ARRAYS), expected()
    for got, want in zip(*([each] if not isinstance(each, list) else each for each in (results, wanted)), strict=True):
        assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_wide_columns_are_left_to_loops_over_them(monkeypatch):
    monkeypatch.setattr(rows, "NARROW", 3)
    assert not steps(by_blocks([x], x.sum(axis=0)), BlockStep)


def test_a_step_of_a_network_is_one_pass_over_its_rows():
    loss = ct.softmax_crossentropy(ct.tanh(x @ w + b) @ v, labels).mean()
    f = by_blocks(INPUTS, [loss, *grad(loss, [w, b, v])])
    assert ways(f) == ["each", "each", "grown", "grown"]
    assert not steps(f, LibraryStep)
    got, g_w, g_b, g_v = f(*ARRAYS)
    hidden = np.tanh(X @ W + B)
    error = (softmax(hidden @ V) - one_hot(LABELS)) / N
    inner = (error @ V.T) * (1 - hidden**2)
    assert_allclose(got, -np.log(softmax(hidden @ V)[np.arange(N), LABELS]).mean())
    assert_allclose(g_w, X.T @ inner, atol=1e-14)
    assert_allclose(g_b, inner.sum(axis=0), atol=1e-14)
    assert_allclose(g_v, hidden.T @ error, atol=1e-14)


APART = {
    "one product": lambda: x @ w,
    "a mean that rows are less by": lambda: (x @ w - (x @ w).mean(axis=0)) @ v,
    "rows in another order": lambda: ct.exp((x @ w)[::-1]),
    "products of rows with rows": lambda: ct.exp(x @ w) @ ct.exp(x @ w).T,
    "running sums": lambda: ct.cumsum(x @ w, axis=0),
    "rows by number": lambda: ct.exp((x @ w)[labels]),
}


@pytest.mark.parametrize("name", APART)
def test_what_needs_other_rows_is_left_alone(name):
    outputs = APART[name]()
    f = by_blocks(INPUTS, outputs)
    assert steps(f, LibraryStep)
    want = function(INPUTS, outputs, backend="interpreter", on_unused_input="ignore")(*ARRAYS)
    assert_allclose(f(*ARRAYS), want, rtol=1e-12, atol=1e-12)


def test_products_of_complex_numbers_are_left_alone():
    assert not steps(by_blocks(INPUTS, [ct.exp((x + 1j) @ w), ct.exp(x @ w)]), BlockStep)


def test_a_block_has_those_of_fewer_rows_that_it_contains():
    m, k = ct.matrix("m"), ct.lvector("k")
    picked = (ct.tanh(m @ w) @ v)[ct.arange(k.shape[0]), k]
    f = by_blocks([m, w, v, k], [picked.sum(), grad(picked.sum(), w)])
    want = function([m, w, v, k], [picked.sum(), grad(picked.sum(), w)], backend="interpreter")
    for count in (0, 1, 2, 5, 10, 11):
        for got, expected in zip(f(X, W, V, LABELS[:count]), want(X, W, V, LABELS[:count]), strict=True):
            assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    with pytest.raises(IndexOutOfBounds):
        f(X[:4], W, V, LABELS)
    with pytest.raises(IndexOutOfBounds):
        f(X, W, V, LABELS + 3)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 30])
def test_lengths_decide_which_program_serves(monkeypatch, n):
    monkeypatch.setattr(rows, "TALL", 3 * 8 * (4 + 5 + 5))
    m = ct.matrix("m")
    f = by_blocks([m, w], [ct.exp(m @ w).sum(axis=0), ct.exp(m @ w)])
    value = random((n, 4))
    for each in (value, X, value):
        sums, elements = f(each, W)
        assert_allclose(sums, np.exp(each @ W).sum(axis=0), rtol=1e-12)
        assert_allclose(elements, np.exp(each @ W), rtol=1e-12)
    assert not steps(f, BlockStep)  # of the program that is made first
    with pytest.raises(ShapeError):
        f(value, W[:3])


def test_weights_that_fill_the_cache_are_left_alone(monkeypatch):
    monkeypatch.setattr(rows, "KEPT", 4 * 5 * 8 - 1)
    assert not steps(by_blocks([x, w], ct.exp(x @ w).sum()), BlockStep)
    monkeypatch.setattr(rows, "KEPT", 4 * 5 * 8)
    assert steps(by_blocks([x, w], ct.exp(x @ w).sum()), BlockStep)


def test_nan_and_infinity_stay_in_their_rows():
    value = X.copy()
    value[3, 1], value[4, 2] = np.nan, np.inf
    f = by_blocks([x, w], [ct.tanh(x @ w), (x @ w).max(axis=1)])
    with np.errstate(invalid="ignore"):
        elements, largest = f(value, W)
        assert_allclose(elements, np.tanh(value @ W), rtol=1e-12)
        assert_allclose(largest, (value @ W).max(axis=1), rtol=1e-12)


def test_what_only_a_block_needs_is_no_larger():
    f = by_blocks([x, w, v], (ct.tanh(x @ w) @ v).sum())
    (step,) = steps(f, BlockStep)
    assert not [part for part in step.blocks.outputs if part.way is Way.ROWS]
    assert step.blocks.rows.payload == 2
    assert max(n.payload for n in f.program.slot_sizes) <= 8 * N  # shares of the sum


def test_random_graphs_do_not_depend_on_blocks():
    @settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(graph=graphs())
    def check(graph):
        results = by_blocks(graph.inputs, graph.outputs)(*graph.arrays)
        for got, want in zip(results, graph.expected, strict=True):
            assert_allclose(got, want, **graph.tolerance(), err_msg=str(graph))

    check()


# --- the verifier -----------------------------------------------------------------------------------------------------


def changed(f, **parts):
    """The program of a function whose outputs of blocks are changed."""
    (position,) = (k for k, step in enumerate(f.program.steps) if isinstance(step, BlockStep))
    step = f.program.steps[position]
    outputs = tuple(replace(part, **parts) for part in step.blocks.outputs)
    own = list(f.program.steps)
    own[position] = BlockStep(replace(step.blocks, outputs=outputs), step.body)
    return replace(f.program, steps=own)


def test_blocks_must_not_write_the_same_elements():
    f = by_blocks([x, w], ct.tanh(x @ w))
    verify(f.program)
    with pytest.raises(VerifyError, match="all blocks would write all of"):
        verify(changed(f, way=Way.WHOLE))


def test_a_share_of_each_block_has_an_axis_less():
    with pytest.raises(VerifyError, match="cannot be a part of"):
        verify(changed(by_blocks([x, w], ct.tanh(x @ w)), way=Way.EACH))


def test_what_grows_needs_pieces():
    with pytest.raises(VerifyError, match="needs pieces to grow in|cannot be a part"):
        verify(changed(by_blocks([x, w], ct.tanh(x @ w)), way=Way.GROWN))
