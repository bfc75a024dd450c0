"""Sums of products of matrices: each product is added to what the one before it has left, and no sum is written.

In: definitions of what is written, after inlining (storage.py).  ``tanh(x @ w + h @ u + b)`` then reads one stored
matrix, not two, and so do gates that are columns of such a sum.  The order in which products of one element are summed
is free, as it is inside a product; other terms keep theirs.  A number times a sum of products is not spread over them:
in ``w - 1e-3 * (five products)`` each would be rounded to the precision of ``w``, which showed in float32.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from core import dtypes
from core.dataclass import dataclass, replace
from core.ir.axes import ravel
from core.ir.codes import Code
from core.ir.definitions import (
    Definition,
    FromLibrary,
    Operand,
    Pointwise,
    Reduction,
    Scattering,
    Value,
    operands_of,
    with_rows_merged,
)
from core.ir.expr import Expr
from core.ir.library import LibraryCall
from core.ir.rebuild import loads_in, rebuild
from core.ir.walk import walk

# operands of gemm or gemv, what they are added to, perhaps a 0-d factor; attribute "alpha", a constant factor
ROUTINE = "gemm_add"


@dataclass(frozen=True)
class _Term:
    """What a sum adds: ``expr``, or subtracts where ``sign`` is -1.

    Where it ``is_product`` that is, with the sign, ``alpha`` times ``load``, times ``factor`` if there is one: a load
    that no loop moves.
    """

    expr: Expr
    sign: int
    load: Expr
    is_product: bool = False
    alpha: float = 1.0
    factor: Expr | None = None

    @property
    def value(self) -> Value:
        return self.load.payload


def accumulate(definitions: Mapping[Value, Definition], kept: Collection[Value]) -> dict[Value, Definition]:
    """``definitions``, with products accumulated that are only read to be summed.  ``kept``: values others read."""
    found = dict(definitions)
    products = _read_by_element(found, kept)
    if not products:
        return found
    parents, readers = _parents(found.values()), _first_readers(found)
    order = {value: float(position) for position, value in enumerate(found)}
    whole = {d.expr: value for value, d in found.items() if isinstance(d, Pointwise) and not parents[d.expr]}
    tops = [e for e in parents if _is_sum(e) and not any(_is_sum(p) for p in parents[e])]
    terms = {top: [_factored(term, products, parents) for term in _terms(top, parents)] for top in tops}
    sums: dict[Expr, list[_Term]] = {}
    for together, values in _always_together(terms, products):
        if any(top in sums for top in together):
            continue
        value = whole.get(together[0]) if len(together) == 1 else None
        chains = [_chain_of(terms[top], values, found, value) for top in together]
        if len(chains[0]) > 1 and all(_values(chain) == _values(chains[0]) for chain in chains):
            _link(found, chains[0])
            sums.update((top, _left(terms[top], chain)) for top, chain in zip(together, chains, strict=True))
            made = [term.value for term in chains[0] if term.value in values]
            _move(order, made, min((readers[top] for top in together), key=order.__getitem__))
    if not sums:
        return found
    memo: dict[Expr, Expr] = {}

    def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        return _total([replace(term, expr=memo[term.expr]) for term in sums[node]]) if node in sums else None

    rewritten = {v: _with(found[v], lambda e: rebuild(e, change, memo)) for v in sorted(found, key=order.__getitem__)}
    return _written_at_once(rewritten)


def _first_readers(definitions: Mapping[Value, Definition]) -> dict[Expr, Value]:
    """For each sum the first value whose elements hold it."""
    readers: dict[Expr, Value] = {}
    for value, definition in definitions.items():
        for e in walk(_elements(definition)):
            if _is_sum(e):
                readers.setdefault(e, value)
    return readers


def _move(order: dict[Value, float], values: Sequence[Value], reader: Value) -> None:
    """Let values, of which nobody else reads any, be made right before ``reader``, in their order."""
    for k, value in enumerate(values):
        order[value] = order[reader] - 1 + (k + 1) / (len(values) + 1)


def _read_by_element(definitions: Mapping[Value, Definition], kept: Collection[Value]) -> dict[Value, int]:
    """The products that nobody reads as a whole -> how many loads read them."""
    loads = {e for definition in definitions.values() for e in loads_in(_elements(definition))}
    count = Counter(e.payload for e in loads)
    whole = set(kept).union(*map(operands_of, definitions.values()))
    whole.update(e.payload for d in definitions.values() for e in loads_in(set(d.expressions) - set(_elements(d))))
    return {
        value: count[value]
        for value, definition in definitions.items()
        if isinstance(definition, FromLibrary) and definition.call.name in ("gemm", "gemv")
        if count[value] and value not in whole
    }


def _always_together(
    terms: Mapping[Expr, Sequence[_Term]], products: Mapping[Value, int]
) -> list[tuple[list[Expr], set[Value]]]:
    """Sums, and products of which each sum has one load, alike scaled, and nobody else any; the most products first.

    Gates that are columns of ``x @ w + h @ u`` are sums of their own, and each of them has both products.
    """
    places: dict[Value, list[tuple[Expr, float, Expr | None]]] = {}
    for top, found in terms.items():
        for term in found:
            if term.is_product:
                places.setdefault(term.value, []).append((top, term.alpha, term.factor))
    groups: dict[tuple[Expr, ...], set[Value]] = {}
    for value, where in places.items():
        tops = tuple(top for top, _, _ in where)
        if len(set(tops)) == products[value] and len({(alpha, factor) for _, alpha, factor in where}) == 1:
            groups.setdefault(tops, set()).add(value)
    return sorted(((list(tops), values) for tops, values in groups.items()), key=lambda group: -len(group[1]))


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
    pending: list[tuple[_Term, Expr | None]] = [(_Term(top, 1, top), None)]
    while pending:
        term, parent = pending.pop()
        e = term.expr
        if parent is None or (_is_sum(e) and parents[e] == {parent} and parent.args.count(e) == 1):
            signs = term.sign, term.sign if e.code is Code.ADD else -term.sign
            left, right = (_Term(arg, sign, arg) for arg, sign in zip(e.args, signs, strict=True))
            pending += [(right, e), (left, e)]
        else:
            terms.append(term)
    return terms


def _factored(term: _Term, products: Collection[Value], parents: Mapping[Expr, set[Expr]]) -> _Term:
    """A term as numbers times the load of a product, if it is that and nobody else reads any part of it."""
    e, alpha, factor = term.expr, 1.0, None
    while len(parents[e]) == 1:
        if e.code is Code.LOAD and e.payload in products:
            return replace(term, load=e, is_product=True, alpha=alpha * term.sign, factor=factor)
        if e.code is Code.NEG:
            alpha, e = -alpha, e.args[0]
        elif e.code is Code.MUL and any(map(_is_number, e.args)):
            number, e = e.args if _is_number(e.args[0]) else e.args[::-1]
            if number.is_const:
                alpha *= number.payload
            elif factor is None:
                factor = number
            else:
                break
        else:
            break
    return term


def _is_number(e: Expr) -> bool:
    return e.is_const or (e.code is Code.LOAD and not e.free)


def _chain_of(
    terms: Sequence[_Term], values: Collection[Value], found: Mapping[Value, Definition], value: Value | None
) -> list[_Term]:
    """The terms that are made one on top of the other, in that order: a matrix to start from, then some of ``values``.

    The matrix is a product itself, or, where the sum is all that ``value`` is, a stored one.
    """
    once = Counter(term.load for term in terms)
    products = [term for term in terms if term.is_product and term.value in values and once[term.load] == 1]
    products = [
        term  # of a longer matrix the same elements are read, but they lie otherwise
        for term in products
        if term.load.args == products[0].load.args and _same_shape(found[term.value], found[products[0].value])
    ]
    others = [term for term in terms if term not in products]
    if value is not None and len(others) == 1 and _is_like(others[0], products, found, value):
        return [*others, *products]
    start = [term for term in products if term.alpha == 1 and term.factor is None][:1]
    return [*start, *(term for term in products if term not in start)] if start else []


def _is_like(term: _Term, products: Sequence[_Term], found: Mapping[Value, Definition], value: Value) -> bool:
    """Whether a term is a stored matrix, read at the same element as the products and as ``value`` is written."""
    e, target = term.expr, found[value]
    if e.code is not Code.LOAD or term.sign < 0 or e.payload.dtype != value.dtype or not products:
        return False
    alike = e.args == target.axes == products[0].load.args and _same_shape(found[products[0].value], target)
    return alike and e.payload in found and _same_shape(found[e.payload], target)


def _same_shape(a: Definition, b: Definition) -> bool:
    return a.shape == b.shape


def _values(chain: Sequence[_Term]) -> list[Value]:
    return [term.value for term in chain]


def _link(found: dict[Value, Definition], chain: Sequence[_Term]) -> None:
    """Let each product of the chain start as what is before it."""
    for before, term in pairwise(chain):
        product = found[term.value]
        assert isinstance(product, FromLibrary)
        factor = () if term.factor is None else (_number(term.factor, found),)
        call = LibraryCall(ROUTINE, (("alpha", term.alpha),), product.call.batch, replaces=((0, 2),))
        start = Operand.whole(before.value, with_rows_merged(product.shape, product.merged))
        operands = (*product.operands, start, *factor)
        found[term.value] = replace(product, call=call, operands=operands)


def _left(terms: Sequence[_Term], chain: Sequence[_Term]) -> list[_Term]:
    """The terms of a sum that reads only the last of a chain."""
    last = _Term(chain[-1].load, 1, chain[-1].load)
    return [last if term is chain[0] else term for term in terms if term is chain[0] or term not in chain]


def _number(e: Expr, found: Mapping[Value, Definition]) -> Operand:
    """One element of a stored value."""
    return Operand(e.payload, (), (), ravel(e.args, found[e.payload].shape))


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
    readers = Counter(e.payload for d in definitions.values() for e in loads_in(_elements(d)))
    sources = {value: source for value, source in sources.items() if readers[source] == 1}
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
