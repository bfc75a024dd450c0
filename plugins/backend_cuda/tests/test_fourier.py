"""Fourier transforms: what cuFFT is asked for, computed on the host, against NumPy; scales, axes, memory, graphs."""

import numpy as np
import pytest

import core
import core.tensor as ct
import plugin_backend_cuda
from core import plugins
from core.errors import CoreWarning, DeviceError, ShapeError
from core.records import Probe
from plugin_backend_cuda import cufft
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.device import CudaDevice
from plugin_backend_cuda.fourier import ROUTINES, neighbours
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.fft import HostFft
from plugin_backend_cuda.shim.recorder import Recorder

fft = pytest.importorskip("plugin_ops_fft")


def driver_of(calls):
    return Driver(
        lambda: calls,
        lambda: (HostCompiler(), ""),
        fft=lambda stream, number, allocate: HostFft(stream, HostDriver()._do, allocate),
    )


DRIVER = driver_of(HostDriver())
PROBE = cufft.probe


@pytest.fixture(scope="module", autouse=True)
def library():
    """The library is there, whatever this machine has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cufft, "probe", lambda: Probe(devices=("NumPy",)))
        plugins.reset()
        yield
    plugins.reset()


def array(shape, dtype="complex128", seed=0):
    draw = np.random.default_rng(seed).uniform
    values = draw(-1, 1, shape)
    return np.asarray(values + 1j * draw(-1, 1, shape) if dtype.startswith("complex") else values, dtype)


def on_device(function, *arrays):
    """The results on the device, which must not ask Python."""
    inputs = [ct.tensor(f"x{k}", dtype=x.dtype.name, ndim=x.ndim) for k, x in enumerate(arrays)]
    f = core.function(inputs, function(*inputs), backend=DRIVER)
    assert not f.program.host_nodes
    return f(*arrays)


def assert_near(mine, theirs):
    assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
    single = mine.dtype.name in ("float32", "complex64")
    np.testing.assert_allclose(
        mine, theirs, rtol=0, atol=(1e-5 if single else 1e-13) * max(1, np.abs(theirs).max(initial=0))
    )


@pytest.mark.parametrize("wide", ["complex64", "complex128"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_lines_of_any_axis_are_those_of_numpy(n, axis, wide):
    shape = [3, 2, 3]
    shape[axis] = n
    z, x = array(shape, wide), array(shape, "float32" if wide == "complex64" else "float64", 1)
    half = np.fft.rfft(x, axis=axis)
    half.imag += 0.25  # also of what must be real, which does not count

    def all_of_them(z, x, half):
        forth = [fft.fft(z, axis=axis), fft.ifft(z, axis=axis), fft.rfft(x, axis=axis)]
        return [*forth, fft.irfft(half, n, axis=axis)]

    mine = on_device(all_of_them, z, x, half)
    theirs = [np.fft.fft(z, axis=axis), np.fft.ifft(z, axis=axis), np.fft.rfft(x, axis=axis)]
    for a, b in zip(mine, [*theirs, np.fft.irfft(half, n, axis=axis)], strict=True):
        assert_near(a, b)


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2), (0, 1, 2, 3), (3, 1, 0)], ids=str)
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_several_axes_and_norms_are_those_of_numpy(axes, norm):
    x = array((2, 3, 4, 5))
    for mine, name in zip(
        on_device(lambda x: [fft.fftn(x, None, axes, norm), fft.ifftn(x, None, axes, norm)], x), ("fftn", "ifftn"),
        strict=True,
    ):  # fmt: skip
        assert_near(mine, getattr(np.fft, name)(x, None, axes, norm))
    assert_near(
        on_device(lambda x: fft.rfftn(x, None, axes, norm), x.real.copy()), np.fft.rfftn(x.real, None, axes, norm)
    )
    assert_near(on_device(lambda x: fft.irfftn(x, None, axes, norm), x), np.fft.irfftn(x, None, axes, norm))


def test_what_lies_elsewhere_is_moved():
    cuts = [lambda x: x[::2, 1:, :], lambda x: x.transpose(2, 0, 1), lambda x: x[1:, ::3, 1:], lambda x: x[3]]
    for name in ("fft", "rfft", "irfft"):
        x = array((5, 6, 8), "float64" if name == "rfft" else "complex128")
        for axis in (0, -1):
            mine = on_device(lambda x: [getattr(fft, name)(cut(x), axis=axis) for cut in cuts], x)  # noqa: B023
            for cut, one in zip(cuts, mine, strict=True):
                assert_near(one, getattr(np.fft, name)(cut(x), axis=axis))


@pytest.mark.parametrize("n", [16, 17])
def test_gradients_stay_on_the_device(n):
    x, h = array(n, "float64"), array(9)
    mine = on_device(lambda x, h: core.grad((fft.irfft(fft.rfft(x) * h, n) ** 2).sum(), [x, h]), x, h)
    inputs = ct.vector("x"), ct.tensor("h", dtype="complex128", ndim=1)
    gradients = core.grad((fft.irfft(fft.rfft(inputs[0]) * inputs[1], n) ** 2).sum(), list(inputs))
    for a, b in zip(mine, core.function(inputs, gradients, backend="interpreter")(x, h), strict=True):
        assert_near(a, b)


def test_wrong_lengths_are_errors_of_the_op():
    x, n = ct.matrix("x"), ct.lscalar("n")
    for name in ("fft", "rfft"):
        f = core.function([x], getattr(fft, name)(x), backend=DRIVER)
        with pytest.raises(ShapeError, match=r"Invalid number of FFT data points \(0\) specified"):
            f(np.zeros((3, 0)))
        assert f(np.zeros((0, 4))).size == 0
    y = ct.tensor("y", dtype="complex128", ndim=1)
    f = core.function([y, n], fft.names._half.real_inverse(0, n)(y), backend=DRIVER)
    with pytest.raises(ShapeError, match="needs n // 2 \\+ 1 elements along axis 0, got shape"):
        f(np.zeros(4, complex), 4)
    with pytest.raises(ShapeError, match=r"Invalid number of FFT data points"):
        f(np.zeros(1, complex), 0)


def test_transforms_are_part_of_graphs():
    calls = Recorder(HostDriver())
    x = ct.matrix("x")
    f = core.function([x], ct.real(fft.ifft(fft.fft(x * 1j))) + fft.irfft(fft.rfft(x)), backend=driver_of(calls))
    value = array((4, 6), "float64")
    for _ in range(4):
        assert_near(f(value), value)
    assert "begin_capture" in calls.names()


def test_neighbouring_axes_go_together():
    runs = [list(one) for one in neighbours([0, 1, 2, 3, 5])]
    assert runs == [[0, 1, 2], [3], [5]]


# --- the library ------------------------------------------------------------------------------------------------------


def test_every_routine_that_is_announced_is_there():
    (announced,) = [one for one in plugin_backend_cuda.libraries() if one.name == "cufft"]
    assert set(announced.provides) == set(ROUTINES)


def test_without_the_library_python_computes_and_it_is_said(monkeypatch):
    monkeypatch.setattr(cufft, "probe", lambda: Probe(reason="no cuFFT: not found"))
    plugins.reset()
    x = ct.vector("x")
    with pytest.warns(CoreWarning, match="Python computes it, which is slow"):
        f = core.function([x], fft.irfft(fft.rfft(x)), backend=DRIVER)
    np.testing.assert_allclose(f(np.arange(4.0)), np.arange(4.0), atol=1e-12)
    plugins.reset()


def test_the_probe_says_how_to_get_the_library(monkeypatch):
    monkeypatch.setattr(cufft, "find", lambda: (None, "libcufft.so: not found"))
    found = PROBE()
    assert found.reason == "no cuFFT: libcufft.so: not found" and found.remedy == "pip install nvidia-cufft"


def test_a_device_without_it_says_so():
    with pytest.raises(DeviceError, match="has no library of Fourier transforms"):
        _ = CudaDevice(HostDriver(), 0, HostCompiler(), None).transforms
