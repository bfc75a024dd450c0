"""Fourier transforms in generated C: how a call tells the .h files what lies where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.ir.clike.routine import Routine

if TYPE_CHECKING:  # who runs what is kept writes no calls
    from core.ir.clike.clibrary import Call, Failure

LETTERS = {"float32": "s", "float64": "d", "complex64": "s", "complex128": "d"}
_WORDS = {"s": {"ELEMENT": "float", "SIGNED": "int32_t"}, "d": {"ELEMENT": "double", "SIGNED": "int64_t"}}
_FILES = ("vectors", "passes", "plan", "lines", "making", "halves", "axis")  # what the three share
NO_MEMORY = 3


def _helpers(name: str) -> dict[str, str]:
    here, made = Path(__file__).parent, {}
    for letter, words in _WORDS.items():
        text = "\n".join((here / f"{file}.h").read_text() for file in (*_FILES, name))
        text = text.replace("LETTER", letter)
        for word, spelling in words.items():
            text = text.replace(word, spelling)
        made[f"core_{letter}{name}"] = text
    return made


def _array(kind: str, name: str, values: Sequence[Any]) -> str:
    return f"const {kind} {name}[] = {{{', '.join(map(str, values))}}};"


def _fourier(call: Call) -> Iterator[str]:
    (x,), axes = call.operands, call.attributes["axes"]
    yield _array("int", "core_axes", axes)
    options = f"{len(axes)}, core_axes, {int(call.attributes['inverse'])}, {float(call.attributes['power'])}"
    yield from _called("fourier", f"{len(x.shape)}, {options}", call, "")


def _of_real(call: Call) -> Iterator[str]:
    yield from _real("fourier_of_real", call)


def _to_real(call: Call) -> Iterator[str]:
    yield from _real("fourier_to_real", call)


def _real(name: str, call: Call) -> Iterator[str]:
    y = call.outputs[0]
    yield _array("int64_t", "core_made", y.shape)
    power, transposed = float(call.attributes["power"]), int(call.attributes["transposed"])
    options = f"{len(y.shape)}, {call.attributes['axis']}, {transposed}, {power}"
    yield from _called(name, options, call, ", core_made")


def _called(name: str, options: str, call: Call, behind: str) -> Iterator[str]:
    x, y = call.operands[0], call.outputs[0]
    failed = call.variable("int64_t")
    yield _array("int64_t", "core_given", x.shape)
    yield _array("int64_t", "core_by", x.strides)
    places = f"(void *){x.pointer}, core_given, core_by, (void *){y.pointer}{behind}"
    yield f"{failed} = core_{LETTERS[y.dtype]}{name}(call, {options}, {places});"
    yield call.check(failed)


def _failed(node: Any, failure: Failure) -> Exception:
    if failure.number == NO_MEMORY:
        return MemoryError(f"{node.op} cannot have the memory it needs for shapes {failure.shapes}")
    return node.op.library_error(node, failure)


def _address(function: str) -> int:
    raise KeyError(function)  # they call nothing


ROUTINES = {
    name: Routine({}, _address, write, _failed, _helpers(name))
    for name, write in (("fourier", _fourier), ("fourier_of_real", _of_real), ("fourier_to_real", _to_real))
}
