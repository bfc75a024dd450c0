"""A kernel of a device as launches: each of its outermost loops is one, and runs when the one before has ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.ir.codes import Code
from core.ir.expr import Expr
from core.ir.nodes import SPREAD_OUT, Arrive, Atomic, Kernel, Loop, LoopKind, Store, expressions, statements
from core.ir.walk import walk


def launches(kernel: Kernel) -> list[Kernel]:
    """The loops of a kernel as kernels of their own, each with what it reads and writes; one keeps the name."""
    found = []
    for number, loop in enumerate(kernel.body):
        assert isinstance(loop, Loop) and loop.kind in SPREAD_OUT
        name = kernel.name if len(kernel.body) == 1 else f"{kernel.name}_{number + 1}"
        stored = [s.buffer for s in statements([loop]) if isinstance(s, (Store, Atomic))]
        counters = tuple(s.counter for s in statements([loop]) if isinstance(s, Arrive))
        writes = _in_order(kernel.writes, (*stored, *counters))
        loaded = [e.payload for e in walk(expressions([loop])) if e.code is Code.LOAD]
        wanted = [*(value for value in loaded if value not in writes), *kernel.unless]
        reads = _in_order([*kernel.reads, *kernel.writes], wanted)
        arrays = {value: size for value, size in kernel.arrays.items() if value in loaded}
        found.append(
            Kernel(name, reads, writes, [loop], kernel.comment, kernel.unless, arrays=arrays, counters=counters)
        )
    return found


def _in_order(values: Iterable[Any], wanted: Iterable[Any]) -> list[Any]:
    chosen = set(wanted)
    return [value for value in values if value in chosen]


def lane_extents(kernel: Kernel) -> list[Expr]:
    """How many lanes have something to do at most: a group needs no more.  Empty where more than lengths decides."""
    loops = [s for s in statements(kernel.body) if isinstance(s, Loop) and s.kind is LoopKind.LANES]
    known = [next((n for n in _bounds(loop.extent) if not _depends(n)), None) for loop in loops]
    return [] if None in known else list(dict.fromkeys(busy(loop, n) for loop, n in zip(loops, known, strict=True)))


def busy(loop: Loop, extent: Expr | None) -> Expr:
    """How many lanes a loop over lanes is worth: of a row that fits, each takes as many pieces as it may."""
    return (pieces(loop, extent) + (loop.fits - 1)) // loop.fits if loop.fits else pieces(loop, extent)


def lanes_for(wanted: int, largest: int, warp: int) -> int:
    """How many lanes a group gets of which ``wanted`` have something to do: a power of two, 1 or whole warps."""
    return 1 if wanted <= 1 else min(max(1 << (wanted - 1).bit_length(), warp), largest)


def fixed_lanes(kernel: Kernel, largest: int, warp: int) -> int | None:
    """How many lanes every launch has, where the lengths of a kernel of groups are constants; else None."""
    (loop,) = kernel.body if len(kernel.body) == 1 else [None]
    if not isinstance(loop, Loop) or loop.kind is not LoopKind.GROUPS:
        return None
    extents = lane_extents(kernel)
    if not extents or not all(n.is_const for n in extents):
        return None
    return lanes_for(min(max(n.payload for n in extents), largest), largest, warp)


def pieces(loop: Loop, extent: Expr | None = None) -> Expr:
    """How many work-items have something to do in a loop: each takes ``width`` iterations at once."""
    return ((loop.extent if extent is None else extent) + (loop.width - 1)) // loop.width


def _bounds(extent: Expr) -> tuple[Expr, ...]:
    """What an extent is certainly no larger than."""
    return (extent, *extent.args) if extent.code is Code.MIN else (extent,)


def _depends(extent: Expr) -> bool:
    return bool(extent.free) or any(e.code is Code.LOCAL for e in walk([extent]))
