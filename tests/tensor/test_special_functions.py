"""Special functions of core.tensor.specials against SciPy's: wide ranges, ends, both float dtypes, derivatives."""

import sys
from subprocess import run

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import DTypeError
from core.testing import available_backends, check_derivatives, check_op, evaluate

BACKENDS = available_backends()
INF, NAN = np.inf, np.nan
LINE = np.concatenate(
    [np.linspace(-30, 30, 1201), np.geomspace(1e-300, 600, 300), [0.0, -0.0, INF, -INF, NAN, 2, 8, -8]]
)
SHARES = np.concatenate([np.linspace(0, 1, 401), np.geomspace(1e-300, 0.9, 200), 1 - np.geomspace(1e-16, 0.5, 100)])
ABOVE = np.concatenate([LINE[LINE > 0], [0.0, -1.0, INF, NAN]])

# name: where, relative and absolute error in float64, in float32
OF_ONE = {
    "erfinv": (np.concatenate([SHARES, -SHARES, [2, NAN]]), 2e-15, 0, 1e-6, 1e-6),
    "erfcinv": (np.concatenate([2 * SHARES, [-1, 3, NAN]]), 2e-15, 2e-15, 1e-6, 1e-6),
    "ndtri": (np.concatenate([SHARES, [-1, 2, NAN]]), 2e-15, 2e-15, 1e-6, 1e-6),
    "erfcx": (LINE[~(LINE < -26)], 2e-13, 0, 2e-4, 0),
    "ndtr": (LINE, 1e-12, 1e-300, 1e-4, 1e-37),
    "log_ndtr": (LINE, 1e-12, 1e-300, 1e-4, 1e-37),
    "j0": (LINE[np.isfinite(LINE)], 0, 4e-15, 0, 2e-6),
    "j1": (LINE, 0, 4e-15, 0, 2e-6),
    "y0": (ABOVE[ABOVE != INF], 4e-15, 8e-15, 2e-6, 4e-6),
    "y1": (ABOVE[ABOVE != INF], 4e-15, 8e-15, 2e-6, 4e-6),
    "i0": (LINE[np.isfinite(LINE)], 3e-15, 0, 1e-5, 0),
    "i1": (LINE[np.isfinite(LINE)], 3e-15, 0, 1e-5, 0),
    "i0e": (LINE, 2e-15, 0, 2e-6, 0),
    "i1e": (LINE, 2e-15, 1e-300, 3e-6, 1e-37),
    "k0": (ABOVE, 4e-15, 1e-300, 1e-5, 1e-37),
    "k1": (ABOVE, 4e-15, 1e-300, 1e-5, 1e-37),
    "k0e": (ABOVE, 4e-15, 1e-300, 1e-5, 1e-37),
    "k1e": (ABOVE, 4e-15, 1e-300, 1e-5, 1e-37),
    "entr": (LINE, 1e-15, 0, 1e-6, 0),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OF_ONE)
def test_functions_of_one_number_match_scipy(name, dtype, backend):
    x, *errors = OF_ONE[name]
    rtol, atol = errors[:2] if dtype == "float64" else errors[2:]
    with np.errstate(all="ignore"):
        x = x.astype(dtype)
        if dtype == "float32":  # what lies below has lost its digits
            x = x[~((x != 0) & (abs(x) < np.finfo(dtype).tiny))]
        expected = getattr(scipy.special, name)(x.astype("float64")).astype(dtype)
    got = evaluate(getattr(ct, name), x, backend=backend)
    assert got.dtype == dtype
    assert_allclose(got, expected, rtol=rtol, atol=atol)


def pairs(first, second):
    return [v.ravel() for v in np.meshgrid(first, second)]


SHAPES = np.concatenate([np.geomspace(1e-5, 1e5, 31), [0.5, 1, 2, 8, 12, 999, 1000, 1001]])
RATIOS = np.concatenate([np.geomspace(1e-3, 1e3, 31), np.linspace(0.6, 1.4, 33)])
ENDS = [0.0, -1.0, INF, NAN]


def gamma_grid():
    a, ratio = pairs(SHAPES, RATIOS)
    more = pairs(np.concatenate([SHAPES, ENDS]), np.concatenate([np.geomspace(1e-12, 100, 20), ENDS]))
    return np.concatenate([a, more[0]]), np.concatenate([a * ratio, more[1]])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype, rtol, atol", [("float64", 1e-11, 1e-290), ("float32", 2e-7, 1e-37)])
@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
def test_incomplete_gamma_functions_match_scipy(name, dtype, rtol, atol, backend):
    a, x = (v.astype(dtype) for v in gamma_grid())
    expected = getattr(scipy.special, name)(a.astype("float64"), x.astype("float64"))
    assert_allclose(evaluate(getattr(ct, name), a, x, backend=backend), expected, rtol=rtol, atol=atol)


