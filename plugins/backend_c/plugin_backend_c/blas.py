"""BLAS routines as function pointers that SciPy exports: no system library, no headers."""

from __future__ import annotations

import ctypes
import importlib
import sys
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType

# the order in which generated code expects them
ROUTINES = ("dgemm", "sgemm")
_MODULE = "scipy.linalg.cython_blas"


@cache
def routines() -> tuple[int, ...]:
    """Addresses of ROUTINES.  They follow Fortran's convention with 32-bit integers (LAPACK's reference BLAS)."""
    exported = _extension().__pyx_capi__
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return tuple(pointer_of(exported[routine], name_of(exported[routine])) for routine in ROUTINES)


def _extension() -> ModuleType:
    """The extension module alone where that works: the import of all of scipy.linalg takes a third of a second."""
    if "scipy.linalg" not in sys.modules:
        try:
            return _alone()
        except Exception:  # SciPy is laid out in another way: the plain import decides, and says what is missing
            sys.modules.pop(_MODULE, None)
    return importlib.import_module(_MODULE)


def _alone() -> ModuleType:
    """Load it without its package.

    Its own code puts it into ``sys.modules``; it is taken out again, for else a later import of scipy.linalg would not
    make it an attribute of its package.  Such an import gets the same module: the extension makes only one.
    """
    package = find_spec("scipy")
    folders = [str(Path(place, "linalg")) for place in package.submodule_search_locations]
    spec = PathFinder.find_spec(_MODULE, folders)
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules.pop(_MODULE, None)
    return module
