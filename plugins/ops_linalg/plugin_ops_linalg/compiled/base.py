"""What routines share: functions of SciPy's LAPACK, C of ours made from the .h files, and lines around calls."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from core import dtypes
from core.ir.clike.clibrary import Array, Call, Failure, Routine
from plugin_ops_linalg.failures import NOT_FINITE, NOT_SQUARE

LETTERS = {"float32": "s", "float64": "d"}
PARTNERS = {"s": "c", "d": "z"}  # of real numbers, the complex ones of the same precision
SMALL = 8  # up to this length loops in C serve, and no library is called
_ELEMENTS = {"s": "float", "d": "double", "c": "float _Complex", "z": "double _Complex"}
_REALS = {"s": "float", "d": "double", "c": "float", "z": "double"}
_WORDS = {  # what the texts in the .h files stand for
    "s": {
        "REAL": "float",
        "UINT": "uint32_t",
        "EXPONENT": "0x7f800000u",
        "SIGNED": "int32_t",
        "MANTISSA": "23",
        "TINY": "0x1p-126f",
        "EPSILON": "0x1p-23f",
        "PARTNER": "c",
        "COMPLEX": "float _Complex",
    },
    "d": {
        "REAL": "double",
        "UINT": "uint64_t",
        "EXPONENT": "0x7ff0000000000000u",
        "SIGNED": "int64_t",
        "MANTISSA": "52",
        "TINY": "0x1p-1022",
        "EPSILON": "0x1p-52",
        "PARTNER": "z",
        "COMPLEX": "double _Complex",
    },
}
_MATHS = {
    "ROOT": "sqrt",
    "LOG": "log",
    "MAGNITUDE": "fabs",
    "HYPOT": "hypot",
    "ATAN2": "atan2",
    "COPYSIGN": "copysign",
    "FREXP": "frexp",
    "LDEXP": "ldexp",
}
for _letter, _suffix in (("s", "f"), ("d", "")):
    _WORDS[_letter].update({word: f"__builtin_{name}{_suffix}" for word, name in _MATHS.items()})
_ARGUMENTS = {  # a function without its letter -> its arguments; see _KINDS
    "potrf": "cirii",
    "potri": "cirii",
    "gemm": "cciiiRRiRiRri",
    "trsm": "cccciiRRiri",
    "trsv": "ccciRiri",
    "getrf": "iiriii",
    "getrs": "ciiriirii",
    "getri": "iriirii",
    "gecon": "ciriqqrii",
    "syevd": "ccirirriiii",
    "gesdd": "ciirirriririii",
    "gelqf": "iirirrii",
    "orglq": "iiirirrii",
    "geqrf": "iirirrii",
    "ormqr": "cciiirirririi",
    "geqp3": "iiriirrii",
    "orgqr": "iiirirrii",
    "sysv": "ciiriiririi",
    "gtsv": "iirrrrii",
    "gbsv": "iiiiriirii",
    "gebal": "ciriiiqi",
    "gees": {"sd": "ccpiriirrririii", "cz": "ccpiriirririqii"},
    "gges": {"sd": "cccpiririirrrriririii"},
    "tgsen": {"sd": "iiiiiririrrrririiqqqriiii"},
    "trsyl": "cciiiriririqi",
}
_KINDS = {  # letters of _ARGUMENTS
    "c": "const char *",
    "i": "const int *",
    "r": "{element} *",
    "R": "const {element} *",  # numbers that are only read
    "q": "{real} *",
    "p": "void *",  # a function that chooses
}
_IN_BLAS = ("gemm", "trsm", "trsv")
HERE = Path(__file__).parent


def prototypes(*names: str, letters: str = "sd") -> dict[str, str]:
    """C functions with their types, in the precisions of ``letters``."""
    out = {}
    for letter in letters:
        for name in names:
            codes = _ARGUMENTS[name]
            if isinstance(codes, dict):
                codes = next(one for several, one in codes.items() if letter in several)
            kinds = (_KINDS[code].format(element=_ELEMENTS[letter], real=_REALS[letter]) for code in codes)
            out[f"{letter}{name}"] = f"void {{}}({', '.join(kinds)})"
    return out


def helpers(function: str, *files: str, sized: bool = False) -> dict[str, str]:
    """A function of ours in both precisions: its name -> the texts of ``files``, and of what they share, before it.

    ``sized``: also for each small n, told to the compiler, with that number behind the name.
    """
    text = "\n".join((HERE / f"{name}.h").read_text() for name in ("common", *files))
    out = {}
    for letter, words in _WORDS.items():
        made = text.replace("LETTER", letter).replace("SMALL", str(SMALL))
        for word, spelling in words.items():
            made = made.replace(word, spelling)
        name = f"core_{letter}{function}"
        out[name] = made
        for n in range(1, SMALL + 1) if sized else ():
            before, after = made.split(f"{name}(")
            arguments, body = after.split("{", 1)
            out[f"{name}_{n}"] = f"{before}{name}_{n}({arguments}{{\n    if (n != {n}) __builtin_unreachable();{body}"
    return out


def of_size(function: str, n: str) -> str:
    """The function for that n, where it is known and small; see ``helpers``."""
    return f"{function}_{n}" if n.isdecimal() and 0 < int(n) <= SMALL else function


@cache
def _exported(name: str) -> dict[str, Any]:
    return importlib.import_module(name).__pyx_capi__


def address(function: str) -> int:
    """Where SciPy has a function of BLAS or LAPACK: Fortran's convention, 32-bit integers."""
    home = "cython_blas" if function[1:] in _IN_BLAS else "cython_lapack"
    capsule = _exported(f"scipy.linalg.{home}")[function]
    name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
    pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    return pointer_of(capsule, name_of(capsule))


