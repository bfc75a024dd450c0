"""Axes in scalar expressions: lengths that meet, indices, positions, and reductions over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from core import dtypes
from core.ir.codes import Code, Combine
from core.ir.expr import INDEX_DTYPE, Expr, as_expr, cast, const, equal, index, make, not_equal, select


def reduce(combine: Combine, extents: Sequence[Any], body: Callable[..., Expr], dtype: str | None = None) -> Expr:
    """Combine ``body(k0, k1, ...)`` over ``0 <= k < extent`` of each; ``dtype``, if given, is what it sums in."""
    if combine in (Combine.ARGMAX, Combine.ARGMIN):
        return _position(Combine.MAX if combine is Combine.ARGMAX else Combine.MIN, extents, body)
    variables = tuple(index("k") for _ in extents)
    inner = body(*variables)
    if dtype is not None:
        inner = cast(inner, dtype)
    if combine in (Combine.OR, Combine.AND):
        inner = cast(inner, "bool")
    return make(Code.REDUCE, inner.dtype, (inner, *(as_expr(n) for n in extents)), (combine, variables))


def _position(combine: Combine, extents: Sequence[Any], body: Callable[..., Expr]) -> Expr:
    """The first flat position of the extreme: the least position at which an element equals it, or is NaN."""
    extreme = reduce(combine, extents, body)
    nowhere = const(Combine.MIN.identity(INDEX_DTYPE))

    def position(*k: Expr) -> Expr:
        element = body(*k)
        found = equal(element, extreme)
        if element.dtype in dtypes.FLOATS:  # where one is NaN, so is the extreme, and equals nothing
            found = found | not_equal(element, element)
        return select(found, ravel(k, [as_expr(n) for n in extents]), nowhere)

    return reduce(Combine.MIN, extents, position)


# --- lengths that are known only when the function runs -----------------------------------------------------------


def join_length(a: Expr, b: Expr) -> Expr:
    """The length of a broadcast axis of operands of length ``a`` and ``b``; checked when the function runs."""
    if a is b or _is_one(b):
        return a
    return b if _is_one(a) else make(Code.JOIN, INDEX_DTYPE, (a, b))


def same_length(a: Expr, b: Expr) -> Expr:
    """A length that two axes must share; checked when the function runs."""
    return a if a is b else make(Code.SAME, INDEX_DTYPE, (a, b))


def stretch(i: Expr, n: Expr, out: Expr) -> Expr:
    """Where index ``i`` of an axis of length ``out`` lies in an operand of length ``n`` that is broadcast to it."""
    if _is_one(n):
        return const(0)
    return i if n is out else make(Code.STRETCH, INDEX_DTYPE, (i, n))


def spread(big: Expr, small: Expr) -> Expr:
    """How many elements of an axis of length ``big`` came from one element of length ``small``: 1, or all."""
    if big is small:
        return const(1)
    return big if _is_one(small) else make(Code.SPREAD, INDEX_DTYPE, (big, small))


def wrap_index(i: Expr, n: Expr) -> Expr:
    """An index into an axis of length ``n``, negative from the end.  IndexOutOfBounds when it runs unless in range."""
    if i.is_const and n.is_const and -n.payload <= i.payload < n.payload:
        return const(i.payload % n.payload)
    return make(Code.WRAP, INDEX_DTYPE, (cast(i, INDEX_DTYPE), n))


def unravel(flat: Expr, shape: Sequence[Expr]) -> tuple[Expr, ...]:
    """The index in ``shape`` of the row-major position ``flat``."""
    if len(shape) == 1:
        return (flat,)
    return tuple(
        const(0) if _is_one(n) else make(Code.UNRAVEL, INDEX_DTYPE, (flat, *shape), axis)
        for axis, n in enumerate(shape)
    )


def ravel(at: Sequence[Expr], shape: Sequence[Expr]) -> Expr:
    """The row-major position of an index.  Undoes ``unravel`` of the same shape."""
    first = next((i for i in at if i.code is Code.UNRAVEL), None)
    if first is not None and tuple(at) == unravel(first.args[0], shape):
        return first.args[0]
    flat = const(0)
    for i, n in zip(at, shape, strict=True):
        flat = flat * n + i
    return flat


def product(factors: Iterable[Expr]) -> Expr:
    """The product of lengths; 1 of none."""
    total = const(1)
    for factor in factors:
        total = total * factor
    return total


def factors_of(lengths: Iterable[Expr]) -> Counter[Any]:
    """Lengths split into their factors: the product of the numbers, and each other factor with its multiplicity."""
    known, factors, pending = 1, Counter[Any](), list(lengths)
    while pending:
        n = pending.pop()
        if n.code is Code.MUL:
            pending.extend(n.args)
        elif n.is_const:
            known *= n.payload
        else:
            factors[n] += 1
    factors["known"] = known
    return factors


def quotient(a: Expr, b: Expr) -> Expr | None:
    """``a / b`` where the factors of one are among those of the other; None where they are not, or are 0."""
    left, less = factors_of([a]), factors_of([b])
    number, divisor = left.pop("known"), less.pop("known")
    left.subtract(less)
    if number == 0 or divisor == 0 or number % divisor or any(count < 0 for count in left.values()):
        return None
    return product([const(number // divisor), *left.elements()])


def regrouped(index: Sequence[Expr], shape: Sequence[Expr], other: Sequence[Expr]) -> list[Expr]:
    """The index in the shape ``other`` of the element at ``index`` of ``shape``, in row-major order.

    Where some axes of one hold as many elements as some of the other, those before and behind them do not matter.
    """
    found: list[Expr] = []
    end, other_end = len(shape), len(other)
    while end or other_end:
        start, other_start = _group(shape[:end], other[:other_end])
        at = unravel(ravel(index[start:end], shape[start:end]), other[other_start:other_end])
        found[:0] = at if other_start < other_end else ()
        end, other_end = start, other_start
    return found


def _group(shape: Sequence[Expr], other: Sequence[Expr]) -> tuple[int, int]:
    """Where the shortest tails of two shapes begin that have equal factors."""
    a, b = len(shape) - 1, len(other) - 1
    while a > 0 and b > 0:
        own, its = factors_of(shape[a:]), factors_of(other[b:])
        if own == its and own["known"]:
            return a, b
        if _divides(own, its):
            a -= 1
        elif _divides(its, own):
            b -= 1
        else:
            break
    return 0, 0


def _divides(a: Counter[Any], b: Counter[Any]) -> bool:
    numbers = a["known"], b["known"]
    return 0 not in numbers and numbers[1] % numbers[0] == 0 and all(b[n] >= k for n, k in a.items() if n != "known")


def _is_one(n: Expr) -> bool:
    return n.is_const and n.payload == 1


def stride_of(position: Expr, variable: Expr) -> Expr | None:
    """By how much a position grows with a loop variable; None where it is no multiple of it."""
    if variable not in position.free:
        return const(0)
    if position is variable:
        return const(1)
    parts = [stride_of(arg, variable) for arg in position.args]
    if position.code not in (Code.ADD, Code.SUB, Code.MUL) or None in parts:
        return None
    a, b = parts
    assert a is not None and b is not None
    if position.code is Code.MUL:
        moving, factor = (a, position.args[1]) if variable in position.args[0].free else (b, position.args[0])
        return moving * factor if variable not in factor.free else None
    return a + b if position.code is Code.ADD else a - b
