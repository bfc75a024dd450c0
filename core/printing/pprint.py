"""``pprint``: a graph as one line of NumPy-like text, such as ``log(1 + x) @ w``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from core.errors import ArgumentError
from core.graph import Apply, Variable, toposort
from core.inner import InnerGraph, InnerOp, inner_ops

_ATOM, _POWER, _MINUS = 20, 12, 11
_INFIX = {
    "power": ("**", _POWER),
    "multiply": ("*", 10),
    "true_divide": ("/", 10),
    "floor_divide": ("//", 10),
    "mod": ("%", 10),
    "Dot": ("@", 10),
    "MatMul": ("@", 10),
    "add": ("+", 9),
    "subtract": ("-", 9),
    "left_shift": ("<<", 8),
    "right_shift": (">>", 8),
    "bitwise_and": ("&", 7),
    "bitwise_xor": ("^", 6),
    "bitwise_or": ("|", 5),
    "less": ("<", 4),
    "less_equal": ("<=", 4),
    "greater": (">", 4),
    "greater_equal": (">=", 4),
    "equal": ("==", 4),
    "not_equal": ("!=", 4),
}
_PREFIX = {"negative": "-", "positive": "+", "invert": "~"}


class Text(NamedTuple):
    """An expression, and how tightly its outermost operator binds."""

    text: str
    level: int = _ATOM

    def inside(self, level: int) -> str:
        """The text, in parentheses where something binds tighter than it does."""
        return self.text if self.level >= level else f"({self.text})"


Writer = Callable[[Apply, Sequence[Text]], Text]
_writers: dict[str, Writer] = {}


def writes(*names: str) -> Callable[[Writer], Writer]:
    """Decorator: how ops are written whose class, or whose name, is among ``names``."""

    def wrap(writer: Writer) -> Writer:
        for name in names:
            _writers[name] = writer
        return writer

    return wrap


def pprint(what: Any, *, width: int = 400) -> str:
    """``what``, a variable or a list of them, as NumPy-like text, one line each.

    A part that is longer than ``width``, or longer than a quarter of that and read more than once, gets a line of its
    own before: ``t1 = ...``; so does each graph inside of an op.  Errors: ArgumentError for what is no variable.
    """
    outputs = list(what) if isinstance(what, (list, tuple)) else [what]
    for variable in outputs:
        if not isinstance(variable, Variable):
            raise ArgumentError(f"pprint needs variables, got {variable!r} of type {type(variable).__name__}")
    nodes = toposort(outputs)
    readers = Counter(x for node in nodes for x in node.inputs)
    texts: dict[Variable, Text] = {}
    lines: list[str] = []
    final = set(outputs)
    for op in dict.fromkeys(op for _, op in inner_ops(nodes)):
        lines += _inner_graphs(op, width)
    named = len(lines)
    for node in nodes:
        found = _written(node, [texts.get(x) or Text(_leaf(x)) for x in node.inputs])
        for index, out in enumerate(node.outputs):
            text = found if len(node.outputs) == 1 else Text(f"{found.inside(_ATOM)}[{index}]")
            long = len(text.text) > width or (readers[out] > 1 and len(text.text) > width // 4)
            if long and out not in final:
                name = f"t{len(lines) - named + 1}"
                lines.append(f"{name} = {text.text}")
                text = Text(name)
            texts[out] = text
    return "\n".join([*lines, *((texts.get(out) or Text(_leaf(out))).text for out in outputs)])


def _inner_graphs(op: InnerOp, width: int) -> list[str]:
    """What an op computes inside: ``name(x, y) = x + y``, or several lines, indented."""
    lines = []
    for name, graph in op.inner_graphs().items():
        text = pprint(list(graph.outputs), width=width).splitlines()
        head = f"{name} of {op}({', '.join(map(str, graph.inputs))}) ="
        lines += [f"{head} {text[0]}"] if len(text) == 1 else [head, *(f"    {line}" for line in text)]
    return lines


def _leaf(variable: Variable) -> str:
    return str(variable)


def _written(node: Apply, inputs: Sequence[Text]) -> Text:
    name = getattr(node.op, "name", None) or type(node.op).__name__
    writer = _writers.get(type(node.op).__name__) or _writers.get(name)
    if writer is not None:
        return writer(node, inputs)
    if name in _INFIX and len(inputs) == 2:
        return _infix(*_INFIX[name], *inputs)
    if name in _PREFIX and len(inputs) == 1:
        return Text(_PREFIX[name] + inputs[0].inside(_MINUS), _MINUS)
    return call(str(node.op) if hasattr(node.op, "name") else name, inputs, _props(node.op))


def _infix(sign: str, level: int, left: Text, right: Text) -> Text:
    if level == _POWER:  # binds to the right
        return Text(f"{left.inside(level + 1)} {sign} {right.inside(_MINUS)}", level)
    return Text(f"{left.inside(level)} {sign} {right.inside(level + 1)}", level)


def _props(op: Any) -> dict[str, Any]:
    if hasattr(op, "name"):
        return {}
    props = {prop: getattr(op, prop) for prop in getattr(op, "__props__", ())}
    return {prop: value for prop, value in props.items() if not isinstance(value, InnerGraph)}


def call(name: str, inputs: Sequence[Text], props: dict[str, Any] | None = None) -> Text:
    """``name(x, y, axis=0)``."""
    arguments = [x.text for x in inputs] + [f"{prop}={value!r}" for prop, value in (props or {}).items()]
    return Text(f"{name}({', '.join(arguments)})")


# --- ops that are not written as calls -------------------------------------------------------------------------------


@writes("DimShuffle")
def _dimshuffle(node: Apply, inputs: Sequence[Text]) -> Text:
    """Axes that broadcasting adds in front are not written; a transposition is ``x.T``; new axes are an index."""
    pattern, n = list(node.op.pattern), node.op.input_ndim
    while pattern and pattern[0] == "x" and len(pattern) > n:
        pattern.pop(0)
    x = inputs[0].inside(_ATOM)
    if pattern == list(range(n)):
        return inputs[0]
    if n > 1 and pattern == list(reversed(range(n))):
        return Text(f"{x}.T")
    if [p for p in pattern if p != "x"] == list(range(n)):
        return Text(f"{x}[{', '.join('None' if p == 'x' else ':' for p in pattern)}]")
    return Text(f"{x}.dimshuffle({', '.join(map(repr, node.op.pattern))})")


@writes("ShapeI")
def _shape_of(node: Apply, inputs: Sequence[Text]) -> Text:
    return Text(f"{inputs[0].inside(_ATOM)}.shape[{node.op.axis}]")


@writes("Cast")
def _cast(node: Apply, inputs: Sequence[Text]) -> Text:
    return Text(f"{inputs[0].inside(_ATOM)}.astype({node.out.type.dtype})")


@writes("Reduce")
def _reduce(node: Apply, inputs: Sequence[Text]) -> Text:
    names = {"add": "sum", "mul": "prod", "or": "any", "and": "all"}
    combine = node.op.combine.name.lower()
    axes = node.op.axes
    all_of_them = axes is None or (isinstance(axes, tuple) and len(axes) == node.inputs[0].type.ndim)
    shown = {} if all_of_them else {"axis": axes[0] if isinstance(axes, tuple) and len(axes) == 1 else axes}
    return call(names.get(combine, combine), inputs, shown)


@writes("Subtensor", "AdvancedSubtensor")
def _read(node: Apply, inputs: Sequence[Text]) -> Text:
    return Text(f"{inputs[0].inside(_ATOM)}[{', '.join(map(_entry, node.op.key.filled(inputs[1:])))}]")


def _entry(entry: Any) -> str:
    """One entry of a key: an int, a text, a slice of these, or a new axis."""
    if isinstance(entry, Text):
        return entry.text
    if isinstance(entry, tuple):
        start, stop, step = ("" if part is None else _entry(part) for part in entry)
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return str(entry) if isinstance(entry, int) else "None"


@writes("second")
def _second(node: Apply, inputs: Sequence[Text]) -> Text:
    return Text(f"fill({inputs[0].text}, {inputs[1].text})")
