"""Rules and the sets that hold them: canonicalize, stabilize, specialize, fuse.  Applying them is in engine.py."""

from __future__ import annotations

import heapq
import inspect
import pkgutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

from core.dataclass import dataclass, replace
from core.errors import ArgumentError, PluginConflict, RewriteError, did_you_mean
from core.graph import Apply, FunctionGraph
from core.op import Op
from core.rewriting.pattern import Pattern, match


@dataclass(frozen=True, eq=False)
class Rule:
    """What may be put in the place of what.

    on         a pattern: ``function`` gets what each hole stands for, by the hole's name in lower case;
               an op, a class of ops, or a tuple of them: ``function`` gets the graph and the node
    function   returns the replacement of the node's output (a list of them when there are several outputs), or None; or
               a dict of replacements of variables of the graph, by what they replace
    reads      ops, classes of ops, or Constant: a node none of whose inputs is made by any of them is passed over
    after, before   names of rules of the same stage that are tried earlier or later at one node
    dialects   dialects for which the rule is meant; empty for all
    tags       words by which a backend may refuse the rule
    group      the name of the record that brought the rule; ``after`` and ``before`` may name it too
    """

    name: str
    stage: str
    on: Any
    function: Callable[..., Any]
    plugin: str = "core"
    reads: tuple[Any, ...] = ()
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    group: str = ""

    @cached_property
    def doc(self) -> str:
        return inspect.getdoc(self.function) or ""

    def checked(self) -> Rule:
        """The rule itself.  Errors: ArgumentError when ``on`` is nothing to start from or does not fit the function."""
        if not callable(self.function):
            raise ArgumentError(
                f"{self} needs a function, got {self.function!r} of type {type(self.function).__name__}"
            )
        if isinstance(self.on, Pattern):
            _check_pattern(self, self.on)
        else:
            for op in self.heads():
                if not (isinstance(op, Op) or (isinstance(op, type) and issubclass(op, Op))):
                    raise ArgumentError(f"{self} needs a pattern, an op or a class of ops to start from, got {op!r}")
        return self

    def heads(self) -> tuple[Any, ...]:
        """The ops and classes of ops at whose nodes the rule may apply."""
        if isinstance(self.on, Pattern):
            return (self.on.op,)
        return self.on if isinstance(self.on, tuple) else (self.on,)

    def may_apply(self, makers: Sequence[Any]) -> bool:
        """Whether the rule can apply to a node, of one of its heads, whose inputs have these makers."""
        if isinstance(self.on, Pattern) and not self.on.may_match(makers):
            return False
        return not self.reads or any(_is_made_by(made_by, kind) for made_by in makers for kind in self.reads)

    def __call__(self, graph: FunctionGraph, node: Apply) -> Any:
        """What the rule wants in the place of ``node``, or None."""
        if not isinstance(self.on, Pattern):
            return self.function(graph, node)
        bound = match(self.on, node.outputs[0])
        return None if bound is None else self.function(**{name.lower(): variable for name, variable in bound.items()})

    def __str__(self) -> str:
        return f"rule {self.name} (plugin {self.plugin})"


def _is_made_by(maker: Any, kind: Any) -> bool:
    return maker == kind or (isinstance(kind, type) and isinstance(maker, kind))


def _check_pattern(rule: Rule, pattern: Pattern) -> None:
    if pattern.op is None:
        raise ArgumentError(
            f"{rule} needs a pattern with an op, got the pattern variable {pattern}, which matches everything"
        )
    expected = [name.lower() for name in pattern.names()]
    taken = _parameters(rule.function)
    if sorted(expected) != sorted(taken):
        raise ArgumentError(
            f"{rule} takes ({', '.join(taken)}), but the variables of its pattern {pattern} are ({', '.join(expected)})"
        )


@lru_cache(maxsize=4096)  # rules are checked again for every function that is compiled
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__") or code.co_flags & _TAKES_MORE:
        return tuple(inspect.signature(function).parameters)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]  # of plain functions: at a tenth of the time