def test_gammainc_is_right_for_large_shapes_far_from_their_mean():
    # by the series in 40 digits; SciPy 1.17 stops after 2000 terms and is off by 4 %
    a, x = np.array([1e7, 6021000.0]), np.array([9985500.0, 6009600.0])
    assert_allclose(evaluate(ct.gammainc, a, x), [2.2438371069595398e-6, 1.6701131372008595e-6], rtol=1e-14)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype, error", [("float64", 1e-12), ("float32", 1e-7)])
def test_betainc_matches_scipy(dtype, error, backend):
    shapes = np.concatenate([SHAPES[::2], [0.0, -1.0, NAN, INF]])
    x = np.concatenate([np.linspace(0, 1, 15), [1e-10, 1 - 1e-10, NAN, -1, 2]])
    a, b, x = (v.ravel().astype(dtype) for v in np.meshgrid(shapes, shapes, x))
    finite = np.isfinite(a) & np.isfinite(b)  # SciPy's values at infinity depend on its version
    a, b, x = a[finite], b[finite], x[finite]
    expected = scipy.special.betainc(*(v.astype("float64") for v in (a, b, x)))
    assert_allclose(evaluate(ct.betainc, a, b, x, backend=backend), expected, rtol=0, atol=error)
    good = (a >= 1) & (b >= 1) & (expected > (1e-100 if dtype == "float64" else 1e-37))
    got = evaluate(ct.betainc, a[good], b[good], x[good], backend=backend)
    assert_allclose(got, expected[good], rtol=100 * error)


def test_betainc_of_infinite_shapes_is_a_step():
    a, b, x = (np.array(v) for v in ([INF, INF, 2.0, 2.0, INF], [2.0, 2.0, INF, INF, INF], [0.9, 1.0, 0.1, 0.0, 0.5]))
    assert_array_equal(evaluate(ct.betainc, a, b, x), [0, 1, 1, 0, NAN])


@pytest.mark.parametrize("backend", BACKENDS)
def test_beta_and_its_logarithm_are_right_where_gamma_functions_cancel(backend):
    a, b = np.array([20309.0, 1e6, 0.17013, 3.0, 30.0]), np.array([0.17013, 1e6, 20309.0, 4.0, 40.0])
    logs = [0.007538751071405126, -1386300.003362921, 0.007538751071405126, np.log(1 / 60), -48.30174909591612]
    assert_allclose(evaluate(ct.betaln, a, b, backend=backend), logs, rtol=1e-14, atol=1e-15)
    assert_allclose(evaluate(ct.beta, a, b, backend=backend), np.exp(logs), rtol=1e-13)


def test_beta_of_negative_numbers_has_their_sign():
    a, b = pairs([-0.5, -2.3, -13.7], [0.3, 1.5, 20.0, 1000.0])
    assert_allclose(evaluate(ct.beta, a, b), scipy.special.beta(a, b), rtol=1e-11)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype, rtol", [("float64", 2e-15), ("float32", 2e-6)])
def test_zeta_matches_scipy(dtype, rtol, backend):
    s, q = (v.astype(dtype) for v in pairs([1.001, 1.5, 2, 3, 7.5, 20, 1, 0.5], [0.01, 0.3, 1, 2.5, 10, 300, INF]))
    expected = scipy.special.zeta(s.astype("float64"), q.astype("float64"))
    expected[q == INF] = np.where(s[q == INF] > 1, 0, NAN)
    expected[s == 1] = INF
    with np.errstate(over="ignore"):
        assert_allclose(evaluate(ct.zeta, s, q, backend=backend), expected.astype(dtype), rtol=rtol)


@pytest.mark.parametrize("backend", BACKENDS)
def test_polygamma_matches_scipy(backend):
    n, x = pairs(np.arange(6), [0.1, 0.7, 1.0, 3.5, 40.0])
    expected = scipy.special.polygamma(n, x)
    assert_allclose(evaluate(ct.polygamma, n, x, backend=backend), expected, rtol=1e-13)
    assert evaluate(lambda x: ct.polygamma(1, x), np.float32([2])).dtype == "float32"


def test_polygamma_needs_a_whole_order():
    with pytest.raises(DTypeError, match="polygamma needs an integer order"):
        ct.polygamma(1.5, ct.vector("x"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["rel_entr", "kl_div"])
def test_entropies_match_scipy(name, backend):
    x, y = pairs([0.0, 0.5, 1.0, 2.0, -1.0, INF, NAN], [0.0, 0.5, 1.0, 3.0, -1.0, NAN])
    expected = getattr(scipy.special, name)(x, y)
    assert_allclose(evaluate(getattr(ct, name), x, y, backend=backend), expected, rtol=1e-14)


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("factorial", ([0.0, 1.0, 5.0, 3.5, -1.0],)),
        ("poch", ([1.0, 2.5, 7.0], [2.0, 0.5, 3.0])),
        ("chi2sf", ([0.5, 3.0, 20.0], [1.0, 2.0, 7.0])),
        ("gammal", ([0.5, 3.0, 20.0], [1.0, 2.0, 7.0])),
        ("gammau", ([0.5, 3.0, 20.0], [1.0, 2.0, 7.0])),
    ],
)
def test_what_is_made_of_them_matches_scipy(name, arguments):
    special = scipy.special
    expected = {
        "chi2sf": lambda x, k: special.chdtrc(k, x),
        "gammal": lambda a, x: special.gammainc(a, x) * special.gamma(a),
        "gammau": lambda a, x: special.gammaincc(a, x) * special.gamma(a),
    }.get(name) or getattr(special, name)
    arrays = [np.array(a) for a in arguments]
    assert_allclose(evaluate(getattr(ct, name), *arrays), expected(*arrays), rtol=1e-13)


