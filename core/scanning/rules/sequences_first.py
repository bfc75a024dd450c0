"""Products of rows of sequences are products of the sequences: done for all steps at once, before the loop."""

from __future__ import annotations

from core.graph import Apply, FunctionGraph, Variable, clone_replace
from core.scanning.costs import costs_much
from core.scanning.op import Scan
from core.scanning.rules.taken import Taken, specialize
from core.tensor.vectorize import stacked_or_none


@specialize.node_rule(Scan)
def products_of_sequences_are_computed_before_the_loop(
    graph: FunctionGraph, node: Apply
) -> dict[Variable, Variable] | None:
    """x[t] @ w in each step -> (x @ w)[t].  Exact but for the order in which products are summed.

    Only where the result has no more axes than a sequence that it is made of, so that memory does not grow for nothing.
    """
    taken = Taken(node)
    if taken.form.until:  # the rows behind the last step would be computed in vain
        return None
    costly = _of_sequences(taken)
    if not costly:
        return None
    constants = dict(zip(taken.own.constants, taken.given.constants, strict=True))
    stacks = dict(zip(taken.own.sequences, taken.given.sequences, strict=True))
    stacked = stacked_or_none(clone_replace(costly, constants), stacks)
    if stacked is None:
        return None
    rows = [x.type() for x in costly]
    made = taken.form.step_outputs(clone_replace(taken.made.flat, dict(zip(costly, rows, strict=True))))
    loop = taken.with_inputs(taken.assembly())
    for x, row in zip(stacked, rows, strict=True):
        loop.sequence(x, row)
    for k, state in enumerate(taken.form.states):
        loop.state(taken.given.initials[k], state, taken.own.taps[k], made.states[k])
    for k, row in enumerate(made.results):
        loop.result(row, taken.lengths(k))
    return dict(zip(taken.out.flat, loop.made(None, taken.form.truncate).flat, strict=True))


def _of_sequences(taken: Taken) -> list[Variable]:
    """The costly values of a step that depend on sequences, and on nothing else that changes."""
    sequences = {row: row.type.ndim for row in taken.own.sequences}
    fixed = set(taken.own.constants)
    found = []
    for node in taken.op.inner.nodes:
        moving = [x for x in node.inputs if x in sequences]
        if not all(x in sequences or x in fixed or x.owner is None and hasattr(x, "data") for x in node.inputs):
            continue
        if not moving:
            fixed.update(node.outputs)
            continue
        ndim = max(sequences[x] for x in moving)
        sequences.update((out, ndim) for out in node.outputs)
        if costs_much(node.op) and len(node.outputs) == 1 and node.out.type.ndim <= ndim:
            found.append(node.out)
    return found
