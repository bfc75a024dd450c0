"""The gradient of a state's rows in parts: those of the last ones, from which the backward scan starts, and the rest.

A cost that reads nothing but ``out[-1]`` has a gradient that is zero in all rows but one, and the rest is then nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.dataclass import dataclass
from core.graph import Variable
from core.tensor.arithmetic import add
from core.tensor.dimshuffle import DimShuffle
from core.tensor.elementwise import second
from core.tensor.indexing import IncSubtensor, Subtensor, getitem
from core.tensor.keys import ALL, Slice
from core.tensor.type import TensorVariable
from core.tensor.updates import zeros_of


@dataclass(frozen=True)
class Above:
    """The gradient that is given for the rows of a state is the sum of these; None stands for zeros.

    last     for the last rows, as many as the state starts from
    made     for those that the steps made, one for each
    everywhere  for all, those that it starts from among them
    """

    last: Any = None
    made: Any = None
    everywhere: Any = None

    def of_steps(self, span: int) -> Any:
        """For the row of each step, but for ``last``."""
        whole = None if self.everywhere is None else getitem(self.everywhere, slice(span, None))
        return _total(whole, self.made)

    def of_initial(self, span: int) -> Any:
        """For the rows that the state starts from, but for ``last``."""
        return None if self.everywhere is None else getitem(self.everywhere, slice(None, span))


def parted(g: Any, is_trace: Callable[[Variable], bool], initial: TensorVariable) -> Above:
    """``g``, the gradient of what ``is_trace``: all rows of a state that starts from ``initial``."""
    span = initial.type.shape[0]
    if span is None:
        return Above(everywhere=g)
    last, made, everywhere = None, None, None
    made_rows = Slice(span, None, None)

    def is_made(x: Variable) -> bool:
        return _is_at(x, made_rows, is_trace)

    for term in _terms(g):
        value = _at(term, made_rows, is_trace)
        if value is None:
            ends = _at_the_end(term, is_trace, initial)
            last, everywhere = _total(last, ends), everywhere if ends is not None else _total(everywhere, term)
            continue
        for part in _terms(value):
            ends = _at_the_end(part, is_made, initial)
            last, made = _total(last, ends), made if ends is not None else _total(made, part)
    return Above(last, made, everywhere)


def _at(term: Any, rows: Slice, is_whole: Callable[[Variable], bool]) -> Any:
    """What a term adds to zeros at some ``rows``, if it does no more than that."""
    node = term.owner
    if node is None or not isinstance(node.op, IncSubtensor) or not _is_zeros(node.inputs[0], is_whole):
        return None
    first, *others = node.op.key.entries
    return node.inputs[1] if first == rows and all(entry == ALL for entry in others) else None


def _at_the_end(term: Any, is_whole: Callable[[Variable], bool], initial: TensorVariable) -> Any:
    """A term that adds to zeros in one of the last rows, in terms of these; None for another."""
    node = term.owner
    if node is None or not isinstance(node.op, IncSubtensor) or not _is_zeros(node.inputs[0], is_whole):
        return None
    first, span = node.op.key.entries[0], initial.type.shape[0]
    is_one = span is not None and isinstance(first, int) and -span <= first < 0
    return node.op(zeros_of(initial), *node.inputs[1:]) if is_one else None


def _terms(g: Any) -> list[Any]:
    """What is added up to ``g``, from left to right."""
    found, pending = [], [g]
    while pending:
        x = pending.pop()
        if x.owner is not None and x.owner.op == add:
            pending += reversed(x.owner.inputs)
        else:
            found.append(x)
    return found


def _is_zeros(x: Variable, is_whole: Callable[[Variable], bool]) -> bool:
    """Whether these are zeros, and as many as there are elements of something of which ``is_whole`` knows."""
    node = x.owner
    return node is not None and node.op == second and is_whole(node.inputs[0]) and _is_number(node.inputs[1], 0)


def _is_at(x: Variable, rows: Slice, is_whole: Callable[[Variable], bool]) -> bool:
    """Whether ``x`` are certain rows of something of which ``is_whole`` knows."""
    node = x.owner
    if node is None or not isinstance(node.op, Subtensor) or not is_whole(node.inputs[0]):
        return False
    first, *others = node.op.key.entries
    return first == rows and all(entry == ALL for entry in others)


def _is_number(x: Variable, number: float) -> bool:
    while x.owner is not None and isinstance(x.owner.op, DimShuffle):
        x = x.owner.inputs[0]
    data = getattr(x, "data", None)
    return data is not None and bool((data == number).all())


def _total(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b
