"""A scan taken apart, as its rules look at it; the sets that hold them."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from core.graph import Apply, FunctionGraph, Variable
from core.rewriting import RuleSet
from core.scanning.assembly import Assembly
from core.scanning.form import Inputs, Outputs, StepInputs, StepOutputs, filled
from core.scanning.op import Scan
from core.tensor.shape import ShapeI, shape_of, specify_shape

canonicalize, specialize = RuleSet("canonicalize"), RuleSet("specialize")


class Taken:
    """The parts of a node: ``given`` and ``out`` around its steps, ``own`` and ``made`` in one.

    is_copied  whether these are a copy, so that no other scan has a part in its variables
    """

    def __init__(self, node: Apply, is_copied: bool = False):
        self.node, self.op, self.form = node, node.op, node.op.form
        self.given: Inputs[Any] = self.form.inputs(node.inputs)
        self.out: Outputs[Any] = self.form.outputs(node.outputs)
        step = self.op.inner.unfrozen() if is_copied else self.op.inner
        self.own: StepInputs[Any] = self.form.step_inputs(step.inputs)
        self.made: StepOutputs[Any] = self.form.step_outputs(step.outputs)

    @property
    def twice(self) -> bool:
        """Whether something is given twice, which unused.py puts right."""
        return any(len(set(given)) < len(given) for given in (self.given.sequences, self.given.constants))

    def lengths(self, number: int) -> list[Any]:
        """All lengths of the rows of a result."""
        return list(filled(self.form.results[number], self.given.lengths[number]))

    def row_lengths_of(self, number: int) -> list[Any]:
        """All lengths of the rows of a state."""
        return list(shape_of(self.given.initials[number])[1:])

    def assembly(self) -> Assembly:
        """An empty scan of as many steps."""
        return Assembly(partial(Scan, label=self.op.label), self.given.n, self.form.backwards)

    def with_inputs(self, loop: Assembly) -> Assembly:
        """``loop`` with all sequences and constants; what no step reads is left out when it is made."""
        for x, row in zip(self.given.sequences, self.own.sequences, strict=True):
            loop.sequence(x, row)
        for x, own in zip(self.given.constants, self.own.constants, strict=True):
            loop.constant(x, own)
        return loop

    def rows_of(self, x: Any) -> Any:
        """A sequence with the promise that it has as many rows as there are steps."""
        n = self.given.n
        is_own = n.owner is not None and isinstance(n.owner.op, ShapeI) and n.owner.inputs[0] is x
        return x if is_own else specify_shape(x, (n, *(None for _ in x.type.shape[1:])))


def used(graph: FunctionGraph, variables: Collection[Variable]) -> list[bool]:
    """Which of these anybody reads."""
    return [bool(graph.clients.get(x)) for x in variables]
