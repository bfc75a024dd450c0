"""``debugprint``: a graph as a tree of text, one line per variable.  Nothing recurses, so any depth prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from string import ascii_uppercase
from typing import IO, Any

from core.compile.function import Function
from core.errors import ArgumentError
from core.graph import Apply, FunctionGraph, Variable
from core.inner import InnerGraph, inner_ops

_WIDEST = 60  # levels drawn in full; deeper ones are told by their number


def debugprint(
    what: Any,
    *,
    depth: int | None = None,
    print_type: bool = False,
    print_source: bool = False,
    ids: bool = True,
    stop_on_name: bool = False,
    file: IO[str] | str | None = None,
) -> str | None:
    """Print ``what``: a variable, a node, a FunctionGraph, a compiled function, or a list of these.

    Each line shows an op or a leaf and, as ``[id A]``, which one it is; what was printed before is not opened again.
    Graphs inside of ops follow, each once, below the name of its op.

    depth         how many levels to print; None for all
    print_type    with the type of each variable
    print_source  with the user's line that made it
    ids           without them, lines of equal graphs are equal
    stop_on_name  do not open variables that have a name
    file          where to: None is standard output; "str" returns the text instead
    Errors        ArgumentError for what is no part of a graph
    """
    if isinstance(file, str) and file != "str":
        raise ArgumentError(f"debugprint needs an open file, None or 'str' as file, got {file!r}")
    tree = _Tree(depth, print_type, print_source, ids, stop_on_name)
    for label, variable in _roots(what):
        tree.add(label, variable)
    tree.add_inner_graphs()
    text = "\n".join(tree.lines)
    if file == "str":
        return text
    print(text, file=sys.stdout if isinstance(file, str | None) else file)
    return None


def _roots(what: Any) -> list[tuple[str, Variable]]:
    """The variables to print, each with what stands before it."""
    if isinstance(what, Variable):
        return [("", what)]
    if isinstance(what, Apply):
        return [("", out) for out in what.outputs]
    if isinstance(what, (FunctionGraph, InnerGraph)):
        return [("", out) for out in what.outputs]
    if isinstance(what, Function):
        count = len(what.graph.outputs) - len(what.updated)
        labels = [""] * count + [f"new {variable}: " for variable in what.updated]
        return list(zip(labels, what.graph.outputs, strict=True))
    if isinstance(what, (list, tuple)):
        return [root for item in what for root in _roots(item)]
    raise ArgumentError(
        "debugprint needs a variable, node, FunctionGraph or compiled function, "
        f"got {what!r} of type {type(what).__name__}"
    )


class _Tree:
    """The lines of a tree, and which nodes they have shown."""

    def __init__(self, depth: int | None, types: bool, sources: bool, ids: bool, stop_on_name: bool):
        self.lines: list[str] = []
        self.depth, self.types, self.sources, self.ids, self.stop_on_name = depth, types, sources, ids, stop_on_name
        self.names: dict[Any, str] = {}
        self.opened: dict[Apply, None] = {}

    def add_inner_graphs(self) -> None:
        """The graphs inside of ops that were opened, and those inside of these, each once."""
        pending, shown = inner_ops(list(self.opened)), set[InnerGraph]()
        while True:
            before = len(self.opened)
            for node, op in pending:
                for name, graph in op.inner_graphs().items():
                    if graph in shown:
                        continue
                    shown.add(graph)
                    whose = f"{op} [id {self.id_of(node)}]" if self.ids else f"{op}"
                    given = ", ".join(map(self.line, graph.inputs)) or "nothing"
                    self.lines += ["", f"{name} of {whose}, from {given}:"]
                    for out in graph.outputs:
                        self.add("  ", out, "  ")
            pending = inner_ops(list(self.opened)[before:])
            if len(self.opened) == before:
                return

    def add(self, label: str, root: Variable, indent: str = "") -> None:
        stack: list[tuple[Variable, str, str, int]] = [(root, label, indent, 0)]
        while stack:
            variable, before, indent, level = stack.pop()
            inputs: Sequence[Variable] = variable.owner.inputs if variable.owner is not None else ()
            closed = self.depth is not None and level + 1 >= self.depth
            if inputs and (variable.owner in self.opened or closed or (self.stop_on_name and variable.name)):
                self.lines.append(f"{before}{self.line(variable)} ···")
                continue
            self.lines.append(f"{before}{self.line(variable)}")
            if variable.owner is not None:
                self.opened[variable.owner] = None
            for position in reversed(range(len(inputs))):
                last = position == len(inputs) - 1
                branch, below = (" └─ ", "    ") if last else (" ├─ ", " │  ")
                stack.append((inputs[position], _shortened(indent, level) + branch, indent + below, level + 1))
                if level >= _WIDEST:
                    stack[-1] = (*stack[-1][:2], indent, level + 1)

    def line(self, variable: Variable) -> str:
        node = variable.owner
        text = str(variable) if node is None else f"{node.op}"
        if node is not None and len(node.outputs) > 1:
            text += f".{variable.index}"
        if self.ids:
            text += f" [id {self.id_of(variable if node is None else node)}]"
        if self.types:
            text += f" <{variable.type}>"
        if node is not None and variable.name is not None:
            text += f" {variable.name!r}"
        if self.sources and variable.source is not None:
            text += f"  # {variable.source}"
        return text

    def id_of(self, thing: Any) -> str:
        if thing not in self.names:
            self.names[thing] = letters(len(self.names))
        return self.names[thing]


def _shortened(indent: str, level: int) -> str:
    return indent if level < _WIDEST else f"{indent[:-4]} (level {level})"


def letters(number: int) -> str:
    """A, B, ..., Z, AA, AB, ... for 0, 1, ..."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = ascii_uppercase[digit] + text
    return text
