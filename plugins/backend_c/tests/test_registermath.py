"""exp of whole registers: how far it is off, what it makes of special values, and that loops call it."""

import ctypes

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from plugin_backend_c import compiler
from plugin_backend_c.dialect import PREAMBLE, C

ULP = {True: 1.1, False: 4}  # ours, and what glibc says of libmvec's, which serves elsewhere
FUNCTIONS = {"float64": ("exp", "double"), "float32": ("expf", "float")}
LENGTH = 16  # whole registers
rng = np.random.default_rng(0)
pytestmark = pytest.mark.skipif(not compiler.find()[0].has_libmvec, reason="exp of vectors is that of vectormath.py")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A loop over whole registers for each dtype; ``ours`` says whether it should call ours."""
    folder = tmp_path_factory.mktemp("registermath")
    lines = [PREAMBLE, *(C.declarations[name] for name, _ in FUNCTIONS.values())]
    for name, kind in FUNCTIONS.values():
        lines += [
            f"void loop_{name}(const {kind} *restrict x, {kind} *restrict y, int64_t n)",
            f"{{\n    for (int64_t i = 0; i < n; i++)\n#pragma omp simd\n        for (int k = 0; k < {LENGTH}; k++)",
            f"            y[i * {LENGTH} + k] = {name}(x[i * {LENGTH} + k]);\n}}",
        ]
    condition = "defined(__AVX512F__) && defined(__has_builtin) && !defined(__clang__)"
    lines += [f"#if {condition}", "const int ours = 1;", "#else", "const int ours = 0;", "#endif"]
    (folder / "loops.c").write_text("\n".join(lines))
    found, _ = compiler.find()
    done = found.build([str(folder / "loops.c")], str(folder / "loops.so"))
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(folder / "loops.so"))


def exp(library, x):
    padded = np.concatenate([x, np.zeros(-x.size % LENGTH, x.dtype)])
    out = np.empty_like(padded)
    loop = getattr(library, f"loop_{FUNCTIONS[str(x.dtype)][0]}")
    loop(ctypes.c_void_p(padded.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(padded.size // LENGTH))
    return out[: x.size]


def is_ours(library):
    return bool(ctypes.c_int.in_dll(library, "ours").value)


@pytest.mark.parametrize("dtype, near, far, tiny", [("float64", -745, 709.7, -300), ("float32", -103, 88.7, -37)])
def test_errors_stay_within_what_is_said(library, dtype, near, far, tiny):
    parts = [
        rng.normal(scale=2, size=400_000),
        rng.uniform(near, far, 400_000),
        rng.uniform(near, 0.95 * near, 100_000),
    ]
    x = np.concatenate([*parts, 10.0 ** rng.uniform(tiny, 0, 100_000), -(10.0 ** rng.uniform(tiny, 0, 100_000))])
    x = x.astype(dtype)
    exact = np.exp(x.astype(np.longdouble))
    error = np.abs(exp(library, x).astype(np.longdouble) - exact) / np.spacing(exact.astype(dtype))
    assert error.max() <= ULP[is_ours(library)]


@pytest.mark.parametrize("dtype", FUNCTIONS)
def test_where_steps_meet_errors_are_no_larger(library, dtype):
    """Halfway between multiples of ln(2) / n, the remainder is largest, and rounding may go either way."""
    n = 8 if dtype == "float64" else 16
    middle = ((np.arange(-600, 600) + 0.5) * (np.log(2) / n)).astype(dtype)
    x = np.concatenate([middle, np.nextafter(middle, np.zeros_like(middle))])
    exact = np.exp(x.astype(np.longdouble))
    error = np.abs(exp(library, x).astype(np.longdouble) - exact) / np.spacing(exact.astype(dtype))
    assert error.max() <= ULP[is_ours(library)]


@pytest.mark.parametrize("dtype", FUNCTIONS)
def test_special_values_are_those_of_c99(library, dtype):
    info = np.finfo(dtype)
    tiny, most = info.smallest_subnormal, info.max
    x = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny, most, -most, 1e4, -1e4], dtype)
    with np.errstate(over="ignore"):
        assert_array_equal(exp(library, x), np.exp(x))


@pytest.mark.parametrize("dtype", FUNCTIONS)
def test_the_largest_result_is_finite_and_the_smallest_is_not_zero(library, dtype):
    info = np.finfo(dtype)
    edge, low = np.log(float(info.max)), np.log(float(info.smallest_subnormal))
    got = exp(library, np.array([edge * (1 - 1e-5), edge * (1 + 1e-5), low * (1 - 1e-3), low * (1 + 1e-2)], dtype))
    assert np.isfinite(got[0]) and np.isinf(got[1])
    assert 0 < got[2] <= 4 * info.smallest_subnormal and got[3] == 0


def test_a_unit_without_exp_does_not_hold_it():
    x = ct.vector("x")
    (text,) = core.function([x], ct.log(x), backend="c").sources.values()
    assert "core_all_exp" not in text
    (text,) = core.function([x], ct.exp(x), backend="c").sources.values()
    assert "core_all_exp" in text and "core_all_expf" not in text
