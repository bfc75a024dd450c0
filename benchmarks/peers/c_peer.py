"""C by hand: benchmarks/c_kernels, built once with ``-O3 -march=native``; its outputs are allocated before.

What is timed is a loop in C around the kernel, so nothing of Python or ctypes is counted.  Products are those of the
BLAS inside SciPy, as for core.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.folders import cache_folder
from benchmarks.peers.base import Run, Unsupported
from benchmarks.workloads.base import STEP, Case

SOURCES = Path(__file__).parent.parent / "c_kernels"
FLAGS = ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"]


def compiler() -> str:
    found = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if found is None:
        raise ImportError("there is no C compiler: set CC")
    return found


def version(variant: str = "") -> str:
    """Builds the kernels, so that no workload waits for it."""
    _build(1)
    return _version()


@cache
def _version() -> str:
    first = subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return first.strip()


def _build(threads: int) -> Path:
    """The library; in the cache under a name that its sources and flags decide."""
    flags = [*FLAGS, "-fopenmp" if threads > 1 else "-fopenmp-simd"]
    text = "".join(file.read_text() for file in sorted(SOURCES.iterdir()))
    key = hashlib.sha256(f"{_version()} {flags} {text}".encode()).hexdigest()[:20]
    binary = cache_folder() / f"kernels-{key}.so"
    if not binary.exists():
        half = binary.with_suffix(f".{os.getpid()}")
        source = str(SOURCES / "kernels.c")
        subprocess.run([compiler(), *flags, source, "-o", str(half), "-lmvec", "-lm"], check=True, capture_output=True)
        os.replace(half, binary)
    return binary


@cache
def library(threads: int = 1) -> ctypes.CDLL:
    """The kernels, with the products of SciPy's BLAS and the factors of its LAPACK."""
    from scipy.linalg import cython_blas, cython_lapack

    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    made = ctypes.CDLL(str(_build(threads)))
    capsules = [cython_blas.__pyx_capi__[name] for name in ("dgemm", "sgemm")]
    capsules += [cython_lapack.__pyx_capi__[name] for name in ("dpotrf", "spotrf", "dpotri", "spotri")]
    made.use_routines(*(ctypes.c_void_p(pointer_of(capsule, name_of(capsule))) for capsule in capsules))
    return made


def build(case: Case, arrays: Sequence[np.ndarray], variant: str = "", threads: int = 1) -> Run:
    made = library(threads)
    try:
        kernel = getattr(made, f"{case.kernel}_{case.dtype}")
    except AttributeError:
        raise Unsupported(f"nobody has written {case.kernel} yet") from None
    step = case.kind == STEP
    arrays = [a.copy() if step and k in case.family.wrt else a for k, a in enumerate(arrays)]
    shapes = [()] if step else [out.shape for out in case.reference()]
    outputs = [np.empty(shape, case.dtype) for shape in shapes]
    for out in outputs:
        out.fill(0)  # touched: its pages are there
    lengths = [n for a in arrays for n in a.shape]
    pointers = (ctypes.c_void_p * (len(arrays) + len(outputs)))(*(a.ctypes.data for a in [*arrays, *outputs]))
    n = (ctypes.c_long * max(len(lengths), 1))(*lengths)
    repeat = made.repeat
    repeat.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long]
    address = ctypes.cast(kernel, ctypes.c_void_p)

    def loop(count: int) -> None:
        repeat(address, pointers, n, count)

    def results(_: None) -> list[np.ndarray]:
        state = [arrays[k] for k in case.family.wrt] if step else []
        return [np.array(a) for a in [*outputs, *state]]

    return Run(loop, [1], results, loop=loop)
