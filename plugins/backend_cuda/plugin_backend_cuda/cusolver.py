"""cuSOLVER, bound through cffi: factors of dense matrices that lie column by column.

Work memory and the number that says how a call went are the caller's, on the device.  Lengths are below 2**31.
Reference: cuSOLVER Library, cuSolverDN; version 11 (of CUDA 12) and later.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cffi

from core import dtypes
from core.errors import BackendError, DeviceError
from core.records import Probe
from plugin_backend_cuda.shared_library import opened, short

WHEELS = ("nvidia-cusolver", "nvidia-cusolver-cu13", "nvidia-cusolver-cu12")
_SYSTEM = ("libcusolver.so", "libcusolver.so.12", "libcusolver.so.11", "cusolver64_12.dll", "cusolver64_11.dll")
_NEEDED = (("nvidia-nvjitlink", "libnvJitLink"), ("nvidia-cublas", "libcublas"), ("nvidia-cusparse", "libcusparse"))
LETTERS = {"float32": "S", "float64": "D", "complex64": "C", "complex128": "Z"}
_OF_COMPLEX = {
    "orgqr": "ungqr",
    "syevd": "heevd",
    "syevjBatched": "heevjBatched",
}  # what is called otherwise where numbers are complex
_ARGUMENTS = {  # function without its letter -> its arguments behind the handle; i int, r memory of numbers, R that is
    # only read, I memory of int, c a char, l where the host finds an int, p memory of pointers, j how Jacobi's method
    # goes
    "potrfBatched": "iipiIi",
    "getrf_bufferSize": "iiril",
    "getrf": "iirirII",
    "getrs": "iiiRiIriI",
    "geqrf_bufferSize": "iiril",
    "geqrf": "iirirriI",
    "orgqr_bufferSize": "iiiRiRl",
    "orgqr": "iiiriRriI",
    "syevd_bufferSize": "iiiRiRl",
    "syevd": "iiirirriI",
    "gesvd_bufferSize": "iil",
    "gesvd": "cciirirriririrI",
    "syevjBatched_bufferSize": "iiiRiRlji",
    "syevjBatched": "iiirirriIji",
    "gesvdjBatched_bufferSize": "iiiRiRRiRilji",
    "gesvdjBatched": "iiirirriririIji",
}
_OF_ANY_LENGTH = """\
typedef struct cusolverDnParams *cusolverDnParams_t;
int cusolverDnCreateParams(cusolverDnParams_t *params);
int cusolverDnDestroyParams(cusolverDnParams_t params);
int cusolverDnXpotrf_bufferSize(cusolverDnHandle_t handle, cusolverDnParams_t params, int uplo, int64_t n, int kind,
    const void *A, int64_t lda, int computed_as, size_t *size_on_device, size_t *size_on_host);
int cusolverDnXpotrf(cusolverDnHandle_t handle, cusolverDnParams_t params, int uplo, int64_t n, int kind, void *A,
    int64_t lda, int computed_as, void *on_device, size_t size_on_device, void *on_host, size_t size_on_host,
    int *info);
int cusolverDnXgeev_bufferSize(cusolverDnHandle_t handle, cusolverDnParams_t params, int left, int right, int64_t n,
    int kind, const void *A, int64_t lda, int kind_w, const void *W, int kind_left, const void *VL, int64_t ldvl,
    int kind_right, const void *VR, int64_t ldvr, int computed_as, size_t *size_on_device, size_t *size_on_host);
int cusolverDnXgeev(cusolverDnHandle_t handle, cusolverDnParams_t params, int left, int right, int64_t n,
    int kind, void *A, int64_t lda, int kind_w, void *W, int kind_left, void *VL, int64_t ldvl, int kind_right,
    void *VR, int64_t ldvr, int computed_as, void *on_device, size_t size_on_device, void *on_host,
    size_t size_on_host, int *info);
