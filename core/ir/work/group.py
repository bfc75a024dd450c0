"""The schedule of a device: which launches a group of items becomes.

What shares its outer loops and is done with them at once is one launch: elementwise work is spread flat over all
work-items; what has loops inside gives each row to a group.  A reduction over shared loops has launches of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.ir.axes import product
from core.ir.definitions import Reduction
from core.ir.expr import Expr, const
from core.ir.nests.items import ordered
from core.ir.nests.vector_access import KEPT_PIECES
from core.ir.nodes import Kernel, Loop, LoopKind, Store, statements
from core.ir.passes.groups import Group, Item
from core.ir.passes.one_pass import one_pass
from core.ir.work.columns import column_sums, does_fit, either, launches
from core.ir.work.launch import Work, map_loop
from core.ir.work.reductions import is_short, reduction_loops
from core.ir.work.rows import Rows
from core.ir.work.tiles import tile_loop

_SMALL = 1 << 14  # elements


class WorkScheduler:
    """Writes the kernel of one group."""

    def __init__(self, group: Group, work: Work):
        self.group, self.work, self.target = group, work, work.target

    def kernel(self, name: str, comment: str) -> Kernel:
        body: list[Loop] = []
        whole = self._with_columns()
        if whole is not None and whole[0] is True:
            return self._written(name, comment, whole[1])
        spread = self._in_one_pass()
        if spread is not None:
            return self._written(name, comment, spread)
        nothing: tuple[list[Item], frozenset[Expr], list[list[Item]]] = ([], frozenset(), [])
        across = self._reads_across_rows()
        apart = across and (self.target.has_groups or self.target.units == 1)
        if apart:
            body += self._one_by_one()
        rest, shared, reductions = nothing if apart else self._parts()
        if rest:
            body += self._rest(rest, ordered(shared, rest), may_fit=whole is None)
        for items in reductions:
            body += reduction_loops(self.work, items)
        if whole is not None:
            fits, loops = whole
            assert isinstance(fits, Expr)
            body = either(fits, loops, body)
        if across and not apart:  # on a CPU, by few work-items
            body = either(self._is_small(), body, self._one_by_one())
        return self._written(name, comment, body)

    def _written(self, name: str, comment: str, body: Sequence[Loop]) -> Kernel:
        """The kernel of some launches."""
        stored = {s.buffer for s in statements(list(body)) if isinstance(s, Store)}
        written = [item.value for item in self.group.items if item.value in stored]
        loads = dict.fromkeys(e.payload for item in self.group.items for e in item.loads)
        read = [value for value in loads if value not in self.group.values]
        writes, counters = [*written, *self.work.scratch, *self.work.counters], tuple(self.work.counters)
        return Kernel(name, read, writes, list(body), comment, arrays=dict(self.work.arrays), counters=counters)

    def _with_columns(self) -> tuple[Expr | bool, list[Loop]] | None:
        """Launches of rows that also sum their columns, and for which lengths; None where there are no such sums."""
        found = column_sums(self.group.items) if self.target.has_groups else None
        if found is None:
            return None
        shared = frozenset(found.bound)
        stored = {item for item in found.rows if self._in_memory(item, shared, found.rows)}
        return launches(self.work, found, stored)

    def _in_one_pass(self) -> list[Loop] | None:
        """Launches in which several groups share a row, of few long ones; None where there are no such."""
        found = one_pass(self.group.items) if self.target.has_groups else None
        if found is None or not (found.beside or found.after):
            return None
        rows, length = (product(self.work.lengths(variables)) for variables in (found.free, found.bound))
        if not rows.is_const or rows.payload * 2 > self.target.units or is_short(length, self.target):
            return None
        if ordered(found.free | found.bound, self.group.items)[-1] in found.free:
            return None
        return reduction_loops(self.work, found.reductions, found.beside, found.after)

    def _reads_across_rows(self) -> bool:
        """Whether what the lanes of a group would share lies a row apart, and what lies side by side is spread out.

        A sum over the first axis of a matrix, and what becomes of it, is such a group: no launch of rows serves it, but
        for a CPU's, where there is little to do.
        """
        items, outer = self.group.items, self.group.outer
        if not outer or any(item.bound & outer for item in items):
            return False
        reductions = [item for item in items if item.bound]
        return bool(reductions) and all(ordered(item.free | item.bound, [item])[-1] in outer for item in reductions)

    def _is_small(self) -> Expr:
        """On a CPU: whether rows are so few and short that reading across them takes no longer than more launches."""
        every = frozenset().union(*(item.free | item.bound for item in self.group.items))
        return product(self.work.lengths(ordered(every, self.group.items))) <= _SMALL

    def _one_by_one(self) -> list[Loop]:
        """Launches for items of one level over the same loops, each of which stores what it makes."""
        self.work.kept.update(item.value for item in self.group.items)
        found: dict[tuple[int, frozenset[Expr], frozenset[Expr]], list[Item]] = {}
        for item in self.group.items:
            found.setdefault((item.level, item.free, item.bound), []).append(item)
        body: list[Loop] = []
        for level, free, bound in sorted(found, key=lambda key: (key[0], len(key[1]) + len(key[2]))):
            items = found[level, free, bound]
            body += reduction_loops(self.work, items) if bound else self._rest(items, ordered(free, items))
        return body

    def _parts(self) -> tuple[list[Item], frozenset[Expr], list[list[Item]]]:
        """Items that one launch can make, the loops that they share, and reductions that need launches of their own."""
        group = self.group
        across = [item for item in group.items if item.bound & group.outer]
        rest = [item for item in group.items if not item.bound & group.outer]
        if not across:
            return rest, group.outer, []
        bound = frozenset().union(*(item.bound for item in across))
        rows = group.outer - bound
        if rest and rows and ordered(group.outer, group.items)[-1] in bound:
            return group.items, rows, []
        found: dict[tuple[frozenset[Expr], frozenset[Expr]], list[Item]] = {}
        for item in across:
            found.setdefault((item.free, item.bound), []).append(item)
            self.work.kept.update(e.payload for e in item.loads)
        return rest, group.outer, list(found.values())

    def _in_memory(self, item: Item, shared: frozenset[Expr], rest: Sequence[Item]) -> bool:
        """A reduction stays in a register when only later stages of the same row read it."""
        if not isinstance(item.definition, Reduction) or item.value in self.work.kept or item not in rest:
            return True
        return not item.free <= shared

    def _rest(self, items: list[Item], shared: list[Expr], may_fit: bool = True) -> list[Loop]:
        """Launches without reductions over ``shared``; ``may_fit``: whether rows may come that lanes can hold."""
        if all(item.free == frozenset(shared) and not item.bound for item in items):
            items = sorted(items, key=lambda item: item.level)
            tiled = tile_loop(self.work, items, shared) if self.target.has_groups else None
            return [map_loop(self.work, items, shared) if tiled is None else tiled]
        stored = {item for item in items if self._in_memory(item, frozenset(shared), items)}
        general = Rows(self.work, items, shared, stored).loop()
        lengths = _passes(general)
        if not (may_fit and self.target.holds_rows) or len(lengths) < 2 or len(set(lengths)) > 1:
            return [general]
        rows = Rows(self.work, items, shared, stored)
        loop, taken = rows.loop(lengths[0]), rows.launch.taken
        fits = does_fit(lengths[0], taken // KEPT_PIECES, taken * self.target.lanes) if taken else False
        if isinstance(fits, bool):
            return [loop if fits else general]
        return either(fits, [loop], [general])


def _passes(rows: Loop) -> list[Expr]:
    """The lengths of the loops in which lanes go over a row, one after the other."""
    lanes = (s for s in rows.body if isinstance(s, Loop) and s.kind is LoopKind.LANES)
    return [loop.extent for loop in lanes if loop.extent is not const(1)]
