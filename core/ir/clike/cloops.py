"""Steps that run again and again, in C: a loop around the entry function of what is done in one step.

That is written by centry.py as any other, but for its outputs: whoever calls it says where these lie.
"""

from __future__ import annotations

from core import dtypes
from core.ir.axes import product
from core.ir.clike.cblocks import Around
from core.ir.definitions import Value
from core.ir.expr import length
from core.ir.iteration import Carried, Rows
from core.ir.program import LoopStep

REPORT = 256  # integers: what failed in a step is not read, but asked of the interpreter


def call_lines(step: LoopStep, around: Around) -> list[str]:
    """The lines that run all steps."""
    return _Text(step, around).lines()


class _Text:
    """One step of a program as text: the arrays of step ``i`` lie at pointers that follow from i alone."""

    def __init__(self, step: LoopStep, around: Around):
        self.step, self.around, self.iteration = step, around, step.iteration
        values = [rows.value for rows in self.iteration.sequences]
        values += [state.kept for state in self.iteration.states] + list(self.iteration.results)
        self.sizes = {value: f"core_row{k}" for k, value in enumerate(dict.fromkeys(values))}

    def lines(self) -> list[str]:
        own = self.iteration
        inputs = [self._row(rows) for rows in own.sequences]
        inputs += [self._before(state, tap) for state in own.states for tap in state.taps]
        inputs += [f"(void *){self.around.pointer(value)}" for value in own.wholes]
        outputs = [self._new(state) for state in own.states] + [self._result(value) for value in own.results]
        outputs += ["&core_stop"] if own.done is not None else []
        count = self.around.length(own.n)
        declared = [f"const int64_t core_steps = {count};", "int64_t core_done = core_steps;"]
        declared += self._row_sizes()
        lengths = ", ".join(self._lengths()) or "0"
        call = f"{self.step.body.name}(core_in, core_of, 0, routines, core_out, 0, core_said, &core_own.call)"
        stop = ["        if (core_stop) { core_done = core_i + 1; break; }"] if own.done is not None else []
        return [
            "{",
            *(f"    {line}" for line in declared),
            f"    const int64_t core_of[] = {{{lengths}}};",
            f"    int64_t core_said[{REPORT}];",
            *(["    uint8_t core_stop = 0;"] if own.done is not None else []),
            "    int core_lost = 0;",
            "    core_body_call core_own = {.call = {.memory = core_body_memory}};",
            "    core_own.call.run = call->run;  /* what is long in a step is divided among threads, as outside */",
            "    core_own.call.threads = call->threads;",
            *(f"    {line}" for state in own.states for line in self._begun(state)),
            "    core_busy(call);",
            "    for (int64_t core_i = 0; core_i < core_steps; core_i++) {",
            f"        void *core_in[] = {{{', '.join(inputs) or '0'}}};",
            f"        void *core_out[] = {{{', '.join(outputs) or '0'}}};",
            f"        if ({call}) {{ core_lost = 1; break; }}",
            *stop,
            "    }",
            "    if (core_own.block) free(core_own.block);",
            f"    if (core_lost) {self.around.failed('0')}",
            *(f"    {line}" for state in own.states for line in self._ended(state)),
            *(
                [f"    {self.around.pointer(own.done)}[0] = core_done;"]
                if own.done is not None
                else ["    (void)core_done;"]
            ),
            "}",
        ]

    # --- where rows lie ---------------------------------------------------------------------------------------------

    def _row_sizes(self) -> list[str]:
        """Names for the bytes of a row of each value of which there are rows."""
        return [f"const int64_t {name} = {self._row_bytes(value)};" for value, name in self.sizes.items()]

    def _row_bytes(self, value: Value) -> str:
        size = product(self.around.shape(value)[1:]) * dtypes.size_bytes(value.dtype)
        return f"(int64_t)({self.around.length(size)})"

    def _row(self, rows: Rows) -> str:
        at = self.around.length(rows.start)
        step = self.around.length(rows.step)
        return f"(char *){self.around.pointer(rows.value)} + (({at}) + core_i * ({step})) * {self.sizes[rows.value]}"

    def _place(self, state: Carried, behind: int) -> str:
        """Where row i + behind lies."""
        if state.room is None:
            return f"(char *){self.around.pointer(state.kept)} + (core_i + {behind}) * {self.sizes[state.kept]}"
        turn = f"(core_i + {behind}) % {state.span + 1}"
        return f"(char *){self.around.pointer(state.room)} + ({turn}) * {self.sizes[state.kept]}"

    def _before(self, state: Carried, tap: int) -> str:
        return self._place(state, state.span + tap)

    def _new(self, state: Carried) -> str:
        return self._place(state, state.span)

    def _result(self, value: Value) -> str:
        row = "(core_steps - 1 - core_i)" if self.iteration.backwards else "core_i"
        return f"(char *){self.around.pointer(value)} + {row} * {self.sizes[value]}"

    # --- before and after -------------------------------------------------------------------------------------------

    def _begun(self, state: Carried) -> list[str]:
        target = self.around.pointer(state.kept if state.room is None else state.room)
        row, initial = self.sizes[state.kept], self.around.pointer(state.initial)
        return [f"if ({row}) __builtin_memcpy({target}, {initial}, (size_t)({state.span} * {row}));"]

    def _ended(self, state: Carried) -> list[str]:
        """Of what was used in turn, the last rows in their order."""
        if state.room is None:
            return []
        row = self.sizes[state.kept]
        target, room = f"(char *){self.around.pointer(state.kept)}", f"(char *){self.around.pointer(state.room)}"
        turn = f"(core_done + core_k) % {state.span + 1}"
        copy = f"__builtin_memcpy({target} + core_k * {row}, {room} + ({turn}) * {row}, (size_t){row});"
        return [f"for (int64_t core_k = 0; {row} && core_k < {state.span}; core_k++) {copy}"]

    def _lengths(self) -> list[str]:
        """The lengths of the inputs of a step, one after the other."""
        found, body = [], self.step.body
        for value in body.inputs:
            for axis in range(len(body.shapes[value])):
                outside = self.iteration.lengths.get(length(value, axis))
                found.append("0" if outside is None else self.around.length(outside))
        return found
