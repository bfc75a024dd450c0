"""check_backend: the whole op suite and random graphs on one backend against the interpreter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from core import backend as backends
from core.compile.function import function
from core.errors import BackendError, GraphError
from core.testing.cases import Case, cases_of
from core.testing.on_backends import OnBackend, assert_same
from core.testing.result import Check, Outcome, Report, Result, said
from core.testing.suite import OpCase, op_suite

_VARIANTS = ("strided", "column-major", "empty", "size-1", "0-d")
_GRAPHS = 30


def check_backend(
    backend: Any,
    *,
    expected: Mapping[str, str] | None = None,
    only: str = "*",
    cases: Iterable[OpCase] = (),
    random_graphs: int = _GRAPHS,
    strict: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
    raising: bool = True,
) -> Result:
    """Run the op suite, and random graphs, on ``backend`` (a name, a record or a driver) and on the interpreter.

    expected       {"case": "why it fails here"}: patterns as of a shell, of names of cases ("*[float64]"); a case that
                   is said to fail and passes is reported, for the line has to go
    only           a pattern of the names of cases to run
    cases          more cases than those of core.testing.suite: those of an op pack
    random_graphs  how many graphs of core.testing.graphs (needs hypothesis unless it is 0); each is a case, "graph 0"
    strict         an op that the backend leaves to Python fails
    rtol, atol     how far results may be off; None: a few units in the last place of the dtype
    Checks         each case at its arrays, strided, column-major, empty, of size 1, 0-d, and with NaN where it is
                   elementwise, lengths unknown to the graph and known
    Errors         CheckError naming backend, case and inputs, unless ``raising`` is false: then see the Result.
                   BackendError when the backend does not work here
    """
    choice = backends.resolve(backend)
    report = Report(f"backend {choice}", expected=dict(expected or {}))
    reasons = dict(expected or {})
    used: set[str] = set()
    for case in (*op_suite(), *cases):
        if fnmatchcase(case.name, _escaped(only)):
            alone = Report(report.result.subject)
            _check_case(alone, choice, case, strict, rtol, atol)
            _settle(report, case.name, alone.result.checks, reasons, used)
    for number in range(random_graphs):
        name = f"graph {number}"
        if fnmatchcase(name, _escaped(only)):
            alone = Report(report.result.subject)
            with alone.checking(name, "core.testing.graphs"):
                _check_graph(choice, number)
            _settle(report, name, alone.result.checks, reasons, used)
    for pattern in sorted(set(reasons) - used):
        report.note("expected", pattern, Outcome.FAILED, f"no case is called {pattern!r}, which is said to fail")
    if not report.result.checks:
        raise BackendError(f"check_backend(only={only!r}) leaves no case to run")
    return report.result.settled(raising)


def _escaped(pattern: str) -> str:
    """Names hold brackets, which a shell would take for a set of characters."""
    return pattern.replace("[", "[[]")


def _settle(report: Report, name: str, checks: list[Check], reasons: Mapping[str, str], used: set[str]) -> None:
    """Take over the checks of one case; where it is expected to fail, one that says whether it did."""
    fitting = [pattern for pattern in reasons if fnmatchcase(name, _escaped(pattern))]
    used.update(fitting)
    if not fitting:
        report.result.checks += checks
        return
    reason = reasons[fitting[0]]
    failed = [check for check in checks if check.outcome is Outcome.FAILED]
    if failed:
        report.note(name, failed[0].case, Outcome.EXPECTED, f"{reason} ({failed[0].detail})")
    else:
        report.note(name, "every input", Outcome.UNEXPECTED, f"it passes, and was said to fail: {reason}")


def _check_case(
    report: Report, choice: Any, case: OpCase, strict: bool, rtol: float | None, atol: float | None
) -> None:
    reference = OnBackend(case.function, "interpreter", mode="none")
    known: list[tuple[Case, list[np.ndarray]]] = []
    for one in cases_of(case.arrays, _VARIANTS, case.special):
        try:
            known.append((one, reference(one.arrays)))
        except Exception as error:  # a maximum of nothing
            if not one.may_be_refused:
                raise
            report.note(case.name, one, Outcome.REFUSED, said(error))
    for static in (False, True):
        run = OnBackend(case.function, choice, static, mode=None if static else "none")
        for one, wanted in known[:1] if static else known:
            with report.checking(case.name, one) as details:
                found = run(one.arrays)
                if strict and run.fallbacks:
                    raise GraphError(run.note())
                assert_same(found, wanted, f"{case.name} on {choice}", rtol, atol)
                details += filter(None, [run.note()])


def _check_graph(choice: Any, seed: int) -> None:
    from core.testing.graphs import build  # needs hypothesis

    graph = build(seed, range(8), ("float64", "float32", "int64", "int32"))
    run = function(graph.inputs, graph.outputs, backend=choice, on_unused_input="ignore")
    try:
        assert_same([np.asarray(out) for out in run(*graph.arrays)], graph.expected, str(choice), **graph.tolerance())
    except GraphError as error:
        raise GraphError(f"{error}\n  in {graph}") from error
