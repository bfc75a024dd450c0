"""The gradient of a scan: a scan from the last step to the first, over what the steps made.

Row r of a state is read by the steps r - span - tap, one for each tap.  What reaches it from there, beside the gradient
that is given for it, is what those steps passed to that tap: of each tap a state of the scan that runs backwards, which
it reads at that very tap.  What a step passes to constants is added up.  Rows of sequences and results stay where they
are: the scan goes through them the other way.

Source  Baydin et al. (2018), "Automatic differentiation in machine learning: a survey", section 3.2; Griewank and
        Walther (2008), chapter 12, for what is kept of a step and what is computed again.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import partial
from typing import Any

from core.dataclass import replace
from core.gradient import Lop
from core.gradient.common import is_differentiable, is_missing, is_null
from core.graph import FunctionGraph, Variable, ancestors, clone_replace
from core.inner import InnerGraph
from core.op import disconnected
from core.rewriting import RuleSet, rewrite
from core.scanning.assembly import Assembly
from core.scanning.connections import of_states, of_step
from core.scanning.costs import costs_much
from core.scanning.ends import Above, parted
from core.scanning.form import Inputs, Keep, Outputs, State, StepInputs, StepOutputs
from core.scanning.lengths import first_step, row_lengths, varying
from core.tensor.arithmetic import minimum
from core.tensor.create import zeros
from core.tensor.indexing import getitem, inc_subtensor, set_subtensor
from core.tensor.logic import where
from core.tensor.rules.shape import canonicalize
from core.tensor.shape import shape_of
from core.tensor.type import TensorVariable, constant
from core.tensor.updates import zeros_of


def gradients(op: Any, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
    """What ``Scan.grad`` returns."""
    return _Reverse(op, inputs, output_grads).gradients()


def _lengths() -> RuleSet:
    """The rules by which a length is told without what has it."""
    names = ("length_is_inferred", "length_broadcast_with_itself_or_one_is_itself")
    return RuleSet("lengths", [replace(canonicalize[name], stage="lengths") for name in names])


class _Reverse:
    """A scan on its way backwards.  ``step`` is a copy of its inner graph, with ``own`` inputs and ``made`` outputs."""

    def __init__(self, op: Any, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]):
        self.op, self.form = op, op.form
        self.given: Inputs[TensorVariable] = op.form.inputs(inputs)
        self.above: Outputs[Variable] = op.form.outputs(output_grads)
        self.step: FunctionGraph = op.inner.unfrozen()
        self.own: StepInputs[Variable] = op.form.step_inputs(self.step.inputs)
        self.made: StepOutputs[Variable] = op.form.step_outputs(self.step.outputs)
        self.active = self._active()
        self.parts = [self._parted(k) for k in range(len(self.form.states))]  # of what is given for each state
        self.steps_above = [part.of_steps(state.span) for part, state in zip(self.parts, self.form.states, strict=True)]
        self.arriving = [  # what reaches each state by each of its taps, in a step
            [row.type() if active else None for row in rows]
            for rows, active in zip(self.own.taps, self.active, strict=True)
        ]
        self.rows_above = [  # the gradient that is given for a row of each output, in a step
            None if g is None or is_missing(g) else made.type()
            for g, made in zip(
                [*self.steps_above, *self.above.results], [*self.made.states, *self.made.results], strict=True
            )
        ]

    def _parted(self, k: int) -> Above:
        """The gradient that is given for a state.  Truncated, it stays in one part."""
        g, state = self.above.states[k], self.form.states[k]
        if is_missing(g):
            return Above()
        is_in_parts = (
            self.form.truncate < 0 or state.span == 1
        )  # else rows from before the first step may be among them
        if state.keep is Keep.LAST:
            return Above(g) if is_in_parts else Above(everywhere=self._of_all_rows(g, state, self.given.initials[k]))
        is_trace = partial(self._is_trace, k)
        return parted(g, is_trace, self.given.initials[k]) if is_in_parts else Above(everywhere=g)

    def _of_all_rows(self, g: Any, state: State, initial: TensorVariable) -> TensorVariable:
        """The gradient of all rows of a state, where it is given for the last ones."""
        n: Any = self.given.n
        everywhere = zeros((n + state.span, *shape_of(initial)[1:]), initial.dtype)
        return inc_subtensor(getitem(everywhere, slice(-state.span, None)), g)

    def _is_trace(self, number: int, x: Variable) -> bool:
        """Whether ``x`` are all rows of a state, as a node like the one that is differentiated has them."""
        node = x.owner
        return (
            node is not None
            and node.op == self.op
            and node.outputs.index(x) == number
            and all(map(operator.is_, node.inputs, self.given.flat))
        )

    def _active(self) -> list[bool]:
        """The states whose rows a gradient reaches: given, or by way of other outputs."""
        step, states = of_step(self.op), of_states(self.op)
        found = {k for k, g in enumerate(self.above.states) if not is_missing(g)}
        for on, g in zip(step.results, self.above.results, strict=True):
            if not is_missing(g):
                taps = self.op.form.step_inputs(self.op.inner.inputs).taps
                found.update(k for k, rows in enumerate(taps) if not on.isdisjoint(rows))
        found = found.union(*(states[k] for k in found))
        return [k in found and is_differentiable(x) for k, x in enumerate(self.given.initials)]

    # --- one step ---------------------------------------------------------------------------------------------------

    def _passed(self) -> dict[Variable, Variable]:
        """What a step passes to each of its inputs."""
        outputs, totals = [], []
        for k, new in enumerate(self.made.states):
            terms = [*(term for term in (self.rows_above[k], *self.arriving[k]) if term is not None)]
            if self.active[k] and terms:
                total: Any = terms[0]
                for term in terms[1:]:
                    total = total + term
                outputs.append(new)
                totals.append(total)
        for k, row in enumerate(self.made.results, start=len(self.made.states)):
            if self.rows_above[k] is not None:
                outputs.append(row)
                totals.append(self.rows_above[k])
        wrt = [x for x in self.own.flat if is_differentiable(x)]
        found = Lop(outputs, wrt, totals, None, "ignore", "disconnected", "return")
        return {x: g for x, g in zip(wrt, found, strict=True) if not is_missing(g)}

    def _merged(self, passed: dict[Variable, Variable]) -> dict[Variable, Variable]:
        """The same, reading what the step has made wherever it would compute that again, unless for its lengths."""
        given = [g for g in (*(g for rows in self.arriving for g in rows), *self.rows_above) if g is not None]
        graph = FunctionGraph([*self.step.inputs, *given], [*self.step.outputs, *passed.values()], clone=False)
        rewrite(graph, _lengths())
        count = len(self.step.outputs)
        self.step = FunctionGraph(self.step.inputs, graph.outputs[:count], clone=False)
        self.made = self.form.step_outputs(self.step.outputs)
        return dict(zip(passed, graph.outputs[count:], strict=True))

    def _saved(self, passed: Sequence[Variable]) -> list[Variable]:
        """What is better kept of each step forwards than computed again: nearest to ``passed``, what costs much.

        Not what may have another shape in each step: of that there are no rows.
        """
        outputs = {x for x in (*self.made.states, *self.made.results) if x.owner is not None}
        costly = {x for node in self.step.toposort() for x in node.outputs if costs_much(node.op)}
        changing = varying(list(costly - outputs), self.own)
        kept = outputs | (costly - changing)
        return [x for x in ancestors(passed, stop_at=kept) if x in kept]

    # --- all steps --------------------------------------------------------------------------------------------------

    def gradients(self) -> list[Variable]:
        if all(is_missing(g) for g in (*self.above.states, *self.above.results)):
            return [disconnected() for _ in self.given.flat]
        passed = self._passed()
        null = {x: g for x, g in passed.items() if is_null(g)}
        undefined = next((null[row] for rows in self.own.taps for row in rows if row in null), None)
        if undefined is not None:  # and with it whatever came before that row
            return [undefined for _ in self.given.flat]
        found = self._merged({x: g for x, g in passed.items() if x not in null})
        saved = self._saved(list(found.values()))
        forwards = self._forwards(saved)
        n: Any = self.given.n if forwards.done is None else forwards.done
        self.n = n
        steps = n if self.form.truncate < 0 else minimum(n, constant(self.form.truncate, dtype="int64"))
        label = f"gradient of {self.op.label}"
        loop = Assembly(partial(self.op.anew, label=label), steps, not self.form.backwards)
        replaced = {x: x.type() for x in saved}
        self._give(loop, forwards, replaced, n, steps)
        below = dict(zip(found, clone_replace(list(found.values()), replaced), strict=True)) if found else {}
        self._collect(loop, below)
        return self._handed_out(loop.made(), below, null, n, steps)

    def _forwards(self, saved: Sequence[Variable]) -> Outputs[TensorVariable]:
        """The scan itself, with all rows of its states, and what is ``saved`` of each step behind its results."""
        known = {*self.made.states, *self.made.results}
        more = [x for x in saved if x not in known]
        outputs = [*self.made.states, *self.made.results, *more, *([] if self.made.stop is None else [self.made.stop])]
        kinds: list[Any] = [x.type for x in more]
        form = replace(self.form.keeping_all(), results=(*self.form.results, *(kind.shape for kind in kinds)))
        lengths = [
            [n for known, n in zip(kind.shape, all_of_them, strict=True) if known is None]
            for kind, all_of_them in zip(
                kinds, row_lengths(more, first_step(self.form, self.given, self.own)), strict=True
            )
        ]
        scan = type(self.op)(InnerGraph(self.step.inputs, outputs), form, self.op.label)
        out = form.outputs(scan(*self.given.flat, *(n for of_one in lengths for n in of_one), return_list=True))
        count = len(self.made.results)
        self.rows_saved = dict(zip(more, out.results[count:], strict=True))
        for x, result in zip(self.made.results, out.results, strict=False):
            self.rows_saved.setdefault(x, result)
        for x, state, trace in zip(self.made.states, self.form.states, out.states, strict=True):
            self.rows_saved.setdefault(x, self._as_results(getitem(trace, slice(state.span, None))))
        return out

    def _give(self, loop: Assembly, forwards: Outputs, replaced: dict, n: Any, steps: Any) -> None:
        """Tell the scan what its steps read."""

        def undone(x: Any) -> Any:
            return x if self.form.truncate < 0 else getitem(x, self._place_of(steps, n))

        for row, x in zip(self.own.sequences, self.given.sequences, strict=True):
            loop.sequence(undone(x if forwards.done is None else getitem(x, slice(None, n))), row)
        for rows, state, trace in zip(self.own.taps, self.form.states, forwards.states, strict=True):
            for row, tap in zip(rows, state.taps, strict=True):
                loop.sequence(undone(self._as_results(getitem(trace, slice(state.span + tap, tap)))), row)
        for x, own in replaced.items():
            loop.sequence(undone(self.rows_saved[x]), own)
        for x, own in zip(self.given.constants, self.own.constants, strict=True):
            loop.constant(x, own)
        above = [None if g is None else self._as_results(g) for g in self.steps_above]
        for made, g in zip(self.rows_above, [*above, *self.above.results], strict=True):
            if made is not None:
                loop.sequence(undone(g), made)

    def _as_results(self, rows: TensorVariable) -> TensorVariable:
        """Rows of a state, one for each step, in the order in which sequences and results have theirs."""
        return getitem(rows, slice(None, None, -1)) if self.form.backwards else rows

    def _place_of(self, steps: Any, n: Any) -> slice:
        """Where sequences and results have the rows of the last ``steps`` of ``n`` steps."""
        return slice(None, steps) if self.form.backwards else slice(n - steps, n)

    def _collect(self, loop: Assembly, below: dict[Variable, Any]) -> None:
        """Tell the scan what its steps make: a state for each active tap, sums for constants, rows for sequences."""
        for k, rows in enumerate(self.own.taps):
            for row, state_tap, arriving in zip(rows, self.form.states[k].taps, self.arriving[k], strict=True):
                if arriving is None:
                    continue
                initial = self.given.initials[k]
                start: Any = zeros((-state_tap, *shape_of(initial)[1:]), initial.dtype)
                if -state_tap == self.form.states[k].span and self.parts[k].last is not None:
                    start = getitem(self.parts[k].last, slice(None, None, -1))
                loop.state(start, State((state_tap,), Keep.LAST), [arriving], below.get(row, zeros_of(row)))  # type: ignore[arg-type]
        for x, own in zip(self.given.constants, self.own.constants, strict=True):
            if own in below:
                so_far = x.type()
                start = zeros((1, *shape_of(x)), x.dtype)
                loop.state(start, State((-1,), Keep.LAST), [so_far], so_far + below[own])  # type: ignore[operator]
        for x, row in zip(self.given.sequences, self.own.sequences, strict=True):
            if row in below:
                loop.result(below[row], shape_of(x)[1:])

    def _handed_out(
        self,
        out: Outputs[TensorVariable],
        below: dict[Variable, Any],
        null: dict[Variable, Variable],
        n: Any,
        steps: Any,
    ) -> list[Variable]:
        """The gradients of the inputs of the scan."""
        windows, rows = iter(out.states), iter(out.results)
        initials = [self._of_initial(k, windows, n, steps) for k in range(len(self.form.states))]
        constants = [next(windows)[0] if own in below else disconnected() for own in self.own.constants]  # type: ignore[index]
        sequences = [
            self._of_sequence(next(rows), x, steps) if row in below else disconnected()
            for x, row in zip(self.given.sequences, self.own.sequences, strict=True)
        ]
        for own, found in ((self.own.sequences, sequences), (self.own.constants, constants)):
            found[:] = [null.get(x, g) for x, g in zip(own, found, strict=True)]
        rest = [[disconnected() for _ in lengths] for lengths in self.given.lengths]
        return Inputs(disconnected(), sequences, initials, constants, rest).flat

    def _of_initial(self, k: int, windows: Any, n: Any, steps: Any) -> Variable:
        """What the first steps have passed to the rows that were there before."""
        if not self.active[k]:
            return disconnected()
        state, initial = self.form.states[k], self.given.initials[k]
        total = self.parts[k].of_initial(state.span)
        for tap in state.taps:
            window: Any = next(windows)
            if self.form.truncate >= 0:
                window = where(n > steps, zeros_of(window), window)
            g = getitem(window, slice(None, None, -1))
            if -tap < state.span:
                place = slice(state.span + tap, state.span)
                g = set_subtensor(getitem(zeros_of(initial), place), g)
            total = g if total is None else total + g
        return total

    def _of_sequence(self, rows: TensorVariable, x: TensorVariable, steps: Any) -> TensorVariable:
        if self.form.truncate < 0 and not self.form.until:
            return rows
        return set_subtensor(getitem(zeros_of(x), self._place_of(steps, self.n)), rows)
