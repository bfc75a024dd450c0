"""Ranges: a loop is cut where a condition on its variable changes, so that no element asks which side it is on.

Padding, joining, and what writes into a slice read memory under such conditions.  The loop of ``y[i] = a[i] if i < m
else b[i - m]`` becomes one up to m and one from there on; the condition is known in each.
So is what lies on a ring: all but the ends of ``x[(i + 1) % n]`` is ``x[i + 1]``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

from core.dataclass import replace
from core.ir.codes import HOLDS_GUARD, Code
from core.ir.expr import INDEX_DTYPE, Expr, const, guarded, index, maximum, minimum
from core.ir.nests.copies import Copy
from core.ir.nests.places import with_places_inlined
from core.ir.nests.strides import linear
from core.ir.nodes import Kernel, Let, Loop, LoopKind, Statement, expressions, rewritten
from core.ir.rebuild import rebuild
from core.ir.walk import walk

Scope: TypeAlias = Mapping[Expr, Expr]  # what reads a constant -> its value

MOST_PIECES = 5  # that one loop becomes
FEW = 2  # elements that are not worth a piece for each case
LARGEST = 300  # nodes of a loop's body: it is written once for every piece


def cut(kernel: Kernel) -> Kernel:
    """``kernel`` with its loops in ranges, outer ones first."""
    if any(loop.extent is const(0) for loop in _loops(kernel.body)):  # nothing runs
        return kernel
    return replace(kernel, body=_visit(kernel.body, {}))


def _visit(body: list[Statement], around: Scope) -> list[Statement]:
    new: list[Statement] = []
    known = dict(around)
    for s in body:
        if isinstance(s, Loop):
            s = _with_turns_guarded(s, known)
            pieces = [replace(piece, body=_visit(piece.body, known)) for piece in _pieces(s, MOST_PIECES, known)]
            new += pieces if len(pieces) == 1 else [_in_turn(piece) for piece in pieces]
            continue
        if isinstance(s, Let) and s.constant:
            known[s.local.expr] = s.value
        new.append(s)
    return new


def _with_turns_guarded(loop: Loop, known: Scope) -> Loop:
    """``loop`` with a guard for what is taken modulo a length: most of ``(i + 1) % n`` is ``i + 1``."""
    if loop.reverse or not any(_turns(e, loop, known) for e in walk(expressions(loop.body))):
        return loop

    def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        if not _turns(node, loop, known):
            return None
        place, n = node.args
        return guarded((const(0) <= place) & (place < n), place, node)

    memo: dict[Expr, Expr] = {}
    body = with_places_inlined(loop.body)
    return replace(loop, body=[rewritten(s, lambda e: rebuild(e, change, memo)) for s in body])


def _turns(e: Expr, loop: Loop, known: Scope) -> bool:
    if e.code is not Code.MOD or e.dtype != loop.variable.dtype or loop.variable not in e.args[0].free:
        return False
    inside = {s.variable for s in _loops(loop.body)}
    own = {s.local.expr for s in loop.body if isinstance(s, Let)}
    place, n = e.args
    if n.is_const or not n.free.isdisjoint({loop.variable, *inside}) or not inside.isdisjoint(place.free):
        return False
    return own.isdisjoint(walk([n])) and _change(place < n, loop.variable, known) is not None


def _pieces(loop: Loop, most: int, known: Scope) -> list[Loop]:
    """``loop`` as loops one after the other, at most so many.  ``known`` are the constants that are declared before."""
    found = None if loop.reverse or most < 2 else _cut_of(loop, known)
    if found is None:
        return [loop]
    condition, holds_before, border, start, left = found
    later = index(loop.variable.payload)
    before = Copy({condition: const(holds_before, "bool")}).body(loop.body)
    after = Copy({condition: const(not holds_before, "bool"), loop.variable: start + later}).body(loop.body)
    rest = replace(loop, variable=later, extent=left, body=after)
    if border is const(0):
        return _pieces(rest, most, known)
    if left is const(0):
        return _pieces(replace(loop, body=before), most, known)
    last = _pieces(rest, most - 1, known)  # mostly the longer one
    return [*_pieces(replace(loop, extent=border, body=before), most - len(last), known), *last]


def _within(place: Expr, extent: Expr, known: Scope) -> tuple[Expr, Expr, Expr]:
    """How many values lie before ``place``, where the others start, and how many those are."""
    if place.is_const and place.payload < 0:
        place = const(0)
    parts, whole = _terms(place), _terms(extent)
    if parts is not None and whole is not None:
        if not Counter(whole) - Counter(parts):
            return extent, extent, const(0)
        left = list(whole)
        for part in parts:
            if part not in left:
                break
            left.remove(part)
        else:
            total = const(0)
            for part in left:
                total = total + part
            return place, place, total
    ahead = _constant_of(_rest_of(extent) - place)
    if ahead is not None and ahead > 0:
        border = maximum(place, const(0))
        return border, border, minimum(extent, const(ahead))
    if _never_negative(place, known):
        if _at_most(extent, place, known):
            return extent, extent, const(0)
        if _at_most(place, extent, known):
            return place, place, extent - place
        return minimum(place, extent), place, maximum(extent - place, const(0))
    border = minimum(maximum(place, const(0)), extent)
    return border, border, extent - border


def _rest_of(extent: Expr) -> Expr:
    """``e`` where the extent is max(e, 0), as it is once a known number of elements is gone."""
    a, b = extent.args if extent.code is Code.MAX else (extent, const(0))
    return a if b is const(0) else extent


def _constant_of(e: Expr) -> int | None:
    """What a sum is equal to if all but numbers cancels in it."""
    number, terms = 0, Counter[Expr]()
    pending = [(e, 1)]
    while pending:
        part, sign = pending.pop()
        if part.is_const:
            number += sign * part.payload
        elif part.code is Code.NEG:
            pending.append((part.args[0], -sign))
        elif part.code in (Code.ADD, Code.SUB):
            a, b = part.args
            pending += [(a, sign), (b, sign if part.code is Code.ADD else -sign)]
        else:
            terms[part] += sign
    return None if any(terms.values()) else number


def _never_negative(e: Expr, known: Scope) -> bool:
    e = known.get(e, e)
    if e.code in (Code.ADD, Code.MIN):
        return all(_never_negative(arg, known) for arg in e.args)
    if e.code is Code.MAX:
        return any(_never_negative(arg, known) for arg in e.args)
    if e.code is Code.SUB:
        return e.args[0].code is Code.LENGTH and _at_most(e.args[1], e.args[0], known)
    if e.code is Code.MOD:
        return e.args[1].code is Code.LENGTH
    return e.code is Code.LENGTH or (e.is_const and e.payload >= 0)


def _at_most(e: Expr, n: Expr, known: Scope) -> bool:
    """Whether ``e`` is a place in an axis of length ``n``, or its end."""
    e = known.get(e, e)
    if e.code is Code.MIN:
        return any(_at_most(arg, n, known) for arg in e.args)
    if e.code is Code.MAX:
        return all(_at_most(arg, n, known) for arg in e.args)
    if e.code is Code.SUB:
        return e.args[0] is n and _never_negative(e.args[1], known)
    if e.code is Code.ADD and e.args[1].is_const and e.args[1].payload <= 0:
        return _at_most(e.args[0], n, known)
    if e.code is Code.MOD:
        return e.args[1] is n and n.code is Code.LENGTH
    return e is n or e is const(0)


def _terms(e: Expr) -> list[Expr] | None:
    """The lengths that ``e`` is the sum of, none of them negative; None where it is no such sum."""
    terms, pending = [], [e]
    while pending:
        part = pending.pop()
        if part.code is Code.ADD:
            pending.extend(part.args)
        elif part.code is Code.LENGTH or (part.is_const and part.payload > 0):
            terms.append(part)
        elif part is not const(0):
            return None
    return terms


def _cut_of(loop: Loop, known: Scope) -> tuple[Expr, bool, Expr, Expr, Expr] | None:
    """A comparison that a guard makes, whether it holds at first, and where it changes: see _within.

    Few elements are not parted any further, for each piece is code: the guard stays where it costs little.
    """
    few = _is_few(loop.extent)
    innermost = not _loops(loop.body)
    for condition, place, holds_before, guards_memory in _conditions(loop, known):
        border, start, left = _within(place, loop.extent, known)
        decided = border is const(0) or left is const(0)
        if decided or not few or (guards_memory and not innermost):
            return condition, holds_before, border, start, left
    return None


def _in_turn(piece: Loop) -> Loop:
    """``piece``, not in vectors if its elements are few: those are slow to compile, and never full."""
    in_vectors = piece.kind is LoopKind.SIMD and not piece.reductions
    return replace(piece, kind=LoopKind.GRID) if in_vectors and _is_few(piece.extent) else piece


def _is_few(extent: Expr) -> bool:
    parts = extent.args if extent.code is Code.MIN else (extent,)
    return any(part.is_const and part.payload <= FEW for part in parts)


def _conditions(loop: Loop, known: Scope) -> list[tuple[Expr, Expr, bool, bool]]:
    """Comparisons that guards make, the first value of the variable at which each changes, whether it holds before, and
    whether elements are guarded or only places.  Those that change at a known value come first."""
    roots = [root for root in expressions(loop.body) if root.marks & HOLDS_GUARD]
    if not roots or len(walk(expressions(loop.body))) > LARGEST:
        return []
    inside = {s.variable for s in _loops(loop.body)}
    named = {s.local.expr: s.value for s in loop.body if isinstance(s, Let) and s.constant}
    found = []
    for guard in reversed(walk(roots)):
        for e in _compared(guard.args[0], named) if guard.code is Code.GUARDED else ():
            change = _change(e, loop.variable, known) if loop.variable in e.free and not inside & e.free else None
            if change is not None:
                found.append((e, *change, guard.dtype != INDEX_DTYPE))
    return sorted(found, key=lambda one: not one[1].is_const)


def _compared(condition: Expr, named: dict[Expr, Expr]) -> list[Expr]:
    """The comparisons that a condition is made of; ``named`` says what locals stand for."""
    found, pending = [], [condition]
    while pending:
        e = pending.pop()
        e = named.get(e, e)
        if e.code in (Code.AND, Code.OR):
            pending.extend(reversed(e.args))
        elif e.code in (Code.LT, Code.LE):
            found.append(e)
    return found


def _change(comparison: Expr, variable: Expr, known: Scope) -> tuple[Expr, bool] | None:
    """Where ``a < b`` or ``a <= b`` changes as ``variable`` grows by one, and whether it holds before."""
    a, b = comparison.args
    form = linear(a - b, (variable,)) if a.dtype == variable.dtype else None
    if form is None or any(e.code is Code.LOAD or _is_changing(e, known) for e in walk([form.rest])):
        return None
    equal = 1 if comparison.code is Code.LE else 0
    if form.stride(variable) == (1, ()):  # v + rest < 0
        return -form.rest + equal, True
    if form.stride(variable) == (-1, ()):  # rest - v < 0
        return form.rest + (1 - equal), False
    return None


def _is_changing(e: Expr, known: Scope) -> bool:
    return e.code is Code.LOCAL and e not in known


def _loops(body: list[Statement]) -> list[Loop]:
    found = [s for s in body if isinstance(s, Loop)]
    return [*found, *(inner for loop in found for inner in _loops(loop.body))]
