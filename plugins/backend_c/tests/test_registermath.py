"""Functions of whole registers: how far they are off, and what they make of special values."""

import ctypes

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from plugin_backend_c import compiler
from plugin_backend_c.dialect import PREAMBLE, C

ULP = {("exp", "float64"): 1.1, ("exp", "float32"): 1.1, ("log", "float64"): 0.8}
NAMES = {("exp", "float64"): "exp", ("exp", "float32"): "expf", ("log", "float64"): "log"}  # in C
LENGTH = {"float64": 8, "float32": 16}  # of a register
LOOP = """
void loop_{name}(const char *x, char *y, int64_t n)
{{
    for (int64_t i = 0; i < n; i++) {{
        {vector} register_of_x;
        __builtin_memcpy(&register_of_x, x + i * 64, 64);
        register_of_x = core_all_{name}(register_of_x);
        __builtin_memcpy(y + i * 64, &register_of_x, 64);
    }}
}}"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A loop over whole registers for each function, where there are registers of 512 bits and GCC."""
    folder = tmp_path_factory.mktemp("registermath")
    texts = {name: C.declarations[name] for name in NAMES.values()}
    lines = [PREAMBLE, *texts.values(), "#ifdef CORE_REGISTERS"]
    for (_, dtype), name in NAMES.items():
        lines.append(LOOP.format(name=name, vector={"float64": "core_double8", "float32": "core_float16"}[dtype]))
    (folder / "loops.c").write_text("\n".join([*lines, "#endif", "int built;"]))
    found, why = compiler.find()
    assert found, why
    done = found.build([str(folder / "loops.c")], str(folder / "loops.so"))
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(folder / "loops.so"))
    if not hasattr(library, "loop_exp"):
        pytest.skip("needs GCC, glibc's libmvec and a processor with AVX-512")
    return library


def computed(library, name, x):
    length = LENGTH[str(x.dtype)]
    padded = np.concatenate([x, np.ones(-x.size % length, x.dtype)])
    out = np.empty_like(padded)
    loop = getattr(library, f"loop_{NAMES[name, str(x.dtype)]}")
    loop(ctypes.c_void_p(padded.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(padded.size // length))
    return out[: x.size]


def largest_error(library, name, x):
    """In units in the last place of the result."""
    exact = getattr(np, name)(x.astype(np.longdouble))
    unit = np.spacing(np.abs(exact.astype(x.dtype)))
    return float((np.abs(computed(library, name, x).astype(np.longdouble) - exact) / unit).max())


@pytest.mark.parametrize("dtype, near, far, tiny", [("float64", -745, 709.7, -300), ("float32", -103, 88.7, -37)])
def test_errors_of_exp_stay_within_what_is_said(library, dtype, near, far, tiny):
    rng = np.random.default_rng(0)
    parts = [
        rng.normal(scale=2, size=400_000),
        rng.uniform(near, far, 400_000),
        rng.uniform(near, 0.95 * near, 100_000),
    ]
    x = np.concatenate([*parts, 10.0 ** rng.uniform(tiny, 0, 100_000), -(10.0 ** rng.uniform(tiny, 0, 100_000))])
    assert largest_error(library, "exp", x.astype(dtype)) <= ULP["exp", dtype]


def test_errors_of_log_stay_within_what_is_said(library):
    rng = np.random.default_rng(0)
    near_1 = [1 + rng.uniform(-0.3, 0.6, 400_000), 1 + rng.normal(size=100_000) * 10.0 ** rng.uniform(-15, -1, 100_000)]
    x = np.concatenate([*near_1, rng.lognormal(0, 2, 300_000), 10.0 ** rng.uniform(-323, 308, 300_000)])
    assert largest_error(library, "log", x) <= ULP["log", "float64"]


def test_where_tables_of_log_meet_errors_are_no_larger(library):
    edges = np.outer(1 + np.arange(16) / 16, 2.0 ** np.arange(-1074, 1020, 37)).ravel()
    x = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, np.inf)])
    x = x[x > 0]
    assert largest_error(library, "log", x) <= ULP["log", "float64"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_where_steps_of_exp_meet_errors_are_no_larger(library, dtype):
    """Halfway between multiples of ln(2) / n, the remainder is largest, and rounding may go either way."""
    n = 8 if dtype == "float64" else 16
    middle = ((np.arange(-600, 600) + 0.5) * (np.log(2) / n)).astype(dtype)
    x = np.concatenate([middle, np.nextafter(middle, np.zeros_like(middle))])
    assert largest_error(library, "exp", x) <= ULP["exp", dtype]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_exp_of_special_values_is_that_of_c99(library, dtype):
    info = np.finfo(dtype)
    tiny, most = info.smallest_subnormal, info.max
    x = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny, most, -most, 1e4, -1e4], dtype)
    with np.errstate(over="ignore"):
        assert_array_equal(computed(library, "exp", x), np.exp(x))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_largest_result_is_finite_and_the_smallest_is_not_zero(library, dtype):
    info = np.finfo(dtype)
    edge, low = np.log(float(info.max)), np.log(float(info.smallest_subnormal))
    got = computed(
        library, "exp", np.array([edge * (1 - 1e-5), edge * (1 + 1e-5), low * (1 - 1e-3), low * (1 + 1e-2)], dtype)
    )
    assert np.isfinite(got[0]) and np.isinf(got[1])
    assert 0 < got[2] <= 4 * info.smallest_subnormal and got[3] == 0


def test_log_of_special_values_is_that_of_c99(library):
    x = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, -np.nan, 5e-324, -5e-324, 2.0**-1022, np.finfo(float).max])
    got = computed(library, "log", x)
    with np.errstate(all="ignore"):
        assert_allclose(got, np.log(x), rtol=2**-52)
    assert not np.signbit(got[2])


def test_a_unit_holds_those_that_it_calls_and_no_others():
    x = ct.vector("x")
    for name, other in (("exp", "log"), ("log", "exp")):
        (text,) = core.function([x], getattr(ct, name)(x), backend="c").sources.values()
        assert (f"core_all_{name}(" in text) == (f" {name}(" in text)
        assert f"core_all_{other}(" not in text


def test_precise_functions_are_not_these():
    x = ct.vector("x")
    with core.config.override({"c.precise_math": True}):
        (text,) = core.function([x], ct.exp(x), backend="c").sources.values()
    assert "core_all" not in text
