"""What schedules ask of a device, from the words that its language has: one rule for all languages."""

from __future__ import annotations

from core.ir.clike.cwork import WorkItems
from core.ir.codes import Combine
from core.ir.target import Target


def target_for(
    work: WorkItems,
    units: int,
    lanes: int,
    waves: int = 1,
    packs_rows: bool = True,
    has_float64: bool = True,
    deterministic: bool = False,
) -> Target:
    """The target of a device that understands ``work``.

    units, lanes, waves, packs_rows, has_float64  of the device: see Target
    deterministic  whether every run is to give the same bits: then nothing is added in an order that chance decides
    """
    has_groups = lanes > 1
    adding = frozenset(dtype for combine, dtype in work.atomics if combine is Combine.ADD)
    return Target(
        units=units,
        waves=waves,
        lanes=lanes,
        packs_rows=packs_rows,
        holds_rows=has_groups and bool(work.wide),  # a row is held piece by piece
        has_float64=has_float64,
        keeps_nan=work.keeps_nan,
        settles=has_groups and (Combine.MAX, "int64") in work.atomics,
        atomics=adding if has_groups and not deterministic else frozenset(),
        finishes=has_groups and bool(work.arrive),
    )
