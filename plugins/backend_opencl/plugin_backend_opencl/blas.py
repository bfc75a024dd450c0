"""Products on a CPU device by the BLAS that SciPy brings: it works on the memory that host and device share."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from core import dtypes
from core.device.contract import Strided
from core.device.matrices import leading, transposed
from core.threads import get_num_threads
from plugin_backend_opencl.added import ONCE, Added

_ROUTINE = {"float32": "sgemm", "float64": "dgemm"}
_TYPE = {"float32": ctypes.c_float, "float64": ctypes.c_double}
LARGEST = 2**31 - 1  # its lengths are 32-bit integers


@cache
def find() -> tuple[dict[str, Callable[..., Any]] | None, str]:
    """The routine for each dtype, by Fortran's convention (reference BLAS); or None and why there is none."""
    try:
        from scipy.linalg import cython_blas
    except ImportError as error:
        return None, str(error)
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)
    found = {}
    for dtype, name in _ROUTINE.items():
        exported = cython_blas.__pyx_capi__[name]
        found[dtype] = signature(pointer_of(exported, name_of(exported)))
    return found, ""


@cache
def threads() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """What gets and sets how many threads BLAS works with; None where it is not the OpenBLAS of SciPy's wheels."""
    import scipy

    package = Path(scipy.__file__).parent
    for folder in (package.parent / "scipy.libs", package / ".dylibs"):
        for file in folder.glob("*openblas*"):
            try:
                library = ctypes.CDLL(str(file))
                return library.scipy_openblas_get_num_threads, library.scipy_openblas_set_num_threads
            except (OSError, AttributeError):  # no library after all, or one that calls them otherwise
                continue
    return None


def _with_threads(run: Callable[[], None]) -> None:
    """Run with the threads that a call of core may use, and no more."""
    found, wanted = threads(), get_num_threads()
    before = found[0]() if found is not None else wanted
    if found is None or before == wanted:
        run()
        return
    found[1](wanted)
    try:
        run()
    finally:
        found[1](before)


def _factor(added: Added, dtype: str) -> float:
    """What a product is multiplied with: in its own dtype, as the device would."""
    if added.factor is None:
        return added.alpha
    elements = added.factor.block.array((added.factor.offset + 1,), np.dtype(dtype))
    return float(np.dtype(dtype).type(added.alpha) * elements[added.factor.offset])


def fits(matrices: tuple[Strided, Strided, Strided]) -> bool:
    """Whether the host sees all of them, and their lengths are of a size that BLAS takes."""
    return all(one.block.host is not None and max(*one.shape, *one.strides) <= LARGEST for one in matrices)


def multiply(device: Any, a: Strided, b: Strided, c: Strided, added: Added = ONCE) -> None:
    """A product for each of a stack, now: when all that is queued has run.  Row-major C = A B is C' = B' A'."""
    routines, _ = find()
    assert routines is not None
    if not device.idle:
        device.synchronize()
    kind, routine, size = _TYPE[c.dtype], routines[c.dtype], dtypes.size_bytes(c.dtype)
    letters = [ctypes.c_char(b"T" if transposed(one) else b"N") for one in (b, a)]
    m, n, k = (ctypes.c_int(length) for length in (c.shape[-1], c.shape[-2], a.shape[-1]))
    steps = [ctypes.c_int(leading(one)) for one in (b, a, c)]
    times, kept = kind(_factor(added, c.dtype)), kind(added.adds)
    at = [each.block.host.ctypes.data + size * each.offset for each in (b, a, c)]  # type: ignore[union-attr]
    fixed = [*map(ctypes.byref, (*letters, m, n, k, times, kept, *steps))]
    transa, transb, m_, n_, k_, alpha, beta, lda, ldb, ldc = fixed

    def run() -> None:
        for number in range(c.shape[0]):
            pb, pa, pc = (p + size * number * each.strides[0] for p, each in zip(at, (b, a, c), strict=True))
            routine(transa, transb, m_, n_, k_, alpha, pb, lda, pa, ldb, beta, pc, ldc)

    _with_threads(run)
