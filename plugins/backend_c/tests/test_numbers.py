"""Numbers at the edges: they are NumPy's, bit by bit for integers, bool and whatever rounds in one way only."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core import dtypes

INTEGERS, FLOATS = dtypes.INTEGERS, ("float32", "float64")
pytestmark = pytest.mark.filterwarnings("ignore::core.errors.CoreWarning", "ignore::RuntimeWarning")


def on_c(compute, *arrays):
    """What ``compute`` (several outputs) gives on backend c."""
    inputs = [ct.tensor(f"x{k}", dtype=a.dtype.name, ndim=a.ndim) for k, a in enumerate(arrays)]
    return core.function(inputs, list(compute(*inputs)), backend="c", mode="none")(*arrays)


def assert_same(got, want, **about):
    """Equal in dtype, shape and value; zeros in sign, too."""
    want = np.asarray(want)
    assert (got.dtype, got.shape) == (want.dtype, want.shape), about
    assert_array_equal(got, want, err_msg=str(about))
    if want.dtype.kind == "f":
        known = ~np.isnan(want)
        assert_array_equal(np.signbit(got[known]), np.signbit(want[known]), err_msg=str(about))


def pairs(values):
    return [np.ascontiguousarray(a.ravel()) for a in np.meshgrid(values, values)]


def edges(dtype):
    limits = np.iinfo(dtype)
    values = [limits.min, limits.min + 1, 0, 1, 2, 3, 7, 100, limits.max // 2, limits.max - 1, limits.max]
    return np.array(values + [-1, -2, -3, -100] * (limits.min < 0), dtype)


BINARY = {
    "add": lambda m, a, b: a + b,
    "subtract": lambda m, a, b: a - b,
    "multiply": lambda m, a, b: a * b,
    "floor_divide": lambda m, a, b: a // b,
    "mod": lambda m, a, b: a % b,
    "and": lambda m, a, b: a & b,
    "or": lambda m, a, b: a | b,
    "xor": lambda m, a, b: a ^ b,
    "left shift": lambda m, a, b: a << b,
    "right shift": lambda m, a, b: a >> b,
    "maximum": lambda m, a, b: m.maximum(a, b),
    "minimum": lambda m, a, b: m.minimum(a, b),
    "less": lambda m, a, b: a < b,
    "negative": lambda m, a, b: -a,
    "invert": lambda m, a, b: ~a,
    "absolute": lambda m, a, b: abs(a),
    "sign": lambda m, a, b: m.sign(a),
    "cube": lambda m, a, b: a**3,
}


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_around_divide_and_shift_as_in_numpy(dtype):
    a, b = pairs(edges(dtype))  # zero divisors, the smallest number by -1, shifts beyond the width and negative ones
    with np.errstate(all="ignore"):
        for name, got in zip(BINARY, on_c(lambda x, y: [f(ct, x, y) for f in BINARY.values()], a, b), strict=True):
            assert_same(got, BINARY[name](np, a, b), op=name, dtype=dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_remainders_of_floats_are_exact(dtype):
    """For multiples of the divisor and their neighbours, and for quotients on both sides of the largest whole ones."""
    random = np.random.default_rng(0)
    b = np.abs(random.normal(size=2000)).astype(dtype) * 10 ** random.integers(-20, 20, 2000).astype(dtype)
    multiples = b * np.floor(2 ** random.uniform(0, np.finfo(dtype).nmant + 4, 2000)).astype(dtype)
    a = np.concatenate([multiples, np.nextafter(multiples, 0 * b), np.nextafter(multiples, b * np.inf)])
    a, b = a * random.choice([1, -1], 6000).astype(dtype), np.tile(b, 3) * random.choice([1, -1], 6000).astype(dtype)
    special = pairs(
        np.array(
            [0, -0.0, 1, -3, 0.1, np.inf, -np.inf, np.nan, np.finfo(dtype).max, -np.finfo(dtype).max, 1e-40], dtype
        )
    )
    a, b = np.concatenate([a, special[0]]), np.concatenate([b, special[1]])
    got = on_c(lambda x, y: [x % y, x // y, ct.fmod(x, y)], a, b)
    with np.errstate(all="ignore"):
        for one, want in zip(got, [a % b, a // b, np.fmod(a, b)], strict=True):
            assert_same(one, want, dtype=dtype)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
def test_integers_divide_as_floats(dtype):
    a, b = pairs(edges(dtype))
    (got,) = on_c(lambda x, y: [x / y], a, b)
    with np.errstate(all="ignore"):
        assert_same(got, a / b)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_sums_and_products_of_integers_widen_and_wrap_around(dtype):
    a = edges(dtype)
    got = on_c(lambda x: [x.sum(), x.prod(), x[1:2].prod(), ct.cumsum(x, axis=0), x.max(), x.min(), x.argmax()], a)
    with np.errstate(all="ignore"):
        want = [a.sum(), a.prod(), a[1:2].prod(), np.cumsum(a), a.max(), a.min(), a.argmax()]
    for one, other in zip(got, want, strict=True):
        assert_same(one, other, dtype=dtype)


def cast_on_c(a, targets):
    return zip(targets, on_c(lambda x: [x.astype(target) for target in targets], a), strict=True)


@pytest.mark.parametrize("source", [*INTEGERS, "bool"])
def test_integers_are_cast_as_in_numpy(source):
    a = np.array([False, True]) if source == "bool" else edges(source)
    for target, got in cast_on_c(a, [*INTEGERS, "bool", *FLOATS]):
        assert_same(got, a.astype(target), target=target)


@pytest.mark.parametrize("source", FLOATS)
def test_floats_are_cast_towards_zero(source):
    a = np.array([0.0, -0.0, 0.5, -0.5, 1.9, 100.7, 3.99, 1e-40, 5e-324], source)
    for target, got in cast_on_c(a, [*INTEGERS, "bool", *FLOATS]):
        assert_same(got, a.astype(target), target=target)


@pytest.mark.parametrize("source", FLOATS)
def test_floats_beyond_a_small_integer_wrap_around(source):
    """C leaves this undefined; what it gives on every machine is the value modulo the integer's range."""
    a = np.array([-1.0, -100.5, 300.0, 70000.0, -70000.0], source)
    for target, got in cast_on_c(a, ["uint8", "uint16", "uint32", "uint64", "int8", "int16"]):
        assert_same(got, np.trunc(a).astype("int64").astype(target), target=target)


