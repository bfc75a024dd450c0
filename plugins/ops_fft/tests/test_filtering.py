"""Convolution by transforms against direct sums; frequencies, shifts and fast lengths against NumPy and SciPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
import plugin_ops_fft as fft
from core.errors import ArgumentError, AxisError, ShapeError
from core.testing import available_backends, check_derivatives, evaluate, random

BACKENDS = available_backends()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("n, m", [(1, 1), (5, 1), (9, 4), (4, 9), (64, 17)])
def test_convolution_is_that_of_numpy(n, m, mode, static, backend):
    x, y = random(n), random(m, seed=1)
    mine = evaluate(lambda x, y: fft.fftconvolve(x, y, mode), x, y, backend=backend, static=static)
    whole = np.convolve(x, y)
    first = {"full": 0, "same": (m - 1) // 2, "valid": min(n, m) - 1}[mode]
    length = {"full": n + m - 1, "same": n, "valid": abs(n - m) + 1}[mode]
    assert_allclose(mine, whole[first : first + length], atol=1e-13 * n)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_several_axes_are_convolved_and_others_broadcast(mode):
    theirs = pytest.importorskip("scipy.signal").fftconvolve
    for dtype in ("float64", "complex128"):
        x, y = random((3, 7, 6), dtype), random((3, 3, 4), seed=1)
        mine = evaluate(lambda x, y: fft.fftconvolve(x, y, mode, (1, 2)), x, y)
        assert_allclose(mine, theirs(x, y, mode, (1, 2)), atol=1e-12)
    mine = evaluate(lambda x, y: fft.fftconvolve(x, y[:1], mode, (1, 2)), x, y)
    assert_allclose(mine, theirs(x, np.repeat(y[:1], 3, 0), mode, (1, 2)), atol=1e-12)


def test_gradients_of_convolution_are_those_of_differences():
    for mode in ("full", "same", "valid"):
        check_derivatives(lambda x, y, mode=mode: fft.fftconvolve(x, y, mode), random((4, 7)), random((2, 3), seed=1))


def test_what_cannot_be_convolved_is_said():
    x = ct.tensor("x", shape=(5, 3))
    with pytest.raises(ArgumentError, match="needs mode 'full', 'same' or 'valid', got 'whole'"):
        fft.fftconvolve(x, x, "whole")
    with pytest.raises(ShapeError, match="fftconvolve needs two arrays of one ndim, got 2 and 1"):
        fft.fftconvolve(x, ct.vector())
    with pytest.raises(
        ShapeError, match="needs one array that is at least as long as the other along each axis, got lengths 5"
    ):
        fft.fftconvolve(x, ct.tensor(shape=(4, 4)), "valid")


@pytest.mark.parametrize("backend", BACKENDS)
def test_frequencies_are_those_of_numpy(backend):
    n, d = ct.lscalar("n"), ct.scalar("d")
    f = core.function([n, d], [fft.fftfreq(n, d), fft.rfftfreq(n, d)], backend=backend)
    for k in (1, 2, 5, 8):
        whole, half = f(k, 0.3)
        assert_allclose(whole, np.fft.fftfreq(k, 0.3), rtol=1e-15)
        assert_allclose(half, np.fft.rfftfreq(k, 0.3), rtol=1e-15)
    assert_allclose(evaluate(lambda x: fft.fftfreq(6) + x, 0.0), np.fft.fftfreq(6), rtol=1e-15)
    with pytest.raises(ArgumentError, match="fftfreq needs n >= 1, got 0"):
        fft.fftfreq(0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("axes", [None, 0, (0, 2), -1])
def test_shifts_are_those_of_numpy(axes, backend):
    x = random((4, 5, 7), "int32")
    mine = evaluate(lambda x: [fft.fftshift(x, axes), fft.ifftshift(x, axes)], x, backend=backend)
    assert_array_equal(mine[0], np.fft.fftshift(x, axes))
    assert_array_equal(mine[1], np.fft.ifftshift(x, axes))
    with pytest.raises(AxisError):
        fft.fftshift(ct.vector(), 1)


def test_fast_lengths_are_those_of_scipy():
    theirs = pytest.importorskip("scipy.fft").next_fast_len
    for n in (1, 2, 13, 17, 97, 1009, 4097, 99991):
        assert fft.next_fast_len(n) == theirs(n)
        assert fft.next_fast_len(n, True) == theirs(n, True)
    with pytest.raises(ArgumentError, match="next_fast_len needs a target >= 1, got 0"):
        fft.next_fast_len(0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_fast_lengths_of_symbolic_integers_are_products_of_small_primes(backend):
    n = ct.lscalar("n")
    f = core.function([n], fft.next_fast_len(n), backend=backend)
    for k in [*range(1, 70), 1025, 4097, 99991, 2**33 + 1, 2**52]:
        found = int(f(k))
        assert k <= found <= max(1.25 * k, k + 2)
        assert fft.next_fast_len(found, real=True) == found
