"""What goes wrong in libraries of linear algebra, seen from a function: errors name who, and nothing is changed."""

import cffi
import numpy as np
import pytest

import core
import core.tensor as ct
from core import plugins
from core.errors import BackendError, DeviceError, DeviceMemoryError
from core.records import Probe
from core.testing import random
from plugin_backend_cuda import cublas, cusolver, shared_library
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.shim.blas import HostBlas
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.lapack import at
from plugin_backend_cuda.shim.solver import HostSolver

linalg = pytest.importorskip("plugin_ops_linalg")

CALLS = {  # call of a library -> a function that needs it, and the shape of its matrix
    "potrf": (linalg.cholesky, (40, 40)),
    "potrf_stack": (linalg.cholesky, (2, 40, 40)),
    "getrf": (linalg.inv, (5, 5)),
    "getrs": (linalg.inv, (5, 5)),
    "geqrf": (linalg.qr, (5, 5)),
    "orgqr": (linalg.qr, (5, 5)),
    "syevd": (linalg.eigvalsh, (5, 5)),
    "geev": (linalg.eigvals, (5, 5)),
    "gesvd": (linalg.svdvals, (5, 5)),
    "syevj_stack": (linalg.eigvalsh, (2, 5, 5)),
    "gesvdj_stack": (linalg.svdvals, (2, 5, 5)),
    "getrf_stack": (linalg.inv, (2, 5, 5)),
    "getrs_stack": (linalg.inv, (2, 5, 5)),
    "triangular": (lambda a: linalg.solve_triangular(a, a), (5, 5)),
}
NUMBERED = set(CALLS) - {"getrs", "getrs_stack", "triangular"}  # those that say how each matrix went
ROOMS = ("potrf", "getrf", "qr", "syevd", "geev", "gesvd")


class Faulty:
    """A library whose next call of ``broken`` raises; or which says ``number`` of each matrix."""

    def __init__(self, library):
        self._library, self.broken, self.number = library, None, 0

    def __getattr__(self, name):
        act = getattr(self._library, name)
        if not callable(act) or name != self.broken:
            return act

        def call(*arguments):
            self.broken = None
            if not self.number:
                raise DeviceError(f"{name} failed: injected")
            act(*arguments)
            place, count = (arguments[-2], arguments[-1]) if name.endswith("_stack") else (arguments[-1], 1)
            if name == "gesvdj_stack":
                place, count = arguments[-1], arguments[2][0]
            self._library._do(self._library._stream, lambda: _put(place, count, self.number))

        return call


def _put(place, count, number):
    at(place, "int32", count)[...] = number


class Faults:
    """A backend on the host, and its libraries, once they are opened."""

    def __init__(self, **limits):
        calls = HostDriver(**limits)
        self.libraries = []
        self.backend = Driver(
            lambda: calls,
            lambda: (HostCompiler(), ""),
            lambda stream, number, workspace: self._made(HostBlas(stream, calls._do, workspace)),
            lambda stream, number: self._made(HostSolver(stream, calls._do)),
        )

    def _made(self, library):
        self.libraries.append(Faulty(library))
        return self.libraries[-1]

    def break_next(self, name, number=0):
        for one in self.libraries:
            if hasattr(one._library, name):
                one.broken, one.number = name, number


@pytest.fixture(autouse=True)
def libraries(monkeypatch):
    for module in (cublas, cusolver):
        monkeypatch.setattr(module, "probe", lambda: Probe(devices=("SciPy",)))
    monkeypatch.setattr(cusolver, "probe_general", cusolver.probe)
    plugins.reset()
    yield
    plugins.reset()


def stepping(faults, name, dtype):
    """A shared variable, and a step that counts in it and calls the library."""
    op, shape = CALLS[name]
    a = random(shape, dtype)
    a = (a @ np.swapaxes(a, -1, -2).conj() + 2 * np.eye(shape[-1])).astype(dtype)
    x, w = ct.tensor("x", dtype=dtype, ndim=a.ndim), core.shared(np.zeros(2), name="w")
    out = op(x)
    outputs = list(out) if isinstance(out, (list, tuple)) else [out]
    return w, core.function([x], outputs, updates={w: w + 1}, backend=faults.backend), a


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_fails_is_named_and_leaves_the_last_good_value(name, dtype):
    faults = Faults()
    w, step, a = stepping(faults, name, dtype)
    step(a)
    faults.break_next(name)
    with pytest.raises(DeviceError, match=f"{name} failed: injected"):
        step(a)
    assert w.get_value().tolist() == [1, 1]
    step(a)
    assert w.get_value().tolist() == [2, 2]


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
@pytest.mark.parametrize("name", sorted(NUMBERED))
def test_a_number_of_a_library_is_the_error_of_the_op(name, dtype):
    faults = Faults()
    w, step, a = stepping(faults, name, dtype)
    step(a)
    faults.break_next(name, number=3)
    said = {"potrf": "leading minor of order 3", "getrf": "singular: pivot 2 is 0"}.get(name.partition("_")[0])
    with pytest.raises(linalg.LinAlgError, match=said or r"LAPACK did not converge \(info 3\)"):
        step(a)
    assert w.get_value().tolist() == [1, 1]
    step(a)
    assert w.get_value().tolist() == [2, 2]


@pytest.mark.parametrize("name", ROOMS)
def test_work_memory_that_cannot_be_had_is_an_error_that_says_how_much(name, monkeypatch):
    monkeypatch.setattr(HostSolver, f"{name}_room", lambda self, *arguments: 1 << 40)
    call = "geqrf" if name == "qr" else name
    w, step, a = stepping(Faults(limit=1 << 26), call, "float64")
    with pytest.raises(DeviceMemoryError, match=r"needs 87960930\d+ bytes on host-shim, which has 67108864"):
        step(a)
    assert w.get_value().tolist() == [0, 0]


def test_a_size_of_work_memory_below_zero_is_one_that_does_not_fit(monkeypatch):
    made = cusolver.Cusolver.__new__(cusolver.Cusolver)
    made._ffi = cffi.FFI()
    monkeypatch.setattr(cusolver.Cusolver, "_queue", lambda self, name, dtype, *rest: rest[-1].__setitem__(0, -5))
    with pytest.raises(BackendError, match=r"getrf of cuSOLVER needs more work memory than it can count, for float64"):
        made.getrf_room("float64", 5, 6)


@pytest.mark.parametrize(
    "call, who",
    [
        (lambda made: made.triangular("float64", (True, 0, False), (1, 2**31, 5), (0, 0), (0, 0), (5, 5)), "trsm"),
        (lambda made: made.getrf_stack("complex64", 2**31, 0, 5, 0, 0, 1), "getrf"),
        (lambda made: made.getrs_stack("float32", True, (2**31, 5, 5), (0, 0), 0), "getrs"),
    ],
    ids=["trsm", "getrf", "getrs"],
)
def test_lengths_that_cublas_cannot_count_are_refused(call, who):
    made = cublas.Cublas.__new__(cublas.Cublas)
    made._ffi, made._handle, made._one = cffi.FFI(), None, {"float64": None}
    with pytest.raises(BackendError, match=rf"{who} of cuBLAS needs lengths below 2\*\*31, got 2147483648"):
        call(made)


def test_a_library_that_lacks_the_newest_function_is_none():
    """libm stands for a version that is too old."""
    found, why = shared_library.opened(
        "double cos(double); int cusolverDnXnew(void);", (), "", ("libm.so.6",), "cusolverDnXnew"
    )
    assert found is None and "cusolverDnXnew" in why
