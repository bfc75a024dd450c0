"""What nobody asks for is not computed: results, states, sequences and constants that a scan can do without."""

from __future__ import annotations

from core.graph import Apply, FunctionGraph, Variable, ancestors, clone_replace
from core.scanning.op import Scan
from core.scanning.rules.taken import Taken, canonicalize, used


@canonicalize.node_rule(Scan)
def what_nobody_asks_for_is_not_computed(graph: FunctionGraph, node: Apply) -> list[Variable | None] | None:
    """A scan -> the same without what only its unused outputs need; what is given twice is given once.

    Exact where nothing that goes would have raised an error.
    """
    taken = Taken(node)
    states, results = used(graph, taken.out.states), used(graph, taken.out.results)
    made = taken.made
    needed = {k for k, wanted in enumerate(states) if wanted}
    while True:
        roots = [made.states[k] for k in needed] + [
            x for x, wanted in zip(made.results, results, strict=True) if wanted
        ]
        read = set(ancestors([*roots, *([] if made.stop is None else [made.stop])]))
        more = {k for k, rows in enumerate(taken.own.taps) if not read.isdisjoint(rows)}
        if more <= needed:
            break
        needed |= more
    twins = _twins(taken)
    inputs = [*taken.own.sequences, *taken.own.constants]
    if len(needed) == len(states) and all(results) and all(x in read for x in inputs) and not twins:
        return None
    if not needed and not any(results) and taken.out.done is None:
        return None
    return _without(taken, needed, results, twins)


def _twins(taken: Taken) -> dict[Variable, Variable]:
    """Inputs of a step that are given twice -> the first of each."""
    twins: dict[Variable, Variable] = {}
    for outside, inside in (
        (taken.given.sequences, taken.own.sequences),
        (taken.given.constants, taken.own.constants),
    ):
        first: dict[Variable, Variable] = {}
        for x, own in zip(outside, inside, strict=True):
            kept = first.setdefault(x, own)
            if kept is not own and kept.type == own.type:
                twins[own] = kept
    return twins


def _without(
    taken: Taken, needed: set[int], results: list[bool], twins: dict[Variable, Variable]
) -> list[Variable | None]:
    loop = taken.with_inputs(taken.assembly())
    flat = clone_replace(taken.made.flat, twins) if twins else taken.made.flat
    made = taken.form.step_outputs(flat)
    for k in sorted(needed):
        loop.state(taken.given.initials[k], taken.form.states[k], taken.own.taps[k], made.states[k])
    for k, wanted in enumerate(results):
        if wanted:
            loop.result(made.results[k], taken.lengths(k))
    out = loop.made(made.stop, taken.form.truncate)
    left, rows = iter(out.states), iter(out.results)
    states: list[Variable | None] = [next(left) if k in needed else None for k in range(len(made.states))]
    plain: list[Variable | None] = [next(rows) if wanted else None for wanted in results]
    return [*states, *plain, *([] if out.done is None else [out.done])]
