"""Gates: a gradient that counts only if a branch is taken, through which it came.

The gradients of what an ``ifelse`` does not take are not computed, and what they would be, perhaps NaN, must not reach
anybody.  So they are kept as they are, with the conditions under which they count, as long as all that is added up came
through the same branch; only where ways meet does an ``ifelse`` choose.  That is exact: a choice is linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from core.gradient.common import is_null, zeros_at
from core.graph import Apply, Variable

Gates: TypeAlias = tuple[tuple[Variable, bool], ...]  # conditions and what they must be, the outermost first


class Term(NamedTuple):
    """A gradient, and when it counts."""

    gates: Gates
    g: Variable


def common(all_gates: Sequence[Gates]) -> Gates:
    """The conditions that all of them begin with."""
    first, *others = all_gates
    for gates in others:
        n = 0
        while n < min(len(first), len(gates)) and first[n] == gates[n]:
            n += 1
        first = first[:n]
    return first


def behind(node: Apply, gates: Gates, position: int) -> Gates:
    """The gates of the gradient of an input of ``node``, whose own has ``gates``."""
    if not node.op.chooses or not position:
        return gates
    return (*gates, (node.inputs[0], position <= node.op.n))


def total(x: Variable, terms: Sequence[Term], within: int) -> Variable:
    """The sum of the terms of ``x``, which all have ``within`` gates in common; undefined as soon as one of them is."""
    null = next((term.g for term in terms if is_null(term.g)), None)
    if null is not None:
        return null
    plain: list[Variable] = []
    behind_gates: dict[Variable, tuple[list[Term], list[Term]]] = {}
    for term in terms:
        if len(term.gates) == within:
            plain.append(term.g)
        else:
            condition, holds = term.gates[within]
            behind_gates.setdefault(condition, ([], []))[not holds].append(term)
    if behind_gates:
        from core.tensor.ifelse import ifelse  # who never chooses need not wait for it
    for condition, sides in behind_gates.items():
        taken, not_taken = (total(x, side, within + 1) if side else zeros_at(x) for side in sides)
        plain.append(ifelse(condition, taken, not_taken))
    found = plain[0]
    for more in plain[1:]:
        found = found + more  # type: ignore[operator]
    return found
