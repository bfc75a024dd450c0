"""``scan``: a loop made of a function that says what one step computes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from core import dtypes
from core.dataclass import dataclass, replace
from core.errors import ArgumentError, ShapeError, attributed_to, user_line
from core.graph import Variable, clone_nodes, toposort
from core.inner import InnerGraph
from core.scanning.arguments import (
    Returned,
    Sequence,
    Start,
    as_returned,
    as_sequence,
    as_start,
    check_new,
    check_parameters,
    check_strict,
    listed,
)
from core.scanning.assembly import Assembly
from core.scanning.form import State
from core.scanning.lengths import row_lengths
from core.scanning.op import Scan
from core.tensor.arithmetic import minimum
from core.tensor.indexing import getitem
from core.tensor.shape import as_length, shape_i, static_length
from core.tensor.type import TensorVariable, as_tensor, constant


@dataclass(frozen=True)
class Options:
    """What else ``scan`` was told; ``is_cut``: sequences may have more rows than there are steps."""

    truncate: int
    go_backwards: bool
    strict: bool
    is_cut: bool
    label: str


def scan(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    name: str | None = None,
    strict: bool = False,
    return_list: bool = False,
) -> Any:
    """A loop: ``fn`` says, of symbolic variables, what one step computes.  Returns its outputs, stacked over the steps.

    fn             called once.  Its arguments are, in this order: for each sequence the rows at its taps, for each
                   output that recurs its values at its taps, and the non-sequences.  It returns an output or several,
                   in the order of ``outputs_info``, and perhaps ``core.until(condition)`` after them
    sequences      tensors, or ``dict(input=x, taps=[-1, 0, 1])``: step i gets ``x[i + tap]``, counted so that the
                   least tap of the first step is row 0
    outputs_info   for each output what it starts from, or None where it does not recur; ``dict(initial=x,
                   taps=[-2, -1])`` gives a step the values of two steps before, and one; x then has a row for each
    non_sequences  what is the same in each step.  Whatever else ``fn`` reads, shared variables too, needs no mention
    n_steps        how many steps: an int or a symbolic integer; left out, as many as the shortest sequence has, as of
                   zip
    truncate_gradient  how many steps a gradient goes back; -1 for all
    go_backwards   take the rows of the sequences from the last to the first
    name           for messages and printing
    strict         what ``fn`` reads must be among the arguments
    return_list    a list even for one output

    With ``until`` the step for which the condition is true is the last, and outputs end with it; n_steps is the most
    there may be.  There is no dictionary of updates: random keys are plain values, and are carried as states.

    Errors  ArgumentError for neither n_steps nor sequences, another number of outputs, or an ``fn`` that takes another
            number of arguments; DTypeError, ShapeError for an output that its next step cannot take; ShapeError for
            fewer rows than n_steps.

    >>> import core, core.tensor as ct
    >>> n = ct.lscalar("n")
    >>> powers = core.scan(lambda x: 2 * x, outputs_info=1, n_steps=n)
    >>> core.function([n], powers)(5)
    array([ 2,  4,  8, 16, 32])
    """
    with attributed_to(user_line()):
        given = [as_sequence(k, x) for k, x in enumerate(listed(sequences))]
        n = _steps(n_steps, given)
    options = Options(
        truncate_gradient, go_backwards, strict, n_steps is not None or len(given) > 1, name or _label(fn)
    )
    constants = [as_tensor(x) for x in listed(non_sequences)]
    infos = listed(outputs_info)
    others = [sequence.x.dtype for sequence in given] + [x.dtype for x in constants]
    with attributed_to(user_line()):
        starts = [as_start(k, info, others) for k, info in enumerate(infos)]
    rows = [sequence.rows() for sequence in given]
    taps = [[] if start is None else start.rows() for start in starts]
    arguments = [row for of_one in (*rows, *taps) for row in of_one] + constants
    check_parameters(fn, arguments)
    returned = as_returned(fn(*arguments))
    if outputs_info is None:
        starts, taps = [None] * len(returned.outputs), [[] for _ in returned.outputs]
    if len(starts) != len(returned.outputs):
        raise ArgumentError(
            f"fn of scan needs to return {len(starts)} outputs, one for each entry of outputs_info, "
            f"got {len(returned.outputs)}; an entry is None for an output that does not recur"
        )
    with attributed_to(user_line()):
        starts, taps, returned = _with_weak_numbers(starts, taps, returned, others)
        for number, (start, new) in enumerate(zip(starts, returned.outputs, strict=True)):
            if start is not None:
                check_new(number, start, new)
        outputs = _assembled(n, given, rows, starts, taps, returned, constants, options)
    for number, (out, new) in enumerate(zip(outputs, returned.outputs, strict=True)):
        if name is not None:
            out.name = name if len(outputs) == 1 else f"{name}.{number}"
        elif new.owner is not None and new.name is not None:
            out.name = new.name
    return outputs[0] if len(outputs) == 1 and not return_list else outputs


def _label(fn: Any) -> str:
    return getattr(fn, "__name__", type(fn).__name__).strip("<>")


def _steps(n_steps: Any, sequences: list[Sequence]) -> TensorVariable:
    """How many steps there are.  Errors: ArgumentError for nothing that says it; ShapeError."""
    if n_steps is None and not sequences:
        raise ArgumentError("scan needs n_steps or a sequence to know how many steps there are, got neither")
    found: list[tuple[Sequence, int]] = []
    for sequence in sequences:
        rows = sequence.x.type.shape[0]
        if rows is not None:
            found.append((sequence, rows - sequence.before - sequence.behind))
    if n_steps is not None:
        n = as_length(n_steps)
        known = static_length(n)
        if known is not None and known < 0:
            raise ShapeError(f"scan needs a number of steps that is not negative, got n_steps={known}")
        for sequence, rows in found:
            if known is not None and rows < known:
                raise ShapeError(
                    f"scan needs {known} steps of each sequence, but {sequence.x} has {max(rows, 0)}", blame=sequence.x
                )
        return n
    count: Any = None
    known = min((max(rows, 0) for _, rows in found), default=None)
    for x, beside in dict.fromkeys(
        (one.x, one.before + one.behind) for one in sequences if one.x.type.shape[0] is None
    ):
        length: Any = shape_i(x, 0)
        length = length - beside if beside else length
        count = length if count is None else minimum(count, length)
    if known is None:
        return count
    return as_length(known) if count is None else minimum(count, known)


def _with_weak_numbers(
    starts: list[Start | None], taps: list[list[TensorVariable]], returned: Returned, others: list[str]
) -> tuple[list[Start | None], list[list[TensorVariable]], Returned]:
    """Python numbers from which states start take the dtype of what a step makes of them; ``others`` are dtypes that
    they may meet there."""
    for number, start in enumerate(starts):
        new = returned.outputs[number]
        if start is None or start.number is None or new.dtype == start.initial.dtype:
            continue
        beside: Any = dtypes.promote(*others, type(start.number))  # type: ignore[arg-type]
        for dtype in dict.fromkeys([beside, new.dtype]):
            if not np.can_cast(start.initial.dtype, dtype, "same_kind"):
                continue
            changed = replace(start, initial=constant([start.number], dtype=dtype))
            fresh = changed.rows()
            outputs = _read_anew(returned.flat, dict(zip(taps[number], fresh, strict=True)))
            if outputs[number].dtype == dtype:
                returned = returned.of(outputs)
                starts = [*starts[:number], changed, *starts[number + 1 :]]
                taps = [*taps[:number], fresh, *taps[number + 1 :]]
                break
    return starts, taps, returned


def _read_anew(outputs: list[Any], mapping: dict[Variable, Any]) -> list[Any]:
    """``outputs`` of other variables, perhaps of another type, than the keys of ``mapping``."""
    touched = set(mapping)
    nodes = []
    for node in toposort(outputs, stop_at=mapping):
        if any(x in touched for x in node.inputs):
            touched.update(node.outputs)
            nodes.append(node)
    clone_nodes(nodes, mapping)
    return [mapping.get(out, out) for out in outputs]


def _assembled(
    n: TensorVariable,
    sequences: list[Sequence],
    rows: list[list[TensorVariable]],
    starts: list[Start | None],
    taps: list[list[TensorVariable]],
    returned: Returned,
    constants: list[TensorVariable],
    options: Options,
) -> list[TensorVariable]:
    own = [row for of_one in (*rows, *taps) for row in of_one]
    inner, captured = InnerGraph.closed(own, returned.flat)
    if options.strict:
        check_strict(captured, constants)
    inside = dict(zip([*own, *captured], inner.inputs, strict=True))
    made = list(inner.outputs)
    loop, first = Assembly(partial(Scan, label=options.label), n), dict[Variable, Any]()
    for sequence, of_one in zip(sequences, rows, strict=True):
        for tap, row in zip(sequence.taps, of_one, strict=True):
            x = _shifted(sequence, tap, n, options.go_backwards, options.is_cut)
            loop.sequence(x, inside[row])
            first[inside[row]] = getitem(x, 0)
    for start, of_one, after in zip(starts, taps, made, strict=False):
        if start is not None:
            loop.state(start.initial, State(start.taps), [inside[row] for row in of_one], after)
            for tap, row in zip(start.taps, of_one, strict=True):
                first[inside[row]] = getitem(start.initial, tap)
    for outer in captured:
        loop.constant(outer, inside[outer])
        first[inside[outer]] = outer
    results = [after for start, after in zip(starts, made, strict=False) if start is None]
    for result, lengths in zip(results, row_lengths(results, first), strict=True):
        loop.result(result, lengths)
    out = loop.made(None if returned.stop is None else made[-1], options.truncate)
    states, plain = iter(out.states), iter(out.results)
    return [next(plain) if start is None else getitem(next(states), slice(-min(start.taps), None)) for start in starts]


def _shifted(sequence: Sequence, tap: int, n: TensorVariable, go_backwards: bool, is_cut: bool) -> TensorVariable:
    """The rows of a sequence that the steps see at a tap; ``is_cut``: perhaps only its first ones."""
    x: Any = sequence.x
    start, less = tap + sequence.before, sequence.behind - tap
    if start or less:
        x = x[start : -less if less else None]
    if go_backwards:
        x = x[::-1]
    known = x.type.shape[0]
    return x[:n] if is_cut and (known is None or known != static_length(n)) else x
