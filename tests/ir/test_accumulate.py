"""Sums of products: which are accumulated, in whose memory, and that the numbers stay."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.dataclass import replace
from core.errors import VerifyError
from core.gradient import grad
from core.ir.check.verify import verify
from core.ir.program import KernelStep, LibraryStep
from core.testing import random

pytestmark = pytest.mark.usefixtures("gemm")
x, w, h, u = (ct.dmatrix(name) for name in "xwhu")
b = ct.dvector("b")
INPUTS = [x, w, h, u, b]
SHAPES = [(4, 5), (5, 6), (4, 7), (7, 6), (6,)]
ARRAYS = [random(shape, seed=seed) for seed, shape in enumerate(SHAPES)]
X, W, H, U, B = ARRAYS


def calls(f):
    return [step.call.name for step in f.program.steps if isinstance(step, LibraryStep)]


ACCUMULATED = [
    (lambda x, w, h, u, b: x @ w + h @ u, ["gemm", "gemm_add"]),
    (lambda x, w, h, u, b: x @ w - h @ u, ["gemm", "gemm_add"]),
    (lambda x, w, h, u, b: b - x @ w + h @ u, ["gemm", "gemm_add"]),
    (lambda x, w, h, u, b: b - x @ w - h @ u, ["gemm", "gemm"]),
    (lambda x, w, h, u, b: x @ w - 2 * (h @ u) - (0.5 * (x @ w[::-1])) * 3, ["gemm", "gemm_add", "gemm_add"]),
    (lambda x, w, h, u, b: b[0] * (h @ u) + x @ w, ["gemm", "gemm_add"]),
    (lambda x, w, h, u, b: w - 0.1 * (x.T @ (h @ u)), ["gemm", "gemm_add"]),
    (lambda x, w, h, u, b: -(x.T @ (h @ u)) * 0.1 + w, ["gemm", "gemm_add"]),
    (lambda x, w, h, u, b: w + x.T @ (h @ u) - x.T @ (x @ w), ["gemm", "gemm", "gemm_add", "gemm_add"]),
    (lambda x, w, h, u, b: u - b.sum() * (h.T @ (h @ u)), ["gemm", "gemm_add"]),
    (lambda x, w, h, u, b: w - x.T @ (h @ u) / b.sum(), ["gemm", "gemm"]),
    (lambda x, w, h, u, b: w - 0.1 * (x.T @ (h @ u) + x.T @ (x @ w)), ["gemm"] * 3 + ["gemm_add"]),
    (lambda x, w, h, u, b: b - 0.1 * (x[0] @ w), ["gemm_add"]),
    (lambda x, w, h, u, b: (x @ w + h @ u) @ (x @ w).T, ["gemm", "gemm", "gemm_add"]),
    (lambda x, w, h, u, b: x @ w + b + h @ u, ["gemm", "gemm_add"]),
    (lambda x, w, h, u, b: (x @ w + b) - (b - h @ u) + x @ w[::-1], ["gemm", "gemm_add", "gemm_add"]),
    (lambda x, w, h, u, b: (x @ w + h @ u) * b + (x @ w[::-1] - h @ u[::-1]), ["gemm", "gemm_add"] * 2),
    (lambda x, w, h, u, b: (x @ w + h @ u).sum(0), ["gemm", "gemm_add"]),
    (lambda x, w, h, u, b: x.T @ h @ u + x.T @ x @ w, ["gemm"] * 3 + ["gemm_add"]),
    (lambda x, w, h, u, b: (w.T @ x[0]) + (u.T @ h[1]), ["gemm_add", "gemv"]),
    (lambda x, w, h, u, b: (x[None] @ w) + (h[None] @ u), ["gemm", "gemm_add"]),
]


@pytest.mark.parametrize("build, expected", ACCUMULATED)
def test_products_that_are_summed_are_accumulated(compiled, build, expected):
    f = compiled(INPUTS, build(*INPUTS))
    assert sorted(calls(f)) == sorted(expected)
    assert_allclose(f(*ARRAYS), build(*ARRAYS), rtol=1e-12, atol=1e-12)


def test_columns_of_one_sum_read_one_matrix(compiled):
    """Gates: each is a sum of its own, and all of them have both products."""
    z = x @ w + h @ u + b
    gates = ct.tanh(z[:, :3]) * ct.exp(z[:, 3:])
    f = compiled(INPUTS, gates)
    assert calls(f) == ["gemm", "gemm_add"]
    expected = X @ W + H @ U + B
    assert_allclose(f(*ARRAYS), np.tanh(expected[:, :3]) * np.exp(expected[:, 3:]), rtol=1e-12)


@pytest.mark.parametrize(
    "build",
    [
        lambda p, q: ct.tanh((p + q)[:, :3]) * ct.exp((p - q)[:, 3:]),
        lambda p, q: ct.tanh((p + q)[:, :3]) * ct.exp(p[:, 3:] + q[:, 2:5]),
        lambda p, q: ct.tanh((p + q)[:, :3]) * ct.exp((p + 2 * q)[:, 3:]),
        lambda p, q: ct.tanh((p + q)[:, :3]) * ct.exp(p[:, 3:]),
        lambda p, q: ct.tanh((p + q)[:, :3]) * ct.exp((p + q[::-1])[:, 3:]),
    ],
)
def test_columns_of_different_sums_read_both_products(compiled, build):
    f = compiled(INPUTS, build(x @ w, h @ u))
    plain = core.function(INPUTS, build(x @ w, h @ u), backend="interpreter", on_unused_input="ignore")
    assert calls(f) == ["gemm", "gemm"]
    assert_allclose(f(*ARRAYS), plain(*ARRAYS), rtol=1e-12)


def test_the_gradient_of_two_products_that_are_summed_is_stored_once(compiled):
    """Each product asks for it in the shape of its own result, and both shapes are the same."""
    cost = ct.tanh(x @ w + h @ u + b).sum()
    f = compiled(INPUTS, grad(cost, [w, u]))
    stored = [value for step in f.program.steps if isinstance(step, KernelStep) for value in step.writes]
    factors = [step.operands[1].value for step in f.program.steps if isinstance(step, LibraryStep)][-2:]
    assert factors[0] is factors[1] and len(stored) == 1
    t = 1 - np.tanh(X @ W + H @ U + B) ** 2
    for got, expected in zip(f(*ARRAYS), [X.T @ t, H.T @ t], strict=True):
        assert_allclose(got, expected, rtol=1e-12)


def test_of_equal_operands_those_that_are_outputs_too_stay(compiled):
    t = ct.exp(x @ w)
    f = compiled(INPUTS, [t + 0, t + 0, (t + 0) @ w.T, x.T @ (t + 0)])
    e = np.exp(X @ W)
    for got, expected in zip(f(*ARRAYS), [e, e, e @ W.T, X.T @ e], strict=True):
        assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "build",
    [
        lambda x, w, h, u, b: (x @ w) * (h @ u),
        lambda x, w, h, u, b: (x @ w + h @ u) * (x @ w),
        lambda x, w, h, u, b: x @ w + (h @ u)[::-1],
        lambda x, w, h, u, b: x @ w + (h[0][None] @ u),
        lambda x, w, h, u, b: x @ w + b,
        lambda x, w, h, u, b: 2 * (w - x.T @ (h @ u)),
        lambda x, w, h, u, b: x @ w + x @ w,
    ],
)
def test_products_that_others_read_or_that_do_not_lie_alike_stay(compiled, build):
    f = compiled(INPUTS, build(*INPUTS))
    assert "gemm_add" not in calls(f)
    assert_allclose(f(*ARRAYS), build(*ARRAYS), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "build",
    [
        lambda x, w, h, u, b: w + (x.T @ x)[:, :1] * 0.5 + (x.T @ ct.concatenate([x, x], axis=1))[:, :6],
        lambda x, w, h, u, b: w + 0.1 * (x.T @ ct.concatenate([x, x], axis=1))[:, :6],
        lambda x, w, h, u, b: x @ w + (x @ ct.concatenate([w, w], axis=1))[:, :6],
        lambda x, w, h, u, b: (x @ ct.concatenate([w, w], axis=1))[:, :6] + x @ w,
    ],
)
def test_a_part_of_a_product_is_no_matrix_that_others_start_from(compiled, build):
    f = compiled(INPUTS, build(*INPUTS))
    plain = core.function(INPUTS, build(*INPUTS), backend="interpreter", on_unused_input="ignore")
    assert "gemm_add" not in calls(f)
    assert_allclose(f(*ARRAYS), plain(*ARRAYS), rtol=1e-12)


def test_outputs_stay_what_they_are(compiled):
    f = compiled(INPUTS, [x @ w, x @ w + h @ u, h @ u])
    assert calls(f) == ["gemm", "gemm"]
    for got, expected in zip(f(*ARRAYS), [X @ W, X @ W + H @ U, H @ U], strict=True):
        assert_allclose(got, expected)


def test_a_chain_that_is_an_output_is_made_in_its_memory(compiled):
    f = compiled(INPUTS, x @ w + h @ u + x @ w[::-1])
    (output,) = f.program.outputs
    assert set(f.program.kept_in.values()) == {output} and len(f.program.kept_in) == 2
    assert not any(isinstance(step, KernelStep) and output in step.writes for step in f.program.steps)


def test_a_chain_that_a_kernel_reads_has_the_memory_of_what_the_kernel_makes_of_it(compiled):
    f = compiled(INPUTS, ct.tanh(x @ w + h @ u + b))
    made = [step.outputs[0] for step in f.program.steps if isinstance(step, LibraryStep)]
    assert {f.program.kept_in[value] for value in made} == {*f.program.outputs}


def test_a_matrix_that_is_a_factor_too_keeps_its_memory(compiled):
    c = ct.exp(h @ h.T)
    f = compiled([h], c + c @ c)
    assert calls(f) == ["gemm", "gemm_add"] and not f.program.kept_in
    C = np.exp(H @ H.T)
    assert_allclose(f(H), C + C @ C)


def test_a_value_is_kept_only_in_an_output_that_is_made_of_it(compiled):
    program = compiled(INPUTS, [x @ w + h @ u, ct.exp(b)]).program
    (value, home), other = next(iter(program.kept_in.items())), program.outputs[1]
    verify(program)
    with pytest.raises(VerifyError, match="not made of it in place"):
        verify(replace(program, kept_in={value: other}))
    assert home is program.outputs[0]


def test_lengths_that_broadcast_after_all_are_not_accumulated(compiled):
    f = compiled(INPUTS, x @ w + h @ u)
    assert_allclose(f(X, W, H[:1], U, B), X @ W + H[:1] @ U)
    assert_allclose(f(X[:1], W, H, U, B), X[:1] @ W + H @ U)


@pytest.mark.parametrize("backend_lengths", [(0, 5, 6, 7), (4, 0, 6, 7), (4, 5, 0, 7), (4, 5, 6, 0)])
def test_empty_products_add_zeros(compiled, backend_lengths):
    m, k, n, j = backend_lengths
    f = compiled(INPUTS, x @ w + h @ u - b)
    arrays = [random(shape) for shape in ((m, k), (k, n), (m, j), (j, n), (n,))]
    assert_allclose(f(*arrays), arrays[0] @ arrays[1] + arrays[2] @ arrays[3] - arrays[4])


def test_the_gradient_of_a_matrix_that_is_used_again_and_again_grows_in_one_place(compiled):
    states = [h]
    r = ct.dmatrix("r")
    for _ in range(3):
        states.append(ct.tanh(states[-1] @ r))
    g = grad(states[-1].sum(), r)
    f = compiled([h, r], g, mode="fast_run")
    assert calls(f).count("gemm_add") == 2
    R = random((7, 7), seed=9)
    assert_allclose(f(H, R), g.eval({h: H, r: R}, backend="interpreter"), rtol=1e-12, atol=1e-12)
