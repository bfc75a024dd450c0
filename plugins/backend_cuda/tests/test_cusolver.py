"""The bindings of cuSOLVER and of what cuBLAS has for stacks: arguments by number, order and type, on a stand-in."""

import re

import cffi
import pytest

from core.errors import BackendError, DeviceError
from plugin_backend_cuda import cublas, cusolver, cusparse

A, W, X, U, V, WORK, PIVOTS, INFO = 0x100, 0x200, 0x300, 0x400, 0x500, 0x600, 0x700, 0x800


class Library:
    """Takes what the prototypes say, through C, and notes it; ``status`` is what calls return."""

    def __init__(self, declarations):
        self.ffi, self.called, self.status, self._kept = cffi.FFI(), [], 0, []
        self.ffi.cdef(declarations)
        self._prototypes = dict(re.findall(r"(cu\w+)\(([^;]*)\);", declarations))

    def __getattr__(self, name):
        if name not in self._prototypes:
            raise AttributeError(name)

        if name == "cusparseGetErrorString":
            return lambda status: self.ffi.new("char[]", f"injected {status}".encode())

        def act(*arguments):
            values = [self._plain(one) for one in arguments]
            if "Create" in name:
                arguments[0][0] = self.ffi.cast(self.ffi.typeof(arguments[0]).item, 0x99)
            elif "_bufferSize" in name and name[10] == "X":
                arguments[-2][0], arguments[-1][0] = 600, 16
                values[-2:] = ["out", "out"]
            elif "bufferSize" in name:
                place = -3 if "jBatched" in name else -1
                arguments[place][0] = 77
                values[place] = "out"
            self.called.append((name, values[1:]))
            return self.status

        made = self.ffi.callback(f"int({self._prototypes[name]})", act)
        self._kept.append(made)
        return made

    def _plain(self, one):
        if isinstance(one, self.ffi.CData):
            return int(self.ffi.cast("intptr_t", one))
        return one


@pytest.fixture
def library(monkeypatch):
    made = Library(cusolver.declarations())
    monkeypatch.setattr(cusolver, "find", lambda: ((made.ffi, made), ""))
    return made


CALLS = {
    "potrf_stack": (("float64", False, 5, A, 6, INFO, 3), [0, 5, A, 6, INFO, 3]),
    "getrf": (("float64", 6, 5, A, WORK, PIVOTS, INFO), [6, 5, A, 6, WORK, PIVOTS, INFO]),
    "getrs": (("float64", True, 5, 2, A, 6, PIVOTS, X, INFO), [1, 5, 2, A, 6, PIVOTS, X, 5, INFO]),
    "geqrf": (("float64", 5, 3, A, W, WORK, 77, INFO), [5, 3, A, 5, W, WORK, 77, INFO]),
    "orgqr": (("float64", 5, 4, 3, A, W, WORK, 77, INFO), [5, 4, 3, A, 5, W, WORK, 77, INFO]),
    "syevd": (("float64", True, False, 5, A, W, WORK, 77, INFO), [1, 0, 5, A, 5, W, WORK, 77, INFO]),
    "syevj_stack": (
        ("float64", True, False, 5, A, W, WORK, 77, INFO, 3),
        [1, 0, 5, A, 5, W, WORK, 77, INFO, 0x99, 3],
    ),
    "gesvdj_stack": (
        ("float64", True, (3, 5, 4), A, W, U, V, WORK, 77, INFO),
        [1, 5, 4, A, 5, W, U, 5, V, 4, WORK, 77, INFO, 0x99, 3],
    ),
    "gesvd": (
        ("float64", "S", 5, 3, A, W, U, V, WORK, 77, INFO),
        [b"S", b"S", 5, 3, A, 5, W, U, 5, V, 3, WORK, 77, 0, INFO],
    ),
}


