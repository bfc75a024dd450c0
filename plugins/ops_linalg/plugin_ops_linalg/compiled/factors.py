"""Decompositions, inverses and determinants as C calls them."""

from __future__ import annotations

from collections.abc import Iterator

from core.ir.clike.clibrary import Call
from plugin_ops_linalg.compiled.base import (
    flag,
    guarded,
    in_lanes,
    lane_matrix,
    matrix,
    right_hand_side,
    routine,
    square,
)
from plugin_ops_linalg.compiled.library import LETTERS, lapack, prototypes
from plugin_ops_linalg.compiled.texts import helpers, of_size

_PLAIN, _PIVOTED = ("gelqf", "orglq"), ("geqp3", "orgqr")


def _potrf(call: Call) -> Iterator[str]:
    (a,), (out,) = call.operands, call.outputs
    letter = LETTERS[out.dtype]
    yield from square(call, a)
    n, flags = call.integer(a.shape[0]), f"{flag(call, 'lower')}, {flag(call, 'check_finite')}"
    function, potrf = of_size(f"core_{letter}cholesky", a.shape[0]), call.function(lapack(letter, "potrf"))
    yield from guarded(call, f"{function}({potrf}, {n}, {out.pointer}, {flags})", (out,))


def _potrf_lanes(call: Call) -> str:
    (a,), (out,) = call.operands, call.outputs
    name = of_size(f"core_{LETTERS[out.dtype]}cholesky_lanes", a.shape[0])
    return f"{name}({a.shape[0]}, {out.pointer}, {out.next}, {flag(call, 'lower')}, {flag(call, 'check_finite')})"


def _potrf_gradient(call: Call) -> Iterator[str]:
    factor, (out,) = call.operands[0], call.outputs
    letter = LETTERS[out.dtype]
    yield from square(call, factor)
    yield from right_hand_side(call)
    functions = f"{call.function(lapack(letter, 'gemm'))}, {call.function(lapack(letter, 'trsm'))}"
    yield from guarded(
        call,
        f"core_{letter}cholesky_gradient({functions}, {call.integer(factor.shape[0])}, {matrix(call, factor)}, "
        f"{out.pointer})",
        (out,),
    )


def _potri(call: Call) -> Iterator[str]:
    (a,), (out,) = call.operands, call.outputs
    letter = LETTERS[out.dtype]
    yield from square(call, a)
    given = f"{call.integer(a.shape[0])}, {out.pointer}, {flag(call, 'lower')}, {flag(call, 'whole')}"
    yield from guarded(
        call, f"core_{letter}cholesky_inverse({call.function(lapack(letter, 'potri'))}, {given})", (out,)
    )


def _getri(call: Call) -> Iterator[str]:
    (a,), (out,) = call.operands, call.outputs
    letter = LETTERS[out.dtype]
    yield from square(call, a)
    functions = f"{call.function(lapack(letter, 'getrf'))}, {call.function(lapack(letter, 'getri'))}"
    name, check = of_size(f"core_{letter}inverse", a.shape[0]), flag(call, "check_finite")
    text = f"{name}({functions}, {call.integer(a.shape[0])}, {out.pointer}, {check})"
    yield from guarded(call, text, (out,))


def _getri_lanes(call: Call) -> str:
    (a,), (out,) = call.operands, call.outputs
    name = of_size(f"core_{LETTERS[out.dtype]}inverse_lanes", a.shape[0])
    return f"{name}({a.shape[0]}, {out.pointer}, {out.next}, {flag(call, 'check_finite')})"


def _determinant_lanes(call: Call) -> str:
    (a,), outputs = call.operands, call.outputs
    found = ", ".join(f"{out.pointer}, {out.next}" for out in outputs) + (", 0, 0" if len(outputs) == 1 else "")
    name = of_size(f"core_{LETTERS[a.dtype]}determinant_lanes", a.shape[0])
    return f"{name}({a.shape[0]}, {lane_matrix(a)}, {found})"


def _lu_factor(call: Call) -> Iterator[str]:
    (a,), (out, pivots) = call.operands, call.outputs
    letter, check = LETTERS[out.dtype], flag(call, "check_finite")
    sizes = f"{call.integer(a.shape[0])}, {call.integer(a.shape[1])}"
    getrf = call.function(lapack(letter, "getrf"))
    given = f"{getrf}, {sizes}, {matrix(call, a)}, {out.pointer}, {pivots.pointer}, {check}"
    yield from guarded(call, f"core_{letter}lu_factor({given})", call.outputs)


def _lu_inverse(call: Call) -> Iterator[str]:
    (f, pivots), (out,) = call.operands, call.outputs
    letter = LETTERS[out.dtype]
    yield from square(call, f)
    given = f"{call.integer(f.shape[0])}, {matrix(call, f)}, {pivots.pointer}, {pivots.strides[0]}, {out.pointer}"
    yield from guarded(call, f"core_{letter}lu_inverse({call.function(lapack(letter, 'getri'))}, {given})", (out,))


