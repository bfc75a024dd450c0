"""Flat positions that kernels split into coordinates, and how many of them there are.

GPUs divide 32-bit numbers in a few instructions and 64-bit ones in a hundred, so that who moves little data for each
division waits for these.  Lengths say, when a function runs, whether positions are fewer than ``FEW``.
"""

from __future__ import annotations

from core.ir.axes import product
from core.ir.codes import Code
from core.ir.expr import Expr
from core.ir.nodes import Kernel, expressions
from core.ir.walk import walk

FEW = 1 << 32
_INSIDE = frozenset({Code.LOAD, Code.LOCAL, Code.INDEX})  # of a kernel: who launches it does not know them


def is_countable(e: Expr) -> bool:
    """Whether lengths of arrays alone say how many positions there are that ``e``, a coordinate, is taken from."""
    return not any(n.code in _INSIDE for n in walk(e.args[1:]))


def counts(kernel: Kernel) -> list[Expr]:
    """How many positions there are, for each kind that the kernel splits and that can be counted."""
    nodes = (e for e in walk(expressions(kernel.body)) if e.code is Code.UNRAVEL and is_countable(e))
    return list(dict.fromkeys(product(e.args[1:]) for e in nodes))
