"""check_rewrite: a rule fires where it should, nowhere else, comes to an end, and keeps what every graph means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from core.compile.interpreter import Interpreted
from core.errors import ArgumentError, GraphError, RewriteError
from core.graph import FunctionGraph
from core.records import Rewrite, load
from core.rewriting import RewriteLog, Rule, RuleSet, rewrite, rules_from_record
from core.testing.cases import Case, cases_of, described
from core.testing.on_backends import assert_same
from core.testing.result import Outcome, Report, Result
from core.testing.values import as_list, symbolic

_GRAPHS = 40  # random graphs by default
_SAME_SHAPES = ("given", "strided", "special")  # what a rule that is right for all values must be right for


class Example:
    """A graph for a rule: a function of tensor variables, and arrays at which it can be computed.

    ``static``: the lengths of the inputs are known to the graph.
    """

    def __init__(self, build: Callable[..., Any], *arrays: Any, static: bool = False):
        self.build, self.arrays, self.static = build, tuple(np.asarray(array) for array in arrays), static

    def graph(self) -> FunctionGraph:
        inputs = symbolic(self.arrays, self.static)
        return FunctionGraph(inputs, as_list(self.build(*inputs)))

    def __str__(self) -> str:
        code = getattr(self.build, "__code__", None)
        where = f" (line {code.co_firstlineno} of {code.co_filename.rpartition('/')[2]})" if code else ""
        return f"{getattr(self.build, '__name__', self.build)}{where} of {described(self.arrays)}"


def check_rewrite(
    rules: Any,
    fires_on: Sequence[Any],
    leaves: Sequence[Any] = (),
    *,
    exact: bool = False,
    nan: bool = True,
    random_graphs: int = _GRAPHS,
    graphs: Iterable[Any] = (),
    rtol: float | None = None,
    atol: float | None = None,
    raising: bool = True,
) -> Result:
    """Hold a rewrite to what a rewrite promises.

    rules          a Rule, a RuleSet, a Rewrite record, a reference "package.module:name" to one of these, or the rules
                   of a set by their names: ``(rule_set, "name", ...)``
    fires_on       examples on which it must fire: ``Example(f, *arrays)`` or ``(f, array, ...)``, where ``f`` makes the
                   graph from tensor variables
    leaves         near misses, given alike, on which it must not fire
    exact          the same bits before and after; else within ``rtol`` and ``atol``, by default a few units in the last
                   place
    nan            values are kept for NaN, infinities and both zeros, too
    random_graphs  how many graphs of core.testing.graphs it is tried on (needs hypothesis unless it is 0)
    graphs         further examples, on which it may or may not fire
    Checks         fires, leaves, meaning (values, dtypes, shapes at the given arrays, strided, with NaN), type, end,
                   again (a second run changes nothing), each example alone and all random graphs
    Errors         CheckError naming rewrite, check and example, unless ``raising`` is false: then see the Result
    """
    chosen = _rules(rules)
    report = Report(f"rewrite {_named(rules, chosen)}", rules=[rule.name for rule in chosen])
    check = _Rewriting(report, chosen, exact, nan, rtol, atol)
    if not fires_on:
        raise ArgumentError(
            "check_rewrite needs an example on which the rewrite fires: one that never does is no rewrite"
        )
    for example in map(_example, fires_on):
        log = check.on(example)
        if log is not None:
            with report.checking("fires", example):
                check.must_fire(example, log)
    for example in map(_example, leaves):
        with report.checking("leaves", example):
            check.must_leave(example)
    for example in map(_example, graphs):
        check.on(example)
    if random_graphs:
        check.on_random_graphs(random_graphs)
    return report.result.settled(raising)


def _example(given: Any) -> Example:
    if isinstance(given, Example):
        return given
    if callable(given):
        return Example(given)
    return Example(*given)


def _rules(given: Any) -> list[Rule]:
    found = load(given, "check_rewrite") if isinstance(given, str) else given
    if isinstance(found, Rewrite):
        return rules_from_record(found, "check_rewrite")
    if isinstance(found, Rule):
        return [found.checked()]
    if isinstance(found, RuleSet):
        return list(found)
    if isinstance(found, tuple) and found and isinstance(found[0], RuleSet):
        return [found[0][name] for name in found[1:]]
    if isinstance(found, (list, tuple)) and found and all(isinstance(one, Rule) for one in found):
        return [rule.checked() for rule in found]
    raise ArgumentError(
        f"check_rewrite needs a Rule, a RuleSet, a Rewrite record, a reference to one, or (RuleSet, name, ...), "
        f"got {found!r} of type {type(found).__name__}"
    )


def _named(given: Any, rules: Sequence[Rule]) -> str:
    if isinstance(given, str):
        return given
    return getattr(given, "name", None) or ", ".join(rule.name for rule in rules)


class _Rewriting:
    """The rules at work; where a stage is needed they have one of their own."""

    def __init__(
        self, report: Report, rules: Sequence[Rule], exact: bool, nan: bool, rtol: float | None, atol: float | None
    ):
        self.report, self.exact, self.nan, self.rtol, self.atol = report, exact, nan, rtol, atol
        self.rules = RuleSet(rules[0].stage if rules else "", rules)
        self.names = {rule.name for rule in rules}

    def fired(self, log: RewriteLog) -> list[str]:
        return [one.rule for one in log if one.rule in self.names]

    def rewritten(self, graph: FunctionGraph) -> tuple[FunctionGraph, RewriteLog]:
        """Another graph.  Errors: RewriteError where rules raise, change a type or do not end; GraphError."""
        after = graph.clone()
        log = rewrite(after, self.rules)
        after.check()
        for number, (old, new) in enumerate(zip(graph.outputs, after.outputs, strict=True)):
            if not old.type.is_super(new.type):
                raise RewriteError(f"output {number} was of {old.type}, and is of {new.type} after rewriting")
        return after, log

    def on(self, example: Example) -> RewriteLog | None:
        """Everything but whether it fires.  None where it cannot be applied."""
        with self.report.checking("end", example):
            graph = example.graph()
            after, log = self.rewritten(graph)
        if self.report.result.checks[-1].outcome is Outcome.FAILED:
            return None
        self.report.check("again", example, self.must_be_done, after)
        for case in cases_of(example.arrays, ("strided",), self.nan):
            if case.kind in _SAME_SHAPES:
                self.report.check("meaning", f"{example}: {case}", self.must_agree, graph, after, case)
        return log

    def must_fire(self, example: Example, log: RewriteLog) -> None:
        if not self.fired(log):
            ops = ", ".join(str(node.op) for node in example.graph().toposort())
            raise RewriteError(f"no rule fires on {example}; its ops are {ops or 'none'}")

    def must_leave(self, example: Example) -> None:
        fired = self.fired(self.rewritten(example.graph())[1])
        if fired:
            raise RewriteError(f"{', '.join(fired)} fires on {example}, which it was said to leave alone")

    def must_be_done(self, after: FunctionGraph) -> None:
        fired = self.fired(self.rewritten(after)[1])
        if fired:
            raise RewriteError(
                f"{', '.join(fired)} fires again on what rewriting left: a rewritten graph must have nothing to rewrite"
            )

    def must_agree(self, before: FunctionGraph, after: FunctionGraph, case: Case) -> None:
        wanted = [np.asarray(out) for out in Interpreted(before)(list(case.arrays))]
        found = [np.asarray(out) for out in Interpreted(after)(list(case.arrays))]
        rtol, atol = (0.0, 0.0) if self.exact else (self.rtol, self.atol)
        assert_same(found, wanted, "the rewritten graph", rtol, atol)
        if self.exact:
            for number, (mine, theirs) in enumerate(zip(found, wanted, strict=True)):
                if mine.dtype.kind == "f" and np.any(np.signbit(mine[mine == 0]) != np.signbit(theirs[mine == 0])):
                    raise GraphError(f"the rewritten graph changes the sign of a zero in output {number}")

    def on_random_graphs(self, count: int) -> None:
        """Meaning is kept on the random graphs of a fixed seed; one check, which names the first that is wrong."""
        from core.testing.graphs import build  # needs hypothesis

        fired = 0
        with self.report.checking("random graphs", f"{count} graphs of core.testing.graphs") as details:
            for seed in range(count):
                one = build(seed, range(8), ("float64", "float32", "int64"))
                graph = FunctionGraph(one.inputs, one.outputs)
                try:
                    after, log = self.rewritten(graph)
                    fired += bool(self.fired(log))
                    self.must_be_done(after)
                    wanted = [np.asarray(out) for out in Interpreted(graph)(list(one.arrays))]
                    found = [np.asarray(out) for out in Interpreted(after)(list(one.arrays))]
                    assert_same(found, wanted, "the rewritten graph", **one.tolerance())
                except Exception as error:
                    raise RewriteError(f"{error}\n  in {one}") from error
            details.append(f"fired on {fired} of them")