def _determinant(call: Call) -> Iterator[str]:
    (a,), outputs = call.operands, call.outputs
    letter = LETTERS[a.dtype]
    yield from square(call, a)
    found = ", ".join(out.pointer for out in outputs) + (", 0" if len(outputs) == 1 else "")
    getrf, n = call.function(lapack(letter, "getrf")), call.integer(a.shape[0])
    name = of_size(f"core_{letter}determinant", a.shape[0])
    yield from guarded(call, f"{name}({getrf}, {n}, {matrix(call, a)}, {found})", outputs)


def _syevd(call: Call) -> Iterator[str]:
    (a,), (w, *vectors) = call.operands, call.outputs
    letter = LETTERS[a.dtype]
    yield from square(call, a)
    start, lower = f"{call.function(lapack(letter, 'syevd'))}, {call.integer(a.shape[0])}", flag(call, "lower")
    if vectors:
        text = f"core_{letter}eigh({start}, {vectors[0].pointer}, {w.pointer}, {lower}, 1)"
    else:
        text = f"core_{letter}eigenvalues({start}, {matrix(call, a)}, {w.pointer}, {lower})"
    yield from guarded(call, text, call.outputs)


def _gesdd(call: Call) -> Iterator[str]:
    (a,), outputs = call.operands, call.outputs
    letter = LETTERS[a.dtype]
    u, s, vh = (out.pointer for out in outputs) if len(outputs) == 3 else ("0", outputs[0].pointer, "0")
    job = "N" if len(outputs) == 1 else "A" if call.attributes["full_matrices"] else "S"
    sizes = f"{call.integer(a.shape[0])}, {call.integer(a.shape[1])}"
    text = f'{call.function(lapack(letter, "gesdd"))}, {sizes}, {matrix(call, a)}, {u}, {s}, {vh}, "{job}"'
    yield from guarded(call, f"core_{letter}svd({text})", outputs)


def _qr(call: Call) -> Iterator[str]:
    """By gelqf, or by geqp3 where columns are exchanged: then the last output is their order."""
    (a,), outputs = call.operands, call.outputs
    letter, pivoted = LETTERS[a.dtype], bool(call.attributes["pivoting"])
    *q, r = outputs[:-1] if pivoted else outputs
    found = f"{q[0].pointer if q else '0'}, {r.pointer}" + (f", {outputs[-1].pointer}" if pivoted else "")
    sizes = f"{call.integer(a.shape[0])}, {call.integer(a.shape[1])}"
    name, libraries = ("qr_pivoted", _PIVOTED) if pivoted else ("qr", _PLAIN)
    functions = ", ".join(call.function(lapack(letter, library)) for library in libraries)
    text = f"core_{letter}{name}({functions}, {sizes}, {matrix(call, a)}, {found}, {r.shape[0]})"
    yield from guarded(call, text, outputs)


_QR = routine(prototypes(*_PLAIN), _qr, helpers("qr", "qr"))
_EIGH = {**helpers("eigh", "eigh"), **helpers("eigenvalues", "eigh")}

ROUTINES = {
    "potrf": routine(
        prototypes("potrf"),
        in_lanes(_potrf, _potrf_lanes),
        helpers("cholesky", "cholesky", sized=True)
        | helpers("cholesky_lanes", "lanes", "cholesky_lanes", sized=True, letters="sd"),
        stacks=True,
    ),
    "potrf_gradient": routine(
        prototypes("gemm", "trsm", letters="sd"),
        _potrf_gradient,
        helpers("cholesky_gradient", "cholesky_gradient", letters="sd"),
    ),
    "potri": routine(prototypes("potri"), _potri, helpers("cholesky_inverse", "cholesky_inverse")),
    "getri": routine(
        prototypes("getrf", "getri"),
        in_lanes(_getri, _getri_lanes),
        helpers("inverse", "lu", "inverse", sized=True)
        | helpers("inverse_lanes", "lanes", "lu_lanes", "inverse_lanes", sized=True, letters="sd"),
        stacks=True,
    ),
    "getrf": routine(prototypes("getrf"), _lu_factor, helpers("lu_factor", "lu", "lu_factor")),
    "lu_inverse": routine(prototypes("getri"), _lu_inverse, helpers("lu_inverse", "lu_inverse")),
    "determinant": routine(
        prototypes("getrf"),
        in_lanes(_determinant, _determinant_lanes),
        helpers("determinant", "copied", "lu", "determinant", sized=True)
        | helpers("determinant_lanes", "lanes", "lu_lanes", "determinant_lanes", sized=True, letters="sd"),
        stacks=True,
    ),
    "syevd": routine(prototypes("syevd"), _syevd, _EIGH),
    "gesdd": routine(prototypes("gesdd"), _gesdd, helpers("svd", "svd")),
    "geqrf": _QR,
    "geqrf_complete": _QR,
    "geqp3": routine(prototypes(*_PIVOTED), _qr, helpers("qr_pivoted", "qr_pivoted")),
}
