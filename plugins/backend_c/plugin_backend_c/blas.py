"""BLAS routines as function pointers that SciPy exports: no system library, no headers."""

from __future__ import annotations

import ctypes
import importlib
from functools import cache

# the order in which generated code expects them
ROUTINES = ("dgemm", "sgemm")


@cache
def routines() -> tuple[int, ...]:
    """Addresses of ROUTINES.  They follow Fortran's convention with 32-bit integers (LAPACK's reference BLAS)."""
    exported = importlib.import_module("scipy.linalg.cython_blas").__pyx_capi__
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return tuple(pointer_of(exported[routine], name_of(exported[routine])) for routine in ROUTINES)
