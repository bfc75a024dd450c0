"""The rewrite engine: applies rule sets to a graph, stage by stage, each until none of its rules applies.

Which rules there are is in stages.py and in the files of the families; the engine checks that they keep types and end.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from core.dataclass import dataclass
from core.errors import CoreError, RewriteError, SourceLine, attributed_to
from core.graph import Apply, Constant, FunctionGraph, Variable, toposort
from core.inner import InnerGraph, InnerOp
from core.rewriting.merge import merge
from core.rewriting.pattern import Pattern, maker, same_value
from core.rewriting.stages import Rule, RuleSet


@dataclass
class Fired:
    """How often a rule fired in a stage, and the user's line of the first node."""

    stage: str
    rule: str
    plugin: str
    count: int = 0
    source: SourceLine | None = None
    doc: str = ""

    def __str__(self) -> str:
        where = f"  first at {self.source}" if self.source is not None else ""
        return f"{self.stage}: {self.rule} (plugin {self.plugin}) x{self.count}{where}"


class RewriteLog:
    """Which rules fired, in the order of their first time."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Fired] = {}

    def note(
        self,
        stage: str,
        rule: str,
        plugin: str,
        source: SourceLine | None,
        count: int = 1,
        doc: str = "",
    ) -> None:
        entry = self._entries.get((stage, rule))
        if entry is None:
            entry = self._entries[stage, rule] = Fired(stage, rule, plugin, source=source, doc=doc)
        entry.count += count

    def count(self, rule: str) -> int:
        """How often the rule of this name fired, in all stages."""
        return sum(entry.count for entry in self if entry.rule == rule)

    def __iter__(self) -> Iterator[Fired]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no rule fired"


def rewrite(graph: FunctionGraph, rule_sets: RuleSet | Iterable[RuleSet], *, strict: bool = True) -> RewriteLog:
    """Apply each rule set in turn, to a fixpoint; equal nodes are merged before, between and after.

    The first set is applied again after what each later one did, so that its form of the graph is kept.  Graphs inside
    of ops are rewritten likewise, each by all sets, as soon as the first one has been applied around them.

    strict   a rule that raises stops the rewriting; else it is left out from there on, with a warning
    Errors   RewriteError, naming rule and plugin, when a rule raises, changes a type or reads what it replaces, or when
             the rules do not come to an end.

    A pattern says nothing of dtypes, so where a pattern's rule would change a type it does not apply.
    """
    log = RewriteLog()
    sets = [rule_sets] if isinstance(rule_sets, RuleSet) else list(rule_sets)
    _rewrite(graph, sets, log, strict, {})
    return log


Settled: TypeAlias = dict[InnerGraph, InnerGraph]  # graphs inside of ops -> what they are when no rule applies


def _rewrite(graph: FunctionGraph, sets: Sequence[RuleSet], log: RewriteLog, strict: bool, settled: Settled) -> None:
    ages: dict[Apply, int] = {}  # how many rules led to a node, one from another
    _note_merged(log, merge(graph))
    stages = [_Stage(graph, rules, log, ages, strict) for rules in sets]

    def inside() -> int:
        """How many nodes changed because the graphs inside of their ops did."""
        if not any(isinstance(node.op, InnerOp) for node in graph.nodes):
            return 0
        from core.rewriting.inside import rewrite_inside  # for those who have some

        return rewrite_inside(graph, settle)

    def settle(inner: InnerGraph) -> InnerGraph:
        if inner not in settled:
            copy = inner.unfrozen()
            _rewrite(copy, sets, log, strict, settled)
            settled[inner] = new = InnerGraph(copy.inputs, copy.outputs, clone=False)
            settled[new] = new
        return settled[inner]

    for stage in stages:
        again = True
        while again:
            again = bool(stage.run()) and stage is not stages[0] and bool(stages[0].run())
            again = inside() > 0 or again


def _note_merged(log: RewriteLog, count: int) -> int:
    if count:
        log.note("merge", "merge", "core", None, count, "Equal ops on equal inputs are one.")
    return count


class _Stage:
    """One rule set at work on one graph."""

    def __init__(self, graph: FunctionGraph, rules: RuleSet, log: RewriteLog, ages: dict[Apply, int], strict: bool):
        self.graph, self.name, self.log, self.strict = graph, rules.name, log, strict
        self.rules = list(rules)
        self.by_head: dict[Any, set[Rule]] = {}
        for rule in self.rules:
            for head in rule.heads():
                self.by_head.setdefault(head, set()).add(rule)
        self.by_makers: dict[tuple, list[Rule]] = {}  # the rules for nodes of an op on inputs made by certain ops
        self.by_ids: dict[tuple[int, ...], tuple[list[Rule], tuple]] = {}  # the same, and what must live for that
        self.ages, self.limit = ages, 1000 + 2 * len(graph.nodes)
        self.broken: set[Rule] = set()

    def run(self) -> int:
        """Sweep and merge until nothing changes, from a merged graph on.  Returns how often a rule fired."""
        total = 0
        while fired := self.sweep():
            _note_merged(self.log, merge(self.graph))
            total += fired
        return total

    def sweep(self) -> int:
        """Visit each node, inputs first, and then again what a change may concern.  Returns how often a rule fired."""
        stack = self.graph.toposort()[::-1]
        waiting, fired = set(stack), 0
        while stack:
            node = stack.pop()
            waiting.discard(node)
            if node not in self.graph.nodes:
                continue
            touched = self.visit(node)
            if touched:
                fired += 1
                again = [other for other in touched if other not in waiting]
                stack.extend(again)
                waiting.update(again)
        return fired

    def visit(self, node: Apply) -> list[Apply]:
        """Apply the first rule that fires at ``node``.  Returns the nodes to visit again, none if no rule did."""
        rules = self.rules_for(node)
        if rules:
            with attributed_to(node.source):
                for rule in rules:
                    touched = self.apply(rule, node)
                    if touched:
                        return touched
        return []

    def rules_for(self, node: Apply) -> list[Rule]:
        """The rules that may apply, told at a glance; mostly few, and a graph has few kinds of neighbourhoods."""
        op, makers = node.op, [maker(x) for x in node.inputs]
        ids = (id(op), *map(id, makers))  # mostly the same objects: quicker to compare than what they are made of
        if ids in self.by_ids:
            return self.by_ids[ids][0]
        found = self.by_makers.get((op, *makers))
        if found is None:
            starting = set().union(*(self.by_head.get(head, ()) for head in (op, *type(op).__mro__))) - self.broken
            found = [rule for rule in self.rules if rule in starting and rule.may_apply(makers)]
            self.by_makers[op, *makers] = found
        self.by_ids[ids] = found, (op, *makers)
        return found

    def apply(self, rule: Rule, node: Apply) -> list[Apply]:
        """Try one rule at one node.  Returns the nodes to visit again, none if it did not fire."""
        try:
            answer = rule(self.graph, node)
            if answer is None:
                return []
            changes = _changes(rule, node, answer)
        except Exception as error:
            self.report(rule, node, error)
            return []
        touched: dict[Apply, None] = {}
        for old, new in changes:
            if self.graph.clients.get(old):
                touched.update(dict.fromkeys(self.replace(rule, node, old, new)))
        if touched:
            self.log.note(self.name, rule.name, rule.plugin, node.source, doc=rule.doc)
            if node in self.graph.nodes:
                touched[node] = None
        return list(touched)

    def replace(self, rule: Rule, node: Apply, old: Variable, new: Variable) -> list[Apply]:
        """Put ``new`` in the place of ``old``.  Returns the readers and then the new nodes, the deepest last."""
        fresh = toposort([new], stop_at=self.graph.clients)
        if not _fit(rule, old, new, is_fresh=new not in self.graph.clients):
            return []
        self.grow_older(rule, node, old, fresh)
        readers = [reader for reader, _ in self.graph.clients[old] if reader is not None]
        self.graph.replace(old, new, reason=rule)
        return [*reversed(readers), *reversed(fresh)] or [node]

    def grow_older(self, rule: Rule, node: Apply, old: Variable, fresh: list[Apply]) -> None:
        age = self.ages.get(node, 0) + 1
        if age > self.limit:
            raise RewriteError(
                f"stage {self.name} does not come to an end: {rule} fires again and again, "
                f"{age} times on what began as one node; last on {node}",
                blame=node,
            )
        for new in fresh:
            self.ages[new] = max(age, self.ages.get(new, 0))
            if any(x is old for x in new.inputs):
                raise RewriteError(
                    f"{rule} replaces {old} by {new}, which reads {old} itself",
                    blame=node,
                )

    def report(self, rule: Rule, node: Apply, error: Exception) -> None:
        if isinstance(error, RewriteError):
            raise error
        text = f"{rule} failed on {node}: {type(error).__name__}: {error}"
        if self.strict:
            raise RewriteError(text, blame=None if isinstance(error, CoreError) else node) from error
        warnings.warn(f"{text}; it is left out", RuntimeWarning, stacklevel=2)
        self.broken.add(rule)
        self.by_makers.clear()
        self.by_ids.clear()


def _changes(rule: Rule, node: Apply, answer: Any) -> list[tuple[Variable, Variable]]:
    """Old and new variables, without those that are the same.  Errors: RewriteError for a malformed answer."""
    if isinstance(answer, dict):
        return [(old, new) for old, new in answer.items() if not _same(old, new)]
    answers = list(answer) if isinstance(answer, (list, tuple)) else [answer]
    if len(answers) != len(node.outputs):
        raise RewriteError(
            f"{rule} returned {len(answers)} variables for {node}, which has {len(node.outputs)} outputs",
            blame=node,
        )
    for new in answers:
        if new is not None and not isinstance(new, Variable):
            raise RewriteError(
                f"{rule} must return variables or None, got {new!r} of type {type(new).__name__}",
                blame=node,
            )
    return [
        (old, new) for old, new in zip(node.outputs, answers, strict=True) if new is not None and not _same(old, new)
    ]


def _same(old: Variable, new: Variable) -> bool:
    """Whether ``new`` says what ``old`` does: the same op on the same inputs."""
    if old is new:
        return True
    a, b = old.owner, new.owner
    if a is None or b is None or old.index != new.index or len(a.inputs) != len(b.inputs) or a.op != b.op:
        return False
    return all(same_value(x, y) for x, y in zip(a.inputs, b.inputs, strict=True))


def _fit(rule: Rule, old: Variable, new: Variable, is_fresh: bool) -> bool:
    """Whether ``new`` may stand where ``old`` stood; a new node's output learns what was known of ``old``.

    What is in the graph already must be known at least as well as ``old``, else nothing is done.
    Errors: RewriteError when no value is of both types, unless the rule is a pattern's.
    """
    both = old.type.meet(new.type)
    if both is None and isinstance(rule.on, Pattern):
        return False
    if both is None:
        raise RewriteError(
            f"{rule} puts {new} of type {new.type} in the place of {old} of type {old.type}",
            blame=old,
        )
    if is_fresh and not isinstance(new, Constant):
        new.type = both
    return old.type.is_super(new.type)
