"""BLAS routines as function pointers that SciPy exports: no system library, no headers."""

from __future__ import annotations

import ctypes
import importlib
import sys
from contextlib import suppress
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_MODULE = "scipy.linalg.cython_blas"
_GEMM = (
    "void {{}}(const char *, const char *, const int *, const int *, const int *, const {0} *, const {0} *, "
    "const int *, const {0} *, const int *, const {0} *, {0} *, const int *)"
)
_ELEMENTS = {"s": "float", "d": "double", "c": "float _Complex", "z": "double _Complex"}
GEMM = {f"{letter}gemm": _GEMM.format(element) for letter, element in _ELEMENTS.items()}  # function -> its type

_THREADS = ("openblas_get_num_threads", "openblas_set_num_threads")


def address(function: str) -> int:
    """Where SciPy has a function of Fortran's convention with 32-bit integers (LAPACK's reference BLAS)."""
    library = _openblas()
    if library is not None:
        return _address_of(getattr(library, f"scipy_{function}_"))
    exported = _extension().__pyx_capi__[function]
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return pointer_of(exported, name_of(exported))


def threads() -> tuple[int, int] | None:
    """Addresses of the functions that get and set how many threads BLAS works with; None where none are known."""
    library = _openblas()
    if library is None:
        return None
    get, put = (_address_of(getattr(library, f"scipy_openblas_{verb}_num_threads")) for verb in ("get", "set"))
    return get, put


def _address_of(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@cache
def _openblas() -> ctypes.CDLL | None:
    """OpenBLAS as SciPy's wheels bring it, in a folder of its own; None where SciPy is built otherwise.

    Opening it gives the copy that SciPy uses, or will use, and takes half as long as importing SciPy.
    """
    package = find_spec("scipy")
    for place in package.submodule_search_locations or () if package is not None else ():
        for folder in (Path(place).parent / "scipy.libs", Path(place) / ".dylibs"):
            for file in folder.glob("*openblas*"):
                with suppress(OSError, AttributeError):  # no library after all, or one that calls them otherwise
                    library = ctypes.CDLL(str(file))
                    for name in (*(f"{function}_" for function in GEMM), *_THREADS):
                        getattr(library, f"scipy_{name}")
                    return library
    return None


@cache
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
