"""cuBLAS, bound through cffi: products of stored matrices.

float32 is computed in float32, complex numbers in the dtype of their parts.  TF32 and bfloat16, which keep 10 and 7
bits of each factor, are used on request alone: the option ``cuda.products``.
Reference: cuBLAS Library, version 12 and later (the interface with 64-bit lengths).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cffi

from core import dtypes
from core.device.contract import Block, Routine, Strided
from core.device.matrices import as_matrices, leading, stacks, transposed
from core.errors import DeviceError
from core.ir.library import LibraryCall
from core.options import config
from core.records import Probe
from plugin_backend_cuda import thin
from plugin_backend_cuda.shared_library import opened, short

WHEELS = ("nvidia-cublas", "nvidia-cublas-cu13", "nvidia-cublas-cu12")
_SYSTEM = ("libcublas.so", "libcublas.so.13", "libcublas.so.12", "cublas64_13.dll", "cublas64_12.dll")
WORKSPACE = 32 << 20  # bytes, what NVIDIA advises for Hopper; ours, so that products can be part of a graph
FACTORS = 256  # bytes behind it, for factors that lie on the device
_DECLARATIONS = """
typedef int cublasStatus_t;
typedef int cublasOperation_t;
typedef int cublasMath_t;
typedef int cudaDataType;
typedef int cublasComputeType_t;
typedef int cublasGemmAlgo_t;
typedef struct cublasContext *cublasHandle_t;
typedef struct CUstream_st *cudaStream_t;
const char *cublasGetStatusString(cublasStatus_t status);
cublasStatus_t cublasCreate_v2(cublasHandle_t *handle);
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle);
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream);
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t size);
cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, int mode);
cublasStatus_t cublasGemmStridedBatchedEx_64(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
    int64_t m, int64_t n, int64_t k, const void *alpha, const void *A, cudaDataType Atype, int64_t lda,
    long long strideA, const void *B, cudaDataType Btype, int64_t ldb, long long strideB, const void *beta, void *C,
    cudaDataType Ctype, int64_t ldc, long long strideC, int64_t batchCount, cublasComputeType_t computeType,
    cublasGemmAlgo_t algo);
""" + "".join(
    f"""
cublasStatus_t cublas{letter}trsm_v2(cublasHandle_t handle, int side, int uplo, cublasOperation_t trans, int diag,
    int m, int n, const {real} *alpha, const {real} *A, int lda, {real} *B, int ldb);
cublasStatus_t cublas{letter}trsmBatched(cublasHandle_t handle, int side, int uplo, cublasOperation_t trans, int diag,
    int m, int n, const {real} *alpha, const {real} *const A[], int lda, {real} *const B[], int ldb, int batchCount);
cublasStatus_t cublas{letter}getrfBatched(cublasHandle_t handle, int n, {real} *const A[], int lda, int *P, int *info,
    int batchSize);
cublasStatus_t cublas{letter}getrsBatched(cublasHandle_t handle, cublasOperation_t trans, int n, int nrhs,
    const {real} *const Aarray[], int lda, const int *devIpiv, {real} *const Barray[], int ldb, int *info,
    int batchSize);
