"""Sums of products of matrices: each product is added to what the one before it has left, and no sum is written.

In: definitions of what is written, after inlining (storage.py).  ``tanh(x @ w + h @ u + b)`` then reads one stored
matrix, not two.  The order in which products of one element are summed is free, as it is inside a product; other terms
keep theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from core import dtypes
from core.ir.expr import Code, Expr, walk
from core.ir.program import (
    Definition,
    FromLibrary,
    LibraryCall,
    Operand,
    Pointwise,
    Reduction,
    Scattering,
    Value,
    expressions_of,
    operands_of,
)
from core.ir.rebuild import loads_in, rebuild

ROUTINE = "gemm_add"


@dataclass(frozen=True)
class _Term:
    """What a sum adds, or subtracts where ``sign`` is -1."""

    expr: Expr
    sign: int


def accumulate(definitions: Mapping[Value, Definition], kept: Collection[Value]) -> dict[Value, Definition]:
    """``definitions``, with products accumulated that are only read to be summed.  ``kept``: values others read."""
    found = dict(definitions)
    products = _only_read_once(found, kept)
    if len(products) < 2:
        return found
    parents = _parents(found.values())
    order = {value: position for position, value in enumerate(found)}
    sums: dict[Expr, list[_Term]] = {}
    for top in [e for e in parents if _is_sum(e) and not any(_is_sum(p) for p in parents[e])]:
        terms = _terms(top, parents)
        group = _summed(terms, products, parents, order)
        if len(group) > 1:
            sums[top] = _chained(found, terms, group)
    if not sums:
        return found
    memo: dict[Expr, Expr] = {}

    def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        return _total([replace(term, expr=memo[term.expr]) for term in sums[node]]) if node in sums else None

    rewritten = {value: _with(definition, lambda e: rebuild(e, change, memo)) for value, definition in found.items()}
    return _written_at_once(rewritten)


def _only_read_once(definitions: Mapping[Value, Definition], kept: Collection[Value]) -> set[Value]:
    """The products of which one load is all that anybody reads."""
    loads = {e for definition in definitions.values() for e in loads_in(_elements(definition))}
    count = Counter(e.payload for e in loads)
    whole = set(kept).union(*map(operands_of, definitions.values()))
    whole.update(e.payload for d in definitions.values() for e in loads_in(set(expressions_of(d)) - set(_elements(d))))
    return {
        value
        for value, definition in definitions.items()
        if isinstance(definition, FromLibrary) and definition.call.name == "gemm"
        if count[value] == 1 and value not in whole
    }


def _elements(definition: Definition) -> tuple[Expr, ...]:
    """The expressions of a definition that are no lengths."""
    if isinstance(definition, Pointwise):
        return (definition.expr,)
    if isinstance(definition, Reduction):
        return (definition.body,)
    return (definition.base, *definition.at, definition.value) if isinstance(definition, Scattering) else ()


def _with(definition: Definition, new: Callable[[Expr], Expr]) -> Definition:
    """A definition with ``new`` applied to its elements."""
    if isinstance(definition, Pointwise):
        return replace(definition, expr=new(definition.expr))
    if isinstance(definition, Reduction):
        return replace(definition, body=new(definition.body))
    if isinstance(definition, Scattering):
        at = tuple(map(new, definition.at))
        return replace(definition, base=new(definition.base), at=at, value=new(definition.value))
    return definition


def _parents(definitions: Iterable[Definition]) -> dict[Expr, set[Expr]]:
    """What reads each expression; a whole element is read by no other."""
    parents: dict[Expr, set[Expr]] = {}
    for e in walk([root for definition in definitions for root in _elements(definition)]):
        parents.setdefault(e, set())
        for arg in e.args:
            parents.setdefault(arg, set()).add(e)
    return parents


def _is_sum(e: Expr) -> bool:
    return e.code in (Code.ADD, Code.SUB) and e.dtype in dtypes.FLOATS


def _terms(top: Expr, parents: Mapping[Expr, set[Expr]]) -> list[_Term]:
    """The terms of a sum and of the sums inside it that nobody else reads, from left to right."""
    terms: list[_Term] = []
    pending: list[tuple[_Term, Expr | None]] = [(_Term(top, 1), None)]
    while pending:
        term, parent = pending.pop()
        e = term.expr
        if parent is None or (_is_sum(e) and parents[e] == {parent} and parent.args.count(e) == 1):
            right = _Term(e.args[1], term.sign if e.code is Code.ADD else -term.sign)
            pending += [(right, e), (_Term(e.args[0], term.sign), e)]
        else:
            terms.append(term)
    return terms


def _summed(
    terms: Sequence[_Term], products: set[Value], parents: Mapping[Expr, set[Expr]], order: Mapping[Value, int]
) -> list[_Term]:
    """The products among the terms that are accumulated, in the order in which they run; the first is added."""
    once = Counter(term.expr for term in terms)
    fits = [
        term
        for term in terms
        if term.expr.code is Code.LOAD and term.expr.payload in products
        if once[term.expr] == 1 and len(parents[term.expr]) == 1
    ]
    fits.sort(key=lambda term: order[term.expr.payload])
    while fits and fits[0].sign < 0:
        fits.pop(0)
    return [term for term in fits if term.expr.args == fits[0].expr.args]


def _chained(found: dict[Value, Definition], terms: Sequence[_Term], group: Sequence[_Term]) -> list[_Term]:
    """Let each product of the group start as the one before it; the sum reads only the last."""
    for before, term in pairwise(group):
        product, start = found[term.expr.payload], before.expr.payload
        assert isinstance(product, FromLibrary)
        call = LibraryCall(ROUTINE, (("sign", term.sign),), product.call.batch, overwrites=((0, 2),))
        operands = (*product.operands, Operand.whole(start, product.shape))
        found[term.expr.payload] = replace(product, call=call, operands=operands)
    last = replace(group[-1], sign=1)
    return [last if term is group[0] else term for term in terms if term is group[0] or term not in group]


def _total(terms: Sequence[_Term]) -> Expr:
    """The sum of terms, of which at least one is added."""
    first = next(k for k, term in enumerate(terms) if term.sign > 0)
    total = terms[first].expr
    for term in (*terms[:first], *terms[first + 1 :]):
        total = total + term.expr if term.sign > 0 else total - term.expr
    return total


def _written_at_once(definitions: dict[Value, Definition]) -> dict[Value, Definition]:
    """A value that is nothing but the result of a chain is what the chain writes."""
    sources: dict[Value, Value] = {}
    for value, definition in definitions.items():
        if isinstance(definition, Pointwise) and definition.expr.code is Code.LOAD:
            source = definition.expr.payload
            made = definitions[source]
            if isinstance(made, FromLibrary) and made.call.name == ROUTINE and definition.expr.args == definition.axes:
                sources[value] = source
    gone = set(sources.values())
    out: dict[Value, Definition] = {}
    for value, definition in definitions.items():
        if value in sources:
            made = definitions[sources[value]]
            assert isinstance(made, FromLibrary)
            out[value] = replace(made, outputs=(value,))
        elif value not in gone:
            out[value] = definition
    return out
