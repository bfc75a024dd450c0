"""Complex numbers in parts: functions against NumPy's, and programs that hold nothing complex but memory."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose

import core.tensor as ct
from core import dtypes
from core.errors import BackendError, VerifyError
from core.ir.check.run import Driver
from core.ir.check.verify_expr import check_types
from core.ir.codes import Code
from core.ir.evaluate import evaluate_scalar
from core.ir.expr import Call, arith, cast, compare, const, divide, load, maximum, minimum, pair, real_part, select
from core.ir.nodes import statements
from core.ir.parts.split import Parts, lacking
from core.ir.program import HostStep, KernelStep
from core.ir.rebuild import substitute
from core.testing import random
from core.testing.graphs import graphs
from core.testing.values import symbolic

NAMES = {f"a{name}": f"arc{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")}
UNITS = {"tan": 6, "tanh": 6, "asin": 5, "acos": 5, "atan": 5, "asinh": 5, "acosh": 5, "atanh": 5, "exp2": 12}
FUNCTIONS = ["exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan"]
FUNCTIONS += ["sinh", "cosh", "tanh", *NAMES]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 1e-200, 1e300, -1.7e308, 710.0, -745.0, math.inf, -math.inf, math.nan]


def in_parts(function, *arrays):
    """``function`` of arrays, of which complex ones are given by their parts."""
    elements = [load(f"x{k}", (), array.dtype.name) for k, array in enumerate(arrays)]
    root = Parts().whole(function(*elements))
    values = {}
    for e, array in zip(elements, arrays, strict=True):
        if array.dtype.kind == "c":
            values |= {Call("creal", e): array.real, Call("cimag", e): array.imag}
        else:
            values[e] = array
    if root.dtype not in dtypes.COMPLEXES:
        return np.asarray(evaluate_scalar(root, values))
    out = np.empty(np.broadcast_shapes(*(array.shape for array in arrays)), root.dtype)
    parts = root.args if root.code is Code.PAIR else (Call("creal", root), Call("cimag", root))
    out.real, out.imag = (evaluate_scalar(e, values) for e in parts)
    return out


def numpys(name, z):
    with np.errstate(all="ignore"):
        return getattr(np, NAMES.get(name, name))(z)


def points(dtype, n=4000):
    """Numbers of all sizes, and some close to the unit circle."""
    rng = np.random.default_rng(3)
    sizes = 10.0 ** rng.uniform(-3, 1, n)
    angles = rng.uniform(-math.pi, math.pi, 2 * n)
    near = 1 + 10.0 ** rng.uniform(-12, -1, n) * rng.choice([-1, 1], n)
    return (np.concatenate([sizes, near]) * np.exp(1j * angles)).astype(dtype)


@pytest.mark.parametrize("dtype", dtypes.COMPLEXES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_numpys_to_a_few_units_in_the_last_place(name, dtype):
    z = points(dtype)
    wide = z if name == "log1p" else z.astype("complex128")  # NumPy's own log1p has the error of 1 + z
    got, expected = in_parts(lambda e: Call(name, e), z), numpys(name, wide)
    assert got.dtype == dtype
    eps = np.finfo(dtypes.real_of(dtype)).eps
    assert np.max(np.abs(got - expected) / np.abs(expected)) < UNITS.get(name, 4) * eps


def test_the_real_part_of_a_logarithm_is_right_by_itself_near_the_unit_circle():
    z = points("complex128")
    got, expected = in_parts(lambda e: Call("log", e), z), np.log(z)
    assert_allclose(got.real, expected.real, rtol=1e-15)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_infinities_nan_and_signed_zeros_are_numpys(name):
    z = np.array([complex(x, y) for x in SPECIAL for y in SPECIAL])
    got, expected = in_parts(lambda e: Call(name, e), z), numpys(name, z)
    for mine, theirs in ((got.real, expected.real), (got.imag, expected.imag)):
        assert np.array_equal(np.isnan(mine), np.isnan(theirs))
        known = ~np.isnan(theirs)
        if name in ("sin", "cos", "cosh"):  # C99 leaves the sign open where the other part is NaN
            known &= ~np.isnan(expected.real) & ~np.isnan(expected.imag)
        assert_allclose(mine[known], theirs[known], rtol=1e-14, atol=1e-308)
        assert np.array_equal(np.signbit(mine[known]), np.signbit(theirs[known]))


def pairs_of(values):
    z = np.array([complex(x, y) for x in values for y in values])
    return np.repeat(z, len(z)), np.tile(z, len(z))


BINARY = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "true_divide": divide,
    "maximum": maximum,
    "minimum": minimum,
    "equal": lambda a, b: compare(Code.EQ, a, b),
    "not_equal": lambda a, b: compare(Code.NE, a, b),
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
}


@pytest.mark.parametrize("dtype", dtypes.COMPLEXES)
@pytest.mark.parametrize("name", BINARY)
def test_arithmetic_is_numpys_for_special_values_too(name, dtype):
    a, b = (z.astype(dtype) for z in pairs_of([0.0, -0.0, 1.5, -2.0, math.inf, -math.inf, math.nan]))
    with np.errstate(all="ignore"):
        got, expected = in_parts(BINARY[name], a, b), getattr(np, name)(a, b)
    assert got.dtype == expected.dtype
    if got.dtype == "bool":
        assert np.array_equal(got, expected)
        return
    for mine, theirs in ((got.real, expected.real), (got.imag, expected.imag)):
        assert_allclose(mine, theirs, rtol=1e-6 if dtype == "complex64" else 1e-15)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, -2, 7, -13, 99, 0.5, 2.5 - 1j, 100])
def test_powers_with_a_known_exponent_are_numpys(exponent):
    z = np.append(points("complex128", 300), [0, 0])
    with np.errstate(all="ignore"):
        expected = np.power(z, exponent)
    got = in_parts(lambda e: arith(Code.POW, e, const(exponent, "complex128")), z)
    assert_allclose(got, expected, rtol=1e-12)


def test_powers_with_exponents_that_are_computed_are_numpys():
    z = np.append(points("complex128", 300), [0, 0, 0, 0])
    w = np.random.default_rng(0).choice([0, 1, 2, -3, 5.5, 99, -99, 100, 1 + 1j], z.shape)
    w[-4:] = [0, 1, -1, 1j]
    with np.errstate(all="ignore"):
        expected = np.power(z, w)
    assert_allclose(in_parts(lambda e, n: arith(Code.POW, e, n), z, w), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "cabs", "carg", "creal", "cimag", "conj"])
def test_what_is_asked_of_the_parts_is_numpys(name):
    z, _ = pairs_of(SPECIAL)
    numpy = {"cabs": np.abs, "carg": np.angle, "creal": np.real, "cimag": np.imag}.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        assert_allclose(in_parts(lambda e: Call(name, e), z), numpy(z), rtol=1e-15)


@pytest.mark.parametrize("dtype", ["bool", "float64", "complex64"])
def test_conversions_are_numpys(dtype):
    z, _ = pairs_of([0.0, 1.5, math.nan])
    expected = z.real.astype(dtype) if dtype == "float64" else z.astype(dtype)
    assert np.array_equal(in_parts(lambda e: cast(e, dtype), z), expected, equal_nan=True)
    assert np.array_equal(
        in_parts(lambda e: cast(e, "complex128"), z.real), z.real.astype("complex128"), equal_nan=True
    )


def test_a_choice_takes_both_parts():
    z = points("complex128", 10)
    got = in_parts(lambda e: select(Call("creal", e) > 0, e, 1j), z)
    assert np.array_equal(got, np.where(z.real > 0, z, 1j))


def test_the_parts_of_a_pair_are_known_and_those_of_an_element_are_that_element():
    element, x, y = load("z", (), "complex64"), load("x", (), "float32"), load("y", (), "float32")
    assert real_part(pair(x, y)) is x
    assert pair(Call("creal", element), Call("cimag", element)) is element
    assert pair(Call("cimag", element), Call("creal", element)).code is Code.PAIR
    assert substitute(Call("cimag", element), {element: pair(x, y)}) is y


def test_a_function_without_a_rule_for_complex_numbers_is_named():
    z = load("z", (), "complex128")
    assert lacking(Call("exp", z) + 1) == "" and lacking(Call("exp", Call("cabs", z))) == ""
    assert lacking(Call("tgamma", z) * 2) == "tgamma"
    with pytest.raises(BackendError, match=r"tgamma\(.*\) is not defined for complex numbers"):
        Parts().pair(Call("tgamma", z))
    with pytest.raises(BackendError, match=r"signbit\(.*\) is not defined for complex numbers"):
        Parts().real(Call("signbit", z))


def test_verification_refuses_what_is_not_in_parts():
    z = load("z", (0,), "complex128")
    with pytest.raises(VerifyError, match="complex numbers must be in parts by now"):
        check_types(z + z, "here")


# --- programs --------------------------------------------------------------------------------------------------------


@pytest.fixture
def run():
    from core.compile.function import function

    def make(op, *arrays):
        inputs = symbolic(arrays)
        f = function(inputs, op(*inputs), backend=Driver(), on_unused_input="ignore")
        assert not any(isinstance(step, HostStep) for step in f.program.steps)
        return f

    return make


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (4, 0), (1, 1)])
def test_sums_products_scatters_and_joins_are_numpys(run, shape):
    a, b = random(shape, "complex128", 1), random(shape, "complex128", 2)
    rows = np.zeros(shape[0], "int64")

    def op(x, y):
        added = ct.inc_subtensor(x[rows], y) if shape[0] else x
        return [(x * y).sum(axis=0), x.prod(axis=1), ct.cumsum(x, axis=0), ct.concatenate([x, y.conj()], axis=1), added]

    total = a.copy()
    np.add.at(total, rows, b)
    expected = [(a * b).sum(0), a.prod(1), np.cumsum(a, axis=0), np.concatenate([a, b.conj()], axis=1), total]
    for got, want in zip(run(op, a, b)(a, b), expected, strict=True):
        assert got.dtype == want.dtype
        assert_allclose(got, want, rtol=1e-14, atol=1e-14)


def test_a_sum_and_what_reads_it_share_loops(run):
    z = random((3, 4), "complex128")
    f = run(lambda x: ct.exp(x) / ct.exp(x).sum(axis=1, keepdims=True), z)
    assert sum(isinstance(step, KernelStep) for step in f.program.steps) == 1
    assert_allclose(f(z), np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), rtol=1e-14)


def test_a_value_lies_where_the_one_that_it_is_made_of_lay(run):
    z = random((8, 8), "complex128")
    f = run(lambda x: ct.cumsum(ct.cumsum(x, axis=0) * 2j, axis=1), z)
    assert any(step.overwrites for step in f.program.steps if isinstance(step, KernelStep))
    assert_allclose(f(z), np.cumsum(np.cumsum(z, axis=0) * 2j, axis=1), rtol=1e-13)


def test_kernels_hold_nothing_complex(run):
    f = run(lambda x: [x * x, x.sum(), x.prod(), ct.set_subtensor(x[1:], 1j)], random(4, "complex64"))
    kernels = [kernel for step in f.program.steps if isinstance(step, KernelStep) for kernel in step.kernels]
    locals_ = [s.local for kernel in kernels for s in statements(kernel.body) if hasattr(s, "local")]
    assert kernels and not any(local.dtype in dtypes.COMPLEXES for local in locals_)


@pytest.mark.parametrize("mode", ["fast_run", "none"])
def test_random_graphs_of_complex_numbers_give_what_numpy_gives(mode):
    from core.compile.function import function

    @settings(
        max_examples=60,
        derandomize=True,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(graph=graphs(kinds=("complex128", "complex64", "float64", "int64")))
    def check(graph):
        f = function(graph.inputs, graph.outputs, backend=Driver(), mode=mode, on_unused_input="ignore")
        for got, expected in zip(f(*graph.arrays), graph.expected, strict=True):
            assert (got.shape, got.dtype) == (expected.shape, expected.dtype), graph
            assert_allclose(got, expected, **graph.tolerance(), err_msg=str(graph))

    check()
