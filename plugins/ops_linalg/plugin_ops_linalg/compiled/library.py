"""What SciPy exports: the functions of BLAS and LAPACK, their types, and where they are."""

from __future__ import annotations

import ctypes
import importlib
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}
PARTNERS = {"s": "c", "d": "z", "c": "c", "z": "z"}  # the complex numbers of the same precision
BASES = {"s": "s", "d": "d", "c": "s", "z": "d"}  # the real ones
ELEMENTS = {"s": "float", "d": "double", "c": "float _Complex", "z": "double _Complex"}
_ARGUMENTS = {  # a function without its letter -> its arguments, see _KINDS; those of complex numbers behind a slash
    "potrf": "cirii",
    "potri": "cirii",
    "gemm": "cciiiRRiRiRri",
    "trsm": "cccciiRRiri",
    "trsv": "ccciRiri",
    "getrf": "iiriii",
    "getrs": "ciiriirii",
    "getri": "iriirii",
    "gecon": "ciriqqrii/ciriqqrqi",
    "syevd": "ccirirriiii/cciriqriqiiii",
    "gesdd": "ciirirriririii/ciiriqriririqii",
    "gelqf": "iirirrii",
    "orglq": "iiirirrii",
    "geqrf": "iirirrii",
    "ormqr": "cciiirirririi",
    "geqp3": "iiriirrii/iiriirriqi",
    "orgqr": "iiirirrii",
    "sysv": "ciiriiririi",
    "hesv": "ciiriiririi",
    "gtsv": "iirrrrii",
    "gbsv": "iiiiriirii",
    "gebal": "ciriiiqi",
    "gees": "ccpiriirrririii/ccpiriirririqii",
    "gges": "cccpiririirrrriririii/cccpiririirrriririqii",
    "geev": "ccirirrriririi/ccirirriririqi",
    "trsyl": "cciiiriririqi",
}
_OTHERWISE = {"orglq": "unglq", "orgqr": "ungqr", "ormqr": "unmqr", "syevd": "heevd"}  # names of complex numbers
_KINDS = {  # letters of _ARGUMENTS
    "c": "const char *",
    "i": "const int *",
    "r": "{element} *",
    "R": "const {element} *",  # numbers that are only read
    "q": "{real} *",
    "p": "void *",  # a function that chooses
}
_IN_BLAS = ("gemm", "trsm", "trsv")


def lapack(letter: str, name: str) -> str:
    """The function for numbers of that letter."""
    return letter + (_OTHERWISE.get(name, name) if letter in "cz" else name)


def prototypes(*names: str, letters: str = "sdcz") -> dict[str, str]:
    """C functions with their types, for the numbers of ``letters``."""
    out = {}
    for letter in letters:
        for name in names:
            codes = _ARGUMENTS[name].split("/")[-1 if letter in "cz" else 0]
            kinds = (_KINDS[code].format(element=ELEMENTS[letter], real=ELEMENTS[BASES[letter]]) for code in codes)
            out[lapack(letter, name)] = f"void {{}}({', '.join(kinds)})"
    return out


@cache
def _openblas() -> ctypes.CDLL | None:
    """OpenBLAS as SciPy's wheels bring it, in a folder of its own; None where SciPy is built otherwise.

    It is the copy that SciPy uses, or will use: to import scipy.linalg for it takes a third of a second.
    """
    package = find_spec("scipy")
    for place in package.submodule_search_locations or () if package is not None else ():
        for folder in (Path(place).parent / "scipy.libs", Path(place) / ".dylibs"):
            for file in folder.glob("*openblas*"):
                with suppress(OSError):  # no library after all
                    return ctypes.CDLL(str(file))
    return None


@cache
def _exported(name: str) -> dict[str, Any]:
    return importlib.import_module(name).__pyx_capi__


def address(function: str) -> int:
    """Where SciPy has a function of BLAS or LAPACK: Fortran's convention, 32-bit integers."""
    direct = getattr(_openblas(), f"scipy_{function}_", None)
    if direct is not None:
        return ctypes.cast(direct, ctypes.c_void_p).value or 0
    home = "cython_blas" if function[1:] in _IN_BLAS else "cython_lapack"
    capsule = _exported(f"scipy.linalg.{home}")[function]
    name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
    pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    return pointer_of(capsule, name_of(capsule))