_TAKES_MORE = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


class RuleSet:
    """The rules of one stage, in the order in which they are tried: by ``after`` and ``before``, then by name."""

    def __init__(self, name: str, rules: Iterable[Rule] = ()):
        self.name = name
        self._rules: dict[str, Rule] = {}
        self._order: list[Rule] | None = None
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule) -> Rule:
        """Take ``rule`` in, in the place of the same one.  Errors: PluginConflict when another has its name."""
        other = self._rules.get(rule.name)
        if other is not None and (other.on is not rule.on or other.function is not rule.function):
            raise PluginConflict(
                f"two rules of stage {self.name} are called {rule.name}: "
                f"one of plugin {other.plugin} and one of plugin {rule.plugin}"
            )
        self._rules[rule.name] = rule
        self._order = None
        return rule

    def rule(self, pattern: Pattern, **options: Any) -> Callable[[Callable], Callable]:
        """Decorator: a rule for what matches ``pattern``.  Options are those of Rule."""
        return self._decorator(pattern, options)

    def node_rule(self, *ops: Any, **options: Any) -> Callable[[Callable], Callable]:
        """Decorator: a rule in Python, ``name(graph, node)``, for nodes of these ops or classes of ops."""
        return self._decorator(ops[0] if len(ops) == 1 else ops, options)

    def _decorator(self, on: Any, options: dict[str, Any]) -> Callable[[Callable], Callable]:
        def wrap(function: Callable) -> Callable:
            about = {
                "name": function.__name__,
                "plugin": function.__module__.partition(".")[0],
                **options,
            }
            self.add(Rule(stage=self.name, on=on, function=function, **about).checked())
            return function

        return wrap

    def extended(self, rules: Iterable[Rule]) -> RuleSet:
        """A new set that holds ``rules`` also."""
        return RuleSet(self.name, [*self._rules.values(), *rules])

    def for_backend(self, dialect: str | None = None, forbids: Collection[str] = ()) -> RuleSet:
        """A new set without the rules meant for other dialects and those with a forbidden tag."""
        return RuleSet(
            self.name,
            (rule for rule in self._rules.values() if _is_for(rule, dialect, forbids)),
        )

    def without(self, *names: str) -> RuleSet:
        """A new set without the rules of these names.  Errors: ArgumentError for a name that is not there."""
        for name in names:
            if name not in self._rules:
                raise ArgumentError(f"stage {self.name} has no rule {name!r}.{did_you_mean(name, self._rules)}")
        return RuleSet(self.name, (rule for rule in self._rules.values() if rule.name not in names))

    def __iter__(self) -> Iterator[Rule]:
        if self._order is None:
            self._order = _ordered(self._rules)
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._rules)

    def __contains__(self, name: object) -> bool:
        return name in self._rules

    def __getitem__(self, name: str) -> Rule:
        return self._rules[name]

    def __repr__(self) -> str:
        return f"RuleSet({self.name!r}, {len(self)} rules)"


def _is_for(rule: Any, dialect: str | None, forbids: Collection[str]) -> bool:
    return (not rule.dialects or dialect in rule.dialects) and not set(rule.tags) & set(forbids)


