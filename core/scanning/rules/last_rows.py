"""Of a state of which only the last rows are read, only these are kept: memory for two rows in the place of all."""

from __future__ import annotations

from core.dataclass import replace
from core.graph import Apply, FunctionGraph, Variable
from core.scanning.form import Keep
from core.scanning.op import Scan
from core.scanning.rules.taken import Taken, specialize
from core.tensor.indexing import Subtensor
from core.tensor.keys import ALL, Slice


@specialize.node_rule(Scan)
def only_the_last_rows_are_kept(graph: FunctionGraph, node: Apply) -> dict[Variable, Variable] | None:
    """trace[-1] -> last[-1], for each state that is only read so, or not at all.

    Exact where there are as many steps as rows are read: with fewer there was an error, and now a row from before.
    """
    taken = Taken(node)
    reads = [
        _last_reads(graph, trace, state.span) if state.keep is Keep.ALL else None
        for trace, state in zip(taken.out.states, taken.form.states, strict=True)
    ]
    if all(found is None for found in reads):
        return None
    loop = taken.with_inputs(taken.assembly())
    for k, state in enumerate(taken.form.states):
        state = state if reads[k] is None else replace(state, keep=Keep.LAST)
        loop.state(taken.given.initials[k], state, taken.own.taps[k], taken.made.states[k])
    for k, row in enumerate(taken.made.results):
        loop.result(row, taken.lengths(k))
    out = loop.made(taken.made.stop, taken.form.truncate)
    changes = dict(zip(taken.out.flat, out.flat, strict=True))
    for k, found in enumerate(reads):
        if found is not None:
            del changes[taken.out.states[k]]
            changes.update((read.out, read.op(out.states[k], *read.inputs[1:])) for read in found)
    return changes


def _last_reads(graph: FunctionGraph, trace: Variable, span: int) -> list[Apply] | None:
    """The nodes that read one of the last ``span`` rows of ``trace``, if nothing else is read of it."""
    found: list[Apply] = []
    for reader, position in graph.clients.get(trace, ()):
        if reader is None or position != 0 or not isinstance(reader.op, Subtensor):
            return None
        first, *rest = reader.op.key.entries
        if isinstance(first, int) and -span <= first < 0:
            found.append(reader)
        elif first == Slice(span, None, None) and all(entry == ALL for entry in rest):
            inside = _last_reads(graph, reader.out, span)  # of the rows that the steps made
            if inside is None:
                return None
            found += inside
        else:
            return None
    return found
