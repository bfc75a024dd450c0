"""Scans over the same rows, with the same states, are one: a gradient's own run of a scan is the scan itself."""

from __future__ import annotations

from core.dataclass import dataclass
from core.graph import Apply, FunctionGraph, Variable, clone_replace, depends_on
from core.rewriting.merge import merge
from core.rewriting.pattern import same_value
from core.scanning.form import Keep, State, StepOutputs
from core.scanning.op import Scan
from core.scanning.rules.taken import Taken, canonicalize
from core.tensor.indexing import getitem


@canonicalize.node_rule(Scan)
def scans_with_the_same_states_are_one(graph: FunctionGraph, node: Apply) -> dict[Variable, Variable] | None:
    """Two scans of as many steps, where the states of one are among those of the other -> one with the results of both.

    Exact: each step computes what it did.
    """
    taken = Taken(node)
    if not taken.given.initials:
        return None
    others = {reader for reader, _ in graph.clients[taken.given.initials[0]] if reader is not None}
    for other in others:
        if other is node or not isinstance(other.op, Scan) or _alike(node, other):
            continue
        matched = _matched(taken, Taken(other))
        if matched is None or _one_after_the_other(node, other):
            continue
        second = Taken(other, is_copied=True)
        step = _joined(taken, second, matched)
        if step is not None:
            return _one(taken, second, matched, step)
    return None


def _matched(a: Taken, b: Taken) -> list[int] | None:
    """For each state of ``b`` the one of ``a`` that starts likewise; None where there is not one for each."""
    if a.twice or b.twice or a.form.until or b.form.until or not same_value(a.given.n, b.given.n):
        return None
    if (a.form.truncate, a.form.backwards) != (b.form.truncate, b.form.backwards):
        return None
    if len(b.form.states) > len(a.form.states):
        return None
    found = []
    for state, initial in zip(b.form.states, b.given.initials, strict=True):
        alike = (
            k
            for k, (mine, x) in enumerate(zip(a.form.states, a.given.initials, strict=True))
            if mine.taps == state.taps and same_value(x, initial) and k not in found
        )
        k = next(alike, None)
        if k is None:
            return None
        found.append(k)
    return found


def _alike(a: Apply, b: Apply | None) -> bool:
    """Whether two nodes are the same op on the same inputs."""
    return b is not None and a.op == b.op and all(map(same_value, a.inputs, b.inputs))


def _one_after_the_other(a: Apply, b: Apply) -> bool:
    return depends_on(a.inputs, b.outputs) or depends_on(b.inputs, a.outputs)


@dataclass(frozen=True)
class Joined:
    """A step that computes what those of two scans do: rows of sequences, and constants, by what they are around it."""

    rows: dict[Variable, Variable]
    wholes: dict[Variable, Variable]
    taps: list[list[Variable]]
    mine: StepOutputs[Variable]
    other: StepOutputs[Variable]


def _joined(a: Taken, b: Taken, matched: list[int]) -> Joined | None:
    """The one step, if what it computes of the states is the same for both."""
    rows = dict(zip(a.given.sequences, a.own.sequences, strict=True))
    wholes = dict(zip(a.given.constants, a.own.constants, strict=True))
    replaced: dict[Variable, Variable] = {}
    for x, row in zip(b.given.sequences, b.own.sequences, strict=True):
        replaced[row] = rows.setdefault(x, row)
    for x, own in zip(b.given.constants, b.own.constants, strict=True):
        replaced[own] = wholes.setdefault(x, own)
    for k, taps in zip(matched, b.own.taps, strict=True):
        replaced.update(zip(taps, a.own.taps[k], strict=True))
    if any(old.type != new.type for old, new in replaced.items()):
        return None
    inputs = [*rows.values(), *(row for taps in a.own.taps for row in taps), *wholes.values()]
    both = FunctionGraph(inputs, [*a.made.flat, *clone_replace(b.made.flat, replaced)])
    merge(both)
    count = len(a.made.flat)
    mine: StepOutputs[Variable] = a.form.step_outputs(both.outputs[:count])
    other: StepOutputs[Variable] = b.form.step_outputs(both.outputs[count:])
    if any(mine.states[k] is not new for k, new in zip(matched, other.states, strict=True)):
        return None
    inside = dict(zip(inputs, both.inputs, strict=True))
    return Joined(
        {x: inside[row] for x, row in rows.items()},
        {x: inside[own] for x, own in wholes.items()},
        [[inside[row] for row in taps] for taps in a.own.taps],
        mine,
        other,
    )


def _one(a: Taken, b: Taken, matched: list[int], step: Joined) -> dict[Variable, Variable]:
    """The outputs of both scans as those of one."""
    mine, other = step.mine, step.other
    loop = a.assembly()
    for x, row in step.rows.items():
        loop.sequence(x, row)
    for x, whole in step.wholes.items():
        loop.constant(x, whole)
    kept = [state.keep for state in a.form.states]
    for k, state in zip(matched, b.form.states, strict=True):
        kept[k] = Keep.ALL if Keep.ALL in (kept[k], state.keep) else Keep.LAST
    for k, state in enumerate(a.form.states):
        loop.state(a.given.initials[k], State(state.taps, kept[k]), step.taps[k], mine.states[k])
    results = {row: a.lengths(k) for k, row in enumerate(mine.results)}
    for k, row in enumerate(other.results):
        results.setdefault(row, b.lengths(k))
    for row, lengths in results.items():
        loop.result(row, lengths)
    out = loop.made(None, a.form.truncate)
    for taken in (a, b):
        if _alike(taken.node, out.flat[0].owner):  # nothing to add: the other one's results are among its own
            out = taken.out
    made = dict(zip(results, out.results, strict=True))
    changes: dict[Variable, Variable] = {old: made[row] for old, row in zip(a.out.results, mine.results, strict=True)}
    changes.update((old, made[row]) for old, row in zip(b.out.results, other.results, strict=True))
    for taken, numbers in ((a, range(len(kept))), (b, matched)):
        for k, state, old in zip(numbers, taken.form.states, taken.out.states, strict=True):
            is_cut = state.keep is Keep.LAST and kept[k] is Keep.ALL
            changes[old] = getitem(out.states[k], slice(-state.span, None)) if is_cut else out.states[k]
    return changes
