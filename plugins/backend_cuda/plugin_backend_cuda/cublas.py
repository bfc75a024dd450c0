"""cuBLAS, bound through cffi: products of stored matrices.

float32 is computed in float32.  TF32 and bfloat16, which keep 10 and 7 bits of each factor, are used on request alone:
the option ``cuda.products``.  Reference: cuBLAS Library, version 12 and later (the interface with 64-bit lengths).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import cffi

from core import dtypes
from core.device.contract import Strided
from core.errors import DeviceError
from core.ir.program import LibraryCall
from core.options import config
from core.records import Probe

WHEELS = ("nvidia-cublas", "nvidia-cublas-cu13", "nvidia-cublas-cu12")
_SYSTEM = ("libcublas.so", "libcublas.so.13", "libcublas.so.12", "cublas64_13.dll", "cublas64_12.dll")
WORKSPACE = 32 << 20  # bytes, what NVIDIA advises for Hopper; ours, so that products can be part of a graph
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
cublasStatus_t cublasGemmStridedBatchedEx_64(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
    int64_t m, int64_t n, int64_t k, const void *alpha, const void *A, cudaDataType Atype, int64_t lda,
    long long strideA, const void *B, cudaDataType Btype, int64_t ldb, long long strideB, const void *beta, void *C,
    cudaDataType Ctype, int64_t ldc, long long strideC, int64_t batchCount, cublasComputeType_t computeType,
    cublasGemmAlgo_t algo);
"""
_DATA = {"float32": 0, "float64": 1}  # cudaDataType
COMPUTE = {  # cublasComputeType_t, by the option cuda.products
    "float32": {"float32": 68, "float64": 70},
    "tf32": {"float32": 77, "float64": 70},
    "bf16": {"float32": 75, "float64": 70},
}
_DEFAULT_ALGORITHM = -1


def places() -> Iterator[str]:
    """Where the library may lie: inside a wheel that is installed, then wherever the system's loader looks."""
    for wheel in WHEELS:
        try:
            files = distribution(wheel).files or ()
        except PackageNotFoundError:
            continue
        for file in files:
            if file.name.startswith(("libcublas.so", "cublas64_")):
                yield str(file.locate())
    yield from _SYSTEM


@cache
def find() -> tuple[tuple[cffi.FFI, Any] | None, str]:
    """The library, or None and why there is none."""
    why = ""
    for place in places():
        ffi = cffi.FFI()
        ffi.cdef(_DECLARATIONS)
        try:
            library = ffi.dlopen(place)
            library.cublasGemmStridedBatchedEx_64  # noqa: B018 - cuBLAS 11 lacks it
            return (ffi, library), ""
        except (OSError, AttributeError) as error:
            why = why or str(error).splitlines()[0]
    return None, why


def probe() -> Probe:
    """Whether there is cuBLAS; without it products are kernels of loops."""
    found, why = find()
    if found is None:
        return Probe(reason=f"no cuBLAS 12 or later: {why}", remedy="pip install nvidia-cublas")
    return Probe(devices=("cublas",))


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
        self._scalars = {
            dtype: (self._ffi.new(f"{kind} *", 1.0), self._ffi.new(f"{kind} *", 0.0))
            for dtype, kind in (("float32", "float"), ("float64", "double"))
        }

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
    ) -> None:
        """Queue C = A B for each of a batch, in column-major order.

        sizes       batch, m, n, k;  places: addresses of A, B, C;  leading: from one column to the next, in elements
        strides     from one matrix of the batch to the next, in elements;  precision: a key of COMPUTE
        """
        batch, m, n, k = sizes
        (a, b, c), kind = (self._ffi.cast("void *", place) for place in places), _DATA[dtype]
        one, zero = self._scalars[dtype]
        self._call(
            "cublasGemmStridedBatchedEx_64",
            *(self._handle, *map(int, transposed), m, n, k, one),
            *(a, kind, leading[0], strides[0], b, kind, leading[1], strides[1], zero),
            *(c, kind, leading[2], strides[2], batch, COMPUTE[precision][dtype], _DEFAULT_ALGORITHM),
        )

    def free(self) -> None:
        self._call("cublasDestroy_v2", self._handle)


def gemm(device: Any, call: LibraryCall, operands: Sequence[Strided], results: Sequence[Strided]) -> None:
    """Queue C = A B for (..., m, k) and (..., k, n); leading axes are stacks.  Row-major C = A B is C' = B' A'.

    A vector is a row on the left and a column on the right.
    """
    a, b = row(operands[0]), column(operands[1])
    c = column(results[0]) if len(operands[1].shape) == 1 else row(results[0])
    (m, k), n = a.shape[-2:], b.shape[-1]
    stacks = c.shape[:-2]
    if 0 in (m, n, *stacks):
        return
    size = dtypes.size_bytes(c.dtype)
    if k == 0:
        device.fill(c.block, 0, math.prod(c.shape) * size, c.offset * size)
        return
    # one call for the innermost stack; cuBLAS has one stride for all of its matrices
    inner, outer = (stacks[-1], stacks[:-1]) if stacks else (1, ())
    strides = tuple(one.strides[-3] if stacks else 0 for one in (b, a, c))
    for place in itertools.product(*map(range, outer)):
        addresses = [
            one.block.pointer + size * (one.offset + sum(i * s for i, s in zip(place, one.strides, strict=False)))
            for one in (b, a, c)
        ]
        device.products.products(
            c.dtype,
            (transposed(b), transposed(a)),
            (inner, n, m, k),
            tuple(addresses),
            (leading(b), leading(a), leading(c)),
            strides,
            config["cuda.products"],
        )


def row(one: Strided) -> Strided:
    """A vector as a matrix (1, n)."""
    if len(one.shape) > 1:
        return one
    (n,), (step,) = one.shape, one.strides
    return replace(one, shape=(1, n), strides=(max(n, 1), 1) if step == 1 else (1, step))


def column(one: Strided) -> Strided:
    """A vector as a matrix (n, 1)."""
    return one if len(one.shape) > 1 else replace(one, shape=(*one.shape, 1), strides=(*one.strides, 1))


def transposed(matrix: Strided) -> bool:
    """Whether a matrix lies column by column."""
    return matrix.strides[-1] != 1


def leading(matrix: Strided) -> int:
    """The distance of two rows of a matrix, or of two columns where it is transposed; BLAS wants at least a row."""
    turned = transposed(matrix)
    return max(matrix.strides[-1 if turned else -2], matrix.shape[-2 if turned else -1], 1)


routines = {"gemm": gemm}