"""
    for letter, real in (("S", "float"), ("D", "double"), ("C", "float"), ("Z", "double"))  # a complex one is two
)
_DATA = {"float32": 0, "float64": 1, "complex64": 4, "complex128": 5}  # cudaDataType
_LETTERS = {  # and the C type of the parts of an element
    "float32": ("S", "float"), "float64": ("D", "double"), "complex64": ("C", "float"), "complex128": ("Z", "double"),
}  # fmt: skip
COMPUTE = {  # cublasComputeType_t, by the option cuda.products; complex numbers have that of their parts
    "float32": {"float32": 68, "float64": 70},
    "tf32": {"float32": 77, "float64": 70},
    "bf16": {"float32": 75, "float64": 70},
}
_DEFAULT_ALGORITHM = -1
_ON_HOST, _ON_DEVICE = 0, 1  # cublasPointerMode_t: where factors lie


@cache
def find() -> tuple[tuple[cffi.FFI, Any] | None, str]:
    """The library, or None and why there is none."""
    return opened(_DECLARATIONS, WHEELS, "libcublas.so", _SYSTEM, "cublasGemmStridedBatchedEx_64")


def probe() -> Probe:
    """Whether there is cuBLAS; without it products are kernels of loops."""
    found, why = find()
    if found is None:
        return Probe(reason=f"no cuBLAS 12 or later: {why}", remedy="pip install nvidia-cublas")
    return Probe(devices=("cublas",))


@dataclass(frozen=True)
class Scale:
    """C = alpha A B + beta C.  ``device``: where both numbers lie instead, side by side; None: they are here."""

    alpha: float = 1.0
    beta: float = 0.0
    device: int | None = None


ONCE = Scale()


class Cublas:
    """A handle for one stream.  Make and use it with the device's context current."""

    def __init__(self, stream_number: int, workspace: int):
        found, why = find()
        if found is None:
            raise DeviceError(f"products on backend 'cuda' need cuBLAS 12 or later: {why}; pip install nvidia-cublas")
        self._ffi, self._library = found
        handle = self._ffi.new("cublasHandle_t *")
        self._call("cublasCreate_v2", handle)
        self._handle = handle[0]
        self._call("cublasSetStream_v2", self._handle, self._ffi.cast("cudaStream_t", stream_number))
        self._call("cublasSetWorkspace_v2", self._handle, self._ffi.cast("void *", workspace), WORKSPACE)
        self._one = {dtype: self._ffi.new(f"{real}[2]", (1.0, 0.0)) for dtype, (_, real) in _LETTERS.items()}
        self.scale = workspace + WORKSPACE  # memory for two factors

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            said = self._ffi.string(self._library.cublasGetStatusString(code)).decode()
            raise DeviceError(f"{name.partition('_v2')[0]} failed: {said}")

    def products(
        self,
        dtype: str,
        transposed: tuple[bool, bool],
        sizes: tuple[int, int, int, int],
        places: tuple[int, int, int],
        leading: tuple[int, int, int],
        strides: tuple[int, int, int],
        precision: str,
        scale: Scale,
    ) -> None:
        """Queue C = alpha A B + beta C for each of a batch, in column-major order.

        sizes       batch, m, n, k;  places: addresses of A, B, C;  leading: from one column to the next, in elements
        strides     from one matrix of the batch to the next, in elements;  precision: a key of COMPUTE
        """
        batch, m, n, k = sizes
        (a, b, c), kind, real = (
            (self._ffi.cast("void *", place) for place in places),
            _DATA[dtype],
            dtypes.real_of(dtype),
        )
        if scale.device is None:
            factor = f"{_LETTERS[real][1]}[2]"  # the second is an imaginary part, where numbers are complex
            alpha, beta = (self._ffi.new(factor, (x, 0.0)) for x in (scale.alpha, scale.beta))
        else:
            alpha, beta = (
                self._ffi.cast("void *", scale.device + place * dtypes.size_bytes(dtype)) for place in range(2)
            )
            self._call("cublasSetPointerMode_v2", self._handle, _ON_DEVICE)
        self._call(
            "cublasGemmStridedBatchedEx_64",
            *(self._handle, *map(int, transposed), m, n, k, alpha),
            *(a, kind, leading[0], strides[0], b, kind, leading[1], strides[1], beta),
            *(c, kind, leading[2], strides[2], batch, COMPUTE[precision][real], _DEFAULT_ALGORITHM),
        )
        if scale.device is not None:
            self._call("cublasSetPointerMode_v2", self._handle, _ON_HOST)

    # --- stacks of matrices, whose addresses lie on the device --------------------------------------------------------

    def triangular(
        self,
        dtype: str,
        shape: tuple[bool, int, bool],
        sizes: tuple[int, int, int],
        places: tuple[int, int],
        firsts: tuple[int, int],
        leading: tuple[int, int],
        left: bool = False,
    ) -> None:
        """X := X op(A)^-1, or op(A)^-1 X where ``left``, for ``count`` matrices X of (m, n).

        ``shape``: whether A is upper, 1 where op transposes or 2 where it conjugates too, and whether A has ones on its
        diagonal.  ``sizes``: (count, m, n).
        ``places``: where the addresses of all A and X lie;  ``firsts``: the first of each.
        """
        letter, real = _LETTERS[dtype]
        upper, transposed, unit = map(int, shape)
        count, *lengths = (short("trsm of cuBLAS", length) for length in (*sizes, *leading))
        m, n, of_a, of_x = lengths
        how = (self._handle, int(not left), upper, transposed, unit, m, n, self._one[dtype])
        given = ("", firsts) if count == 1 else ("*", places)
        a, x = (self._ffi.cast(f"{real} *{given[0]}", at) for at in given[1])
        if count == 1:
            self._call(f"cublas{letter}trsm_v2", *how, a, of_a, x, of_x)
        else:
            self._call(f"cublas{letter}trsmBatched", *how, a, of_a, x, of_x, count)

    def getrf_stack(self, dtype: str, n: int, places: int, leading: int, pivots: int, info: int, count: int) -> None:
        """LU in place; ``pivots`` are n ints for each matrix, ``info`` is one."""
        letter, real = _LETTERS[dtype]
        a = self._ffi.cast(f"{real} **", places)
        p, numbers = self._ffi.cast("int *", pivots), self._ffi.cast("int *", info)
        n, leading, count = (short("getrf of cuBLAS", length) for length in (n, leading, count))
        self._call(f"cublas{letter}getrfBatched", self._handle, n, a, leading, p, numbers, count)

    def getrs_stack(
        self, dtype: str, transposed: bool, sizes: tuple[int, int, int], places: tuple[int, int], pivots: int
    ) -> None:
        """Solve with the factors of ``getrf_stack``; ``sizes``: (count, n, k); all columns are n apart."""
        letter, real = _LETTERS[dtype]
        count, n, k = (short("getrs of cuBLAS", length) for length in sizes)
        a, b = (self._ffi.cast(f"{real} **", at) for at in places)
        p, refused = self._ffi.cast("const int *", pivots), self._ffi.new("int *")
        self._call(f"cublas{letter}getrsBatched", self._handle, int(transposed), n, k, a, n, p, b, n, refused, count)
        if refused[0]:
            raise DeviceError(f"cublas{letter}getrsBatched takes no argument {-refused[0]} like that")

    def free(self) -> None:
        self._call("cublasDestroy_v2", self._handle)


