"""Distributions: against their distribution functions and moments, on every backend; shapes, dtypes, derivatives."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
import plugin_ops_random as random
from core.errors import ArgumentError, DTypeError, ShapeError
from core.testing import available_backends, evaluate

KEY = random.key(20)
N = 20_000
BELOW = np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)))  # of the standard normal distribution

# A draw, and the probability that it is less than x.
CONTINUOUS = {
    "random": (lambda **size: random.random(KEY, **size), lambda x: x),
    "uniform": (lambda **size: random.uniform(KEY, -1, 3, **size), lambda x: (x + 1) / 4),
    "standard_normal": (lambda **size: random.standard_normal(KEY, **size), BELOW),
    "normal": (lambda **size: random.normal(KEY, 2, 0.5, **size), lambda x: BELOW((x - 2) / 0.5)),
    "lognormal": (lambda **size: random.lognormal(KEY, 1, 0.5, **size), lambda x: BELOW((np.log(x) - 1) / 0.5)),
    "standard_exponential": (lambda **size: random.standard_exponential(KEY, **size), lambda x: -np.expm1(-x)),
    "exponential": (lambda **size: random.exponential(KEY, 3, **size), lambda x: -np.expm1(-x / 3)),
    "laplace": (
        lambda **size: random.laplace(KEY, 1, 2, **size),
        lambda x: np.where(x < 1, np.exp((x - 1) / 2) / 2, 1 - np.exp(-(x - 1) / 2) / 2),
    ),
    "logistic": (lambda **size: random.logistic(KEY, 1, 2, **size), lambda x: 1 / (1 + np.exp(-(x - 1) / 2))),
    "gumbel": (lambda **size: random.gumbel(KEY, 1, 2, **size), lambda x: np.exp(-np.exp(-(x - 1) / 2))),
    "rayleigh": (lambda **size: random.rayleigh(KEY, 2, **size), lambda x: -np.expm1(-((x / 2) ** 2) / 2)),
    "weibull": (lambda **size: random.weibull(KEY, 1.5, **size), lambda x: -np.expm1(-(x**1.5))),
    "pareto": (lambda **size: random.pareto(KEY, 3, **size), lambda x: 1 - (1 + x) ** -3.0),
    "power": (lambda **size: random.power(KEY, 2.5, **size), lambda x: x**2.5),
    "standard_cauchy": (lambda **size: random.standard_cauchy(KEY, **size), lambda x: 0.5 + np.arctan(x) / np.pi),
    "triangular": (
        lambda **size: random.triangular(KEY, 0, 1, 4, **size),
        lambda x: np.where(x < 1, x**2 / 4, 1 - (4 - x) ** 2 / 12),
    ),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_follow_the_distribution(name):
    """Kolmogorov's distance: more than 1.95 / sqrt(n) once in a thousand keys, and this one is fixed."""
    draw, below = CONTINUOUS[name]
    for dtype in ("float32", "float64"):
        x = np.sort(draw(size=N, dtype=dtype).eval())
        assert x.dtype == dtype and np.isfinite(x).all()
        steps = np.arange(N + 1) / N
        at = below(x.astype("float64"))
        assert max(np.max(at - steps[:-1]), np.max(steps[1:] - at)) < 1.95 / math.sqrt(N)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_are_those_of_the_interpreter(backend, name):
    drawn = CONTINUOUS[name][0](size=(3, 5))
    got, want = (core.function([], drawn, backend=b)() for b in (backend, "interpreter"))
    if name in ("random", "uniform"):
        assert_array_equal(got, want)
    assert_allclose(got, want, rtol=1e-12)


def test_the_quantiles_of_the_normal_distribution_are_right_far_out():
    p = np.array([0.5, 0.075, 0.925, 1e-3, 1e-12, 1e-100, 5e-324, 0, 1])
    x = evaluate(ct.ndtri, p)
    below = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x[:6]])
    assert_allclose(below, p[:6], rtol=1e-12)
    assert_allclose(x[6], -38.46740561714434, rtol=1e-14)  # SciPy
    assert_array_equal(x[7:], [-np.inf, np.inf])


def test_a_draw_has_the_shape_of_its_parameters():
    loc, scale = np.zeros((3, 1)), np.ones(4)
    assert random.normal(KEY, loc, scale).eval().shape == (3, 4)
    assert random.normal(KEY, loc, scale, size=(2, 3, 4)).eval().shape == (2, 3, 4)
    assert random.normal(KEY).eval().shape == ()
    assert random.normal(KEY, size=(0, 2)).eval().shape == (0, 2)


def test_derivatives_are_those_of_the_formula_at_the_same_bits():
    loc, scale = ct.dscalar("loc"), ct.dscalar("scale")
    x = random.normal(KEY, loc, scale, size=50)
    f = core.function([loc, scale], [x, *core.grad(x.sum(), [loc, scale])])
    values, by_loc, by_scale = f(1.0, 2.0)
    assert by_loc == 50
    assert_allclose(by_scale, ((values - 1) / 2).sum(), rtol=1e-12)


# --- discrete --------------------------------------------------------------------------------------------------------


def shares(drawn, count):
    return np.bincount(drawn.ravel(), minlength=count) / drawn.size


