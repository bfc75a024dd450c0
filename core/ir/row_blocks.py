"""Blocks of rows: what is done with some rows of tall matrices at a time, and where each of its arrays lies.

Data only; passes/row_blocks.py makes it of definitions, and a ``BlockStep`` of it runs.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from core.dataclass import dataclass, replace
from core.ir.expr import Expr


class Way(enum.Enum):
    """How an array of a block of rows lies in a value of the program around it."""

    WHOLE = "whole"  # it is all of it
    ROWS = "rows"  # it is those of its rows that the block has
    EACH = "each"  # row number ``b`` belongs to block number ``b``
    GROWN = "grown"  # it is all of it, and each block adds to what those before it have left


@dataclass(frozen=True)
class Part:
    """An array of a block: part of ``value``, in some way.

    start   of what grows: the value that it starts as; None: zeros
    pieces  of what grows: the rows that it grows in besides, one for each piece of the blocks but the first
    """

    value: Any
    way: Way
    start: Any = None
    pieces: Any = None


@dataclass(frozen=True, eq=False)
class Blocks:
    """What is done with ``count`` rows, block by block, and by which arrays: see passes/row_blocks.py.

    body      what is done with one block.  Its first input holds nothing and has these lengths: the rows of the block,
              the number of its first row, how many rows of it are below each of ``limits``, then ``lengths``
    inputs    the parts that its other inputs are;  outputs  those that its outputs are
    rows      how many rows a block has, the last one perhaps fewer;  number  of blocks
    together  how many blocks make a piece: pieces run in any order, blocks of a piece one after the other
    """

    body: Any
    inputs: tuple[Part, ...]
    outputs: tuple[Part, ...]
    count: Expr
    rows: Expr
    number: Expr
    together: Expr
    limits: tuple[Expr, ...]
    lengths: tuple[Expr, ...]

    @property
    def sizes(self) -> tuple[Expr, ...]:
        """All lengths that are to be known of the program around it."""
        return (self.count, self.rows, self.number, self.together, *self.limits, *self.lengths)

    def map(self, new: Callable[[Expr], Expr]) -> Blocks:
        """The same with ``new`` applied to each of ``sizes``."""
        return replace(
            self,
            count=new(self.count),
            rows=new(self.rows),
            number=new(self.number),
            together=new(self.together),
            limits=tuple(map(new, self.limits)),
            lengths=tuple(map(new, self.lengths)),
        )
