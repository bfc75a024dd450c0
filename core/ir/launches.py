"""A kernel of a device as launches: each of its outermost loops is one, and runs when the one before has ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.ir.expr import Code, Expr, walk
from core.ir.nodes import SPREAD_OUT, Atomic, Kernel, Loop, LoopKind, Store, expressions, statements


def launches(kernel: Kernel) -> list[Kernel]:
    """The loops of a kernel as kernels of their own, each with what it reads and writes; one keeps the name."""
    found = []
    for number, loop in enumerate(kernel.body):
        assert isinstance(loop, Loop) and loop.kind in SPREAD_OUT
        name = kernel.name if len(kernel.body) == 1 else f"{kernel.name}_{number + 1}"
        writes = _in_order(kernel.writes, (s.buffer for s in statements([loop]) if isinstance(s, (Store, Atomic))))
        loaded = [e.payload for e in walk(expressions([loop])) if e.code is Code.LOAD]
        reads = _in_order([*kernel.reads, *kernel.writes], (value for value in loaded if value not in writes))
        found.append(Kernel(name, reads, writes, [loop], kernel.comment))
    return found


def _in_order(values: Iterable[Any], wanted: Iterable[Any]) -> list[Any]:
    chosen = set(wanted)
    return [value for value in values if value in chosen]


def lane_extents(kernel: Kernel) -> list[Expr]:
    """How far the loops over lanes go, where that is known before the launch: a group needs no more lanes."""
    loops = (s for s in statements(kernel.body) if isinstance(s, Loop) and s.kind is LoopKind.LANES)
    return list(dict.fromkeys(pieces(loop) for loop in loops if not _depends(loop.extent)))


def pieces(loop: Loop) -> Expr:
    """How many work-items have something to do in a loop: each takes ``width`` iterations at once."""
    return (loop.extent + (loop.width - 1)) // loop.width


def _depends(extent: Expr) -> bool:
    return bool(extent.free) or any(e.code is Code.LOCAL for e in walk([extent]))
