"""check_op: everything that an op promises, at the inputs given and at those derived from them, on every backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import NullGradientError
from core.graph import Apply, toposort
from core.op import Op
from core.testing.cases import SAME_VALUES, VARIANTS, Case, cases_of
from core.testing.checks import check_c_code, check_lowering, check_shapes
from core.testing.contract import (
    can_be_found,
    check_connection,
    check_copies,
    check_memory,
    check_props,
    check_repeatable,
)
from core.testing.derivatives import check_derivatives
from core.testing.on_backends import OnBackend, assert_same, compilers_alone
from core.testing.result import Outcome, Report, Result, said
from core.testing.stacks import check_batch
from core.testing.values import as_list, available_backends, compute, symbolic


def check_op(
    op: Callable[..., Any],
    *arrays: Any,
    wrt: Sequence[int] | int | None = None,
    derivatives: bool | None = None,
    backends: Sequence[str] | None = None,
    variants: Sequence[str] = VARIANTS,
    nan: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
    raising: bool = True,
) -> Result:
    """Hold ``op`` (an op, or a function of tensor variables) to its whole contract at ``arrays``.

    wrt          positions of the inputs to differentiate by; left out, all of a float dtype
    derivatives  whether grad and R_op are checked; None: as far as the op has them, where an input and an output are
                 floats.  Points where the op is not smooth are no points to give
    backends     which to compare with the interpreter; None: all that work here, and the compilers of those that do not
    variants     what else to derive from the arrays: "strided", "column-major", "empty", "size-1", "0-d"; the op may
                 refuse shapes that were not given, and the result says which it refused
    nan          also with NaN, infinities and both zeros in the place of every second float
    rtol, atol   how far backends may be off; None: a few units in the last place of the dtype

    Checks  props: __props__, equality, hash;  pickle: copies are equal;  memory: what perform overwrites and aliases
            against destroy_map and view_map;  repeat: the same again;  connection: connection_pattern, the form of
            grad;  batch: a stack against its elements;  shapes: dtype, ndim, lengths, infer_shape against a run;
            lower: against perform;  c_code: the same, and its memory;  grad, R_op: against differences and each other;
            one for each backend, lengths unknown to the graph and known
    Errors  CheckError naming op, check and inputs, unless ``raising`` is false: then see the Result.
    """
    values = tuple(np.asarray(array) for array in arrays)
    report = Report(_named(op), inputs=[f"{a.dtype}{list(a.shape)}" for a in values])
    given, *derived = cases_of(values, variants, nan)
    if not report.check("build", given, lambda: as_list(op(*symbolic(values)))):
        return report.result.settled(raising)
    _check_class(report, op, given)
    for case in (given, *derived):
        _check_case(report, op, case, static=case.kind == "given")
    if derivatives is not False:
        _check_derivatives(report, op, given, wrt, required=bool(derivatives))
    _check_backends(report, op, [given, *derived], backends, rtol, atol)
    return report.result.settled(raising)


def _named(op: Any) -> str:
    if not isinstance(op, Op):
        return getattr(op, "__qualname__", repr(op)).replace("<locals>.", "")
    try:
        return str(op)
    except AttributeError:  # a prop that is not there
        return type(op).__name__


def _nodes(op: Callable[..., Any], values: Sequence[np.ndarray]) -> tuple[list, list[Apply]]:
    inputs = symbolic(values)
    return inputs, toposort(as_list(op(*inputs)), stop_at=inputs)


def _check_class(report: Report, op: Callable[..., Any], given: Case) -> None:
    """What holds of the op itself, whatever its inputs; each op of the graph, where a function makes several."""
    found: dict[int, Op] = {id(op): op} if isinstance(op, Op) else {}
    found.update((id(node.op), node.op) for node in _nodes(op, given.arrays)[1])
    for one in found.values():
        if not report.check("props", given, check_props, one):
            continue
        if can_be_found(one):
            report.check("pickle", given, check_copies, one)
        else:
            why = f"{type(one).__name__} cannot be pickled where it is: not at the top of a module that can be imported"
            report.note("pickle", given, Outcome.SKIPPED, why)


def _check_case(report: Report, op: Callable[..., Any], case: Case, static: bool) -> None:
    """What a run says of each node: memory, repetition, connection, shapes, lowering."""
    try:
        inputs, nodes = _nodes(op, case.arrays)
        of_node = [(node, compute(inputs, node.inputs, case.arrays)) for node in nodes]
        for node in nodes:
            compute(inputs, node.outputs, case.arrays)
    except Exception as error:  # the op may refuse what it was not said to take
        outcome = Outcome.REFUSED if case.may_be_refused else Outcome.FAILED
        report.note("run", case, outcome, said(error))
        return
    for node, given in of_node:
        if all(isinstance(x, np.ndarray) for x in given):
            report.check("memory", case, check_memory, node, given)
            if case.kind == "given":
                report.check("repeat", case, check_repeatable, node, given)
                report.check("connection", case, check_connection, node, given)
                if node.op.defines("batch"):
                    report.check("batch", case, check_batch, node, given)
    report.check("shapes", case, check_shapes, op, *case.arrays)
    if any(node.op.defines("lower") and node.op.defines("perform") for node in nodes):
        report.check("lower", case, check_lowering, op, *case.arrays)
    if any(node.op.defines("c_code") for node in nodes):
        report.check("c_code", case, check_c_code, op, *case.arrays)


def _check_derivatives(report: Report, op: Callable[..., Any], given: Case, wrt: Any, required: bool) -> None:
    outputs = as_list(op(*symbolic(given.arrays)))
    floats = [k for k, array in enumerate(given.arrays) if array.dtype.name in dtypes.FLOATS]
    if not required and not (floats and any(out.type.dtype in dtypes.FLOATS for out in outputs)):
        return
    positions: Any = floats if wrt is None else wrt
    alone = [positions] if isinstance(positions, int) else list(positions)
    for part in ("grad", "R_op"):
        for position in alone:
            _check_part(report, op, given, [position], (part,), required, f"{part} by input {position}")
    good = {check.name for check in report.result.checks if check.outcome is Outcome.PASSED}
    if all(f"{part} by input {position}" in good for part in ("grad", "R_op") for position in alone):
        _check_part(report, op, given, alone, ("grad", "R_op"), required, "grad and R_op together")


def _check_part(
    report: Report, op: Any, given: Case, wrt: list[int], parts: Sequence[str], required: bool, name: str
) -> None:
    try:
        check_derivatives(op, *given.arrays, wrt=wrt, parts=parts)
    except NullGradientError as error:  # it says that there is none
        report.note(name, given, Outcome.FAILED if required else Outcome.REFUSED, said(error))
    except Exception as error:  # whatever its methods raise
        report.note(name, given, Outcome.FAILED, said(error))
    else:
        report.note(name, given, Outcome.PASSED)


def _check_backends(
    report: Report, op: Any, cases: Sequence[Case], names: Sequence[str] | None, rtol: float | None, atol: float | None
) -> None:
    chosen = available_backends() if names is None else list(names)
    reference = OnBackend(op, "interpreter", mode="none")
    expected = []
    for case in cases:
        try:
            expected.append((case, reference(case.arrays)))
        except Exception:  # refused above, or failed there already
            continue
    for name in chosen:
        for static in (False, True):
            run = OnBackend(op, name, static, mode=None if static else "none")
            what = f"backend {name}, lengths {'known' if static else 'unknown'}"
            for case, wanted in expected:
                if not static or case.kind in SAME_VALUES[:1]:
                    with report.checking(what, case) as details:
                        assert_same(run(case.arrays), wanted, f"{_named(op)} on {name}", rtol, atol)
                        details += filter(None, [run.note()])
    if names is None:
        _check_compilers(report, op, cases[0])


def _check_compilers(report: Report, op: Any, given: Case) -> None:
    for name, opened in compilers_alone().items():
        with report.checking(f"compiler of {name}", given) as details:
            run = OnBackend(op, opened, mode="none")
            sources = run.function(given.arrays).sources
            details += [run.note() or f"{len(sources)} text{'s' * (len(sources) != 1)} compiled, not run"]
