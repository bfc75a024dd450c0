"""Draws by rejection: against SciPy's distributions, on every backend, at ends, and with their derivatives."""

import math

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
import plugin_ops_random as random
from core.errors import DTypeError, ShapeError
from core.testing import available_backends

KEY = random.key(31)
N = 20_000
stats = scipy.stats

CONTINUOUS = {
    "gamma small": (lambda **k: random.standard_gamma(KEY, 0.3, **k), stats.gamma(0.3)),
    "gamma one": (lambda **k: random.standard_gamma(KEY, 1.0, **k), stats.gamma(1)),
    "gamma": (lambda **k: random.gamma(KEY, 4.5, 2.0, **k), stats.gamma(4.5, scale=2)),
    "gamma large": (lambda **k: random.gamma(KEY, 1e4, 1.0, **k), stats.gamma(1e4)),
    "inverse_gamma": (lambda **k: random.inverse_gamma(KEY, 3.0, 2.0, **k), stats.invgamma(3, scale=2)),
    "beta": (lambda **k: random.beta(KEY, 2.0, 0.7, **k), stats.beta(2, 0.7)),
    "chisquare": (lambda **k: random.chisquare(KEY, 5.0, **k), stats.chi2(5)),
    "f": (lambda **k: random.f(KEY, 4.0, 9.0, **k), stats.f(4, 9)),
    "standard_t": (lambda **k: random.standard_t(KEY, 3.0, **k), stats.t(3)),
    "student_t": (lambda **k: random.student_t(KEY, 3.0, -1.0, 2.0, **k), stats.t(3, -1, 2)),
    "wald": (lambda **k: random.wald(KEY, 2.0, 3.0, **k), stats.invgauss(2 / 3, scale=3)),
    "vonmises": (lambda **k: random.vonmises(KEY, 0.0, 2.5, **k), stats.vonmises(2.5)),
    "vonmises flat": (lambda **k: random.vonmises(KEY, 0.0, 0.0, **k), stats.uniform(-math.pi, 2 * math.pi)),
    "cauchy": (lambda **k: random.cauchy(KEY, 1.0, 2.0, **k), stats.cauchy(1, 2)),
    "halfnormal": (lambda **k: random.halfnormal(KEY, 2.0, **k), stats.halfnorm(scale=2)),
    "truncated_normal": (lambda **k: random.truncated_normal(KEY, -0.5, 2.0, **k), stats.truncnorm(-0.5, 2)),
    "truncated_normal far": (lambda **k: random.truncated_normal(KEY, 6.0, 7.0, **k), stats.truncnorm(6, 7)),
}
COUNTS = {
    "poisson small": (lambda **k: random.poisson(KEY, 0.7, **k), stats.poisson(0.7)),
    "poisson below": (lambda **k: random.poisson(KEY, 9.99, **k), stats.poisson(9.99)),
    "poisson": (lambda **k: random.poisson(KEY, 10.0, **k), stats.poisson(10)),
    "poisson large": (lambda **k: random.poisson(KEY, 1234.5, **k), stats.poisson(1234.5)),
    "binomial few": (lambda **k: random.binomial(KEY, 7, 0.3, **k), stats.binom(7, 0.3)),
    "binomial rare": (lambda **k: random.binomial(KEY, 1000, 0.004, **k), stats.binom(1000, 0.004)),
    "binomial": (lambda **k: random.binomial(KEY, 40, 0.4, **k), stats.binom(40, 0.4)),
    "binomial often": (lambda **k: random.binomial(KEY, 3000, 0.93, **k), stats.binom(3000, 0.93)),
    "negative_binomial": (lambda **k: random.negative_binomial(KEY, 3.5, 0.4, **k), stats.nbinom(3.5, 0.4)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_follow_the_distribution(name, dtype):
    draw, law = CONTINUOUS[name]
    x = draw(size=N, dtype=dtype).eval()
    assert x.dtype == dtype and np.isfinite(x).all()
    assert stats.kstest(x.astype("float64"), law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_as_likely_as_they_should_be(name):
    """Pearson's test over ranges that are all expected at least 20 times."""
    draw, law = COUNTS[name]
    x = draw(size=N).eval()
    assert x.dtype == "int64"
    values = np.arange(int(law.ppf(1e-9)), int(law.isf(1e-9)) + 2)
    bounds = [values[0] - 1]
    for value in values:
        if N * (law.cdf(value) - law.cdf(bounds[-1])) >= 20 and N * law.sf(value) >= 20:
            bounds.append(value)
    expected = N * np.diff([0, *law.cdf(bounds[1:]), 1])
    seen = np.histogram(x, [-np.inf, *(b + 0.5 for b in bounds[1:]), np.inf])[0]
    assert stats.chisquare(seen, expected).pvalue > 1e-3


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", [*CONTINUOUS, *COUNTS])
def test_draws_are_those_of_the_interpreter(backend, name):
    draw, _ = {**CONTINUOUS, **COUNTS}[name]
    got, want = (core.function([], draw(size=(30, 5)), backend=b)() for b in (backend, "interpreter"))
    assert_allclose(got, want, rtol=1e-11, atol=1e-12)  # an angle near 0 is the arccos of a number near 1


@pytest.mark.parametrize("backend", available_backends())
def test_multinomial_counts_add_up_and_follow_their_probabilities(backend):
    p = np.array([0.1, 0.0, 0.5, 0.4])
    drawn = core.function([], random.multinomial(KEY, 50, p, size=2000), backend=backend)()
    assert drawn.shape == (2000, 4) and drawn.dtype == "int64"
    assert_array_equal(drawn.sum(axis=1), 50)
    assert_array_equal(drawn[:, 1], 0)
    assert_allclose(drawn.mean(axis=0), 50 * p, atol=0.3)
    assert_allclose(np.cov(drawn[:, [0, 2, 3]].T)[0], [4.5, -2.5, -2.0], atol=0.5)
    assert_array_equal(drawn, random.multinomial(KEY, 50, p, size=2000).eval(backend="interpreter"))


def test_multinomial_has_the_shape_of_its_parameters():
    p = np.array([[1.0, 2, 1], [0, 0, 3]])
    drawn = random.multinomial(KEY, np.array([10, 4]), p).eval()
    assert drawn.shape == (2, 3)
    assert_array_equal(drawn[1], [0, 0, 4])
    assert random.multinomial(KEY, 3, p, size=(5, 2)).eval().shape == (5, 2, 3)
    assert random.multinomial(KEY, 3, p[0], size=0).eval().shape == (0, 3)
    assert_array_equal(random.multinomial(KEY, 0, p[0]).eval(), [0, 0, 0])
    assert_array_equal(random.multinomial(KEY, 10, np.ones(1)).eval(), [10])


def test_dirichlet_draws_are_shares_with_their_means():
    alpha = np.array([0.5, 2.0, 7.5])
    drawn = random.dirichlet(KEY, alpha, size=N).eval()
    assert_allclose(drawn.sum(axis=1), 1, rtol=1e-12)
    assert_allclose(drawn.mean(axis=0), alpha / 10, atol=0.005)
    assert stats.kstest(drawn[:, 0], stats.beta(0.5, 9.5).cdf).pvalue > 1e-3
    assert random.dirichlet(KEY, np.ones((4, 3))).eval().shape == (4, 3)
    tiny = random.dirichlet(KEY, np.full(3, 1e-3), size=100).eval()  # each draw is too small for a float
    assert_allclose(tiny.sum(axis=1), 1, rtol=1e-12)


def test_ends_of_parameters():
    assert_array_equal(random.poisson(KEY, np.array([0.0, -1.0, np.nan])).eval(), [0, -1, -1])
    assert abs(float(random.poisson(KEY, 1e15).eval()) - 1e15) < 1e9
    assert_array_equal(
        random.binomial(KEY, np.array([0, 9, 9, -1, 9]), np.array([0.5, 0, 1, 0.5, 2])).eval(), [0, 0, 9, -1, -1]
    )
    shapes = random.standard_gamma(KEY, np.array([0.0, -1.0, np.nan, 1e12])).eval()
    assert_array_equal(shapes[:3], [0, np.nan, np.nan])
    assert_allclose(shapes[3], 1e12, rtol=1e-5)
    assert np.isfinite(random.log_gamma(KEY, 1e-6, size=50).eval()).all()


def test_parameters_give_the_shape():
    a, scale = np.ones((3, 1)), np.ones(4)
    assert random.gamma(KEY, a, scale).eval().shape == (3, 4)
    assert random.beta(KEY, a, scale, size=(2, 3, 4)).eval().shape == (2, 3, 4)
    assert random.poisson(KEY, size=(0, 2)).eval().shape == (0, 2)


@pytest.mark.parametrize("shape", [0.05, 0.7, 3.0, 40.0, 5000.0])
def test_a_gamma_draw_moves_with_its_shape_at_the_same_share(shape):
    a = ct.dscalar("a")
    x = random.standard_gamma(KEY, a, size=20)
    values, slopes = core.function([a], [x, core.jacobian(x, a)])(shape)
    share, h = stats.gamma.cdf(values, shape), 1e-4 * shape
    if shape < 1:
        expected = (stats.gamma.ppf(share, shape + h) - stats.gamma.ppf(share, shape - h)) / (2 * h)
        good = values > 1e-8
    else:
        by_shape = (stats.gamma.cdf(values, shape + h) - stats.gamma.cdf(values, shape - h)) / (2 * h)
        expected, good = -by_shape / stats.gamma.pdf(values, shape), share < 0.999
    assert_allclose(slopes[good], expected[good], rtol=2e-4)


def test_the_mean_of_slopes_is_the_slope_of_the_mean():
    a = ct.dscalar("a")
    x = random.standard_gamma(KEY, a, size=N)
    f = core.function([a], [core.grad(x.mean(), a), core.grad((x**2).mean(), a)])
    assert_allclose(f(2.5), [1, 2 * 2.5 + 1], rtol=0.05)


def test_streams_have_these_draws_too():
    stream = random.RandomStream(4)
    f = core.function([], [stream.gamma(2.0, size=3), stream.poisson(4.0, size=3)])
    assert not np.array_equal(f()[0], f()[0])
    assert "binomial" in dir(stream)
    with pytest.raises(AttributeError, match="a RandomStream has no draw 'poison'.*Did you mean 'poisson'"):
        stream.poison


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: random.binomial(KEY, 2.5, 0.5), DTypeError, "binomial needs a whole number of trials"),
        (lambda: random.multinomial(KEY, 2, 0.5), ShapeError, "probabilities along an axis"),
        (lambda: random.dirichlet(KEY, 0.5), ShapeError, "concentrations along an axis"),
        (lambda: random.gamma(KEY, 1.0, dtype="int64"), DTypeError, "float32 or float64"),
    ],
    ids=["trials", "pvals", "alpha", "dtype"],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