@pytest.mark.parametrize("source", FLOATS)
def test_casts_of_what_is_no_integer_do_not_trap(source):
    a = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30], source)
    for target, got in cast_on_c(a, INTEGERS):
        assert got.shape == a.shape and got.dtype == target


def test_bool_arithmetic_is_logic():
    a, b = pairs(np.array([False, True]))
    cases = {
        "add": lambda m, x, y: x + y,
        "multiply": lambda m, x, y: x * y,
        "and": lambda m, x, y: x & y,
        "or": lambda m, x, y: x | y,
        "xor": lambda m, x, y: x ^ y,
        "invert": lambda m, x, y: ~x,
        "maximum": lambda m, x, y: m.maximum(x, y),
        "minimum": lambda m, x, y: m.minimum(x, y),
        "less": lambda m, x, y: x < y,
        "where": lambda m, x, y: m.where(x, y, ~y),
        "divide": lambda m, x, y: x / y,
        "sum": lambda m, x, y: x.sum(),
        "prod": lambda m, x, y: x.prod(),
        "mean": lambda m, x, y: x.mean(),
        "any": lambda m, x, y: x.any(),
        "all": lambda m, x, y: x.all(),
        "max": lambda m, x, y: x.max(),
        "argmax": lambda m, x, y: x.argmax(),
        "mixed": lambda m, x, y: x + y.astype("int8"),
    }
    with np.errstate(all="ignore"):
        for name, got in zip(cases, on_c(lambda x, y: [f(ct, x, y) for f in cases.values()], a, b), strict=True):
            assert_same(got, cases[name](np, a, b), op=name)


