"""Transforms in C: what it calls, long lines, threads, many lengths and callers at once, memory that is used again."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
import plugin_ops_fft as fft
from core.testing import available_backends, random
from plugin_ops_fft.transforms import RealFourier, RealInverse

pytestmark = pytest.mark.skipif("c" not in available_backends(), reason="needs plugin-backend-c and a compiler")


def of_lines(name, dtype="complex128", ndim=2, axis=-1):
    x = ct.tensor("x", dtype=dtype, ndim=ndim)
    return core.function([x], getattr(fft, name)(x, axis=axis), backend="c")


def test_they_are_routines_of_the_pack():
    x = ct.tensor("x", dtype="float32", ndim=2)
    y = fft.irfft(fft.rfft(x)) + ct.real(fft.ifft(fft.fft(x * 1j)))
    f = core.function([x], [y, core.grad((y**2).sum(), x)], backend="c")
    called = {step.call.name for step in f.program.steps if hasattr(step, "call")}
    assert called == {"fourier", "fourier_of_real", "fourier_to_real"}
    assert not f.program.host_nodes


@pytest.mark.parametrize("n", [2**15, 2**16, 3 * 2**15, 50000, 65537, 2**18])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_long_lines_are_those_of_numpy(n, dtype):
    f = of_lines("fft", dtype)
    x = random((1, n), dtype)
    expected = np.fft.fft(x.astype("complex128"))
    error = np.linalg.norm(f(x) - expected) / np.linalg.norm(expected)
    assert error < (1e-6 if dtype == "complex64" else 2e-15)


@pytest.mark.parametrize("name", ["fft", "rfft", "irfft"])
def test_errors_are_no_larger_than_those_of_numpy(name):
    """Against long double, at lengths of each kind: a power of 2, small primes, a large prime."""
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("long double is no longer than double here")
    f = of_lines(name, "float64" if name == "rfft" else "complex128")
    for n in (256, 1000, 1024, 1009, 5040):
        x = random((1, n), "float64" if name == "rfft" else "complex128")
        if name == "irfft":
            x = np.fft.rfft(x.real)
        exact = getattr(np.fft, name)(x.astype("clongdouble" if name != "rfft" else "longdouble"))
        mine, theirs = (np.linalg.norm(y - exact) / np.linalg.norm(exact) for y in (f(x), getattr(np.fft, name)(x)))
        assert mine < max(2 * theirs, 3e-16)


@pytest.mark.parametrize("axis", [0, 1])
def test_transposes_are_those_of_the_interpreter(axis):
    g, z, n = ct.matrix("g"), ct.tensor("z", dtype="complex128", ndim=2), ct.lscalar("n")
    outputs = [RealFourier(axis, 1, True)(g), RealInverse(axis, None, 0.5, True)(z, n)]
    mine, theirs = (core.function([g, z, n], outputs, backend=backend) for backend in ("c", "interpreter"))
    for length in (1, 2, 3, 8, 9, 64, 99, 100, 128, 202, 1018):
        for others in (1, 9):
            shape = [others, others]
            shape[axis] = length
            half = [others, others]
            half[axis] = length // 2 + 1
            arrays = random(shape), random(half, "complex128"), length
            for a, b in zip(mine(*arrays), theirs(*arrays), strict=True):
                assert_allclose(a, b, atol=1e-13 * length)


def test_threads_change_nothing():
    before = core.get_num_threads()
    cases = [("fft", random((300, 200), "complex64")), ("fft", random((1, 2**17), "complex64"))]
    cases += [("rfft", random((300, 1024), "float32")), ("irfft", random((2000, 33), "complex64"))]
    try:
        for name, x in cases:
            for axis in (0, -1) if len(x) > 1 else (-1,):
                f = of_lines(name, x.dtype.name, axis=axis)
                core.num_threads(1)
                alone = f(x)
                core.num_threads(3)
                assert_array_equal(f(x), alone)
    finally:
        core.num_threads(before)


def test_more_lengths_than_are_kept_come_by_turns():
    f, lengths = of_lines("fft"), [*range(20, 60), 97, 101, 103, 107]
    for n in lengths * 2:
        x = random((2, n), "complex128", seed=n)
        assert_allclose(f(x), np.fft.fft(x), atol=1e-12)


def test_several_callers_at_once_share_what_is_kept():
    f = of_lines("fft")
    arrays = [random((3, n), "complex128", seed=n) for n in [*range(30, 62), 127, 131] * 6]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(f, arrays))
    for x, y in zip(arrays, found, strict=True):
        assert_allclose(y, np.fft.fft(x), atol=1e-12)


def test_a_result_may_take_the_place_of_what_is_read_for_the_last_time():
    x = ct.tensor("x", dtype="complex128", ndim=2)
    for axes in ((0,), (1,), (0, 1)):
        f = core.function([x], fft.ifftn(fft.fftn(x * 2, axes=axes) * 3, axes=axes), backend="c")
        for shape in ((5, 7), (64, 64), (100, 101), (1, 2**15), (33, 2)):
            value = random(shape, "complex128")
            assert_allclose(f(value), 6 * value, atol=1e-12)
            assert_array_equal(value, random(shape, "complex128"))


def test_a_shared_variable_is_transformed_in_its_place():
    w = core.shared(random((16, 64), "complex128"))
    step = core.function([], [], updates={w: fft.fft(w, norm="ortho")}, backend="c")
    for _ in range(4):  # four transforms are none
        step()
    assert_allclose(w.get_value(), random((16, 64), "complex128"), atol=1e-12)
