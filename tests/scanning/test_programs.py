"""Programs with loops as users write them, on every backend: models, samplers, loops in loops, and gradients."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

import core
import core.tensor as ct
from core.testing import available_backends

pytestmark = pytest.mark.filterwarnings("ignore::core.errors.CoreWarning")
BACKENDS = available_backends()


def rows(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def slopes(function, *arrays):
    """Of a function of arrays that gives a number, the derivatives by each element, by differences."""
    found = []
    for k, array in enumerate(arrays):
        slope = np.zeros(array.shape)
        for at in np.ndindex(array.shape):
            step = np.zeros(array.shape)
            step[at] = 1e-6
            ends = (function(*arrays[:k], array + sign * step, *arrays[k + 1 :]) for sign in (1, -1))
            slope[at] = np.subtract(*ends) / 2e-6
        found.append(slope)
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_likeliest_path_of_a_hidden_markov_model(backend):
    likely, moves, seen = ct.matrix("likely"), ct.matrix("moves"), ct.lvector("seen")

    def forwards(o, best):
        scores = best[:, None] + moves
        return scores.max(axis=0) + likely[:, o], scores.argmax(axis=0)

    best, came_from = core.scan(forwards, sequences=seen[1:], outputs_info=[likely[:, seen[0]], None])
    last = best[-1].argmax()
    path = core.scan(lambda back, s: back[s], sequences=came_from, outputs_info=last, go_backwards=True)
    f = core.function([likely, moves, seen], ct.concatenate([path[::-1], last[None]]), backend=backend)
    a, b = (
        np.log(np.random.default_rng(0).dirichlet(np.ones(4), 3)),
        np.log(np.random.default_rng(1).dirichlet(np.ones(3), 3)),
    )
    observed = np.random.default_rng(2).integers(0, 4, 6)
    every = np.indices((3,) * 6).reshape(6, -1).T
    scores = a[every, observed].sum(1) + b[every[:, :-1], every[:, 1:]].sum(1)
    assert_array_equal(f(a, b, observed), every[scores.argmax()])


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_evidence_of_a_hidden_markov_model_is_the_sum_over_all_paths(backend):
    likely, moves, seen = ct.matrix("likely"), ct.matrix("moves"), ct.lvector("seen")
    forwards = core.scan(
        lambda o, a: ct.logsumexp(a[:, None] + moves, axis=0) + likely[:, o],
        sequences=seen[1:],
        outputs_info=likely[:, seen[0]],
    )
    evidence = ct.logsumexp(forwards[-1])
    f = core.function([likely, moves, seen], [evidence, *core.grad(evidence, [likely, moves])], backend=backend)
    a, b, observed = rows(2, 3), rows(2, 2, seed=1), np.array([0, 2, 1, 2])
    every = np.indices((2,) * 4).reshape(4, -1).T
    expected = lambda a, b: logsumexp(a[every, observed].sum(1) + b[every[:, :-1], every[:, 1:]].sum(1))
    value, *found = f(a, b, observed)
    assert_allclose(value, expected(a, b))
    for got, slope in zip(found, slopes(expected, a, b), strict=True):
        assert_allclose(got, slope, atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_sequences_of_several_lengths_by_a_mask_and_by_choosing_rows(backend):
    x, n, w = ct.tensor("x", dtype="float64", ndim=3), ct.lvector("n"), ct.matrix("w")
    start = ct.zeros((x.shape[1], w.shape[0]))
    every = core.scan(lambda x, h: ct.tanh(x + h @ w), sequences=x, outputs_info=start)
    chosen = every[n - 1, ct.arange(n.shape[0])]
    masked = core.scan(
        lambda t, x, h: ct.where((t < n)[:, None], ct.tanh(x + h @ w), h),
        sequences=[ct.arange(x.shape[0]), x],
        outputs_info=start,
    )[-1]
    outputs = [chosen, masked, core.grad(chosen.sum(), w), core.grad(masked.sum(), w)]
    f = core.function([x, n, w], outputs, backend=backend)
    arrays = rows(4, 3, 2), np.array([2, 4, 1]), rows(2, 2, seed=1)

    def expected(w):
        found = []
        for k, length in enumerate(arrays[1]):
            h = np.zeros(2)
            for row in arrays[0][:length, k]:
                h = np.tanh(row + h @ w)
            found.append(h)
        return np.array(found)

    (slope,) = slopes(lambda w: expected(w).sum(), arrays[2])
    made = f(*arrays)
    for got, value in zip(made, [expected(arrays[2])] * 2 + [slope] * 2, strict=True):
        assert_allclose(got, value, atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gradient_through_steps_of_gradient_descent_for_several_tasks(backend):
    w, x, y = ct.vector("w"), ct.tensor("x", dtype="float64", ndim=3), ct.matrix("y")

    def task(x, y, w):
        after = core.scan(lambda v: v - 0.1 * core.grad(((x @ v - y) ** 2).mean(), v), outputs_info=w, n_steps=3)[-1]
        return ((x @ after - y) ** 2).mean()

    loss = core.scan(task, sequences=[x, y], non_sequences=w).mean()
    f = core.function([w, x, y], [loss, core.grad(loss, w)], backend=backend)
    arrays = rows(3), rows(2, 5, 3, seed=1), rows(2, 5, seed=2)

    def expected(w):
        losses = []
        for a, b in zip(arrays[1], arrays[2], strict=True):
            v = w
            for _ in range(3):
                v = v - 0.1 * 2 * a.T @ (a @ v - b) / len(b)
            losses.append(((a @ v - b) ** 2).mean())
        return np.mean(losses)

    value, slope = f(*arrays)
    assert_allclose(value, expected(arrays[0]))
    assert_allclose(slope, slopes(expected, arrays[0])[0], atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_collatz_sequences_of_integers_end_where_they_come_to_one(backend):
    n = ct.lscalar("n")
    step = lambda n: (new := ct.where(ct.eq(n % 2, 0), n // 2, 3 * n + 1), core.until(ct.eq(new, 1)))
    made = core.scan(step, outputs_info=n, n_steps=1000)
    f = core.function([n], [made, made.shape[0]], backend=backend)
    assert_array_equal(f(6)[0], [3, 10, 5, 16, 8, 4, 2, 1])
    assert f(27)[1] == 111


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_state_of_complex_numbers_and_one_of_booleans(backend):
    z = ct.zvector("z")

    def step(s, inside):
        s = s * s + z
        return s, inside & (ct.abs(s) < 2)

    s, inside = core.scan(step, outputs_info=[ct.zeros_like(z), ct.abs(z) < 2], n_steps=20)
    f = core.function([z], [s[1], inside[-1]], backend=backend)
    value = np.array([0.1 + 0.2j, -1.0, 0.5 + 0.5j, 1.0])
    second, held = f(value)
    assert_allclose(second, value**2 + value)
    assert_array_equal(held, [True, True, False, False])