@pytest.mark.parametrize("dtype", cusolver.LETTERS)
@pytest.mark.parametrize("name", CALLS)
def test_arguments_arrive_in_the_order_of_the_manual(library, name, dtype):
    (_, *arguments), expected = CALLS[name]
    getattr(cusolver.Cusolver(1), name)(dtype, *arguments)
    function, got = library.called[-1]
    routine = name.replace("_stack", "Batched")
    if dtype.startswith("complex"):
        routine = {"orgqr": "ungqr", "syevd": "heevd", "syevjBatched": "heevjBatched"}.get(routine, routine)
    assert function == f"cusolverDn{cusolver.LETTERS[dtype]}{routine}"
    assert [bytes([one]) if name == "gesvd" and k < 2 else one for k, one in enumerate(got)] == expected


@pytest.mark.parametrize(
    "name, arguments, asked",
    [
        ("getrf_room", (5, 6), ["getrf"]),
        ("qr_room", (5, 3, 4), ["geqrf", "orgqr"]),
        ("syevd_room", (True, True, 5), ["syevd"]),
        ("gesvd_room", (5, 3), ["gesvd"]),
        ("syevj_room", (True, True, 5, 3), ["syevjBatched"]),
        ("gesvdj_room", (True, 5, 4, 3), ["gesvdjBatched"]),
    ],
)
def test_work_memory_is_asked_for(library, name, arguments, asked):
    assert getattr(cusolver.Cusolver(1), name)("float32", *arguments) == 77
    assert [one for one, _ in library.called if "buffer" in one] == [f"cusolverDnS{name}_bufferSize" for name in asked]


@pytest.mark.parametrize(
    "dtype, kind, room", [("float32", 0, 150), ("float64", 1, 75), ("complex64", 4, 75), ("complex128", 5, 38)]
)
def test_cholesky_asks_for_memory_on_the_device_and_has_its_own_on_the_host(library, dtype, kind, room):
    made = cusolver.Cusolver(1)
    assert made.potrf_room(dtype, True, 5, 6) == room
    made.potrf(dtype, False, 5, A, 6, WORK, room, INFO)
    asked, (name, given) = library.called[-2], library.called[-1]
    assert asked == ("cusolverDnXpotrf_bufferSize", [0x99, 0, 5, kind, 0, 6, kind, "out", "out"])
    assert name == "cusolverDnXpotrf" and given[:9] == [0x99, 0, 5, kind, A, 6, kind, WORK, 600]
    assert given[9] != 0 and given[10:] == [16, INFO]


@pytest.mark.parametrize(
    "dtype, kind, values, room",
    [("float32", 0, 4, 150), ("float64", 1, 5, 75), ("complex64", 4, 4, 75), ("complex128", 5, 5, 38)],
)
def test_eigenvalues_of_general_matrices_are_complex_and_vectors_are_as_the_matrix(library, dtype, kind, values, room):
    made = cusolver.Cusolver(1)
    assert made.geev_room(dtype, True, 5) == room
    made.geev(dtype, True, 5, A, W, V, WORK, room, INFO)
    asked, (name, given) = library.called[-2], library.called[-1]
    shared = [0, 1, 5, kind, A, 5, values, W, kind, 0, 5, kind, V, 5, kind]
    nothing = [0 if one in (A, W, V) else one for one in shared]
    for said in (library.called[3], asked):
        assert said == ("cusolverDnXgeev_bufferSize", [0x99, *nothing, "out", "out"])
    assert name == "cusolverDnXgeev" and given[:18] == [0x99, *shared, WORK, 600]
    assert given[18] != 0 and given[19:] == [16, INFO]


def test_one_handle_serves_one_stream(library):
    made = cusolver.Cusolver(5)
    made.syevj_room("float32", True, True, 5, 3)
    made.free()
    names = ["Create", "SetStream", "CreateParams", "CreateSyevjInfo", "SsyevjBatched_bufferSize", "DestroySyevjInfo"]
    names += ["DestroyParams", "Destroy"]
    assert [name for name, _ in library.called] == [f"cusolverDn{name}" for name in names]
    assert library.called[1] == ("cusolverDnSetStream", [5])


