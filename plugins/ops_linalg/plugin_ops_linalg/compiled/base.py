"""Lines around the calls of routines: what becomes of a number that says what is wrong, stacks, matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from core import dtypes
from core.dataclass import replace
from core.ir.clike.clibrary import Array, Call, Failure, Routine
from core.ir.program import LibraryStep
from plugin_ops_linalg.compiled.library import BASES, LETTERS, PARTNERS, address
from plugin_ops_linalg.compiled.texts import NAN
from plugin_ops_linalg.failures import NOT_FINITE, NOT_SQUARE


def _failed(node: Any, failure: Failure) -> Exception:
    """The exception for a call that failed."""
    return node.op.library_error(node, failure)


def routine(
    functions: dict[str, str], write: Callable[[Call], Iterator[str]], texts: dict[str, str], stacks: bool = False
) -> Routine:
    """A routine that calls ``functions``, see ``prototypes``, by way of ``texts``, see ``helpers``."""

    def asked(step: LibraryStep) -> list[str]:
        letter = LETTERS[step.operands[0].value.dtype]
        return [name for name in functions if name[0] in (letter, PARTNERS[letter], BASES[letter])]

    return Routine(functions, address, write, _failed, {**NAN, **texts}, asked, stacks)


# --- lines -----------------------------------------------------------------------------------------------------------


def guarded(call: Call, call_text: str, outputs: tuple[Array, ...]) -> Iterator[str]:
    """The line that calls, and what becomes of the number that it returns."""
    number = call.variable("int64_t")
    yield f"{number} = {call_text};"
    if call.attributes.get("on_error", "raise") == "raise":
        yield call.check(number)
        return
    yield call.check(f"{number} <= {NOT_SQUARE} && {number} > {NOT_FINITE} ? {number} : 0")
    for out in outputs:
        size = " * ".join(f"({n})" for n in out.shape) or "1"
        if out.dtype in dtypes.COMPLEXES:
            yield f"if ({number}) core_{BASES[LETTERS[out.dtype]]}nan(2 * {size}, (void *){out.pointer});"
        elif out.dtype not in LETTERS:  # exchanges of rows, numbers of eigenvalues
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
        condition = lanes(call) if a.dtype not in dtypes.COMPLEXES else ""
        square = [f"({a.shape[0]}) == ({a.shape[1]})"] if a.shape[0] != a.shape[1] else []
        condition = " && ".join([f"{at} + {count} <= {stack}", *square, condition]) if condition else "0"
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
    return array if array.next == "0" else replace(array, pointer=f"({array.pointer} + {index} * {array.next})")


def lane_matrix(array: Array) -> str:
    """Pointer, strides, and the distance to the next matrix."""
    return f"{array.pointer}, {', '.join(array.strides)}, {array.next}"


def square(call: Call, a: Array) -> Iterator[str]:
    """A line that stops unless a matrix is square."""
    m, n = a.shape
    if m != n:
        yield call.check(f"({m}) != ({n}) ? {NOT_SQUARE} : 0")


def flag(call: Call, name: str) -> str:
    return str(int(call.attributes[name]))


def matrix(call: Call, a: Array) -> str:
    """Pointer and strides, each short enough for the library."""
    return f"{a.pointer}, {call.integer(a.strides[0])}, {call.integer(a.strides[1])}"


def right_hand_side(call: Call) -> Iterator[str]:
    """Put b where x is to be, unless it is there already."""
    b, x = call.operands[-1], call.outputs[0]
    if not call.attributes["in_place"]:
        yield f"core_{LETTERS[x.dtype]}copy({', '.join(b.shape)}, {b.pointer}, {', '.join(b.strides)}, {x.pointer});"