def gemm(device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided]) -> None:
    """Queue C = A B for (..., m, k) and (..., k, n), of real or of complex numbers; leading axes are stacks."""
    product(device, *operands, results[0])


def gemm_add(device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided]) -> None:
    """Queue C = S + alpha A B, where S may lie in the place of C; perhaps times a factor that lies on the device."""
    a, b, start, *factor = operands
    (c,), size = results, dtypes.size_bytes(results[0].dtype)
    source, target = start.block.pointer + start.offset * size, c.block.pointer + c.offset * size
    if source != target and math.prod(c.shape):
        device.copy(Block(source, 1), Block(target, 1), math.prod(c.shape) * size)
    alpha: float | int = dict(call.attributes)["alpha"]
    scale = None
    if factor:
        scale = device.products.scale
        bits = struct.unpack("q", struct.pack("d", alpha))[0]
        where = factor[0].block.pointer + factor[0].offset * size
        device.matrices(c.dtype)("scaled", 1, scale, where, bits)
    product(device, a, b, c, Scale(alpha, 1.0, scale))


def product(device: Any, left: Strided, right: Strided, result: Strided, scale: Scale = ONCE) -> None:
    """Row-major C = A B is C' = B' A'.  A vector is a row on the left and a column on the right."""
    a, b, c = as_matrices((left, right), result)
    (m, k), n = a.shape[-2:], b.shape[-1]
    if 0 in (m, n, *c.shape[:-2]):
        return
    size, precision = dtypes.size_bytes(c.dtype), config["cuda.products"]
    workspace = (device.products.scale - WORKSPACE, WORKSPACE)
    is_thin = precision == "float32" and c.dtype not in dtypes.COMPLEXES
    if is_thin and thin.queue(device, a, b, c, (scale.alpha, scale.beta, scale.device or 0), workspace):
        return
    if k == 0:
        if scale.beta == 0:
            device.fill(c.block, 0, math.prod(c.shape) * size, c.offset * size)
        return
    for stack in stacks((b, a, c)):  # cuBLAS has one stride for all matrices of a call
        device.products.products(
            c.dtype,
            (transposed(b), transposed(a)),
            (stack[-1].shape[0], n, m, k),
            tuple(one.block.pointer + size * one.offset for one in stack),
            tuple(leading(one) for one in stack),
            tuple(one.strides[0] for one in stack),
            precision,
            scale,
        )


routines = {"gemm": Routine(gemm), "complex_gemm": Routine(gemm), "gemm_add": Routine(gemm_add)}