def _failed(node: Any, failure: Failure) -> Exception:
    """The exception for a call that failed."""
    return node.op.library_error(node, failure)


def routine(
    functions: dict[str, str], write: Callable[[Call], Iterator[str]], texts: dict[str, str], stacks: bool = False
) -> Routine:
    """A routine that calls ``functions``, see ``prototypes``, by way of ``texts``, see ``helpers``."""
    return Routine(functions, address, write, _failed, texts, stacks=stacks)


# --- lines -----------------------------------------------------------------------------------------------------------


def guarded(call: Call, call_text: str, outputs: tuple[Array, ...]) -> Iterator[str]:
    """The line that calls, and what becomes of the number that it returns."""
    number = call.variable("int64_t")
    yield f"{number} = {call_text};"
    if call.attributes["on_error"] == "raise":
        yield call.check(number)
        return
    yield call.check(f"{number} <= {NOT_SQUARE} && {number} > {NOT_FINITE} ? {number} : 0")
    for out in outputs:
        size = " * ".join(f"({n})" for n in out.shape) or "1"
        if out.dtype not in LETTERS:  # exchanges of rows, numbers of eigenvalues
            size_bytes = dtypes.size_bytes(out.dtype)
            yield f"if ({number}) __builtin_memset({out.pointer}, 0, (size_t)({size}) * {size_bytes});"
        else:
            yield f"if ({number}) core_{LETTERS[out.dtype]}nan({size}, {out.pointer});"


def in_lanes(write: Callable[[Call], Iterator[str]], lanes: Callable[[Call], str]) -> Callable[[Call], Iterator[str]]:
    """Lines for a stack: of small matrices as many at once as ``lanes`` can, the others one by one, as ``write`` does.

    ``lanes`` gives a condition in C, true where it has made all of them; what is wrong is for ``write`` to say.
    """

    def lines(call: Call) -> Iterator[str]:
        if not call.stack:
            yield from write(call)
            return
        at, stack = call.index, call.stack
        call.operands, call.outputs = (
            tuple(_one_of_a_stack(array, at) for array in arrays) for arrays in (call.operands, call.outputs)
        )
        a = call.operands[0]
        count = 64 // dtypes.size_bytes(a.dtype)
        square = [f"({a.shape[0]}) == ({a.shape[1]})"] if a.shape[0] != a.shape[1] else []
        condition = " && ".join([f"{at} + {count} <= {stack}", *square, lanes(call)])
        yield f"for (int64_t {at} = 0, core_stop; {at} < {stack};) {{"
        yield f"    if ({condition}) {{"
        yield f"        {at} += {count};"
        yield "        continue;"
        yield "    }"
        yield f"    core_stop = {at} + {count} < {stack} ? {at} + {count} : {stack};"
        yield f"    for (; {at} < core_stop; {at}++) {{"
        yield from (f"        {line}" for line in write(call))
        yield "    }"
        yield "}"

    return lines


def _one_of_a_stack(array: Array, index: str) -> Array:
    """The array of one call of a stack."""
    return array if array.next == "0" else replace(array, pointer=f"({array.pointer} + {index} * ({array.next}))")


def lane_matrix(array: Array) -> str:
    """Pointer, strides, and the distance to the next matrix."""
    return f"{array.pointer}, {', '.join(array.strides)}, {array.next}"


def square(call: Call, a: Array) -> Iterator[str]:
    """A line that stops unless a matrix is square."""
    m, n = a.shape
    if m != n:
        yield call.check(f"({m}) != ({n}) ? {NOT_SQUARE} : 0")


def flag(call: Call, name: str) -> str:
    return str(int(bool(call.attributes[name])))


def matrix(call: Call, a: Array) -> str:
    """Pointer and strides, each short enough for the library."""
    return f"{a.pointer}, {call.integer(a.strides[0])}, {call.integer(a.strides[1])}"


def right_hand_side(call: Call) -> Iterator[str]:
    """Put b where x is to be, unless it is there already."""
    b, x = call.operands[-1], call.outputs[0]
    if not call.attributes["in_place"]:
        yield f"core_{LETTERS[x.dtype]}copy({', '.join(b.shape)}, {b.pointer}, {', '.join(b.strides)}, {x.pointer});"
