"""Cosine and sine transforms: against SciPy, and against their sums; derivatives; what is refused."""

from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
import plugin_ops_fft as fft
from core.errors import ArgumentError, ShapeError
from core.testing import available_backends, check_derivatives, check_op, evaluate, random

NAMES = ["dct", "idct", "dst", "idst"]


def matrix(name, type, n):
    """The matrix of the unscaled transform, by its sum."""
    j, k = np.arange(n), np.arange(n)[:, None]
    if name == "dct":
        return {
            1: lambda: np.where((j == 0) | (j == n - 1), 1, 2) * np.cos(np.pi * j * k / (n - 1)),
            2: lambda: 2 * np.cos(np.pi * (2 * j + 1) * k / (2 * n)),
            3: lambda: np.where(j == 0, 1, 2) * np.cos(np.pi * j * (2 * k + 1) / (2 * n)),
            4: lambda: 2 * np.cos(np.pi * (2 * j + 1) * (2 * k + 1) / (4 * n)),
        }[type]()
    return {
        1: lambda: 2 * np.sin(np.pi * (j + 1) * (k + 1) / (n + 1)),
        2: lambda: 2 * np.sin(np.pi * (2 * j + 1) * (k + 1) / (2 * n)),
        3: lambda: np.where(j == n - 1, 1, 2) * np.sin(np.pi * (j + 1) * (2 * k + 1) / (2 * n)),
        4: lambda: 2 * np.sin(np.pi * (2 * j + 1) * (2 * k + 1) / (4 * n)),
    }[type]()


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("type", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["dct", "dst"])
def test_transforms_are_their_sums_and_inverses_undo_them(name, type, backend):
    transform, inverse = getattr(fft, name), getattr(fft, f"i{name}")
    for n in (1, 2, 3, 4, 7, 8, 33):
        if (name, type, n) == ("dct", 1, 1):
            continue
        x = random((2, n))
        there, back = evaluate(lambda x: [y := transform(x, type), inverse(y, type)], x, backend=backend)
        assert_allclose(there, x @ matrix(name, type, n).T, atol=1e-12 * n)
        assert_allclose(back, x, atol=1e-13 * n)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("type", [1, 2, 3, 4])
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("orthogonalize", [None, True, False])
def test_scales_are_those_of_scipy(name, type, norm, orthogonalize):
    theirs = getattr(pytest.importorskip("scipy.fft"), name)
    for dtype in ("float32", "float64", "complex128", "int32"):
        x = random((3, 6), dtype)
        for n, axis in ((None, -1), (8, 1), (4, -1), (5, 0)):
            mine = evaluate(
                partial(getattr(fft, name), type=type, n=n, axis=axis, norm=norm, orthogonalize=orthogonalize), x
            )
            given = partial(theirs, type=type, n=n, axis=axis, norm=norm, orthogonalize=orthogonalize)
            expected = given(x) if dtype != "complex128" else given(x.real) + 1j * given(x.imag)
            assert mine.dtype == expected.dtype
            assert_allclose(mine, expected, atol=1e-5 if dtype == "float32" else 1e-12 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", ["dctn", "idctn", "dstn", "idstn"])
def test_several_axes_are_those_of_scipy(name):
    theirs = getattr(pytest.importorskip("scipy.fft"), name)
    x = random((3, 4, 5))
    for axes in (None, (0, 2), 1):
        mine = evaluate(partial(getattr(fft, name), axes=axes, norm="ortho"), x)
        assert_allclose(mine, theirs(x, axes=axes, norm="ortho"), atol=1e-12)


@pytest.mark.parametrize("type", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["dct", "dst"])
def test_they_keep_the_promises_of_ops(name, type):
    transform = getattr(fft, name)
    check_op(
        lambda x: transform(x, type, norm="ortho"), random((2, 5)), derivatives=True, variants=("strided",), rtol=1e-9
    )
    check_derivatives(lambda x: transform(x, type, axis=0), random((4, 3)))


def test_lengths_may_be_known_late():
    x, n = ct.matrix("x"), ct.lscalar("n")
    f = core.function([x, n], [fft.dct(x, 2, n), fft.dst(x, 1, n), fft.idct(x, 2, n)], backend="interpreter")
    for k in (3, 8):
        value = random((2, 6))
        padded = np.pad(value, ((0, 0), (0, 2)))[:, :k]
        two, one, three = f(value, k)
        assert_allclose(two, padded @ matrix("dct", 2, k).T, atol=1e-12)
        assert_allclose(one, padded @ matrix("dst", 1, k).T, atol=1e-12)
        assert_allclose(three, padded @ matrix("dct", 3, k).T / (2 * k), atol=1e-12)


def test_what_is_wrong_is_said():
    with pytest.raises(ArgumentError, match="dct needs type 1, 2, 3 or 4, got 5"):
        fft.dct(ct.vector(), 5)
    with pytest.raises(ArgumentError, match="Invalid norm value 'unit'"):
        fft.dst(ct.vector(), norm="unit")
    with pytest.raises(ShapeError, match="dct of type 1 needs two elements at least along axis 0, got 1"):
        fft.dct(ct.tensor(shape=(1,)), 1)
    with pytest.raises(ShapeError, match=r"Invalid number of FFT data points \(0\) specified: dct needs one at least"):
        fft.dct(ct.vector(), n=0)
