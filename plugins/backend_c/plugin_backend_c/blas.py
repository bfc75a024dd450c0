"""BLAS routines as function pointers that SciPy exports: no system library, no headers."""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType

from core.ir.clibrary import Call, Routine

_MODULE = "scipy.linalg.cython_blas"
_LETTERS = {"float32": "s", "float64": "d"}
_TYPES = {"float32": "float", "float64": "double"}


def _prototypes(name: str, arguments: str) -> dict[str, str]:
    """The types of a routine's function for each dtype; ``T`` in ``arguments`` is the type of an element."""
    return {
        f"{letter}{name}": f"void {{}}({arguments.replace('T', _TYPES[dtype])})" for dtype, letter in _LETTERS.items()
    }


def address(function: str) -> int:
    """Where SciPy has a function of Fortran's convention with 32-bit integers (LAPACK's reference BLAS)."""
    exported = _extension().__pyx_capi__[function]
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return pointer_of(exported, name_of(exported))


def _gemm(call: Call) -> Iterator[str]:
    """Row-major C = A B is column-major C' = B' A'; an operand that lies the other way only changes a letter."""
    (a, b), (c,) = call.operands, call.outputs
    m, n, k = map(call.integer, (*c.shape, a.shape[1]))
    lda, ldb, ldc = (call.integer(matrix.leading, least=1) for matrix in (a, b, c))
    one, zero = call.constant(1.0, c.dtype), call.constant(0.0, c.dtype)
    letters = ", ".join('"T"' if matrix.transposed else '"N"' for matrix in (b, a))
    yield (
        f"{call.function(_LETTERS[c.dtype] + 'gemm')}({letters}, &{n}, &{m}, &{k}, &{one}, {b.pointer}, &{ldb}, "
        f"{a.pointer}, &{lda}, &{zero}, {c.pointer}, &{ldc});"
    )


ROUTINES = {
    "gemm": Routine(
        _prototypes(
            "gemm",
            "const char *, const char *, const int *, const int *, const int *, const T *, const T *, const int *, "
            "const T *, const int *, const T *, T *, const int *",
        ),
        address,
        _gemm,
    )
}


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
