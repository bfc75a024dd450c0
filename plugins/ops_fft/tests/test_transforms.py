"""Fourier transforms: NumPy's values on every backend, lengths, axes, norms, dtypes; derivatives; what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import core
import core.tensor as ct
import plugin_ops_fft as fft
from core.errors import ArgumentError, AxisError, DTypeError, ShapeError
from core.testing import available_backends, check_derivatives, check_op, evaluate, random
from plugin_ops_fft.transforms import Fourier, RealFourier, RealInverse

BACKENDS = available_backends()
LENGTHS = [
    *range(1, 41),
    49,
    53,
    64,
    77,
    97,
    100,
    101,
    121,
    128,
    169,
    210,
    243,
    256,
    343,
    360,
    509,
    512,
    625,
    1000,
    1009,
    1024,
]
LENGTHS += [1155, 2048, 2187, 3000, 4096, 4099, 5040, 8191, 10007, 16384]
TOLERANCE = {"float32": 2e-6, "complex64": 2e-6, "float64": 2e-15, "complex128": 2e-15}


def assert_near(mine, theirs, what=""):
    """Errors of a transform are small against its largest element, not against each."""
    assert mine.shape == theirs.shape, what
    assert mine.dtype == theirs.dtype, what
    scale = np.abs(theirs).max(initial=0) * np.log2(max(mine.size, 4))
    assert_allclose(mine, theirs, rtol=0, atol=TOLERANCE[mine.dtype.name] * scale, err_msg=str(what))


@pytest.fixture(scope="module")
def run():
    """One program for each function, dtype, axis and backend, of lengths that are known when it runs."""
    kept = {}

    def call(name, x, n, axis, backend):
        key = name, x.dtype.name, x.ndim, axis, backend, n is None
        if key not in kept:
            given, length = ct.tensor("x", dtype=x.dtype.name, ndim=x.ndim), ct.lscalar("n")
            inputs = [given] if n is None else [given, length]
            out = getattr(fft, name)(given, None if n is None else length, axis)
            kept[key] = core.function(inputs, out, backend=backend)
        return kept[key](x) if n is None else kept[key](x, n)

    return call


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_length_gives_what_numpy_gives(run, dtype, backend):
    wide = "complex64" if dtype == "float32" else "complex128"
    for n in LENGTHS:
        for rows in (1, 3, 17) if n < 2000 else (2,):
            z, x = random((rows, n), wide), random((rows, n), dtype)
            half = np.fft.rfft(x)
            for name, array, length in (("fft", z, None), ("ifft", z, None), ("rfft", x, None), ("irfft", half, n)):
                expected = getattr(np.fft, name)(array, length)
                assert_near(run(name, array, length, -1, backend), expected, (name, rows, n))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_every_axis_gives_what_numpy_gives(run, axis, dtype, backend):
    wide = "complex64" if dtype == "float32" else "complex128"
    for n in (1, 2, 3, 5, 8, 15, 16, 17, 30, 64, 101, 128, 509, 1024):
        for others in ((1, 1), (2, 3), (1, 33)):
            shape = (*others[:axis], n, *others[axis:])
            z, x = random(shape, wide), random(shape, dtype)
            half = np.fft.rfft(x, axis=axis)
            for name, array, length in (("fft", z, None), ("ifft", z, None), ("rfft", x, None), ("irfft", half, n)):
                expected = getattr(np.fft, name)(array, length, axis=axis)
                assert_near(run(name, array, length, axis, backend), expected, (name, shape))


OF_AXES = ["fft2", "ifft2", "fftn", "ifftn", "rfft2", "rfftn", "irfft2", "irfftn"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("s, axes", [(None, (-2, -1)), ((5, 3), (0, 1)), (None, (2, 0)), ((5, -1), (1, 2))])
def test_several_axes_give_what_numpy_gives(s, axes, backend):
    x, z = random((4, 6, 5)), random((4, 6, 5), "complex128", seed=1)

    def all_of_them(x, z):
        return [getattr(fft, name)(x if name.startswith("r") else z, s, axes) for name in OF_AXES]

    for name, mine in zip(OF_AXES, evaluate(all_of_them, x, z, backend=backend), strict=True):
        assert_near(mine, getattr(np.fft, name)(x if name.startswith("r") else z, s, axes), name)


def test_all_axes_are_transformed_unless_some_are_named():
    x = random((3, 4, 5))
    assert_near(evaluate(fft.fftn, x), np.fft.fftn(x))
    assert_near(evaluate(lambda x: fft.rfftn(x, (6, 7)), x), np.fft.rfftn(x, (6, 7), axes=(1, 2)))
    assert_near(evaluate(lambda x: fft.irfftn(x), x), np.fft.irfftn(x))


OF_LINES = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [None, 4, 5, 9, 10])
def test_norms_and_lengths_are_those_of_numpy(n, backend):
    x, z = random((2, 7), "float32"), random((2, 7), "complex64", seed=1)
    ways = [(name, norm) for name in OF_LINES for norm in ("backward", "ortho", "forward")]
    real = {"rfft", "ihfft"}

    def all_of_them(x, z):
        return [getattr(fft, name)(x if name in real else z, n, norm=norm) for name, norm in ways]

    for (name, norm), mine in zip(ways, evaluate(all_of_them, x, z, backend=backend), strict=True):
        assert_near(mine, getattr(np.fft, name)(x if name in real else z, n, norm=norm), (name, norm))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["int32", "bool", "float16", "float32", "float64"])
def test_real_numbers_and_integers_are_taken_too(dtype, backend):
    x = random((3, 6), dtype)
    found = evaluate(lambda x: [getattr(fft, name)(x) for name in OF_LINES], x, backend=backend)
    for name, mine in zip(OF_LINES, found, strict=True):
        assert_near(mine, getattr(np.fft, name)(x.astype("float32") if dtype == "float16" else x), name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["fft", "rfft", "irfft"])
def test_parts_and_transposed_arrays_are_read_where_they_lie(name, backend):
    x = random((9, 8, 10), "float64" if name == "rfft" else "complex128")
    cuts = [lambda x: x[::2, 1:, :], lambda x: x.transpose(2, 0, 1), lambda x: x[:, ::3, ::-1], lambda x: x[3]]
    ways = [(cut, axis) for cut in cuts for axis in (0, -1)]
    found = evaluate(lambda x: [getattr(fft, name)(cut(x), axis=axis) for cut, axis in ways], x, backend=backend)
    for (cut, axis), mine in zip(ways, found, strict=True):
        assert_near(mine, getattr(np.fft, name)(cut(x), axis=axis))


@given(st.data())
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_any_shape_axes_lengths_and_norm(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    s = data.draw(st.none() | st.tuples(*(st.integers(1, 7) for _ in axes)))
    name = data.draw(st.sampled_from(["fftn", "ifftn", "rfftn", "irfftn"]))
    norm = data.draw(st.sampled_from(["backward", "ortho", "forward"]))
    static = data.draw(st.booleans())
    x = random(shape, "float64" if name == "rfftn" else data.draw(st.sampled_from(["float64", "complex128"])))
    if name == "irfftn" and s is None and shape[axes[-1]] == 1:
        return
    # compiling takes long: a few of the shapes, others are in the tests above
    backend = "c" if "c" in BACKENDS and data.draw(st.integers(0, 9)) == 9 else "interpreter"
    mine = evaluate(lambda x: getattr(fft, name)(x, s, axes, norm), x, backend=backend, static=static)
    assert_near(mine, getattr(np.fft, name)(x, s, axes, norm))


# --- derivatives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, power", [(1, 0), (2, 0.5), (5, 1), (6, 0.5)])
def test_the_three_ops_keep_their_promises(n, power):
    check_op(Fourier((1,), False, power), random((2, n), "complex128"), wrt=0, derivatives=True)
    check_op(Fourier((0, 1), True, power), random((3, n), "complex64"))
    check_op(RealFourier(0, power), random((n, 3)), derivatives=True)
    check_op(RealInverse(1, n, power), random((2, n // 2 + 1), "complex128"), wrt=0, derivatives=True, variants=())
    check_op(RealInverse(1, None, power), random((2, n // 2 + 1), "complex128"), np.int64(n), wrt=0, variants=())
    check_op(RealFourier(1, power, transposed=True), random((2, n)), derivatives=True)
    half = random((n // 2 + 1, 2), "complex128")
    check_op(RealInverse(0, n, power, transposed=True), half, wrt=0, derivatives=True, variants=())


@pytest.mark.parametrize("n", [None, 3, 4, 9, 10])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_gradients_are_those_of_differences(name, n):
    x = random((2, 7), "float64" if name in ("rfft", "ihfft") else "complex128")
    check_derivatives(lambda x: getattr(fft, name)(x, n), x)
    if name in ("fft", "irfft"):
        check_derivatives(lambda x: getattr(fft, name)(x, n, axis=0), x.real)


@pytest.mark.parametrize("name", OF_AXES)
def test_gradients_of_several_axes_are_those_of_differences(name):
    x = random((2, 3, 4), "float64" if name.startswith("r") else "complex128")
    check_derivatives(lambda x: getattr(fft, name)(x, (5, 3), (0, 2), "ortho"), x)


def test_second_derivatives_are_those_of_differences():
    def power(x):
        return core.grad((ct.abs(fft.rfft(x)) ** 4).sum(), x)

    check_derivatives(power, random((2, 6)))
    check_derivatives(power, random((2, 5)))


def test_the_gradient_of_a_filter_is_the_filter_turned():
    x, h = random(64), random(33, "complex128")
    h[0], h[-1] = h[0].real, h[-1].real
    mine = evaluate(lambda x, h: core.grad(fft.irfft(fft.rfft(x) * h)[5], x), x, h)
    kernel = np.fft.irfft(h)
    assert_allclose(mine, np.roll(kernel[::-1], 6), atol=1e-12)


def test_jacobians_have_no_loop():
    x = random(8)
    mine = evaluate(lambda x: core.gradient.jacobian(ct.real(fft.fft(x)), x), x)
    assert_allclose(mine, np.fft.fft(np.eye(8)).real, atol=1e-12)


# --- what is not finite, and what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_line_that_is_not_finite_spoils_itself_alone(run, bad, backend):
    for n in (2, 4, 7, 16, 30, 64, 101, 256):
        for name in ("fft", "rfft", "irfft"):
            x = random((5, n), "float64" if name == "rfft" else "complex128")
            x[2, n // 2] = bad
            length = 2 * n - 1 if name == "irfft" else None
            mine = run(name, x, length, -1, backend)
            with np.errstate(all="ignore"):
                good = getattr(np.fft, name)(x, length)
            assert not np.isfinite(mine[2]).any(), (name, n)
            assert_near(np.delete(mine, 2, 0), np.delete(good, 2, 0))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["fft", "rfft", "irfft"])
def test_an_axis_without_elements_is_an_error_with_the_text_of_numpy(name, backend):
    with pytest.raises(ShapeError, match=r"Invalid number of FFT data points \((0|-2)\) specified"):
        getattr(fft, name)(ct.zeros((3, 0)))
    with pytest.raises(ShapeError, match=r"Invalid number of FFT data points \(0\) specified"):
        getattr(fft, name)(ct.matrix(), 0)
    x, n = ct.matrix("x"), ct.lscalar("n")
    with pytest.raises(ShapeError, match=r"Invalid number of FFT data points \((0|-2)\) specified"):
        core.function([x], getattr(fft, name)(x), backend=backend)(np.zeros((3, 0) if name != "irfft" else (3, 1)))
    with pytest.raises(ShapeError, match=r"Invalid number of FFT data points \(0\) specified"):
        core.function([x, n], getattr(fft, name)(x, n), backend=backend)(np.zeros((3, 4)), 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_lines_are_no_error(backend):
    x = np.zeros((0, 4))
    assert evaluate(fft.fft, x, backend=backend).shape == (0, 4)
    assert evaluate(fft.rfft, x, backend=backend).shape == (0, 3)
    assert evaluate(fft.irfft, x, backend=backend).shape == (0, 6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_half_than_that_of_the_length_is_an_error(backend):
    with pytest.raises(ShapeError, match="needs 4 elements along axis 1, got 5"):
        RealInverse(1, 6)(ct.tensor(dtype="complex128", shape=(2, 5)))
    y, n = ct.tensor("y", dtype="complex128", ndim=2), ct.lscalar("n")
    f = core.function([y, n], RealInverse(1, None)(y, n), backend=backend)
    with pytest.raises(ShapeError, match="along axis 1, got"):
        f(np.zeros((2, 5), complex), 6)


def test_what_is_wrong_is_said_when_the_graph_is_built():
    x, z = ct.matrix("x"), ct.tensor("z", dtype="complex128", ndim=2)
    with pytest.raises(
        ArgumentError, match=r"Invalid norm value 'unit'; should be \"backward\", \"ortho\" or \"forward\""
    ):
        fft.fft(x, norm="unit")
    with pytest.raises(AxisError, match="needs -2 <= axis < 2"):
        fft.fft(x, axis=2)
    with pytest.raises(AxisError, match=r"fft2 needs each axis once, got axes=\(1, -1\)"):
        fft.fft2(x, axes=(1, -1))
    with pytest.raises(AxisError, match="needs 0 <= axis < 0|needs 0 <= axis"):
        fft.fft(ct.scalar())
    with pytest.raises(AxisError, match="axis"):
        fft.rfftn(ct.scalar())
    with pytest.raises(ArgumentError, match="rfftn needs one axis at least"):
        fft.rfftn(x, axes=())
    with pytest.raises(ShapeError, match=r"fftn needs as many lengths as axes, got s=\(3,\) and axes=\(0, 1\)"):
        fft.fftn(x, (3,), (0, 1))
    for name in ("rfft", "ihfft"):
        with pytest.raises(DTypeError, match=f"{name} needs real numbers, got z of dtype complex128"):
            getattr(fft, name)(z)
    with pytest.raises(DTypeError, match="needs complex64 or complex128, got x of dtype float64; cast it"):
        Fourier((0,))(x)
    with pytest.raises(DTypeError, match="needs float32 or float64, got z of dtype complex128; cast it"):
        RealFourier(0)(z)
    with pytest.raises(DTypeError, match="needs complex64 or complex128, got x of dtype float64; cast it"):
        RealInverse(0, 2)(x)


def test_lengths_that_are_known_are_known_of_the_spectrum():
    x = ct.tensor("x", shape=(3, 8))
    assert fft.rfft(x).type.shape == (3, 5)
    assert fft.irfft(fft.rfft(x)).type.shape == (3, 8)
    assert fft.fft(x, 6).type.shape == (3, 6)
    assert fft.fft2(x, (4, 9)).type.shape == (4, 9)
