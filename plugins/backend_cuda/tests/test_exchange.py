"""Arrays to and from other libraries, by DLPack and __cuda_array_interface__: what arrives, and in which order."""

import gc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core import dtypes
from core.errors import BackendError, DeviceError, DTypeError, ShapeError
from plugin_backend_cuda import exchange
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.recorder import Recorder


@pytest.fixture
def calls():
    return Recorder(HostDriver(devices=2))


@pytest.fixture
def backend(calls):
    return Driver(lambda: calls, lambda: (HostCompiler(), ""))


class Theirs:
    """An array of another library, whose device is the host's memory, by DLPack alone."""

    def __init__(self, array, device=(exchange.KIND, 0), names="library.float64"):
        self.memory, self.device, self.streams, self.returned = array, device, [], 0
        self.shape, self.dtype = array.shape, f"library.{array.dtype.name}"

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, stream=None):
        self.streams.append(stream)
        made = exchange.capsule(self.memory.ctypes.data, 0, self.memory.shape, self.memory.dtype, self._back)
        managed = exchange._Managed.from_address(exchange._pointer_of(made, b"dltensor"))
        for axis, step in enumerate(self.memory.strides):
            managed.tensor.strides[axis] = step // self.memory.itemsize
        return made

    def _back(self):
        self.returned += 1


class Interfaced:
    """The same by __cuda_array_interface__ alone."""

    def __init__(self, array, **more):
        self.memory, self.more = array, more

    @property
    def __cuda_array_interface__(self):
        a = self.memory
        return {
            "version": 3, "shape": a.shape, "typestr": a.dtype.str, "data": (a.ctypes.data, False),
            "strides": None if a.flags.c_contiguous else a.strides, **self.more,
        }  # fmt: skip


