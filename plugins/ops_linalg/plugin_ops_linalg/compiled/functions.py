"""Functions of matrices, matrix equations and Schur factors as C calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.ir.clike.clibrary import Call
from plugin_ops_linalg.compiled.base import flag, guarded, matrix, right_hand_side, routine, square
from plugin_ops_linalg.compiled.library import BASES, LETTERS, PARTNERS, lapack, prototypes
from plugin_ops_linalg.compiled.texts import helpers


def _expm(call: Call) -> Iterator[str]:
    (a,), (out,) = call.operands, call.outputs
    letter = LETTERS[out.dtype]
    yield from square(call, a)
    called = ", ".join(call.function(lapack(letter, name)) for name in ("gemm", "getrf", "getrs"))
    yield from guarded(call, f"core_{letter}expm({called}, {call.integer(a.shape[0])}, {out.pointer})", (out,))


def _by_schur(function: str) -> Callable[[Call], Iterator[str]]:
    """A call for a function of a matrix, in place: ``core_?function(gees, gemm, n, a)``, gemm of complex matrices."""

    def write(call: Call) -> Iterator[str]:
        (a,), (out,) = call.operands, call.outputs
        letter = LETTERS[out.dtype]
        yield from square(call, a)
        functions = f"{call.function(lapack(letter, 'gees'))}, {call.function(PARTNERS[letter] + 'gemm')}"
        yield from guarded(
            call, f"core_{letter}{function}({functions}, {call.integer(a.shape[0])}, {out.pointer})", (out,)
        )

    return write


def _sylvester(call: Call) -> Iterator[str]:
    (a, b, _), (x,) = call.operands, call.outputs
    letter = LETTERS[x.dtype]
    for one in (a, b):
        yield from square(call, one)
    yield from right_hand_side(call)
    called = ", ".join(call.function(lapack(letter, name)) for name in ("gees", "trsyl", "gemm"))
    sizes = f"{call.integer(a.shape[0])}, {call.integer(b.shape[0])}"
    text = f"core_{letter}sylvester({called}, {sizes}, {matrix(call, a)}, {matrix(call, b)}, {x.pointer})"
    yield from guarded(call, text, (x,))


def _discrete_lyapunov(call: Call) -> Iterator[str]:
    (a, _), (x,) = call.operands, call.outputs
    letter = LETTERS[x.dtype]
    yield from square(call, a)
    yield from right_hand_side(call)
    functions = f"{call.function(lapack(letter, 'gees'))}, {call.function(PARTNERS[letter] + 'gemm')}"
    given = f"{functions}, {call.integer(a.shape[0])}, {matrix(call, a)}, {x.pointer}"
    yield from guarded(call, f"core_{letter}discrete_lyapunov({given})", (x,))


def _toeplitz(call: Call) -> Iterator[str]:
    (c, r, b), (x,) = call.operands, call.outputs
    yield from right_hand_side(call)
    vectors = f"{c.pointer}, {c.strides[0]}, {r.pointer}, {r.strides[0]}"
    given = f"{c.shape[0]}, {b.shape[1]}, {vectors}, {x.pointer}, {flag(call, 'check_finite')}"
    yield from guarded(call, f"core_{LETTERS[x.dtype]}solve_toeplitz({given})", (x,))


def _riccati(call: Call) -> Iterator[str]:
    (a, _, q, r), (x,) = call.operands, call.outputs
    letter = LETTERS[x.dtype]
    for one in (a, q, r):
        yield from square(call, one)
    letters = [BASES[letter] if name == "gebal" else letter for name in _RICCATI]
    called = ", ".join(call.function(lapack(one, name)) for one, name in zip(letters, _RICCATI, strict=True))
    given = ", ".join(matrix(call, one) for one in call.operands)
    sizes = f"{call.integer(a.shape[0])}, {call.integer(r.shape[0])}"
    yield from guarded(call, f"core_{letter}riccati({called}, {sizes}, {given}, {x.pointer})", (x,))


def _chooses(call: Call, letter: str, ending: str = "") -> str:
    """The function that chooses eigenvalues, or 0."""
    sort = call.attributes.get("sort")
    return "0" if sort is None else f"(void *)core_{letter}{sort}{ending}"


def _gees(call: Call) -> Iterator[str]:
    (a,), (t, z, *count) = call.operands, call.outputs
    letter = LETTERS[t.dtype]
    yield from square(call, a)
    gees = call.function(lapack(letter, "gees"))
    start = f"{gees}, {call.integer(a.shape[0])}, {matrix(call, a)}, {t.pointer}, {z.pointer}"
    given = f"{_chooses(call, letter)}, {count[0].pointer if count else '0'}"
    yield from guarded(call, f"core_{letter}schur_factors({start}, {given})", call.outputs)


def _gges(call: Call) -> Iterator[str]:
    (a, b), outputs = call.operands, call.outputs
    letter = LETTERS[outputs[0].dtype]
    for one in (a, b):
        yield from square(call, one)
    start = f"{call.function(lapack(letter, 'gges'))}, {call.integer(a.shape[0])}, {matrix(call, a)}, {matrix(call, b)}"
    s, t, *values, q, z = (out.pointer for out in outputs)
    found = f"{s}, {t}, {q}, {z}, {_chooses(call, letter, '_of_pair')}, {', '.join(values) or '0, 0'}"
    yield from guarded(call, f"core_{letter}qz_factors({start}, {found})", outputs)


def _circulant(call: Call) -> Iterator[str]:
    (c, b), (x,) = call.operands, call.outputs
    if not call.attributes["in_place"]:
        yield f"for (int64_t i = 0; i < {b.shape[0]}; i++) {x.pointer}[i] = {b.pointer}[i * {b.strides[0]}];"
    tol = call.attributes["tol"]
    least = "-1" if tol is None else repr(max(float(tol), 0.0))
    given = f"{c.shape[0]}, {c.pointer}, {c.strides[0]}, {x.pointer}, {int(call.attributes['singular'] != 'raise')}"
    yield from guarded(call, f"core_{LETTERS[x.dtype]}solve_circulant({given}, {least})", (x,))


def _geev(call: Call) -> Iterator[str]:
    (a,), (w, *v) = call.operands, call.outputs
    letter = LETTERS[a.dtype]
    yield from square(call, a)
    start = f"{call.function(lapack(letter, 'geev'))}, {call.integer(a.shape[0])}, {matrix(call, a)}"
    yield from guarded(call, f"core_{letter}eig({start}, {w.pointer}, {v[0].pointer if v else '0'})", call.outputs)


def _turn(function: str) -> Callable[[Call], Iterator[str]]:
    """What derivatives of Schur factors take: ``core_?function(n, operands, outputs, transposed)``."""

    def write(call: Call) -> Iterator[str]:
        for one in call.operands:
            yield from square(call, one)
        given = ", ".join(matrix(call, one) for one in call.operands)
        found = ", ".join(out.pointer for out in call.outputs)
        text = f"{call.operands[0].shape[0]}, {given}, {found}, {flag(call, 'transposed')}"
        yield from guarded(call, f"core_{LETTERS[call.operands[0].dtype]}{function}({text})", call.outputs)

    return write


_RICCATI = ("gebal", "geqrf", "ormqr", "gges", "getrf", "getrs", "gecon", "gemm")
_SCHUR = ("complex", "schur", "schur_complex")
_BY_SCHUR = prototypes("gees", "gemm")

ROUTINES = {
    "expm": routine(prototypes("gemm", "getrf", "getrs"), _expm, helpers("expm", "expm")),
    "logm": routine(_BY_SCHUR, _by_schur("logm"), helpers("logm", *_SCHUR, "roots", "logm")),
    "sqrtm": routine(_BY_SCHUR, _by_schur("sqrtm"), helpers("sqrtm", *_SCHUR, "roots", "sqrtm")),
    "sylvester": routine(prototypes("gees", "trsyl", "gemm"), _sylvester, helpers("sylvester", "schur", "sylvester")),
    "discrete_lyapunov": routine(
        _BY_SCHUR, _discrete_lyapunov, helpers("discrete_lyapunov", *_SCHUR, "discrete_lyapunov")
    ),
    "riccati": routine(prototypes(*_RICCATI), _riccati, helpers("riccati", "chosen", "qz", "riccati")),
    "geev": routine(prototypes("geev"), _geev, helpers("eig", "complex", "eig")),
    "schur_turn": routine({}, _turn("schur_turn"), helpers("schur_turn", "schur_turn")),
    "qz_turn": routine({}, _turn("qz_turn"), helpers("qz_turn", "qz_turn")),
    "gees": routine(prototypes("gees"), _gees, helpers("schur_factors", "chosen", "schur", "schur_factors")),
    "gges": routine(prototypes("gges"), _gges, helpers("qz_factors", "chosen", "qz", "qz_factors")),
    "circulant": routine({}, _circulant, helpers("solve_circulant", "fourier", "circulant")),
    "toeplitz": routine({}, _toeplitz, helpers("solve_toeplitz", "toeplitz")),
}