def _ordered(rules: dict[str, Rule]) -> list[Rule]:
    """By ``after`` and ``before``, ties by name; names of rules that are not here say nothing."""
    called: dict[str, list[str]] = {}
    for name, rule in rules.items():
        for known_as in {name, rule.group} - {""}:
            called.setdefault(known_as, []).append(name)
    earlier = {name: {first for given in rule.after for first in called.get(given, ())} for name, rule in rules.items()}
    for name, rule in rules.items():
        for later in (later for given in rule.before for later in called.get(given, ())):
            earlier[later].add(name)
    waiting: dict[str, list[str]] = {name: [] for name in rules}
    for name, needed in earlier.items():
        for first in needed:
            waiting[first].append(name)
    missing = {name: len(needed) for name, needed in earlier.items()}
    ready = [name for name, count in missing.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        name = heapq.heappop(ready)
        order.append(rules[name])
        for later in waiting[name]:
            missing[later] -= 1
            if not missing[later]:
                heapq.heappush(ready, later)
    if len(order) < len(rules):
        stuck = ", ".join(str(rules[name]) for name, count in missing.items() if count)
        raise PluginConflict(f"after and before of these rules form a cycle: {stuck}")
    return order


# --- rules of plugins ----------------------------------------------------------------------------------------------


def rules_from_record(record: Any, plugin: str = "core") -> list[Rule]:
    """The rules that a plugin's Rewrite record stands for; looks up what its strings name.

    ``record.fn`` is a Rule, a RuleSet of the record's stage, or, beside ``record.on``, a plain function.
     Errors: RewriteError, naming plugin and record, when it is none of these.
    """
    on, found = (
        _looked_up(record.on, record, plugin),
        _looked_up(record.fn, record, plugin),
    )
    if on is not None:
        rules = [Rule(record.name, record.stage, on, found)]
    elif isinstance(found, Rule):
        rules = [found]
    elif isinstance(found, RuleSet):
        rules = list(found)
    else:
        raise RewriteError(
            f"rewrite {record.name} of plugin {plugin} needs a Rule or a RuleSet as fn without 'on', got {found!r}"
        )
    for rule in rules:
        if rule.stage != record.stage:
            raise RewriteError(
                f"rewrite {record.name} of plugin {plugin} is for stage {record.stage}, but {rule} for {rule.stage}"
            )
    return [
        replace(
            rule,
            plugin=rule.plugin if plugin == "core" else plugin,
            group=record.name,
            after=rule.after + tuple(record.after),
            before=rule.before + tuple(record.before),
            dialects=rule.dialects or tuple(record.dialects),
            tags=rule.tags + tuple(record.tags),
        ).checked()
        for rule in rules
    ]


def _looked_up(given: Any, record: Any, plugin: str) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return pkgutil.resolve_name(given)
    except (ImportError, AttributeError, ValueError) as error:
        raise RewriteError(
            f"rewrite {record.name} of plugin {plugin} names {given!r}, which cannot be found: {error}"
        ) from error


def with_records(
    stages: Iterable[RuleSet],
    records: Iterable[tuple[str, Any]],
    dialect: str | None = None,
    needs: Collection[str] = (),
    forbids: Collection[str] = (),
) -> list[RuleSet]:
    """New stages for one backend: the rules in ``stages`` and in ``records``, pairs of a plugin's name and its record.

    Records for other dialects, with a forbidden tag, optional and not needed, or about ops of a module that nobody has
    imported are left out before they are looked up.
    Errors: RewriteError for an unknown stage, naming the plugin.
    """
    sets = {rules.name: rules.for_backend(dialect, forbids) for rules in stages}
    extra: dict[str, list[Rule]] = {name: [] for name in sets}
    for plugin, record in records:
        if record.stage not in extra:
            raise RewriteError(
                f"plugin {plugin} puts its rewrite {record.name} into stage {record.stage!r}; the stages are "
                f"{', '.join(sets)}.{did_you_mean(record.stage, sets)}"
            )
        wanted = not getattr(record, "optional", False) or set(record.tags) & set(needs)
        about = getattr(record, "about", "")
        if wanted and _is_for(record, dialect, forbids) and (not about or about in sys.modules):
            extra[record.stage].extend(rules_from_record(record, plugin))
    return [rules.extended(extra[name]).for_backend(dialect, forbids) for name, rules in sets.items()]


canonicalize = RuleSet("canonicalize")  # one form for equal things; always exact
stabilize = RuleSet("stabilize")  # the same mathematics, with less rounding, overflow and cancellation
specialize = RuleSet("specialize")  # the same mathematics, faster
fuse = RuleSet("fuse")  # nodes joined into ops that a backend has in one piece
STAGES = (canonicalize, stabilize, specialize, fuse)
