"""Systems as C calls them: general, symmetric, triangular, banded, and from factors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.ir.clike.clibrary import Call, Routine
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
from plugin_ops_linalg.failures import BAND

_TRIANGULAR = ("trsm", "trsv")
_OF_TRIANGULAR = ("lower", "transposed", "unit_diagonal", "check_finite")


def _system(
    function: str, libraries: tuple[str, ...], *flags: str, sized: bool = False
) -> Callable[[Call], Iterator[str]]:
    """A call that solves for x, which holds b: ``core_?function(libraries, n, k, a, x, flags)``."""

    def write(call: Call) -> Iterator[str]:
        (a, b), (x,) = call.operands, call.outputs
        letter = LETTERS[x.dtype]
        yield from square(call, a)
        yield from right_hand_side(call)
        called = ", ".join(call.function(lapack(letter, name)) for name in libraries)
        sizes = f"{call.integer(a.shape[0])}, {call.integer(b.shape[1])}"
        given = "".join(f", {flag(call, name)}" for name in flags)
        name = f"core_{letter}{function}"
        name = of_size(name, a.shape[0]) if sized else name
        yield from guarded(call, f"{name}({called}, {sizes}, {matrix(call, a)}, {x.pointer}{given})", (x,))

    return write


def _system_lanes(function: str, *flags: str) -> Callable[[Call], str]:
    """As ``_system``: ``core_?function_lanes(n, k, a, b, x, flags)``."""

    def condition(call: Call) -> str:
        (a, b), (x,) = call.operands, call.outputs
        name = of_size(f"core_{LETTERS[x.dtype]}{function}_lanes", a.shape[0])
        given = "".join(f", {int(bool(call.attributes[one]))}" for one in flags)
        sizes = f"{a.shape[0]}, {b.shape[1]}"
        return f"{name}({sizes}, {lane_matrix(a)}, {lane_matrix(b)}, {x.pointer}, {x.next}{given})"

    return condition


def _gbsv(call: Call) -> Iterator[str]:
    (ab, b), (x,) = call.operands, call.outputs
    letter = LETTERS[x.dtype]
    yield from right_hand_side(call)
    below, above = (str(call.attributes[name]) for name in ("below", "above"))
    yield call.check(f"({ab.shape[0]}) != {below} + {above} + 1 ? {BAND} : 0")
    called = ", ".join(call.function(lapack(letter, name)) for name in ("gbsv", "gtsv"))
    sizes = f"{call.integer(ab.shape[1])}, {call.integer(b.shape[1])}"
    given = f"{called}, {sizes}, {matrix(call, ab)}, {x.pointer}, {below}, {above}, {flag(call, 'check_finite')}"
    yield from guarded(call, f"core_{letter}solve_banded({given})", (x,))


def _lu_solve(call: Call) -> Iterator[str]:
    (f, pivots, b), (x,) = call.operands, call.outputs
    letter = LETTERS[x.dtype]
    yield from square(call, f)
    yield from right_hand_side(call)
    called = ", ".join(call.function(lapack(letter, name)) for name in _TRIANGULAR)
    sizes = f"{call.integer(f.shape[0])}, {call.integer(b.shape[1])}"
    given = f"{called}, {sizes}, {matrix(call, f)}, {pivots.pointer}, {pivots.strides[0]}, {x.pointer}"
    flags = f"{flag(call, 'transposed')}, {flag(call, 'check_finite')}"
    yield from guarded(call, f"core_{letter}lu_solve({given}, {flags})", (x,))


def _symmetric(name: str, hermitian: bool) -> Routine:
    """One of two functions that differ where numbers are complex."""

    def write(call: Call) -> Iterator[str]:
        (a, b), (x,) = call.operands, call.outputs
        letter = LETTERS[x.dtype]
        own = name if letter in "cz" else "sysv"
        yield from square(call, a)
        yield from right_hand_side(call)
        called = f"(core_{letter}sysv){call.address(f'{letter}{own}')}"
        sizes = f"{call.integer(a.shape[0])}, {call.integer(b.shape[1])}"
        flags = f"{flag(call, 'lower')}, {int(hermitian)}, {flag(call, 'check_finite')}"
        given = f"{called}, {sizes}, {matrix(call, a)}, {x.pointer}, {flags}"
        yield from guarded(call, f"core_{letter}solve_symmetric({given})", (x,))

    functions = prototypes("sysv") | (prototypes("hesv", letters="cz") if hermitian else {})
    return routine(functions, write, helpers("solve_symmetric", "copied", "solve_symmetric"))


ROUTINES = {
    "trtrs": routine(
        prototypes(*_TRIANGULAR),
        in_lanes(
            _system("solve_triangular", _TRIANGULAR, *_OF_TRIANGULAR, sized=True),
            _system_lanes("solve_triangular", *_OF_TRIANGULAR),
        ),
        helpers("solve_triangular", "triangular", "solve_triangular", sized=True)
        | helpers(
            "solve_triangular_lanes", "lanes", "triangular_lanes", "solve_triangular_lanes", sized=True, letters="sd"
        ),
        stacks=True,
    ),
    "potrs": routine(
        prototypes(*_TRIANGULAR),
        in_lanes(
            _system("solve_factored", _TRIANGULAR, "lower", "check_finite", sized=True),
            _system_lanes("solve_factored", "lower", "check_finite"),
        ),
        helpers("solve_factored", "triangular", "solve_factored", sized=True)
        | helpers(
            "solve_factored_lanes", "lanes", "triangular_lanes", "solve_factored_lanes", sized=True, letters="sd"
        ),
        stacks=True,
    ),
    "gesv": routine(
        prototypes("getrf", "getrs"),
        in_lanes(
            _system("solve", ("getrf", "getrs"), "check_finite", sized=True), _system_lanes("solve", "check_finite")
        ),
        helpers("solve", "copied", "lu", "solve", sized=True)
        | helpers("solve_lanes", "lanes", "lu_lanes", "solve_lanes", sized=True, letters="sd"),
        stacks=True,
    ),
    "sysv": _symmetric("sysv", hermitian=False),
    "hesv": _symmetric("hesv", hermitian=True),
    "gtsv": routine(
        prototypes("gtsv"),
        _system("solve_tridiagonal", ("gtsv",), "check_finite"),
        helpers("solve_tridiagonal", "tridiagonal", "solve_tridiagonal"),
    ),
    "gbsv": routine(prototypes("gbsv", "gtsv"), _gbsv, helpers("solve_banded", "tridiagonal", "solve_banded")),
    "getrs": routine(prototypes(*_TRIANGULAR), _lu_solve, helpers("lu_solve", "lu", "triangular", "lu_solve")),
}
