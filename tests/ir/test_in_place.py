"""In place: which kernels store where they read, which must not, and that nothing else changes."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose

import core.tensor as ct
from core.errors import VerifyError
from core.ir.check.verify import verify
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import const, index, length, make
from core.ir.nodes import Kernel, Loop, LoopKind, Store
from core.ir.passes.in_place import Places
from core.ir.program import KernelStep
from core.testing import random
from core.testing.graphs import graphs

x, w, b = ct.matrix("x"), ct.matrix("w"), ct.vector("b")
X, W, B = random((3, 3)), random((3, 3)), random((3,))


@pytest.fixture
def overwritten():
    """How many values the kernels of a function overwrite."""
    return lambda f: sum(len(step.overwrites) for step in f.program.steps if isinstance(step, KernelStep))


def test_an_activation_lies_where_its_product_was(compiled, gemm, overwritten):
    f = compiled([x, w, b], ct.tanh(x @ w + b) @ w)
    assert overwritten(f) == 1 and len(f.program.slot_sizes) == 1
    assert_allclose(f(X, W, B), np.tanh(X @ W + B) @ W)


def test_a_result_may_begin_as_the_product_that_it_is_made_of(compiled, gemm, overwritten):
    f = compiled([x, w], ct.exp(x @ w))
    assert overwritten(f) == 1 and f.program.kept_in
    assert_allclose(f(X, W), np.exp(X @ W))


@pytest.mark.parametrize(
    "output, expected",
    [
        (lambda: ct.exp(x @ w) + (x @ w).T, np.exp(X @ W) + (X @ W).T),
        (lambda: ct.exp((x @ w)[::-1]), np.exp((X @ W)[::-1])),
        (lambda: ct.exp(x @ w) @ (x @ w), np.exp(X @ W) @ (X @ W)),
    ],
    ids=["read transposed", "read from the other end", "needed afterwards"],
)
def test_what_is_read_elsewhere_or_later_is_not_overwritten(compiled, gemm, overwritten, output, expected):
    f = compiled([x, w], output())
    assert overwritten(f) == 0
    assert_allclose(f(X, W), expected)


def test_arguments_are_never_overwritten(compiled, overwritten):
    f = compiled([x], ct.exp(x))
    given = X.copy()
    f(given)
    assert overwritten(f) == 0 and np.array_equal(given, X)


def test_random_graphs_with_products_give_what_numpy_gives(compiled, gemm):
    @settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(graph=graphs())
    def check(graph):
        results = compiled(graph.inputs, graph.outputs)(*graph.arrays)
        for got, want in zip(results, graph.expected, strict=True):
            assert_allclose(got, want, **graph.tolerance(), err_msg=str(graph))

    check()


# --- the rule ---------------------------------------------------------------------------------------------------------

V, T = Value("v", "float64"), Value("t", "float64")
N, I, J = length(V, 0), index("i"), index("j")  # noqa: E741


def read(at):
    return make(Code.LOAD, "float64", (at,), V)


def over(*body, variable=I, kind=LoopKind.GRID):
    return Loop(variable, N, list(body), kind)


CASES = {
    "the same place": ([over(Store(T, I, read(I) + 1.0))], True),
    "a neighbour": ([over(Store(T, I, read(I + 1)))], False),
    "one place for all": ([over(Store(T, I, read(const(0))))], False),
    "read again afterwards": ([over(Store(T, I, read(I))), over(Store(T, I, read(I)))], False),
    "iterations that come back": ([over(over(Store(T, I, read(I) + 1.0)), variable=J)], False),
}


@pytest.mark.parametrize("body, safe", CASES.values(), ids=CASES.keys())
def test_a_value_is_overwritten_only_where_none_of_it_is_read_any_more(body, safe):
    assert Places(Kernel("k", [V], [T], body)).are_safe(V, T) is safe


def test_the_verifier_finds_a_value_that_is_read_after_it_was_overwritten(compiled, gemm):
    program = compiled([x, w, b], ct.tanh(x @ w + b) @ w).program
    step = next(step for step in program.steps if isinstance(step, KernelStep))
    (target,) = step.overwrites
    step.kernel.body.append(Store(target, const(0), const(0.0, "float64")))
    with pytest.raises(VerifyError, match="it overwrites dot before all of it was read"):
        verify(program)
