"""Lines in ascending order, as loops for devices: pieces by Batcher's network, merged many at once, twice.

A piece is sorted by one group.  A merge is spread over the whole grid: each work-item takes one element, and finds in
every other run how many stand before it, which says where it goes.  Neighbours search alike, so that they read the
same.  How many runs are merged follows from the length of a line; short lines have one piece.  Source: Knuth, volume 3,
section 5.3.4, for the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core import dtypes
from core.ir.expr import Expr, cast, const, equal, maximum, minimum, not_equal, select

PIECE = 1024  # elements that one group sorts, in lines that are no longer than PIECE << 2 * MOST_DOUBLED
MOST_DOUBLED = 6  # 1 << 6 runs are merged at once, at most; of still longer lines, pieces are longer
_MOST_DOUBLINGS = 48  # of 1 until it is more than any length


def sort_lines(k: Any, x: Any, outputs: Sequence[Any]) -> None:
    """Store the lines of ``x`` in order, and, where there are two outputs, the index that each element had; stable."""
    *lines, n = x.shape
    is_long = n > PIECE
    if not k.has_groups or (is_long.is_const and not is_long.payload):
        _sort_pieces(k, x, outputs, n, const(1))
        return
    doubled = sum((cast(n > PIECE << 2 * k, "int64") for k in range(MOST_DOUBLED)), start=const(0))
    ways = const(1) << doubled
    piece = maximum(_ceil_div(n, ways * ways), 1)
    between = [k.memory(out.dtype, (*lines, select(is_long, n, const(0)))) for out in outputs]
    _sort_pieces(k, x, outputs, piece, _ceil_div(n, piece))
    several = select(is_long, n, const(0))
    _merge(k, outputs, between, (piece, ways), (*lines, several))
    _merge(k, between, outputs, (piece * ways, ways), (*lines, several))


def before(a: Expr, b: Expr) -> Expr:
    """Whether ``a`` must stand before ``b``: it is less, or only ``b`` is NaN."""
    return a < b if a.dtype in dtypes.DISCRETE else (a < b) | (not_equal(b, b) & equal(a, a))


def _ceil_div(a: Expr, b: Expr) -> Expr:
    return (a + (b - 1)) // b


# --- merging ----------------------------------------------------------------------------------------------------------


def _merge(
    k: Any, source: Sequence[Any], target: Sequence[Any], runs: tuple[Expr, Expr], shape: Sequence[Expr]
) -> None:
    """Every ``ways`` sorted runs of ``run`` elements become one; of equal ones, that of the first run goes first."""
    *_, n = source[0].shape
    with k.grid(shape) as (*line, i):
        run, ways = (k.local("int64", e, name).value for e, name in zip(runs, ("run", "ways"), strict=True))
        keys = source[0]
        key = k.local(keys.dtype, keys[(*line, i)], "key")
        first = k.local("int64", i // (run * ways) * (run * ways), "first")
        place = k.local("int64", first.value + i % run, "place")
        with k.loop(minimum(_ceil_div(n - first.value, run), ways)) as number:
            start = k.local("int64", first.value + number * run, "start")
            is_own = k.local("bool", equal(start.value, i // run * run), "is_own")
            size = k.local("int64", select(is_own.value, const(0), minimum(run, n - start.value)), "size")
            low, high = k.local("int64", 0, "low"), k.local("int64", size.value, "high")
            with k.loop(minimum(size.value, _MOST_DOUBLINGS)), k.when(low.value < high.value):
                half = k.local("int64", (low.value + high.value) >> 1, "half")
                other = k.local(keys.dtype, keys[(*line, start.value + half.value)], "other")
                stands = select(start.value < i, ~before(key.value, other.value), before(other.value, key.value))
                is_before = k.local("bool", stands, "is_before")
                low.set(select(is_before.value, half.value + 1, low.value))
                high.set(select(is_before.value, high.value, half.value))
            place += low.value
        for given, out in zip(source, target, strict=True):
            out[(*line, place.value)] = given[(*line, i)]


# --- pieces -----------------------------------------------------------------------------------------------------------


def _sort_pieces(k: Any, x: Any, target: Sequence[Any], piece: Expr, count: Expr) -> None:
    """Each ``piece`` elements of a line of ``x``, of which there are ``count`` parts, in order."""
    *lines, n = x.shape
    with k.grid([*lines, count]) as (*line, number):
        start, size = const(0), n
        if piece is not n:
            length = k.local("int64", piece, "length").value
            start = k.local("int64", number * length, "start").value
            size = k.local("int64", minimum(length, n - start), "size").value
        with k.grid([piece]) as (i,), k.when(i < size):
            for out, given in zip(target, (x[(*line, start + i)], start + i), strict=False):
                out[(*line, start + i)] = given

        def exchange(i: Expr, j: Expr) -> None:
            _exchange(k, target, (*line, start + i), (*line, start + j))

        _network(k, size, exchange)


def _exchange(k: Any, arrays: Sequence[Any], here: tuple[Expr, ...], there: tuple[Expr, ...]) -> None:
    """Put two elements in order; where there is an index beside them, it decides between equal ones."""
    pairs = [(k.local(one.dtype, one[here], "a"), k.local(one.dtype, one[there], "b")) for one in arrays]
    (a, b), *order = pairs
    wrong = before(b.value, a.value)
    for p, q in order:
        wrong = wrong | (~before(a.value, b.value) & (q.value < p.value))
    swap = k.local("bool", wrong, "swap")
    for one, (a, b) in zip(arrays, pairs, strict=True):
        one[here] = select(swap.value, b.value, a.value)
        one[there] = select(swap.value, a.value, b.value)


def _network(k: Any, n: Expr, exchange: Callable[[Expr, Expr], None]) -> None:
    """Batcher's bitonic sort of ``n`` elements, any number: ``exchange(i, j)`` puts those of i < j in order.

    Sorted runs of ``half`` elements become runs of twice as many: each run is compared with the next one read
    backwards, then halves, quarters, ... of what came out.  Elements that are missing at the end count as the largest,
    and never move, because every comparison puts the larger one further back.  The comparisons of one ``grid`` are
    independent.
    """
    if n.is_const and n.payload < 2:
        return
    doublings, size = k.local("int64", 0, "doublings"), k.local("int64", 1, "size")
    with k.loop(minimum(n, _MOST_DOUBLINGS)):
        doublings += cast(size.value < n, "int64")
        size *= 2
    with k.loop(doublings.value) as log:
        half = k.local("int64", const(1) << log, "half")
        with k.grid([_pairs(n, half.value)]) as (t,):
            place = t & (half.value - 1)
            middle = k.local("int64", 2 * t - 2 * place + half.value, "middle")
            with k.when(middle.value + place < n):
                exchange(middle.value - 1 - place, middle.value + place)
        step = k.local("int64", half.value, "step")
        with k.loop(log):
            step.set(step.value >> 1)
            with k.grid([_pairs(n, step.value)]) as (t,):
                first = k.local("int64", 2 * t - (t & (step.value - 1)), "first")
                with k.when(first.value + step.value < n):
                    exchange(first.value, first.value + step.value)


def _pairs(n: Expr, half: Expr) -> Expr:
    """How many pairs, ``half`` apart, there are in blocks of twice as many elements, the last one perhaps not full.

    ``half`` is a power of 2.
    """
    return ((n + 2 * half - 1) & -(2 * half)) >> 1