@pytest.mark.parametrize("status, said", [(6, "a kernel failed"), (42, "status 42")])
def test_a_status_is_an_error_that_names_the_call(library, status, said):
    made = cusolver.Cusolver(1)
    library.status = status
    with pytest.raises(DeviceError, match=f"cusolverDnDgetrf failed: {said}"):
        made.getrf("float64", 6, 5, A, WORK, PIVOTS, INFO)


def test_no_library_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(cusolver, "find", lambda: (None, "not found"))
    with pytest.raises(DeviceError, match=r"needs cuSOLVER: not found; pip install nvidia-cusolver"):
        cusolver.Cusolver(1)


@pytest.fixture
def products(monkeypatch):
    made = Library(cublas._DECLARATIONS)
    monkeypatch.setattr(cublas, "find", lambda: ((made.ffi, made), ""))
    handle = cublas.Cublas(1, WORK)
    made.called.clear()
    return handle, made


@pytest.mark.parametrize("dtype, letter", cusolver.LETTERS.items())
def test_triangular_systems_of_one_matrix_and_of_many(products, dtype, letter):
    handle, library = products
    for count in (1, 3):
        handle.triangular(dtype, (True, 2, True), (count, 4, 5), (A, X), (U, V), (6, 7), left=count == 3)
    (one, first), (many, second) = library.called
    assert (one, many) == (f"cublas{letter}trsm_v2", f"cublas{letter}trsmBatched")
    assert first[:6] == [1, 1, 2, 1, 4, 5] and first[7:] == [U, 6, V, 7]
    assert second[:6] == [0, 1, 2, 1, 4, 5] and second[7:] == [A, 6, X, 7, 3]


def test_the_one_of_complex_systems_has_an_imaginary_part(products):
    handle, library = products
    handle.triangular("complex128", (True, 0, False), (1, 4, 5), (A, X), (U, V), (6, 7))
    alpha = library.ffi.cast("double *", library.called[0][1][6])
    assert (alpha[0], alpha[1]) == (1, 0)


def test_factors_and_systems_of_stacks(products):
    handle, library = products
    handle.getrf_stack("float32", 5, A, 6, PIVOTS, INFO, 3)
    handle.getrs_stack("float32", True, (3, 5, 2), (A, X), PIVOTS)
    (_, first), (_, second) = library.called
    assert first == [5, A, 6, PIVOTS, INFO, 3]
    assert second[:7] == [1, 5, 2, A, 5, PIVOTS, X] and second[7] == 5 and second[9] == 3


# --- cuSPARSE -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sparse(monkeypatch):
    made = Library(cusparse.declarations())
    monkeypatch.setattr(cusparse, "find", lambda: ((made.ffi, made), ""))
    return made


@pytest.mark.parametrize("dtype, letter", cusolver.LETTERS.items())
def test_tridiagonal_systems_ask_for_memory_and_take_their_diagonals(sparse, dtype, letter):
    made = cusparse.Cusparse(5)
    assert made.gtsv_room(dtype, 9, 2) == 77
    made.gtsv(dtype, 9, 2, (A, U, V), X, WORK)
    made.free()
    assert [name for name, _ in sparse.called[:2]] == ["cusparseCreate", "cusparseSetStream"]
    assert sparse.called[2] == (f"cusparse{letter}gtsv2_bufferSizeExt", [9, 2, 0, 0, 0, 0, 9, "out"])
    assert sparse.called[3] == (f"cusparse{letter}gtsv2", [9, 2, A, U, V, X, 9, WORK])
    assert sparse.called[4][0] == "cusparseDestroy"


def test_a_status_of_cusparse_is_an_error_with_its_words(sparse):
    made = cusparse.Cusparse(1)
    sparse.status = 3
    with pytest.raises(DeviceError, match="cusparseDgtsv2 failed: injected 3"):
        made.gtsv("float64", 9, 2, (A, U, V), X, WORK)
    with pytest.raises(BackendError, match=r"gtsv2 of cuSPARSE needs lengths below 2\*\*31, got 2147483648"):
        made.gtsv("float64", 2**31, 2, (A, U, V), X, WORK)
