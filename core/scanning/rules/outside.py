"""What only results and sums need is computed for all steps at once, behind the loop.

A step must compute its states; a result that it makes of them (``h @ v``) can be made of all rows together, and a sum
over all steps of products is one product: what a gradient adds up for a matrix of weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.dataclass import dataclass
from core.graph import Apply, Constant, FunctionGraph, Variable, ancestors, clone_replace, depends_on, toposort
from core.scanning.costs import costs_much
from core.scanning.form import Keep
from core.scanning.lengths import first_step, row_lengths, varying
from core.scanning.op import Scan
from core.scanning.rules.taken import Taken, specialize
from core.tensor.arithmetic import add
from core.tensor.broadcast import Alloc
from core.tensor.dimshuffle import DimShuffle, expand_dims
from core.tensor.indexing import getitem
from core.tensor.products import Dot
from core.tensor.reshape import reshape
from core.tensor.shape import length_product, shape_of
from core.tensor.type import TensorVariable
from core.tensor.vectorize import stacked_or_none


@dataclass(frozen=True)
class Aim:
    """What may be computed behind the loop: result ``number``, or of state ``number`` what is added to it.

    needs   of what the loop computes in any case: the values that it is made of
    costly  whether that is more than arithmetic of elements
    """

    number: int
    value: Variable
    is_sum: bool
    needs: frozenset[Variable]
    costly: bool


@specialize.node_rule(Scan)
def what_only_results_need_is_computed_behind_the_loop(
    graph: FunctionGraph, node: Apply
) -> dict[Variable, Variable] | None:
    """Results f(h[t]) -> f(h); sums over t of p[t] @ q[t] -> one product.  Exact but for the order of sums.

    Only where the loop need not keep more rows for it than it kept before.
    """
    taken = Taken(node)
    if taken.form.until:
        return None
    sums = _sums(taken)
    states = [new for k, new in enumerate(taken.made.states) if k not in sums]
    inside = set(toposort(states))
    aims = [_aim(k, row, False, inside) for k, row in enumerate(taken.made.results)]
    aims += [_aim(k, term, True, inside) for k, term in sums.items()]
    there = _there(taken, sums)
    changing = varying([x for aim in aims for x in aim.needs if x not in there], taken.own)
    aims = [aim for aim in aims if changing.isdisjoint(aim.needs)]  # of other shapes in each step: no rows
    chosen = [aim for aim in aims if aim.costly]
    wanted = {x for aim in chosen for x in aim.needs if x not in there}
    if len(wanted) > len(chosen):
        chosen, wanted = [], set()
    chosen += [
        aim
        for aim in aims
        if aim not in chosen
        and all(x in there or x in wanted for x in aim.needs)
        and (not aim.is_sum or (wanted and aim.value.type.ndim > 0))  # type: ignore[attr-defined]
    ]
    if not chosen:
        return None
    return _moved(taken, chosen, [x for x in ancestors([aim.value for aim in chosen]) if x in wanted], there)


def _sums(taken: Taken) -> dict[int, Variable]:
    """The states of which only the last row is kept, and to which each step adds what does not depend on them."""
    found = {}
    for k, (state, new) in enumerate(zip(taken.form.states, taken.made.states, strict=True)):
        if state.taps != (-1,) or state.keep is not Keep.LAST or new.owner is None or new.owner.op != add:
            continue
        (so_far,) = taken.own.taps[k]
        others = [x for x in new.owner.inputs if x is not so_far]
        rest = [*taken.made.states[:k], *taken.made.states[k + 1 :], *taken.made.results]
        alone = len(others) == 1 and not depends_on([*others, *rest], so_far)
        if alone and others[0].type.ndim == so_far.type.ndim:  # type: ignore[attr-defined]
            found[k] = others[0]
    return found


def _aim(number: int, value: Variable, is_sum: bool, inside: set[Apply]) -> Aim:
    nodes = [node for node in toposort([value]) if node not in inside]
    made = {out for node in nodes for out in node.outputs}
    needs = frozenset(x for node in nodes for x in node.inputs if x not in made and not isinstance(x, Constant))
    needs = needs if nodes else frozenset([value])
    return Aim(number, value, is_sum, needs, any(costs_much(node.op) for node in nodes))


def _there(taken: Taken, sums: dict[int, Variable]) -> dict[Variable, Any]:
    """What there is of each step in any case: how its rows are found among those of the outputs of a scan."""
    there: dict[Variable, Any] = {}

    def in_order(rows: TensorVariable) -> TensorVariable:
        return getitem(rows, slice(None, None, -1)) if taken.form.backwards else rows

    for own in taken.own.constants:
        there[own] = None
    for row, x in zip(taken.own.sequences, taken.given.sequences, strict=True):
        there[row] = lambda states, x=x: taken.rows_of(x)
    for k, state in enumerate(taken.form.states):
        if k in sums or state.keep is not Keep.ALL:
            continue
        for row, tap in zip(taken.own.taps[k], state.taps, strict=True):
            there[row] = lambda states, k=k, at=slice(state.span + tap, tap): in_order(getitem(states[k], at))
        new = taken.made.states[k]
        if new.owner is not None:
            there[new] = lambda states, k=k, at=slice(state.span, None): in_order(getitem(states[k], at))
    return there


def _moved(
    taken: Taken, chosen: Sequence[Aim], wanted: Sequence[Variable], there: dict[Variable, Any]
) -> dict[Variable, Variable] | None:
    loop = taken.with_inputs(taken.assembly())
    gone = {aim.number for aim in chosen if aim.is_sum}
    left = [k for k in range(len(taken.form.states)) if k not in gone]
    for k in left:
        loop.state(taken.given.initials[k], taken.form.states[k], taken.own.taps[k], taken.made.states[k])
    behind = {aim.number for aim in chosen if not aim.is_sum}
    stay = [k for k in range(len(taken.made.results)) if k not in behind]
    for k in stay:
        loop.result(taken.made.results[k], taken.lengths(k))
    first = first_step(taken.form, taken.given, taken.own)
    for x, lengths in zip(wanted, row_lengths(wanted, first), strict=True):
        loop.result(x, lengths)
    changes: dict[Variable, Variable] = {}
    states: dict[int, Variable] = {}
    rows: dict[Variable, Any] = {}
    if left or stay or wanted:
        out = loop.made(None, taken.form.truncate)
        states = dict(zip(left, out.states, strict=True))
        changes.update((taken.out.states[k], states[k]) for k in left)
        changes.update((taken.out.results[k], x) for k, x in zip(stay, out.results, strict=False))
        rows = dict(zip(wanted, out.results[len(stay) :], strict=True))
    rows.update((x, find(states)) for x, find in there.items() if find is not None)
    constants = dict(zip(taken.own.constants, taken.given.constants, strict=True))
    all_steps = _AllSteps(rows, constants, taken.given.n)
    for aim in chosen:
        if aim.is_sum:
            total = all_steps.summed(aim.value)
            if total is None:
                return None
            initial, total = taken.given.initials[aim.number], expand_dims(total, 0)
            changes[taken.out.states[aim.number]] = total if _is_zero(initial) else initial + total
        else:
            found = all_steps.stacked(aim.value)
            if found is None:
                return None
            changes[taken.out.results[aim.number]] = found
    return changes


def _is_zero(x: Variable) -> bool:
    """Whether all elements are known to be 0."""
    if x.owner is not None and isinstance(x.owner.op, Alloc):
        x = x.owner.inputs[0]
    return isinstance(x, Constant) and not np.any(x.data)  # type: ignore[attr-defined]


class _AllSteps:
    """Values of a step for all steps at once, from those that there are."""

    def __init__(self, rows: dict[Variable, Any], constants: dict[Variable, Any], n: TensorVariable):
        self.rows, self.constants, self.n = rows, constants, n

    def stacked(self, x: Variable) -> TensorVariable | None:
        """A row of ``x`` for each step; None where an op has no form for stacks."""
        if x in self.rows:
            return self.rows[x]
        used = {y: y.type() for y in ancestors([x], stop_at=self.rows) if y in self.rows}
        placed: Any = clone_replace(x, {**self.constants, **used})
        if not used:
            return Alloc()(placed, self.n, *shape_of(placed))
        found = stacked_or_none([placed], {own: self.rows[y] for y, own in used.items()})
        return None if found is None else found[0]

    def summed(self, x: Variable) -> TensorVariable | None:
        """The sum of ``x`` over all steps."""
        node = x.owner
        if x not in self.rows and node is not None and node.op == add:
            terms = [self.summed(term) for term in node.inputs]
            alike = all(term.type.shape == x.type.shape for term in node.inputs)  # type: ignore[attr-defined]
            if alike:
                return None if None in terms else terms[0] + terms[1]  # type: ignore[operator]
        if x not in self.rows and node is not None and isinstance(node.op, Dot):
            if all(y.type.ndim == 2 for y in node.inputs):  # type: ignore[attr-defined]
                return self._product(*node.inputs)
        found = self.stacked(x)
        return None if found is None else found.sum(axis=0)

    def _product(self, p: Variable, q: Variable) -> TensorVariable | None:
        """The sum over t of p[t] @ q[t]: the rows of all q, one below the other, times those of all p transposed."""
        is_turned = p.owner is not None and isinstance(p.owner.op, DimShuffle) and p.owner.op.pattern == (1, 0)
        stacks = self.stacked(p.owner.inputs[0] if is_turned else p), self.stacked(q)  # type: ignore[union-attr]
        if stacks[0] is None or stacks[1] is None:
            return None
        a = stacks[0] if is_turned else DimShuffle(3, (0, 2, 1))(stacks[0])
        tall = [reshape(s, (length_product(shape_of(s)[:2]), shape_of(s)[2])) for s in (a, stacks[1])]
        return Dot()(DimShuffle(2, (1, 0))(tall[0]), tall[1])
