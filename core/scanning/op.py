"""Scan: a graph that is computed step by step, each step from rows of sequences and from what earlier steps made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from core.errors import ArgumentError, DTypeError, ShapeError
from core.graph import Apply, Constant, Variable
from core.inner import InnerGraph, InnerOp, Runs
from core.scanning.connections import pattern
from core.scanning.form import Form, Inputs, Keep, StepInputs, filled
from core.scanning.forward import tangents
from core.scanning.reverse import gradients
from core.scanning.stacks import stacked_scan
from core.tensor.shape import static_length
from core.tensor.type import TensorType, TensorVariable, as_tensor


class Scan(InnerOp):
    """Step i computes ``inner`` from row i of each sequence, rows i + tap of each state, and the constants.

    Backwards, it has row n - 1 - i of each sequence, and makes that row of each result.

    Inputs   those of ``form``: n, an int64 scalar; sequences of n rows; the rows that states start from; constants; and
             an int64 scalar for each length of a result's rows that its type does not know.
    label    for people: it says nothing of what is computed
    Outputs  of each state the rows that it keeps; of each result the n rows that the steps made; with ``until``, how
             many steps were done, to which states and results are then cut.
    Errors   ShapeError for an n below 0, a sequence of another length, or rows that change their shape.
    """

    __props__ = ("inner", "form")
    repeats = True
    explains_lengths = True

    def __init__(self, inner: InnerGraph, form: Form, label: str = ""):
        self.inner, self.form, self.label = inner, form, label

    @classmethod
    def anew(cls, inner: InnerGraph, form: Form, label: str) -> Scan:
        """Another scan."""
        return cls(inner, form, label)

    def __str__(self) -> str:
        return f"Scan({self.label})"

    __repr__ = __str__

    # --- the graph inside -------------------------------------------------------------------------------------------

    def inner_graphs(self) -> Mapping[str, InnerGraph]:
        return {"step": self.inner}

    def with_inner_graphs(self, graphs: Mapping[str, InnerGraph]) -> Scan:
        return Scan(graphs["step"], self.form, self.label)

    def performer(self, node: Apply, compiled: Callable[[InnerGraph], Runs]) -> Callable[..., None]:
        return partial(self._run, compiled(self.inner))

    # --- types ------------------------------------------------------------------------------------------------------

    def make_node(self, *inputs: Any) -> Apply:
        given = self.form.inputs([as_tensor(x) for x in inputs])
        if self.form.backwards and self.form.until:
            raise ArgumentError(f"{self} needs to go forwards where a step may be the last")
        if len(given.flat) != len(inputs) or len(given.initials) != len(self.form.states):
            raise ArgumentError(f"{self} needs other inputs than these {len(inputs)}")
        for n in (given.n, *(n for lengths in given.lengths for n in lengths)):
            as_tensor(n, dtype="int64", ndim=0)
        known = int(given.n.data) if isinstance(given.n, Constant) else None  # type: ignore[attr-defined]
        if known is not None and known < 0:
            raise ShapeError(f"{self} needs a number of steps that is not negative, got {known}")
        self._check_rows(given, known)
        until = self.form.until
        rows = self.form.step_outputs(self.inner.outputs)
        steps = None if until else known
        kinds = []
        for state, own, initial in zip(self.form.states, rows.states, given.initials, strict=True):
            whole = None if steps is None else steps + state.span
            shape = _meet(own.type.shape, initial.type.shape[1:])  # type: ignore[attr-defined]
            kinds.append(TensorType(initial.dtype, (state.span if state.keep is Keep.LAST else whole, *shape)))
        for row, shape, lengths in zip(rows.results, self.form.results, given.lengths, strict=True):
            known_lengths = filled(shape, [static_length(n) for n in lengths])
            kinds.append(TensorType(row.type.dtype, (steps, *_meet(row.type.shape, known_lengths))))  # type: ignore[attr-defined]
        kinds += [TensorType("int64", ())] if until else []
        return Apply(self, given.flat, kinds)

    def _check_rows(self, given: Inputs, n: int | None) -> None:
        """Errors: DTypeError, ShapeError where an input has not the rows that a step takes."""
        own = self.form.step_inputs(self.inner.inputs)
        for x, row in zip(given.sequences, own.sequences, strict=True):
            _check_fits(self, x, (n, *row.type.shape), row.type.dtype)  # type: ignore[attr-defined]
        for state, x, taps in zip(self.form.states, given.initials, own.taps, strict=True):
            for row in taps:
                _check_fits(self, x, (state.span, *row.type.shape), row.type.dtype)  # type: ignore[attr-defined]
        for x, own_constant in zip(given.constants, own.constants, strict=True):
            _check_fits(self, x, own_constant.type.shape, own_constant.type.dtype)  # type: ignore[attr-defined]

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        given, shapes = self.form.inputs(node.inputs), self.form.inputs(list(input_shapes))
        out = self.form.outputs(node.outputs)
        n: Any = given.n if out.done is None else out.done
        found: list[tuple] = []
        for state, initial in zip(self.form.states, shapes.initials, strict=True):
            found.append((state.span if state.keep is Keep.LAST else n + state.span, *initial[1:]))
        for shape, lengths in zip(self.form.results, given.lengths, strict=True):
            found.append((n, *filled(shape, lengths)))
        return [*found, *([] if out.done is None else [()])]

    def do_constant_folding(self, node: Apply) -> bool:
        """Many steps take long; few are quick when the function runs, too."""
        return False

    # --- computing --------------------------------------------------------------------------------------------------

    def _run(self, step: Runs, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        """``perform``, with a function that computes a step."""
        given = self.form.inputs(list(inputs))
        n = self._checked_steps(given, node)
        traces, results = self._rows_for(n, given)
        done = n
        spans = [state.span for state in self.form.states]
        for i in range(n):
            row = n - 1 - i if self.form.backwards else i
            taps = [
                [trace[i + span + tap, ...] for tap in state.taps]
                for trace, span, state in zip(traces, spans, self.form.states, strict=True)
            ]
            made = self.form.step_outputs(
                step(StepInputs([x[row, ...] for x in given.sequences], taps, given.constants).flat)
            )
            for trace, span, value in zip(traces, spans, made.states, strict=True):
                _put(self, trace, i + span, value, node)
            for result, value in zip(results, made.results, strict=True):
                _put(self, result, row, value, node)
            if made.stop is not None and made.stop:
                done = i + 1
                break
        kept = [
            trace[done : done + span] if state.keep is Keep.LAST else trace[: done + span]
            for trace, span, state in zip(traces, spans, self.form.states, strict=True)
        ]
        values = [*kept, *(result[:done] for result in results)]
        for cell, value in zip(output_storage, values, strict=False):
            cell[0] = np.ascontiguousarray(value)
        if self.form.until:
            output_storage[-1][0] = np.asarray(done, "int64")

    def _checked_steps(self, given: Inputs[np.ndarray], node: Apply) -> int:
        """How many steps there are.  Errors: ShapeError for rows that there are not."""
        n, names = int(given.n), self.form.inputs(node.inputs)
        if n < 0:
            raise ShapeError(f"{self} needs a number of steps that is not negative, got {n}", blame=node)
        for x, variable in zip(given.sequences, names.sequences, strict=True):
            if len(x) != n:
                raise ShapeError(f"{self} needs {n} rows of the sequence {variable}, got {len(x)}", blame=node)
        for state, x, variable in zip(self.form.states, given.initials, names.initials, strict=True):
            if len(x) != state.span:
                raise ShapeError(
                    f"{self} needs {state.span} initial rows for taps {list(state.taps)}, got {len(x)} in {variable}",
                    blame=node,
                )
        return n

    def _rows_for(self, n: int, given: Inputs[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Memory for the rows of states, with those that they start from, and of results."""
        traces = []
        for state, initial in zip(self.form.states, given.initials, strict=True):
            trace = np.empty((state.span + n, *initial.shape[1:]), initial.dtype)
            trace[: state.span] = initial
            traces.append(trace)
        results = []
        rows = self.form.step_outputs(self.inner.outputs).results
        for row, shape, lengths in zip(rows, self.form.results, given.lengths, strict=True):
            results.append(np.empty((n, *filled(shape, [int(m) for m in lengths])), row.type.dtype))  # type: ignore[attr-defined]
        return traces, results

    # --- derivatives and stacks -------------------------------------------------------------------------------------

    def grad(self, inputs: Sequence[Any], output_grads: Sequence[Variable]) -> list[Variable]:
        """A scan from the last step to the first: see reverse.py."""
        return gradients(self, inputs, output_grads)

    def R_op(self, inputs: Sequence[Any], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """A scan whose states have their tangents beside them: see forward.py."""
        return tangents(self, inputs, eval_points)

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return pattern(self)

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        """A scan of stacks: see stacks.py."""
        return stacked_scan(self, node, inputs)


def _meet(a: Sequence[int | None], b: Sequence[int | None]) -> tuple[int | None, ...]:
    return tuple(m if n is None else n for n, m in zip(a, b, strict=True))


def _check_fits(op: Scan, x: TensorVariable, shape: Sequence[int | None], dtype: str) -> None:
    if x.dtype != dtype or x.ndim != len(shape):
        raise DTypeError(f"{op} needs {dtype} with ndim={len(shape)}, got {x} of {x.type}", blame=x)
    if any(None not in pair and pair[0] != pair[1] for pair in zip(x.type.shape, shape, strict=True)):
        raise ShapeError(f"{op} needs {TensorType(dtype, shape)}, got {x} of {x.type}", blame=x)


def _put(op: Scan, rows: np.ndarray, i: int, value: np.ndarray, node: Apply) -> None:
    """Errors: ShapeError where a step makes a row of another shape."""
    if np.shape(value) != rows.shape[1:]:
        raise ShapeError(f"{op} needs rows of shape {rows.shape[1:]}, got {np.shape(value)} in a step", blame=node)
    rows[i] = value
