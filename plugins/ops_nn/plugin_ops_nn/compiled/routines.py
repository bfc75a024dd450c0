"""Convolution and the gradient of pooling in generated C: how a call fills the struct that the .h files read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.dataclass import replace
from core.ir.clike.routine import Routine
from plugin_ops_nn.geometry import SAME, Geometry

if TYPE_CHECKING:  # who runs what is kept writes no calls
    from core.ir.clike.clibrary import Array, Call, Failure

LETTERS = {"float32": "s", "float64": "d"}
_WORDS = {
    "s": {"ELEMENT": "float", "UINT": "uint32_t", "EXPONENT": "0x7f800000u"},
    "d": {"ELEMENT": "double", "UINT": "uint64_t", "EXPONENT": "0x7ff0000000000000u"},
}
_FILES = {  # the text of each routine: what it shares with others, and its own
    "convolution": ("shared", "correlate", "convolution"),
    "convolution_transposed": ("shared", "correlate", "convolution_transposed"),
    "convolution_filters": ("shared", "convolution_filters"),
    "placed_in_window": ("placed_in_window",),
}
_AXES = {1: (2,), 2: (0, 2), 3: (0, 1, 2)}  # which of three axes in C are those of a tensor


def _helpers(name: str) -> dict[str, str]:
    here, made = Path(__file__).parent, {}
    for letter, words in _WORDS.items():
        text = "\n".join((here / f"{file}.h").read_text() for file in _FILES[name])
        text = text.replace("LETTER", letter)
        for word, spelling in words.items():
            text = text.replace(word, spelling)
        made[f"core_{letter}{name}"] = text
    return made


def _lines(name: str, x: Array, w: Array, y: Array, call: Call) -> Iterator[str]:
    geometry, groups = call.attributes["geometry"], call.attributes["groups"]
    letter = LETTERS[y.dtype]
    filters = f"({w.shape[0]}) / {groups}"
    sizes = [x.shape[0], str(groups), w.shape[1], filters]
    fields = [
        *(f"(void *){each.pointer}" for each in (x, w, y)),
        *sizes,
        *(_three(each.shape[2:], "1") for each in (x, w, y)),
        *(_three(map(str, each), "1") for each in (geometry.stride, geometry.dilation)),
        _three(_befores(geometry, x.shape[2:], w.shape[2:], y.shape[2:]), "0"),
        *(_five(each.strides) for each in (x, w, y)),
    ]
    failed = call.variable("int64_t")
    yield f"const core_convolution core_given = {{{', '.join(fields)}}};"
    yield f"{failed} = core_{letter}{name}(call, &core_given);"
    yield call.check(failed)


def _three(given: Any, other: str) -> str:
    values = list(given)
    places = dict(zip(_AXES[len(values)], values, strict=True))
    return f"{{{', '.join(places.get(axis, other) for axis in range(3))}}}"


def _five(strides: Sequence[str]) -> str:
    return f"{{{strides[0]}, {strides[1]}, {_three(strides[2:], '0')[1:]}"


def _befores(geometry: Geometry, x: Sequence[str], w: Sequence[str], y: Sequence[str]) -> Iterator[str]:
    """What is padded in front of each axis, of so many elements, taps and windows: see Geometry.before."""
    for axis in range(geometry.ndim):
        if geometry.padding != SAME:
            yield str(geometry.padding[axis][0])
            continue
        n, k, o = x[axis], w[axis], y[axis]
        s, d = geometry.stride[axis], geometry.dilation[axis]
        total = f"(({o}) - 1) * {s} + (({k}) - 1) * {d} + 1 - ({n})"
        yield f"({total} > 0 ? ({total}) / 2 : 0)"


def _convolution(call: Call) -> Iterator[str]:
    x, w = call.operands
    return _lines("convolution", x, w, call.outputs[0], call)


def _transposed(call: Call) -> Iterator[str]:
    y, w = call.operands[:2]
    return _lines("convolution_transposed", call.outputs[0], w, y, call)


def _filters(call: Call) -> Iterator[str]:
    x, y = call.operands[:2]
    return _lines("convolution_filters", x, call.outputs[0], y, call)


def _placed(call: Call) -> Iterator[str]:
    """Planes of a stack."""
    (y, place, *_), (x,) = call.operands, call.outputs
    geometry, window = call.attributes["geometry"], call.attributes["window"]
    taps = replace(y, shape=tuple(map(str, window)))
    planes = [call.stack or "1", *((each.next if call.stack else "0") for each in (x, y, place))]
    fields = [
        *(f"(void *){each.pointer}" for each in (x, y, place)),
        *planes,
        str(int(any(map(geometry.is_padded, range(geometry.ndim))))),
        *(_three(each.shape, "1") for each in (x, taps, y)),
        *(_three(map(str, each), "1") for each in (geometry.stride, geometry.dilation)),
        _three(_befores(geometry, x.shape, taps.shape, y.shape), "0"),
        *(_three(each.strides, "0") for each in (y, place)),
    ]
    yield f"core_placed core_given = {{{', '.join(fields)}}};"
    yield f"core_{LETTERS[x.dtype]}placed_in_window(call, &core_given);"


def _failed(node: Any, failure: Failure) -> Exception:
    return MemoryError(f"{node.op} cannot have the memory it needs for shapes {failure.shapes}")


def _address(function: str) -> int:
    raise KeyError(function)  # they call nothing


ROUTINES = {
    name: Routine({}, _address, write, _failed, _helpers(name))
    for name, write in (
        ("convolution", _convolution),
        ("convolution_transposed", _transposed),
        ("convolution_filters", _filters),
    )
}
ROUTINES["placed_in_window"] = Routine({}, _address, _placed, helpers=_helpers("placed_in_window"), stacks=True)
