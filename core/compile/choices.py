"""From a Branch to a choice: each side is lowered by itself, and told where its arrays lie around it.

What has no code on one side is no step: each side is then a program of its own, and Python chooses (see sides.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.compile.branches import Branch, Undefined
from core.compile.lazy import opened
from core.compile.loops import fresh_axes, lengths_outside, with_own_outputs
from core.dataclass import replace
from core.graph import Apply, FunctionGraph, Variable, graph_inputs
from core.inner import InnerGraph
from core.ir.choice import Choice, Side
from core.ir.clike.cfamily import Dialect
from core.ir.codes import Code
from core.ir.definitions import Definition, FromChoice, Given, Lowered, Pointwise, Value
from core.ir.expr import Expr, load, select
from core.ir.rebuild import loads_in, rebuild


class Choosing:
    """One Branch on its way.

    values, definitions, constants  what the graph around became so far; the latter two grow
    element    what an input that is a scalar is, as an expression
    arguments  values of the program around that are there when it begins
    new        a new value, of a name like the one that is given and a dtype
    """

    def __init__(
        self,
        node: Apply,
        values: Mapping[Variable, Value],
        definitions: dict[Value, Definition],
        constants: dict[Value, Any],
        element: Callable[[Variable], Expr],
        arguments: Sequence[Value],
        new: Callable[[str, str], Value],
    ):
        self.node, self.op = node, node.op
        assert isinstance(self.op, Branch)
        self.values, self.definitions, self.constants = values, definitions, constants
        self.element, self.arguments, self.new = element, set(arguments), new
        self.condition = values[node.inputs[0]]

    # --- without steps of its own ------------------------------------------------------------------------------------

    def picked(self) -> dict[Variable, Value] | None:
        """The outputs where both sides are there already, element by element; None where that is not so.

        Whoever reads them reads an element of the one that is taken.
        """
        pairs = []
        for a, b in zip(self.op.then.outputs, self.op.otherwise.outputs, strict=True):
            if a.owner is not None or b.owner is not None:
                return None
            pairs.append((self._around(self.op.then, a), self._around(self.op.otherwise, b)))
        if any(x is None for pair in pairs for x in pair):
            return None
        shapes = [[self.definitions[x].shape for x in pair] for pair in pairs]  # type: ignore[index]
        if any(n is not m for a, b in shapes for n, m in zip(a, b, strict=True)):
            return None
        made = {}
        for out, (a, b), (shape, _) in zip(self.node.outputs, pairs, shapes, strict=True):
            axes, dtype = fresh_axes(shape), out.type.dtype  # type: ignore[attr-defined]
            either = select(load(self.condition, (), "bool"), load(a, axes, dtype), load(b, axes, dtype))
            value = self.new(out.name or "ifelse", dtype)
            self.definitions[value] = Pointwise(tuple(shape), axes, either)
            made[out] = value
        return made

    def _around(self, graph: InnerGraph, out: Variable) -> Value | None:
        """The value that an output of a graph without nodes is; None for a constant."""
        return self.values[self.node.inputs[1 + graph.inputs.index(out)]] if out in graph.inputs else None

    # --- with ---------------------------------------------------------------------------------------------------------

    def defined(self, dialect: Dialect, lower: Callable[..., Lowered]) -> dict[Variable, Value] | None:
        """The values of the node's outputs, once all that makes them is among ``definitions``.

        None where Python computes something inside, or a shape depends on what is computed.
        """
        graphs = (self.op.then, self.op.otherwise)
        bodies = [self._lowered(graph, dialect, lower) for graph in graphs]
        if any(body.host_nodes for body, _, _ in bodies):
            return None
        wheres = [self._lengths(body, inputs) for body, inputs, _ in bodies]
        shapes: dict[int, list[tuple[Expr, ...]]] = {}
        for (body, _, kept), where in zip(bodies, wheres, strict=True):
            for k, value in zip(kept, body.outputs, strict=True):
                shape = self._outside(body.definitions[value].shape, where)
                if shape is None:
                    return None
                shapes.setdefault(k, []).append(shape)
        outputs = [self.new(out.name or "ifelse", out.type.dtype) for out in self.node.outputs]  # type: ignore[attr-defined]
        lengths_of_both = [pair for a, *other in shapes.values() for b in other for pair in zip(a, b, strict=True)]
        alike = dict.fromkeys((n, m) for n, m in lengths_of_both if n is not m)
        sides = []
        for (body, inputs, kept), (lengths, _) in zip(bodies, wheres, strict=True):
            given = (*(self.values[x] for x in inputs), *self._constants(body))
            inside = replace(body, inputs=[*body.inputs, *body.constants], constants={})
            sides.append(Side(inside, given, tuple(outputs[k] for k in kept), lengths))
        choice = Choice(self.condition, (sides[0], sides[1]), tuple(alike))
        made = [outputs[k] for k in sorted(shapes)]
        for k in sorted(shapes):
            shape = shapes[k][0]
            self.definitions[outputs[k]] = FromChoice(
                shape, fresh_axes(shape), tuple(choice.reads), tuple(made), choice
            )
        return dict(zip(self.node.outputs, outputs, strict=True))

    def _lowered(
        self, graph: InnerGraph, dialect: Dialect, lower: Callable[..., Lowered]
    ) -> tuple[Lowered, list[Variable], list[int]]:
        """A side by itself; which inputs of the node its own are, and which outputs of the node it makes."""
        kept = [k for k, out in enumerate(graph.outputs) if not isinstance(getattr(out.owner, "op", None), Undefined)]
        wanted = [graph.outputs[k] for k in kept]
        leaves = set(graph_inputs(wanted, stop_at=graph.inputs)).union(wanted)
        used = [k for k, x in enumerate(graph.inputs) if x in leaves]
        part = FunctionGraph([graph.inputs[k] for k in used], wanted, clone=False)
        body = with_own_outputs(lower(opened(part), dialect, "side"))
        return body, [self.node.inputs[1 + k] for k in used], kept

    def _lengths(self, body: Lowered, inputs: Sequence[Variable]) -> tuple[dict[Expr, Expr], dict[Expr, Expr]]:
        """Lengths of a body as those around it; and with these, scalars from which lengths may be computed there."""
        lengths: dict[Expr, Expr] = {}
        scalars: dict[Expr, Expr] = {}
        for inside, outside in zip(body.inputs, inputs, strict=True):
            shape = self.definitions[self.values[outside]].shape
            lengths.update(lengths_outside(body, inside, shape))
            element = None if shape else self.element(outside)
            if element is not None and all(e.payload in self.arguments for e in loads_in([element])):
                scalars[load(inside, (), inside.dtype)] = element
        return lengths, {**lengths, **scalars}

    def _outside(
        self, shape: Sequence[Expr], where: tuple[dict[Expr, Expr], dict[Expr, Expr]]
    ) -> tuple[Expr, ...] | None:
        """A shape in lengths of the program around; None where it depends on what is computed."""
        known = where[1]
        if any(e not in known for e in _loads(shape)):
            return None
        memo = dict(known)
        return tuple(rebuild(n, lambda e, args: None, memo) for n in shape)

    def _constants(self, body: Lowered) -> list[Value]:
        """The arrays that a side holds, as values of the program around."""
        found = []
        for value, array in body.constants.items():
            outer = self.new(value.name, value.dtype)
            shape = body.definitions[value].shape
            self.definitions[outer] = Given(shape, fresh_axes(shape))
            self.constants[outer] = array
            found.append(outer)
        return found


def _loads(shape: Sequence[Expr]) -> list[Expr]:
    return [e for e in loads_in(shape) if e.code is Code.LOAD]
