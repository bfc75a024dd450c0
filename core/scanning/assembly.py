"""A scan put together piece by piece: what a step computes, and from what.  Says nothing of why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.graph import Variable, ancestors
from core.inner import InnerGraph
from core.op import Op
from core.scanning.form import Form, Outputs, State
from core.tensor.type import TensorVariable


class Assembly:
    """Pieces of a scan.  Of each, ``row`` or ``rows`` are the variables that stand for it in a step.

    scan  makes the op of a graph and a form;  n  says how many steps there are;  backwards  as in Form
    What a step does not read is left out; states and results are in the order in which they were added.
    """

    def __init__(self, scan: Callable[[InnerGraph, Form], Op], n: TensorVariable, backwards: bool = False):
        self.scan, self.n, self.backwards = scan, n, backwards
        self._sequences: list[tuple[Any, Variable]] = []
        self._states: list[tuple[Any, State, Sequence[Variable], Variable]] = []
        self._results: list[tuple[Variable, Sequence[Any]]] = []
        self._constants: list[tuple[Any, Variable]] = []

    def sequence(self, x: Any, row: Variable) -> None:
        """``row`` is a row of ``x``."""
        self._sequences.append((x, row))

    def state(self, initial: Any, state: State, rows: Sequence[Variable], new: Variable) -> None:
        """``new`` is a row after those of ``initial``, and so on; ``rows`` are those at the taps of ``state``."""
        self._states.append((initial, state, list(rows), new))

    def result(self, row: Variable, lengths: Sequence[Any]) -> None:
        """``row`` is kept of each step; ``lengths`` are all those of it, outside of the scan."""
        self._results.append((row, list(lengths)))

    def constant(self, x: Any, own: Variable) -> None:
        """``own`` is ``x`` in each step."""
        self._constants.append((x, own))

    def made(self, stop: Variable | None = None, truncate: int = -1) -> Outputs[TensorVariable]:
        """The outputs of the scan; with ``stop``, the last step is the first for which that is true."""
        new = [new for *_, new in self._states]
        outputs = [*new, *(row for row, _ in self._results), *([] if stop is None else [stop])]
        read = set(ancestors(outputs))
        sequences = [(x, row) for x, row in self._sequences if row in read]
        constants = [(x, own) for x, own in self._constants if own in read]
        kinds: list[Any] = [row.type for row, _ in self._results]
        lengths = [
            [n for known, n in zip(kind.shape, all_of_them, strict=True) if known is None]
            for kind, (_, all_of_them) in zip(kinds, self._results, strict=True)
        ]
        rows = [row for _, _, rows, _ in self._states for row in rows]
        inner = InnerGraph([*(row for _, row in sequences), *rows, *(own for _, own in constants)], outputs)
        form = Form(
            len(sequences),
            tuple(state for _, state, _, _ in self._states),
            len(constants),
            tuple(kind.shape for kind in kinds),
            stop is not None,
            truncate,
            self.backwards,
        )
        given = [self.n, *(x for x, _ in sequences), *(initial for initial, *_ in self._states)]
        given += [*(x for x, _ in constants), *(n for of_one in lengths for n in of_one)]
        return form.outputs(self.scan(inner, form)(*given, return_list=True))