def aligned(shape, dtype="float64", shift=0):
    """An array on a boundary of 16 bytes, or ``shift`` bytes behind one."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, "uint8")
    start = -memory.ctypes.data % 16 + shift
    out = memory[start : start + size].view(dtype).reshape(shape)
    out[...] = np.arange(out.size).reshape(shape)
    return out


@pytest.mark.parametrize("wrapped", [Theirs, Interfaced])
def test_an_argument_of_another_library_is_read_where_it_lies(backend, calls, wrapped):
    x = ct.matrix("x")
    f = core.function([x], x * 2, backend=backend)
    f(np.ones((2, 3)))
    calls.calls.clear()
    given = aligned((2, 3))
    assert_array_equal(f(wrapped(given)), given * 2)
    assert "copy_in" not in calls.names() and "copy" not in calls.names()


@pytest.mark.parametrize("wrapped", [Theirs, Interfaced])
@pytest.mark.parametrize(
    "given",
    [aligned((4, 6)).T, aligned((4, 6))[::2, 1::2], aligned((3,), shift=8), aligned((2, 3, 4))[::-1], aligned((0, 3))],
    ids=["transposed", "steps", "off the boundary", "backwards", "empty"],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int16", "bool"])
def test_arrays_that_lie_otherwise_are_copied_on_the_device(backend, wrapped, given, dtype):
    x = ct.tensor("x", dtype=dtype, ndim=given.ndim)
    f = core.function([x], ct.where(ct.eq(x, x), x, x), backend=backend)
    if given.itemsize != np.dtype(dtype).itemsize or dtype != "float64":
        base = given.astype(dtype)
        given = base.T.copy().T if given.ndim > 1 else base
    assert_array_equal(f(wrapped(given)), given)


def test_a_lender_is_told_once_when_its_array_is_no_longer_used(backend):
    x = ct.vector("x")
    f = core.function([x], x + 1, backend=backend)
    lent = Theirs(aligned((3,)))
    for turn in range(1, 4):
        f(lent)
        gc.collect()
        assert lent.returned == turn
    assert not exchange._given


def test_the_lender_s_stream_is_told_ours_and_nobody_waits_on_the_host(backend, calls):
    x, w = ct.vector("x"), core.shared(np.zeros(3))
    f = core.function([x], [], updates={w: w + x}, backend=backend)
    lent = Theirs(aligned((3,)))
    f(lent)
    assert lent.streams == [backend.open().space.device.stream]
    calls.calls.clear()
    f(Interfaced(aligned((3,)), stream=7))
    order = [(name, *arguments[:2]) for name, arguments in calls.calls if name in ("record", "await_event", "launch")]
    assert [name for name, *_ in order] == ["record", "await_event", "launch"]
    assert order[0][2] == 7
    assert_array_equal(w.get_value(), [0, 2, 4])


@pytest.mark.parametrize("stream, waits_for", [(None, 1), (1, 1), (2, 2), (1234, 1234)])
def test_a_consumer_s_stream_waits_for_ours(backend, calls, stream, waits_for):
    a = result(backend, np.arange(3.0))
    calls.calls.clear()
    taken = a.__dlpack__(stream=stream)
    assert [name for name, _ in calls.calls if name in ("record", "await_event")] == ["record", "await_event"]
    assert calls.calls[-1][1][0] == waits_for
    calls.calls.clear()
    del taken
    (recorded,) = [arguments for name, arguments in calls.calls if name == "record"]
    assert recorded[1] == waits_for, "memory goes back behind what the consumer queued"


def test_a_consumer_that_wants_no_order_gets_none(backend, calls):
    a = result(backend, np.arange(3.0))
    calls.calls.clear()
    taken = a.__dlpack__(stream=-1)
    assert "await_event" not in calls.names()
    del taken


def result(backend, value):
    """An array on the device."""
    x = ct.tensor("x", dtype=value.dtype.name, ndim=value.ndim)
    return core.function([x], core.Out(ct.where(ct.eq(x, x), x, x), borrow=True), backend=backend)(value)


@pytest.mark.parametrize("dtype", sorted(set(dtypes.ALL) - {"float16", "complex64", "complex128"}))
def test_results_go_out_and_come_back_as_they_are(backend, dtype):
    value = np.arange(6).reshape(2, 3).astype(dtype)
    a = result(backend, value)
    assert a.__dlpack_device__() == (2, 0)
    for wrapped in (Proxy(a), Interfaced(value)):
        x = ct.tensor("x", dtype=dtype, ndim=2)
        f = core.function([x], core.Out(x, borrow=True), backend=backend)
        out = f(wrapped)
        assert out.dtype == dtype
        assert_array_equal(out.numpy(), value)


class Proxy:
    """A DeviceArray as a stranger sees it."""

    def __init__(self, array):
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def __dlpack__(self, *, stream=None):
        return self._array.__dlpack__(stream=stream)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def test_the_interface_says_where_an_array_lies_and_on_which_stream(backend):
    a = result(backend, np.arange(6.0).reshape(2, 3))
    found = a.__cuda_array_interface__
    assert found["shape"] == (2, 3) and found["typestr"] == "<f8" and found["version"] == 3
    assert found["data"] == (a.memory.block.pointer, False) and found["stream"] == 1


def test_memory_that_was_given_away_lives_as_long_as_its_consumer(backend):
    a = result(backend, np.arange(3.0))
    pointer, taken = a.memory.block.pointer, a.__dlpack__()
    del a
    gc.collect()
    other = result(backend, np.ones(3))
    assert other.memory.block.pointer != pointer
    del taken
    gc.collect()
    assert not exchange._given


def test_what_is_passed_through_is_a_copy(backend):
    x, w = ct.vector("x"), core.shared(np.zeros(3))
    f = core.function([x], core.Out(x, borrow=True), updates={w: x}, backend=backend)
    given = aligned((3,))
    out = f(Theirs(given))
    given[:] = -1
    assert_array_equal(out.numpy(), [0, 1, 2])
    assert_array_equal(w.get_value(), [0, 1, 2])


@pytest.mark.parametrize(
    "given, error, said",
    [
        (
            aligned((3,), "float32"),
            DTypeError,
            r"expected TensorType\(float64.*of dtype float32 and shape \(3,\); conv",
        ),
        (aligned((3, 1)), ShapeError, r"of dtype float64 and shape \(3, 1\)"),
    ],
)
def test_an_array_of_another_type_is_an_error(backend, given, error, said):
    x = ct.vector("x")
    f = core.function([x], x + 1, backend=backend, name="step")
    with pytest.raises(error, match=said):
        f(Theirs(given))


def test_an_array_on_another_device_is_an_error(backend):
    f = core.function([x := ct.vector("x")], x + 1, backend=backend)
    with pytest.raises(
        DeviceError, match=r"cuda:0 .* takes arrays of its own memory, got one of DLPack's device \(2, 1"
    ):
        f(Theirs(aligned((3,)), device=(exchange.KIND, 1)))


def test_a_dtype_that_core_lacks_is_an_error(backend):
    tensor = exchange._Tensor()
    tensor.code, tensor.bits, tensor.lanes = 4, 16, 1
    with pytest.raises(DeviceError, match="takes arrays of dtypes that core has, got DLPack's code 4"):
        exchange._named(tensor, "cuda:0")


def test_stream_0_is_refused(backend):
    with pytest.raises(BufferError, match="stream 0 is ambiguous"):
        result(backend, np.ones(3)).__dlpack__(stream=0)


def test_a_copy_or_another_device_is_refused(backend):
    a = result(backend, np.ones(3))
    for asked in ({"copy": True}, {"dl_device": (1, 0)}):
        with pytest.raises(BufferError, match="is given away as it is"):
            a.__dlpack__(**asked)


def test_a_function_on_the_host_takes_what_the_library_copies_there_and_says_so_where_it_does_not():
    f = core.function([x := ct.vector("x")], x + 1, backend="interpreter")
    with pytest.raises(
        BackendError, match="that lies on a device is no argument of a function that does not run there"
    ):
        f(Refusing(aligned((3,))))


class Refusing(Theirs):
    def __array__(self, dtype=None, copy=None):
        raise TypeError("implicit conversion is not allowed")


def test_arrays_of_the_host_by_dlpack_are_arrays_of_the_host(backend):
    f = core.function([x := ct.vector("x")], x + 1, backend=backend)

    class OnHost(Theirs):
        def __array__(self, dtype=None, copy=None):
            return self.memory

    assert_array_equal(f(OnHost(np.arange(3.0), device=(1, 0))), [1, 2, 3])