def test_multigammaln_matches_scipy():
    a = np.array([3.0, 5.5, 20.0])
    expected = [scipy.special.multigammaln(v, 3) for v in a]
    assert_allclose(evaluate(lambda a: ct.multigammaln(a, 3), a), expected, rtol=1e-14)


SMOOTH = {
    **{name: [np.array([[0.3, -0.6, 0.1], [0.8, -0.2, 0.5]])] for name in ("erfinv",)},
    **{name: [np.array([[0.3, 0.6, 0.1], [0.8, 0.2, 0.5]])] for name in ("ndtri", "erfcinv")},
    **{name: [np.array([[0.3, -1.6, 3.1], [9.5, -8.2, 0.5]])] for name in ("j0", "j1", "i0", "i1", "i0e", "i1e")},
    **{name: [np.array([[0.3, -1.6, 3.1], [2.5, -4.2, 0.5]])] for name in ("erfcx", "ndtr", "log_ndtr")},
    **{name: [np.array([[0.3, 1.6, 3.1], [9.5, 8.2, 0.5]])] for name in ("y0", "y1", "k0", "k1", "k0e", "k1e")},
    **{
        name: [np.array([0.4, 3.0, 9.0]), np.array([2.5, 1.2, 13.0])]
        for name in ("beta", "betaln", "rel_entr", "kl_div")
    },
    **{name: [np.array([0.4, 3.0, 9.0, 40.0]), np.array([0.2, 3.5, 6.0, 60.0])] for name in ("gammainc", "gammaincc")},
    **{name: [np.array([0.4, 3.0, 9.0])] for name in ("entr", "xlogx", "tri_gamma")},
}


@pytest.mark.parametrize("name", SMOOTH)
def test_every_function_keeps_the_contract_with_its_derivatives(name):
    check_op(getattr(ct, name), *SMOOTH[name], derivatives=True, backends=["interpreter"])


def test_derivatives_by_some_operands_alone():
    check_derivatives(ct.betainc, np.array([0.5, 3.0]), np.array([2.0, 7.0]), np.array([0.3, 0.6]), wrt=[2])
    check_derivatives(ct.zeta, np.array([1.5, 3.0]), np.array([2.0, 0.7]), wrt=[1])
    check_derivatives(lambda x: ct.polygamma(2, x), np.array([2.0, 0.7]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_derivative_by_the_shape_is_right_in_all_its_regions(backend):
    # central differences of the series in 50 digits
    table = np.array(
        [
            (0.1, 0.3, -0.9219871619934011),
            (2.5, 3.75, -0.16703478452702172),
            (50.0, 60.0, -0.02128499278634949),
            (10.0, 80.0, -1.6099692529474754e-23),
            (999.0, 1048.95, -0.0036781227569099486),
            (1000.0, 1050.0, -0.0036718379194951804),
            (1000.0, 1400.0, -2.7294688857479865e-30),
            (100000.0, 100000.0, -0.001261567312316086),
        ]
    )
    a, x, expected = table.T
    assert_allclose(evaluate(ct.gammainc_by_shape, a, x, backend=backend), expected, rtol=1e-11)


def test_a_slope_stays_finite_where_probability_and_density_vanish():
    x = ct.vector("x")
    g = core.grad(ct.log_ndtr(x).sum(), x)
    assert_allclose(g.eval({x: [-1e3, -40.0, 0.0, 40.0]}), [1000.001, 40.02496891, 0.7978845608, 0.0], rtol=1e-7)


def test_complex_numbers_are_refused():
    for name in ("erfinv", "gammainc", "betainc", "j0", "zeta", "entr"):
        op = getattr(ct, name)
        with pytest.raises(DTypeError, match=f"{name} needs real operands"):
            op(*[ct.zvector("z")] * op.nin)


def test_they_are_imported_when_they_are_used():
    program = (
        "import sys, core, core.tensor as ct; x = ct.vector('x'); ct.exp(x).eval({x: [1.0]}, backend='interpreter'); "
        "print([name for name in sys.modules if 'specials' in name], 'erfinv' in dir(ct), ct.erfinv)"
    )
    done = run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True erfinv"
    with pytest.raises(AttributeError, match="module 'core.tensor' has no attribute 'erfnv'"):
        ct.erfnv
