"""Searching in scalar expressions, and making them anew with parts replaced.  Nothing here recurses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from core.ir.axes import join_length, same_length, spread, unravel, wrap_index
from core.ir.codes import (
    COMPARISONS,
    HOLDS_FUNCTION,
    HOLDS_GUARD,
    HOLDS_LENGTH,
    HOLDS_LOAD,
    HOLDS_REDUCE,
    HOLDS_RULE,
    RULES,
    Code,
)
from core.ir.expr import INDEX_DTYPE, Expr, arith, cast, compare, conditional, imaginary_part, make, pair, real_part
from core.ir.walk import marked


def loads_in(roots: Iterable[Expr]) -> list[Expr]:
    """Every LOAD below ``roots``, once, those inside an index first."""
    return [e for e in marked(roots, HOLDS_LOAD) if e.code is Code.LOAD]


def lengths_in(roots: Iterable[Expr]) -> list[Expr]:
    """Every LENGTH below ``roots``, once."""
    return [e for e in marked(roots, HOLDS_LENGTH) if e.code is Code.LENGTH]


def rules_in(roots: Iterable[Expr]) -> list[Expr]:
    """Every JOIN, SAME, STRETCH, SPREAD, WRAP and REDUCE below ``roots``, once, operands first."""
    return [e for e in marked(roots, HOLDS_RULE) if e.code in RULES]


def reductions_in(roots: Iterable[Expr]) -> list[Expr]:
    """Every REDUCE below ``roots``, once, inner ones first."""
    return [e for e in marked(roots, HOLDS_REDUCE) if e.code is Code.REDUCE]


def functions_in(roots: Iterable[Expr]) -> list[Any]:
    """The functions of scalars, see function.py, that are called below ``roots``, each once."""
    calls = (e for e in marked(roots, HOLDS_FUNCTION) if e.code is Code.CALL and not isinstance(e.payload, str))
    return list(dict.fromkeys(e.payload for e in calls))


def unconditional(roots: Iterable[Expr]) -> set[Expr]:
    """The expressions below ``roots`` that are evaluated whatever the guards say."""
    seen: set[Expr] = set()
    pending = list(roots)
    while pending:
        e = pending.pop()
        if e not in seen:
            seen.add(e)
            pending.extend(e.args[:1] if e.code is Code.GUARDED else e.args)
    return seen


def guarded_loads(roots: Sequence[Expr]) -> list[Expr]:
    """Every LOAD below ``roots`` that happens only where a guard holds."""
    if not any(root.marks & HOLDS_GUARD for root in roots):
        return []
    always = unconditional(roots)
    return [e for e in loads_in(roots) if e not in always]


def rebuild(root: Expr, change: Callable[[Expr, tuple[Expr, ...]], Expr | None], memo: dict[Expr, Expr]) -> Expr:
    """``root`` with every node put through ``change(node, new_operands)``, operands first.

    None means: the same operation on the new operands.  ``memo`` remembers results between calls and may be seeded.
    """
    if root in memo:
        return memo[root]
    stack = [root]
    while stack:
        node = stack[-1]
        if node not in memo:
            if node.args:
                pending = [arg for arg in node.args if arg not in memo]
                if pending:
                    stack += pending[::-1]
                    continue
                args = tuple([memo[arg] for arg in node.args])
                new = change(node, args)
                memo[node] = remake(node, args) if new is None else new
            else:
                new = change(node, ())
                memo[node] = node if new is None else new
        stack.pop()
    return memo[root]


_SIMPLIFIED = frozenset({Code.ADD, Code.SUB, Code.MUL, Code.FLOORDIV, Code.MOD, Code.MIN, Code.MAX, Code.AND, Code.OR})


def remake(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """The same operation on other operands of the same dtypes, simplified where it is index arithmetic."""
    if args == node.args:
        return node
    code = node.code
    if code in _SIMPLIFIED and node.dtype in (INDEX_DTYPE, "bool"):
        return arith(code, *args)
    if code is Code.NEG:
        return -args[0]
    if code in COMPARISONS:
        return compare(code, *args)
    if code in (Code.SELECT, Code.GUARDED):
        return conditional(code, *args)
    if code is Code.UNRAVEL:
        return unravel(args[0], args[1:])[node.payload]
    if code is Code.JOIN:
        return join_length(*args)
    if code is Code.SAME:
        return same_length(*args)
    if code is Code.SPREAD:
        return spread(*args)
    if code is Code.CAST:
        return cast(args[0], node.dtype)
    if code is Code.WRAP:
        return wrap_index(*args)
    if code is Code.PAIR:
        return pair(*args)
    if code is Code.CALL and args[0].code is Code.PAIR and node.payload in ("creal", "cimag"):
        return real_part(args[0]) if node.payload == "creal" else imaginary_part(args[0])
    return make(code, node.dtype, args, node.payload)


def substitute(root: Expr, mapping: dict[Expr, Expr]) -> Expr:
    """``root`` with each key of ``mapping`` replaced by its value."""
    if not mapping or root.free.isdisjoint(mapping) and not any(key.code is not Code.INDEX for key in mapping):
        return root
    return rebuild(root, lambda node, args: None, dict(mapping))