@pytest.mark.parametrize("backend", available_backends())
def test_integers_are_equally_likely_and_the_same_everywhere(backend):
    drawn = core.function([], random.integers(KEY, -2, 4, size=N), backend=backend)()
    assert drawn.dtype == "int64" and set(drawn) == set(range(-2, 4))
    assert_allclose(shares(drawn + 2, 6), 1 / 6, atol=0.012)
    assert_array_equal(drawn, random.integers(KEY, -2, 4, size=N).eval(backend="interpreter"))


def test_integers_reach_over_all_64_bits():
    low, high = np.iinfo("int64").min, np.iinfo("int64").max
    drawn = random.integers(KEY, low, high, size=1000).eval()
    assert drawn.min() < 0.98 * low and drawn.max() > 0.98 * high
    exact = [low + (int(b) * (high - low) >> 64) for b in random.bits(KEY, 1000).eval()]
    assert_array_equal(drawn, exact)
    assert set(random.integers(KEY, 3, size=300, endpoint=True, dtype="int8").eval()) == {0, 1, 2, 3}


def test_a_coin_a_die_and_trials_are_as_likely_as_they_say():
    assert abs(random.bernoulli(KEY, 0.3, size=N).eval().mean() - 0.3) < 0.012
    assert_array_equal(random.bernoulli(KEY, np.array([0.0, 1.0]), size=(50, 2)).eval(), [[False, True]] * 50)
    p = np.array([[1.0, 2, 1], [0, 0, 3]])
    drawn = random.categorical(KEY, p, size=(N, 2)).eval()
    assert_allclose(shares(drawn[:, 0], 3), [0.25, 0.5, 0.25], atol=0.015)
    assert set(drawn[:, 1]) == {2}
    trials = random.geometric(KEY, 0.25, size=N).eval()
    assert trials.min() == 1
    assert_allclose(shares(trials, 40)[1:5], [0.25 * 0.75**k for k in range(4)], atol=0.012)


def test_a_permutation_holds_everything_once_and_each_is_as_likely():
    keys = random.split(KEY, 3000).eval()
    key = ct.tensor("key", dtype="uint32", shape=(2,))
    f = core.function([key], random.permutation(key, 3))
    counts = {}
    for one in keys:
        counts[tuple(f(one))] = counts.get(tuple(f(one)), 0) + 1
    assert len(counts) == 6
    assert_allclose(list(counts.values()), 500, atol=75)
    rows = np.arange(12).reshape(4, 3)
    assert_array_equal(np.sort(random.permutation(KEY, rows).eval(), axis=0), rows)


def test_choices_with_and_without_replacement():
    pool = np.array([10.0, 20.0, 30.0])
    assert set(random.choice(KEY, pool, 200).eval()) == set(pool)
    assert_array_equal(np.sort(random.choice(KEY, 5, 5, replace=False).eval()), np.arange(5))
    drawn = random.choice(KEY, pool, (N,), p=np.array([0.5, 0, 0.5])).eval()
    assert_allclose(shares((drawn / 10).astype(int), 4), [0, 0.5, 0, 0.5], atol=0.015)
    assert set(random.choice(KEY, 3, 2, replace=False, p=np.array([0.5, 0, 0.5])).eval()) == {0, 2}
    assert random.choice(KEY, 9).eval().shape == ()


def test_more_choices_than_there_are_without_replacement_are_refused_when_it_is_known():
    pool, n = ct.dvector("pool"), ct.lscalar("n")
    f = core.function([pool, n], random.choice(KEY, pool, n, replace=False))
    assert_array_equal(np.sort(f([2.0, 1.0, 3.0], 3)), [1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match="needs equal lengths"):
        f([2.0, 1.0, 3.0], 4)


def test_normal_vectors_have_their_covariance():
    factor = np.array([[1.0, 0.0], [0.8, 0.6]])
    drawn = random.multivariate_normal(KEY, np.array([1.0, -1.0]), factor, size=N).eval()
    assert_allclose(drawn.mean(axis=0), [1, -1], atol=0.03)
    assert_allclose(np.cov(drawn.T), factor @ factor.T, atol=0.04)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: random.normal(KEY, dtype="int32"), DTypeError, "float32 or float64"),
        (lambda: random.normal(KEY, np.zeros(3), size=4), ShapeError, "3"),
        (lambda: random.normal(KEY, np.zeros((2, 3)), size=3), ShapeError, "axes"),
        (lambda: random.integers(KEY, 0.5), DTypeError, "integers as bounds"),
        (lambda: random.categorical(KEY, 1.0), ShapeError, "along an axis"),
        (lambda: random.permutation(KEY, 1.5), DTypeError, "an integer or a tensor"),
        (lambda: random.choice(KEY, 5, p=np.ones((2, 2))), ShapeError, "a vector as p"),
        (lambda: random.choice(KEY, 5, (2, 2), replace=False), ArgumentError, "an int as size"),
        (lambda: random.choice(KEY, 3, 5, replace=False), ShapeError, "needs a size <= 3, .*, got 5"),
        (lambda: random.multivariate_normal(KEY, np.zeros((2, 2)), np.eye(2)), ShapeError, "a vector and a matrix"),
    ],
    ids=["dtype", "shapes", "axes", "bounds", "categorical", "permutation", "p", "size", "too many", "mean"],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