"""  # of the interface that takes every dtype: faster than the older one for large matrices
_KINDS = {"float32": 0, "float64": 1, "complex64": 4, "complex128": 5}  # cudaDataType
_STATUS = {
    1: "not initialized", 2: "no memory", 3: "an invalid value", 4: "a GPU that it does not know", 6: "a kernel failed",
    7: "an internal error", 8: "an unknown kind of matrix", 9: "not supported",
}  # fmt: skip


def declarations() -> str:
    """The prototypes, as C."""
    lines = [
        "typedef struct cusolverDnContext *cusolverDnHandle_t;",
        "typedef struct CUstream_st *cudaStream_t;",
        "int cusolverDnCreate(cusolverDnHandle_t *handle);",
        "int cusolverDnDestroy(cusolverDnHandle_t handle);",
        "int cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream);",
        "int cusolverDnCreateSyevjInfo(void **how);",
        "int cusolverDnDestroySyevjInfo(void *how);",
        "int cusolverDnCreateGesvdjInfo(void **how);",
        "int cusolverDnDestroyGesvdjInfo(void *how);",
        _OF_ANY_LENGTH,
    ]
    for dtype in LETTERS:
        kinds = {"i": "int", "c": "signed char", "l": "int *", "j": "void *", **_pointers(dtype)}
        for name, codes in _ARGUMENTS.items():
            arguments = ", ".join(["cusolverDnHandle_t", *(kinds[code] for code in codes)])
            lines.append(f"int {_function(name, dtype)}({arguments});")
    return "\n".join(lines)


def _function(name: str, dtype: str) -> str:
    """What it is called for one dtype."""
    if dtype in dtypes.COMPLEXES:
        routine, _, rest = name.partition("_")
        name = "_".join(filter(None, (_OF_COMPLEX.get(routine, routine), rest)))
    return f"cusolverDn{LETTERS[dtype]}{name}"


def _pointers(dtype: str) -> dict[str, str]:
    """The C types of memory: of real numbers, of which a complex one is two."""
    real = "float" if dtypes.real_of(dtype) == "float32" else "double"
    return {"r": f"{real} *", "R": f"const {real} *", "I": "int *", "p": f"{real} **"}


@cache
def find() -> tuple[tuple[cffi.FFI, Any] | None, str]:
    """The library, or None and why there is none."""
    return opened(declarations(), WHEELS, "libcusolver.so", _SYSTEM, "cusolverDnDpotrfBatched", _NEEDED)


def probe() -> Probe:
    """Whether there is cuSOLVER; without it linear algebra goes back to Python."""
    found, why = find()
    if found is None:
        return Probe(reason=f"no cuSOLVER: {why}", remedy="pip install nvidia-cusolver")
    return Probe(devices=("cusolver",))


def probe_general() -> Probe:
    """Whether it has eigenvalues of general matrices, which versions of CUDA before 12.8 lack."""
    found, _ = find()
    if found is not None and not hasattr(found[1], "cusolverDnXgeev"):
        return Probe(reason="this cuSOLVER is too old: it has no Xgeev", remedy="pip install --upgrade nvidia-cusolver")
    return probe()


class Cusolver:
    """A handle for one stream.  Make and use it with the device's context current.

    Matrices are addresses on the device, with the distance of their columns; so are ``info`` (one int, or one for each
    matrix of a stack) and ``work``, as large as ``room`` says, in elements.  ``upper``: which triangle is read.
    """

    def __init__(self, stream_number: int):
        found, why = find()
        if found is None:
            raise DeviceError(f"linear algebra on backend 'cuda' needs cuSOLVER: {why}; pip install nvidia-cusolver")
        self._ffi, self._library = found
        handle = self._ffi.new("cusolverDnHandle_t *")
        self._call("cusolverDnCreate", handle)
        self._handle = handle[0]
        self._call("cusolverDnSetStream", self._handle, self._ffi.cast("cudaStream_t", stream_number))
        params = self._ffi.new("cusolverDnParams_t *")
        self._call("cusolverDnCreateParams", params)
        self._params = params[0]
        self._jacobi: dict[str, Any] = {}  # with its defaults: to the last bit, sorted
        self._on_host: Any = None  # work memory of the last call that wanted some

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise DeviceError(f"{name} failed: {_STATUS.get(code, f'status {code}')}")

    def _queue(self, name: str, dtype: str, *arguments: Any) -> None:
        kinds = _pointers(dtype)
        given = [
            self._ffi.cast(kinds[code], one) if code in kinds else _short(name, one) if code == "i" else one
            for code, one in zip(_ARGUMENTS[name], arguments, strict=True)
        ]
        self._call(_function(name, dtype), self._handle, *given)

    def _room(self, name: str, dtype: str, *arguments: Any) -> int:
        """What the query answers, whose arguments lack the place for that."""
        out, query = self._ffi.new("int *"), f"{name}_bufferSize"
        at = _ARGUMENTS[query].index("l")
        self._queue(query, dtype, *arguments[:at], out, *arguments[at:])
        if out[0] < 0:
            raise BackendError(f"{name} of cuSOLVER needs more work memory than it can count, for {dtype}{arguments}")
        return int(out[0])

    # --- how much work memory, in elements ----------------------------------------------------------------------------

    def potrf_room(self, dtype: str, upper: bool, n: int, leading: int) -> int:
        sizes = self._potrf_sizes(dtype, upper, n, leading)
        return -(-sizes[0] // dtypes.size_bytes(dtype))

    def _potrf_sizes(self, dtype: str, upper: bool, n: int, leading: int) -> tuple[int, int]:
        """Bytes of work memory on the device and on the host."""
        device, host, kind = self._ffi.new("size_t *"), self._ffi.new("size_t *"), _KINDS[dtype]
        what = (int(upper), n, kind, self._ffi.NULL, leading, kind)
        self._call("cusolverDnXpotrf_bufferSize", self._handle, self._params, *what, device, host)
        return int(device[0]), int(host[0])

    def getrf_room(self, dtype: str, m: int, n: int) -> int:
        return self._room("getrf", dtype, m, n, 0, m)

    def qr_room(self, dtype: str, m: int, n: int, columns: int) -> int:
        """For ``geqrf`` of (m, n), and for ``orgqr`` of so many columns."""
        needed = self._room("geqrf", dtype, m, n, 0, m)
        return max(needed, self._room("orgqr", dtype, m, columns, min(m, n), 0, m, 0))

    def syevd_room(self, dtype: str, vectors: bool, upper: bool, n: int) -> int:
        return self._room("syevd", dtype, int(vectors), int(upper), n, 0, n, 0)

    def gesvd_room(self, dtype: str, m: int, n: int) -> int:
        return self._room("gesvd", dtype, m, n)

    def _by_jacobi(self, routine: str) -> Any:
        """How its iteration goes, for "Syevj" or "Gesvdj"."""
        if routine not in self._jacobi:
            made = self._ffi.new("void **")
            self._call(f"cusolverDnCreate{routine}Info", made)
            self._jacobi[routine] = made[0]
        return self._jacobi[routine]

    def syevj_room(self, dtype: str, vectors: bool, upper: bool, n: int, count: int) -> int:
        return self._room("syevjBatched", dtype, int(vectors), int(upper), n, 0, n, 0, self._by_jacobi("Syevj"), count)

    def gesvdj_room(self, dtype: str, vectors: bool, m: int, n: int, count: int) -> int:
        how = self._by_jacobi("Gesvdj")
        return self._room("gesvdjBatched", dtype, int(vectors), m, n, 0, m, 0, 0, m, 0, n, how, count)

    def geev_room(self, dtype: str, vectors: bool, n: int) -> int:
        return -(-self._geev_sizes(dtype, vectors, n)[0] // dtypes.size_bytes(dtype))

    def _geev_sizes(self, dtype: str, vectors: bool, n: int) -> tuple[int, int]:
        """Bytes of work memory on the device and on the host."""
        device, host = self._ffi.new("size_t *"), self._ffi.new("size_t *")
        what = self._geev_arguments(dtype, vectors, n, 0, 0, 0)
        self._call("cusolverDnXgeev_bufferSize", self._handle, self._params, *what, device, host)
        return int(device[0]), int(host[0])

    def _geev_arguments(self, dtype: str, vectors: bool, n: int, a: int, w: int, v: int) -> tuple[Any, ...]:
        """What the query and the call have in common: vectors from the right alone, values complex always."""
        kind, of_values = _KINDS[dtype], _KINDS[dtypes.promote(dtype, "complex64")]
        a, w, v = (self._ffi.cast("void *", place) for place in (a, w, v))
        return (0, int(vectors), n, kind, a, n, of_values, w, kind, self._ffi.NULL, n, kind, v, n, kind)

    # --- calls ------------------------------------------------------------------------------------------------------

    def potrf(self, dtype: str, upper: bool, n: int, a: int, leading: int, work: int, room: int, info: int) -> None:
        """The Cholesky factor in the triangle that is read."""
        (device, host), kind = self._potrf_sizes(dtype, upper, n, leading), _KINDS[dtype]
        self._on_host = self._ffi.new("char[]", max(host, 1))
        what = (int(upper), n, kind, self._ffi.cast("void *", a), leading, kind)
        places = (self._ffi.cast("void *", work), device, self._on_host, host, self._ffi.cast("int *", info))
        self._call("cusolverDnXpotrf", self._handle, self._params, *what, *places)

    def potrf_stack(self, dtype: str, upper: bool, n: int, places: int, leading: int, info: int, count: int) -> None:
        """Those of ``count`` matrices, whose addresses lie at ``places``."""
        self._queue("potrfBatched", dtype, int(upper), n, places, leading, info, count)

    def getrf(self, dtype: str, m: int, n: int, a: int, work: int, pivots: int, info: int) -> None:
        """LU of (m, n) with rows exchanged, in place; ``pivots`` are min(m, n) ints, from 1."""
        self._queue("getrf", dtype, m, n, a, m, work, pivots, info)

    def getrs(
        self, dtype: str, transposed: bool, n: int, k: int, a: int, leading: int, pivots: int, b: int, info: int
    ) -> None:
        """Solve with the factors of ``getrf``; b is (n, k), its columns n apart."""
        self._queue("getrs", dtype, int(transposed), n, k, a, leading, pivots, b, max(n, 1), info)

    def geqrf(self, dtype: str, m: int, n: int, a: int, tau: int, work: int, room: int, info: int) -> None:
        """R above the diagonal, reflectors below it."""
        self._queue("geqrf", dtype, m, n, a, m, tau, work, room, info)

    def orgqr(
        self, dtype: str, m: int, columns: int, k: int, a: int, tau: int, work: int, room: int, info: int
    ) -> None:
        """The first columns of Q, in place of its k reflectors."""
        self._queue("orgqr", dtype, m, columns, k, a, m, tau, work, room, info)

    def syevd(
        self, dtype: str, vectors: bool, upper: bool, n: int, a: int, w: int, work: int, room: int, info: int
    ) -> None:
        """Eigenvalues, and vectors in place of the matrix; columns are n apart."""
        self._queue("syevd", dtype, int(vectors), int(upper), n, a, n, w, work, room, info)

    def syevj_stack(
        self,
        dtype: str,
        vectors: bool,
        upper: bool,
        n: int,
        a: int,
        w: int,
        work: int,
        room: int,
        info: int,
        count: int,
    ) -> None:
        """As ``syevd`` for small matrices that follow each other, by Jacobi's method."""
        what = (int(vectors), int(upper), n, a, n, w, work, room, info, self._by_jacobi("Syevj"), count)
        self._queue("syevjBatched", dtype, *what)

    def gesvdj_stack(
        self, dtype: str, vectors: bool, sizes: tuple[int, int, int], a: int, s: int, u: int, v: int, work: int,
        room: int, info: int,
    ) -> None:  # fmt: skip
        """Singular values, and all vectors, of small matrices that follow each other: a = u diag(s) v^H, with v itself.

        sizes  (count, m, n), m and n at most 32
        """
        count, m, n = sizes
        what = (int(vectors), m, n, a, m, s, u, m, v, n, work, room, info, self._by_jacobi("Gesvdj"), count)
        self._queue("gesvdjBatched", dtype, *what)

    def geev(self, dtype: str, vectors: bool, n: int, a: int, w: int, v: int, work: int, room: int, info: int) -> None:
        """Eigenvalues, complex, and vectors from the right; where the matrix is real, the columns of a pair are parts
        of its first vector, the real and the imaginary one, as in LAPACK.  The matrix is spoilt."""
        device, host = self._geev_sizes(dtype, vectors, n)
        self._on_host = self._ffi.new("char[]", max(host, 1))
        places = (self._ffi.cast("void *", work), device, self._on_host, host, self._ffi.cast("int *", info))
        what = self._geev_arguments(dtype, vectors, n, a, w, v)
        self._call("cusolverDnXgeev", self._handle, self._params, *what, *places)

    def gesvd(
        self, dtype: str, job: str, m: int, n: int, a: int, s: int, u: int, vt: int, work: int, room: int, info: int
    ) -> None:
        """Singular values and vectors of (m, n) with m >= n; ``job``: "A" all, "S" the first n, "N" no vectors."""
        letter = job.encode()[0]
        rows = n if job != "N" else 1
        self._queue("gesvd", dtype, letter, letter, m, n, a, m, s, u, m, vt, rows, work, room, 0, info)

    def free(self) -> None:
        for routine, how in self._jacobi.items():
            self._call(f"cusolverDnDestroy{routine}Info", how)
        self._call("cusolverDnDestroyParams", self._params)
        self._call("cusolverDnDestroy", self._handle)


def _short(name: str, length: int) -> int:
    return short(f"{name} of cuSOLVER", length)
