"""Rows of a state that a function returns are written where they are returned.

All rows of a state lie behind those that it starts from, in memory of the scan's own, and what a function returns would
be a copy of all but these.
"""

from __future__ import annotations

from core.dataclass import replace
from core.graph import Apply, FunctionGraph, Variable
from core.scanning.form import Keep
from core.scanning.op import Scan
from core.scanning.rules.taken import Taken, specialize
from core.tensor.indexing import Subtensor
from core.tensor.keys import ALL, Slice


@specialize.node_rule(Scan)
def rows_that_are_returned_are_results(graph: FunctionGraph, node: Apply) -> dict[Variable, Variable] | None:
    """trace[span:] -> a result of the same rows, where it is an output of the graph and no other rows are read.

    Exact: a step makes these rows.  The state keeps no more of them than a step reads.
    """
    taken = Taken(node)
    readers = {
        k: found
        for k, (trace, state) in enumerate(zip(taken.out.states, taken.form.states, strict=True))
        if state.keep is Keep.ALL and (found := _returned(graph, trace, state.span))
    }
    if not readers:
        return None
    loop = taken.with_inputs(taken.assembly())
    for k, state in enumerate(taken.form.states):
        state = replace(state, keep=Keep.LAST) if k in readers else state
        loop.state(taken.given.initials[k], state, taken.own.taps[k], taken.made.states[k])
    for k, row in enumerate(taken.made.results):
        loop.result(row, taken.lengths(k))
    for k in readers:
        loop.result(taken.made.states[k], taken.row_lengths_of(k))
    out = loop.made(taken.made.stop, taken.form.truncate)
    before = len(taken.made.results)
    kept = [new for k, new in enumerate(out.states) if k not in readers]
    changes = dict(zip((x for k, x in enumerate(taken.out.states) if k not in readers), kept, strict=True))
    changes.update(zip(taken.out.results, out.results, strict=False))
    changes.update({} if taken.out.done is None else {taken.out.done: out.done})
    for rows, reads in zip(out.results[before:], readers.values(), strict=True):
        changes.update((read.out, rows) for read in reads)
    return changes


def _returned(graph: FunctionGraph, trace: Variable, span: int) -> list[Apply]:
    """The nodes that read ``trace``, if these read all rows that steps made, and one is an output; else none."""
    found = []
    for reader, position in graph.clients.get(trace, ()):
        if reader is None or position != 0 or not isinstance(reader.op, Subtensor):
            return []
        first, *rest = reader.op.key.entries
        if first != Slice(span, None, None) or any(entry != ALL for entry in rest):
            return []
        found.append(reader)
    is_output = any(reader is None for read in found for reader, _ in graph.clients.get(read.out, ()))
    return found if is_output else []
