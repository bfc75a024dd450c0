"""The routines that generated C calls: functions of SciPy's BLAS and LAPACK, and the lines that call them."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from core.ir.clike.clibrary import Array, Call, Failure, Routine
from plugin_ops_linalg.failures import BAND, NOT_SQUARE

LETTERS = {"float32": "s", "float64": "d"}
SMALL = 8  # up to this length loops in C serve, and no library is called
_WORDS = {  # what the texts in the .h files stand for
    "s": {"REAL": "float", "UINT": "uint32_t", "EXPONENT": "0x7f800000u", "ROOT": "__builtin_sqrtf"},
    "d": {"REAL": "double", "UINT": "uint64_t", "EXPONENT": "0x7ff0000000000000u", "ROOT": "__builtin_sqrt"},
}
_WORDS["s"].update(LOG="__builtin_logf", MAGNITUDE="__builtin_fabsf", TINY="0x1p-126f")
_WORDS["d"].update(LOG="__builtin_log", MAGNITUDE="__builtin_fabs", TINY="0x1p-1022")
_ARGUMENTS = {  # a function without its letter -> its arguments: c text, i integer, r numbers, R numbers it only reads
    "potrf": "cirii",
    "potri": "cirii",
    "gemm": "cciiiRRiRiRri",
    "trsm": "cccciiRRiri",
    "trsv": "ccciRiri",
    "getrf": "iiriii",
    "getrs": "ciiriirii",
    "getri": "iriirii",
    "syevd": "ccirirriiii",
    "gesdd": "ciirirriririii",
    "gelqf": "iirirrii",
    "orglq": "iiirirrii",
    "geqp3": "iiriirrii",
    "orgqr": "iiirirrii",
    "sysv": "ciiriiririi",
    "gtsv": "iirrrrii",
    "gbsv": "iiiiriirii",
}
_IN_BLAS = ("gemm", "trsm", "trsv")
HERE = Path(__file__).parent


def _prototypes(*names: str) -> dict[str, str]:
    """C functions with their types, in single and in double precision."""
    kinds = {"c": "const char *", "i": "const int *"}
    out = {}
    for dtype, letter in LETTERS.items():
        real = {"float32": "float *", "float64": "double *"}[dtype]
        for name in names:
            arguments = ({**kinds, "r": real, "R": f"const {real}"}[code] for code in _ARGUMENTS[name])
            out[f"{letter}{name}"] = f"void {{}}({', '.join(arguments)})"
    return out


def _helpers(function: str, *files: str, sized: bool = False) -> dict[str, str]:
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


def _of_size(function: str, n: str) -> str:
    """The function for that n, where it is known and small; see ``_helpers``."""
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


def failed(node: Any, failure: Failure) -> Exception:
    """The exception for a call that failed."""
    return node.op.library_error(node, failure)


def _guarded(call: Call, call_text: str, outputs: tuple[Array, ...]) -> Iterator[str]:
    """The line that calls, and what becomes of the number that it returns."""
    number = call.variable("int64_t")
    yield f"{number} = {call_text};"
    if call.attributes["on_error"] == "raise":
        yield call.check(number)
        return
    yield call.check(f"{number} <= {NOT_SQUARE} ? {number} : 0")
    for out in outputs:
        if out.dtype not in LETTERS:  # exchanges of rows
            yield f"if ({number}) __builtin_memset({out.pointer}, 0, (size_t)({out.shape[0]}) * sizeof(int32_t));"
            continue
        size = " * ".join(f"({n})" for n in out.shape) or "1"
        yield f"if ({number}) core_{LETTERS[out.dtype]}nan({size}, {out.pointer});"


def _square(call: Call, a: Array) -> Iterator[str]:
    """A line that stops unless a matrix is square."""
    m, n = a.shape
    if m != n:
        yield call.check(f"({m}) != ({n}) ? {NOT_SQUARE} : 0")


def _flag(call: Call, name: str) -> str:
    return str(int(bool(call.attributes[name])))


def _matrix(call: Call, a: Array) -> str:
    """Pointer and strides, each short enough for the library."""
    return f"{a.pointer}, {call.integer(a.strides[0])}, {call.integer(a.strides[1])}"


# --- calls -----------------------------------------------------------------------------------------------------------


def _potrf(call: Call) -> Iterator[str]:
    (a,), (out,) = call.operands, call.outputs
    letter = LETTERS[out.dtype]
    yield from _square(call, a)
    n, flags = call.integer(a.shape[0]), f"{_flag(call, 'lower')}, {_flag(call, 'check_finite')}"
    function, potrf = _of_size(f"core_{letter}cholesky", a.shape[0]), call.function(f"{letter}potrf")
    yield from _guarded(call, f"{function}({potrf}, {n}, {out.pointer}, {flags})", (out,))


def _potrf_gradient(call: Call) -> Iterator[str]:
    factor, (out,) = call.operands[0], call.outputs
    letter = LETTERS[out.dtype]
    yield from _square(call, factor)
    yield from _right_hand_side(call)
    functions = f"{call.function(f'{letter}gemm')}, {call.function(f'{letter}trsm')}"
    yield from _guarded(
        call,
        f"core_{letter}cholesky_gradient({functions}, {call.integer(factor.shape[0])}, {_matrix(call, factor)}, "
        f"{out.pointer})",
        (out,),
    )


def _potri(call: Call) -> Iterator[str]:
    (a,), (out,) = call.operands, call.outputs
    letter = LETTERS[out.dtype]
    yield from _square(call, a)
    given = f"{call.integer(a.shape[0])}, {out.pointer}, {_flag(call, 'lower')}, {_flag(call, 'whole')}"
    yield from _guarded(call, f"core_{letter}cholesky_inverse({call.function(f'{letter}potri')}, {given})", (out,))


def _right_hand_side(call: Call) -> Iterator[str]:
    """Put b where x is to be, unless it is there already."""
    b, x = call.operands[-1], call.outputs[0]
    if not call.attributes["in_place"]:
        yield f"core_{LETTERS[x.dtype]}copy({', '.join(b.shape)}, {b.pointer}, {', '.join(b.strides)}, {x.pointer});"


def _system(
    function: str, libraries: tuple[str, ...], *flags: str, sized: bool = False
) -> Callable[[Call], Iterator[str]]:
    """A call that solves for x, which holds b: ``core_?function(libraries, n, k, a, x, flags)``."""

    def write(call: Call) -> Iterator[str]:
        (a, b), (x,) = call.operands, call.outputs
        letter = LETTERS[x.dtype]
        yield from _square(call, a)
        yield from _right_hand_side(call)
        called = ", ".join(call.function(f"{letter}{name}") for name in libraries)
        sizes = f"{call.integer(a.shape[0])}, {call.integer(b.shape[1])}"
        given = "".join(f", {_flag(call, flag)}" for flag in flags)
        name = f"core_{letter}{function}"
        name = _of_size(name, a.shape[0]) if sized else name
        yield from _guarded(call, f"{name}({called}, {sizes}, {_matrix(call, a)}, {x.pointer}{given})", (x,))

    return write


def _gbsv(call: Call) -> Iterator[str]:
    (ab, b), (x,) = call.operands, call.outputs
    letter = LETTERS[x.dtype]
    yield from _right_hand_side(call)
    below, above = (str(call.attributes[name]) for name in ("below", "above"))
    yield call.check(f"({ab.shape[0]}) != {below} + {above} + 1 ? {BAND} : 0")
    called = ", ".join(call.function(f"{letter}{name}") for name in ("gbsv", "gtsv"))
    sizes = f"{call.integer(ab.shape[1])}, {call.integer(b.shape[1])}"
    given = f"{called}, {sizes}, {_matrix(call, ab)}, {x.pointer}, {below}, {above}, {_flag(call, 'check_finite')}"
    yield from _guarded(call, f"core_{letter}solve_banded({given})", (x,))


def _expm(call: Call) -> Iterator[str]:
    (a,), (out,) = call.operands, call.outputs
    letter = LETTERS[out.dtype]
    yield from _square(call, a)
    called = ", ".join(call.function(f"{letter}{name}") for name in ("gemm", "getrf", "getrs"))
    yield from _guarded(call, f"core_{letter}expm({called}, {call.integer(a.shape[0])}, {out.pointer})", (out,))


def _getri(call: Call) -> Iterator[str]:
    (a,), (out,) = call.operands, call.outputs
    letter = LETTERS[out.dtype]
    yield from _square(call, a)
    functions = f"{call.function(f'{letter}getrf')}, {call.function(f'{letter}getri')}"
    name, check = _of_size(f"core_{letter}inverse", a.shape[0]), _flag(call, "check_finite")
    text = f"{name}({functions}, {call.integer(a.shape[0])}, {out.pointer}, {check})"
    yield from _guarded(call, text, (out,))


def _lu_factor(call: Call) -> Iterator[str]:
    (a,), (out, pivots) = call.operands, call.outputs
    letter, check = LETTERS[out.dtype], _flag(call, "check_finite")
    sizes = f"{call.integer(a.shape[0])}, {call.integer(a.shape[1])}"
    given = f"{call.function(f'{letter}getrf')}, {sizes}, {_matrix(call, a)}, {out.pointer}, {pivots.pointer}, {check}"
    yield from _guarded(call, f"core_{letter}lu_factor({given})", call.outputs)


def _lu_solve(call: Call) -> Iterator[str]:
    (f, pivots, b), (x,) = call.operands, call.outputs
    letter = LETTERS[x.dtype]
    yield from _square(call, f)
    yield from _right_hand_side(call)
    called = ", ".join(call.function(f"{letter}{name}") for name in _TRIANGULAR)
    sizes = f"{call.integer(f.shape[0])}, {call.integer(b.shape[1])}"
    given = f"{called}, {sizes}, {_matrix(call, f)}, {pivots.pointer}, {pivots.strides[0]}, {x.pointer}"
    flags = f"{_flag(call, 'transposed')}, {_flag(call, 'check_finite')}"
    yield from _guarded(call, f"core_{letter}lu_solve({given}, {flags})", (x,))


def _lu_inverse(call: Call) -> Iterator[str]:
    (f, pivots), (out,) = call.operands, call.outputs
    letter = LETTERS[out.dtype]
    yield from _square(call, f)
    given = f"{call.integer(f.shape[0])}, {_matrix(call, f)}, {pivots.pointer}, {pivots.strides[0]}, {out.pointer}"
    yield from _guarded(call, f"core_{letter}lu_inverse({call.function(f'{letter}getri')}, {given})", (out,))


def _determinant(call: Call) -> Iterator[str]:
    (a,), outputs = call.operands, call.outputs
    letter = LETTERS[a.dtype]
    yield from _square(call, a)
    found = ", ".join(out.pointer for out in outputs) + (", 0" if len(outputs) == 1 else "")
    getrf, n = call.function(f"{letter}getrf"), call.integer(a.shape[0])
    name = _of_size(f"core_{letter}determinant", a.shape[0])
    yield from _guarded(call, f"{name}({getrf}, {n}, {_matrix(call, a)}, {found})", outputs)


def _syevd(call: Call) -> Iterator[str]:
    (a,), (w, *vectors) = call.operands, call.outputs
    letter = LETTERS[w.dtype]
    yield from _square(call, a)
    start, lower = f"{call.function(f'{letter}syevd')}, {call.integer(a.shape[0])}", _flag(call, "lower")
    if vectors:
        text = f"core_{letter}eigh({start}, {vectors[0].pointer}, {w.pointer}, {lower}, 1)"
    else:
        text = f"core_{letter}eigenvalues({start}, {_matrix(call, a)}, {w.pointer}, {lower})"
    yield from _guarded(call, text, call.outputs)


def _gesdd(call: Call) -> Iterator[str]:
    (a,), outputs = call.operands, call.outputs
    letter = LETTERS[a.dtype]
    u, s, vh = (out.pointer for out in outputs) if len(outputs) == 3 else ("0", outputs[0].pointer, "0")
    job = "N" if len(outputs) == 1 else "A" if call.attributes["full_matrices"] else "S"
    sizes = f"{call.integer(a.shape[0])}, {call.integer(a.shape[1])}"
    text = f'{call.function(f"{letter}gesdd")}, {sizes}, {_matrix(call, a)}, {u}, {s}, {vh}, "{job}"'
    yield from _guarded(call, f"core_{letter}svd({text})", outputs)


def _qr(call: Call) -> Iterator[str]:
    """By gelqf, or by geqp3 where columns are exchanged: then the last output is their order."""
    (a,), outputs = call.operands, call.outputs
    letter, pivoted = LETTERS[a.dtype], bool(call.attributes["pivoting"])
    *q, r = outputs[:-1] if pivoted else outputs
    found = f"{q[0].pointer if q else '0'}, {r.pointer}" + (f", {outputs[-1].pointer}" if pivoted else "")
    sizes = f"{call.integer(a.shape[0])}, {call.integer(a.shape[1])}"
    name, libraries = ("qr_pivoted", _PIVOTED) if pivoted else ("qr", _PLAIN)
    functions = ", ".join(call.function(f"{letter}{library}") for library in libraries)
    text = f"core_{letter}{name}({functions}, {sizes}, {_matrix(call, a)}, {found}, {r.shape[0]})"
    yield from _guarded(call, text, outputs)


def _routine(functions: tuple[str, ...], write: Callable[[Call], Iterator[str]], helpers: dict[str, str]) -> Routine:
    return Routine(_prototypes(*functions), address, write, failed, helpers)


_TRIANGULAR = ("trsm", "trsv")
_PLAIN, _PIVOTED = ("gelqf", "orglq"), ("geqp3", "orgqr")
_QR = _routine(_PLAIN, _qr, _helpers("qr", "qr"))
_EIGH = {**_helpers("eigh", "eigh"), **_helpers("eigenvalues", "eigh")}

ROUTINES = {
    "potrf": _routine(("potrf",), _potrf, _helpers("cholesky", "cholesky", sized=True)),
    "potrf_gradient": _routine(("gemm", "trsm"), _potrf_gradient, _helpers("cholesky_gradient", "cholesky_gradient")),
    "potri": _routine(("potri",), _potri, _helpers("cholesky_inverse", "cholesky_inverse")),
    "trtrs": _routine(
        _TRIANGULAR,
        _system("solve_triangular", _TRIANGULAR, "lower", "transposed", "unit_diagonal", "check_finite", sized=True),
        _helpers("solve_triangular", "triangular", "solve_triangular", sized=True),
    ),
    "potrs": _routine(
        _TRIANGULAR,
        _system("solve_factored", _TRIANGULAR, "lower", "check_finite", sized=True),
        _helpers("solve_factored", "triangular", "solve_factored", sized=True),
    ),
    "gesv": _routine(
        ("getrf", "getrs"),
        _system("solve", ("getrf", "getrs"), "check_finite", sized=True),
        _helpers("solve", "copied", "lu", "solve", sized=True),
    ),
    "sysv": _routine(
        ("sysv",),
        _system("solve_symmetric", ("sysv",), "lower", "check_finite"),
        _helpers("solve_symmetric", "copied", "solve_symmetric"),
    ),
    "gtsv": _routine(
        ("gtsv",),
        _system("solve_tridiagonal", ("gtsv",), "check_finite"),
        _helpers("solve_tridiagonal", "tridiagonal", "solve_tridiagonal"),
    ),
    "gbsv": _routine(("gbsv", "gtsv"), _gbsv, _helpers("solve_banded", "tridiagonal", "solve_banded")),
    "expm": _routine(("gemm", "getrf", "getrs"), _expm, _helpers("expm", "expm")),
    "getri": _routine(("getrf", "getri"), _getri, _helpers("inverse", "lu", "inverse", sized=True)),
    "getrf": _routine(("getrf",), _lu_factor, _helpers("lu_factor", "lu", "lu_factor")),
    "getrs": _routine(_TRIANGULAR, _lu_solve, _helpers("lu_solve", "lu", "triangular", "lu_solve")),
    "lu_inverse": _routine(("getri",), _lu_inverse, _helpers("lu_inverse", "lu_inverse")),
    "determinant": _routine(
        ("getrf",), _determinant, _helpers("determinant", "copied", "lu", "determinant", sized=True)
    ),
    "syevd": _routine(("syevd",), _syevd, _EIGH),
    "gesdd": _routine(("gesdd",), _gesdd, _helpers("svd", "svd")),
    "geqrf": _QR,
    "geqrf_complete": _QR,
    "geqp3": _routine(_PIVOTED, _qr, _helpers("qr_pivoted", "qr_pivoted")),
}