# --- floats -----------------------------------------------------------------------------------------------------------


def special(dtype):
    info = np.finfo(dtype)
    values = [
        0.0,
        1.0,
        0.5,
        1.5,
        2.5,
        3.7,
        np.inf,
        1e10,
        1e-10,
        700.0,
        89.0,
        info.tiny,
        info.smallest_subnormal,
        info.max,
    ]
    return np.array([np.nan, *values, *(-v for v in values)], dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_operations_that_round_once_are_exact_with_nan_infinities_signed_zeros_and_subnormals(dtype):
    a, b = pairs(special(dtype))
    cases = {
        **{
            name: BINARY[name]
            for name in ("add", "subtract", "multiply", "floor_divide", "mod", "less", "negative", "absolute", "sign")
        },
        **{name: BINARY[name] for name in ("maximum", "minimum")},
        "divide": lambda m, x, y: x / y,
        "equal": lambda m, x, y: m.equal(x, y) if m is np else m.eq(x, y),
        "at most": lambda m, x, y: x <= y,
        "sqrt": lambda m, x, y: m.sqrt(x),
        "floor": lambda m, x, y: m.floor(x),
        "ceil": lambda m, x, y: m.ceil(x),
        "trunc": lambda m, x, y: m.trunc(x),
        "rint": lambda m, x, y: m.round(x),
        "isnan": lambda m, x, y: m.isnan(x),
        "isinf": lambda m, x, y: m.isinf(x),
        "signbit": lambda m, x, y: m.signbit(x),
        "copysign": lambda m, x, y: m.copysign(x, y),
        "where": lambda m, x, y: m.where(x < y, x, y),
    }
    with np.errstate(all="ignore"):
        for name, got in zip(cases, on_c(lambda x, y: [f(ct, x, y) for f in cases.values()], a, b), strict=True):
            want = cases[name](np, a, b)
            if name in ("maximum", "minimum"):  # IEEE 754 does not say which of two zeros; neither does NumPy
                assert_array_equal(got, want)
            else:
                assert_same(got, want, op=name)


FUNCTIONS = """exp expm1 exp2 log log2 log10 log1p sin cos tan tanh sinh cosh cbrt
arcsin arccos arctan arcsinh arccosh arctanh""".split()


@pytest.mark.parametrize("dtype, rtol", [("float32", 2e-6), ("float64", 4e-15)])
def test_functions_keep_their_limits(dtype, rtol):
    """Lengths are such that both the vector functions and their remainder loop are met."""
    a = np.concatenate([special(dtype)] * 3)
    with np.errstate(all="ignore"):
        for name, got in zip(FUNCTIONS, on_c(lambda x: [getattr(ct, each)(x) for each in FUNCTIONS], a), strict=True):
            want = getattr(np, name)(a)
            some = ~np.isnan(want) & (np.abs(a) < 1e5)  # sines of huge numbers are compared below
            assert got.dtype == want.dtype
            assert_array_equal(np.isnan(got), np.isnan(want), err_msg=name)
            assert_array_equal(np.isinf(got), np.isinf(want), err_msg=name)
            assert_allclose(got[some], want[some], rtol=rtol, err_msg=name)
            assert_array_equal(np.signbit(got[some]), np.signbit(want[some]), err_msg=name)


@pytest.mark.parametrize("dtype, rtol", [("float32", 2e-6), ("float64", 1e-14)])
def test_error_functions_and_huge_arguments(dtype, rtol):
    a = np.array([0.0, -0.0, 1e-30, 0.3, -2.5, 6.0, -6.0, 27.0, np.inf, -np.inf, np.nan] * 2, dtype)
    huge = np.array([1e10, -1e15, 1e22, 3e30], dtype)
    erf, erfc = on_c(lambda x: [ct.erf(x), ct.erfc(x)], a)
    assert_allclose(erf, [math.erf(v) for v in a], rtol=rtol)
    assert_allclose(erfc, [math.erfc(v) for v in a], rtol=rtol * 20, atol=np.finfo(dtype).tiny)
    assert_array_equal(np.signbit(erf), np.signbit(a))
    for got, want in zip(on_c(lambda x: [ct.sin(x), ct.cos(x)], huge), [np.sin(huge), np.cos(huge)], strict=True):
        assert_allclose(got, want, rtol=rtol)


@pytest.mark.parametrize("dtype, rtol", [("float32", 2e-6), ("float64", 4e-15)])
def test_functions_of_two_arguments_keep_their_limits(dtype, rtol):
    a, b = pairs(np.array([0.0, -0.0, 1, -1, 0.5, -2, 3, np.inf, -np.inf, np.nan, 1e-20, 1e20], dtype))
    got = on_c(lambda x, y: [x**y, ct.arctan2(x, y), ct.hypot(x, y)], a, b)
    with np.errstate(all="ignore"):
        for one, want in zip(got, [a**b, np.arctan2(a, b), np.hypot(a, b)], strict=True):
            assert_allclose(one, want, rtol=rtol)
            known = ~np.isnan(want)
            assert_array_equal(np.signbit(one[known]), np.signbit(want[known]))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("length", [1, 2, 3, 8, 33, 100])
@pytest.mark.parametrize("nan_at", [None, 0, -1, "two", "all"])
def test_extremes_pass_nan_on_and_the_first_one_is_the_position(dtype, length, nan_at):
    a = np.random.default_rng(length).normal(size=length).astype(dtype)
    if nan_at is not None:
        a[{"two": [length // 2, -1], "all": slice(None)}.get(nan_at, nan_at)] = np.nan
    got = on_c(lambda x: [x.max(), x.min(), x.argmax(), x.argmin(), x.sum()], a)
    for one, want in zip(got, [a.max(), a.min(), a.argmax(), a.argmin(), a.sum()], strict=True):
        assert_allclose(
            one, want, rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-6 if dtype == "float32" else 1e-14
        )


@pytest.mark.parametrize("values", [[np.inf, -np.inf], [-np.inf, -np.inf], [np.inf] * 9, [0.0, -0.0], [-0.0, -0.0]])
def test_extremes_and_sums_of_infinities_and_zeros(values):
    a = np.array(values)
    got = on_c(lambda x: [x.max(), x.min(), x.argmax(), x.argmin(), x.sum(), x.prod()], a)
    with np.errstate(all="ignore"):
        want = [a.max(), a.min(), a.argmax(), a.argmin(), a.sum(), a.prod()]
    for one, other in zip(got, want, strict=True):
        assert_array_equal(one, other)


def test_float32_is_never_computed_as_float64():
    a = np.random.default_rng(1).normal(size=1000).astype("float32")
    b = a[::-1].copy()
    got = on_c(lambda x, y: [x * 0.1 + y, x / 3 - 1e-3, (x + 16777216) - 16777216, x * y - y * 0.7], a, b)
    want = [a * np.float32(0.1) + b, a / np.float32(3) - np.float32(1e-3)]
    want += [(a + np.float32(16777216)) - np.float32(16777216), a * b - b * np.float32(0.7)]
    for one, other in zip(got, want, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("dtype", FLOATS)
def test_constants_arrive_bit_by_bit(dtype):
    info = np.finfo(dtype)
    values = [
        0.1,
        1 / 3,
        -0.0,
        np.pi,
        info.max,
        info.tiny,
        info.smallest_subnormal,
        np.inf,
        -np.inf,
        np.nan,
        1e-40,
        16777217.0,
    ]
    values = np.array(values, dtype)
    got = on_c(
        lambda x: [x * 0 + ct.as_tensor(v) if v else ct.where(x > 5, x, ct.as_tensor(v)) for v in values],
        np.zeros(1, dtype),
    )
    assert_same(np.concatenate(got), values)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_constants_arrive_bit_by_bit(dtype):
    values = edges(dtype)
    got = on_c(lambda x: [x + ct.as_tensor(v) for v in values], np.zeros(1, dtype))
    assert_same(np.concatenate(got), values)
