"""Our own functions of mathematics: how far they are off, and what they make of special values."""

import ctypes
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.testing import random
from plugin_backend_c import compiler, vectormath
from plugin_backend_c.dialect import PREAMBLE

ULP = {("tanh", "float64"): 2.6, ("tanh", "float32"): 2.5, ("exp", "float64"): 1.5, ("exp", "float32"): 1.5}
ULP["erf", "float32"] = 1.5
WITHOUT_FUSING = 1  # more, where the compiler uses no fused multiplication and addition
FUSES = """
#if defined(__FMA__) || defined(__FP_FAST_FMA) || defined(__ARM_FEATURE_FMA)
int fuses(void) { return 1; }
#else
int fuses(void) { return 0; }
#endif
"""
C_TYPES = {"float64": "double", "float32": "float"}
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def loops(tmp_path_factory):
    """One C function over arrays for each of ours, built without libmvec, vectorised."""
    folder = tmp_path_factory.mktemp("vectormath")
    lines = [PREAMBLE, *vectormath.definitions().values(), FUSES]
    for (_, dtype), name in vectormath.CALLS.items():
        kind = C_TYPES[dtype]
        lines += [
            f"void loop_{name}(const {kind} *restrict x, {kind} *restrict y, int64_t n)",
            f"{{\n#pragma omp simd\n    for (int64_t i = 0; i < n; i++) y[i] = {name}(x[i]);\n}}",
        ]
    (folder / "ours.c").write_text("\n".join(lines))
    found, why = compiler.find()
    assert found, why
    done = found.build([str(folder / "ours.c")], str(folder / "ours.so"))
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(folder / "ours.so"))

    def run(name, x):
        x, y = np.ascontiguousarray(x), np.empty_like(x)
        loop = getattr(library, f"loop_core_{name}_{x.dtype}")
        loop(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), ctypes.c_int64(x.size))
        return y

    run.fuses = library.fuses()
    return run


def exact(name, x):
    """The function in more digits than x has."""
    wide = x.astype(np.longdouble if x.dtype == "float64" else "float64")
    return np.array([math.erf(v) for v in wide]) if name == "erf" else getattr(np, name)(wide)


def arguments(name, dtype):
    near, far = (-740, 709) if dtype == "float64" else (-103, 88)
    return np.concatenate(
        [
            rng.normal(scale=2, size=400_000),
            rng.uniform(near, far, size=300_000) if name == "exp" else rng.uniform(-25, 25, size=300_000),
            rng.uniform(0.9, 0.96, size=100_000),
            10.0 ** rng.uniform(-300 if dtype == "float64" else -37, 0, size=300_000),
        ]
    ).astype(dtype)


@pytest.mark.parametrize("name, dtype", vectormath.CALLS)
def test_errors_stay_within_what_is_said(loops, name, dtype):
    x = arguments(name, dtype)
    wanted = exact(name, x)
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(wanted.astype(dtype))).astype(wanted.dtype)
    error = np.abs(loops(name, x).astype(wanted.dtype) - wanted) / unit
    assert error.max() <= ULP[name, dtype] + (0 if loops.fuses else WITHOUT_FUSING)


@pytest.mark.parametrize("name, dtype", vectormath.CALLS)
def test_special_values_are_those_of_c99(loops, name, dtype):
    info = np.finfo(dtype)
    tiny, most = info.smallest_subnormal, info.max
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny, info.tiny, most, -most, 1e4, -1e4] * 3, dtype)
    with np.errstate(all="ignore"):
        wanted = exact(name, x).astype(dtype)
    got = loops(name, x)
    # erf of the smallest normal number is no special value
    assert_allclose(got, wanted, rtol=2**-23 if name == "erf" else 0)
    assert_array_equal(np.signbit(got[3:]), np.signbit(wanted[3:]))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_exp_overflows_and_underflows_step_by_step_where_it_should(loops, dtype):
    info = np.finfo(dtype)
    edge, low = np.log(float(info.max)), np.log(float(info.smallest_subnormal))
    x = np.array([edge * (1 - 1e-5), edge * (1 + 1e-5), low * (1 - 1e-3), low * (1 + 1e-2)], dtype)
    got = loops("exp", x)
    assert np.isfinite(got[0]) and np.isinf(got[1])
    assert 0 < got[2] <= 4 * info.smallest_subnormal and got[3] == 0


def test_a_function_calls_ours_only_where_it_is_the_quicker_one():
    x, f32 = ct.vector("x"), ct.fvector("f32")
    (text,) = core.function([x, f32], [ct.tanh(x), ct.tanh(f32), ct.erf(f32)], backend="c").sources.values()
    found, _ = compiler.find()
    assert "= core_tanh_float64(" in text and "= core_erf_float32(" in text
    assert ("= core_tanh_float32(" in text) == (not found.has_libmvec)


def test_precise_functions_are_those_of_the_c_library_bit_for_bit():
    x = ct.vector("x")
    values = random((1000,))
    with core.config.override({"c.precise_math": True}):
        f = core.function([x], [ct.exp(x), ct.tanh(x), ct.sin(x)], backend="c")
    for got, function in zip(f(values), (math.exp, math.tanh, math.sin), strict=True):
        assert_array_equal(got, [function(v) for v in values])


def test_a_function_stays_precise_when_it_meets_a_length_of_one_later():
    x, y = ct.vector("x"), ct.vector("y")
    with core.config.override({"c.precise_math": True}):
        f = core.function([x, y], ct.exp(x) + y, backend="c")
    f([1.0], [2.0, 3.0])
    assert not any("CORE_VECTOR extern" in text for text in f.sources.values())
