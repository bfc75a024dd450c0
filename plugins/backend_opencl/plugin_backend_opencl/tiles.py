"""Products by kernels of our own, written in the loop IR: each work-item keeps a tile of the result in registers.

On a CPU the columns of a tile are vectors, and the right operand is first copied so that each panel of such columns
lies in one piece, in the order in which it is read (Goto and van de Geijn 2008, section 4).  On a GPU neighbouring
work-items have neighbouring columns.  The shape of a tile is tried out once for each device; see tuning.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from core import dtypes
from core.device.contract import Block, Grid, Source, Strided
from core.ir.clike.cdevice import unit
from core.ir.clike.cfamily import print_kernel
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import INDEX_DTYPE, Expr, compare, const, index, make, minimum
from core.ir.nodes import Assign, If, Kernel, Let, Local, Loop, LoopKind, Statement, Store
from plugin_backend_opencl.added import Added

_GROUP = 64  # work-items of a group on a GPU


@dataclass(frozen=True)
class Tile:
    """How many rows and columns of the result a work-item keeps in registers."""

    rows: int
    columns: int


class Numbers:
    """What the kernels are told, by name; ``of`` gives the values for certain matrices."""

    NAMES = (
        *(
            "items",
            "share",
            "stacks",
            "first_row",
            "row_tiles",
            "n",
            "k",
            "panels",
            "a_at",
            "a_stack",
            "a_row",
            "a_inner",
        ),
        *("b_at", "b_stack", "b_inner", "b_column", "c_at", "c_stack", "c_row", "c_column"),
        "factor_at",
    )

    def __init__(self) -> None:
        self.locals = {name: Local(name, INDEX_DTYPE) for name in self.NAMES}

    def __getattr__(self, name: str) -> Expr:
        return self.locals[name].expr

    @classmethod
    def of(
        cls, a: Strided, b: Strided, c: Strided, tile: Tile, rows: tuple[int, int], shares: tuple[int, int], factor: int
    ) -> list[int]:
        """``rows``: the first, and how many tiles of them;  ``shares``: how many work-items, and of how many tiles."""
        panels = -(-c.shape[-1] // tile.columns)
        found = [*shares, c.shape[0], *rows, c.shape[-1], a.shape[-1], panels]
        return [*found, *(n for one in (a, b, c) for n in (one.offset, *one.strides)), factor]


def _load(value: Value, at: Expr) -> Expr:
    return make(Code.LOAD, value.dtype, (at,), value)


def _kernel(name: str, reads: list[Value], writes: list[Value], loop: Loop, numbers: Numbers) -> Kernel:
    return Kernel(name, reads, writes, [loop], "product of matrices", takes=list(numbers.locals.values()))


def pack_kernel(dtype: str, tile: Tile) -> Kernel:
    """Copy the right operand: panel by panel, row by row of a panel, 0 where there is no column any more."""
    b, packed, of = Value("b", dtype), Value("packed", dtype), Numbers()
    panel, row, column, rest = index("panel"), index("row"), index("column"), index("rest")
    first = Local("first", INDEX_DTYPE)
    there = Local("there", INDEX_DTYPE)
    source = of.b_at + panel // of.panels * of.b_stack + row * of.b_inner + first.expr * of.b_column
    target = (panel * of.k + row) * tile.columns
    copy = Store(packed, target + column, _load(b, source + column * of.b_column))
    clear = Store(packed, target + there.expr + rest, const(0, dtype))
    body: list[Statement] = [
        Let(first, panel % of.panels * tile.columns),
        Let(there, minimum(of.n - first.expr, tile.columns)),
        Loop(
            row,
            of.k,
            [Loop(column, there.expr, [copy], LoopKind.SIMD), Loop(rest, tile.columns - there.expr, [clear])],
        ),
    ]
    return _kernel("pack", [b], [packed], Loop(panel, of.stacks * of.panels, body, LoopKind.ITEMS), of)


class _Into:
    """Where the sums of a kernel go: into the result, or, where it ``adds``, times two numbers to what is there."""

    def __init__(self, c: Value, of: Numbers, adds: bool):
        self._c, self._adds = c, adds
        alpha, factor, self._times = Value("alpha", c.dtype), Value("factor", c.dtype), Local("times", c.dtype)
        self.reads = [alpha, factor] if adds else []
        product = _load(alpha, const(0)) * _load(factor, of.factor_at)
        self.start: list[Statement] = [Let(self._times, product)] if adds else []

    def store(self, at: Expr, total: Expr) -> Store:
        return Store(self._c, at, _load(self._c, at) + self._times.expr * total if self._adds else total)


def vector_kernel(name: str, dtype: str, tile: Tile, adds: bool = False) -> Kernel:
    """Tiles whose columns are vectors; a work-item has neighbouring tiles of one panel, which stays in its cache."""
    a, packed, c, of = Value("a", dtype), Value("packed", dtype), Value("c", dtype), Numbers()
    piece, step, column, inner = index("piece"), index("step"), index("column"), index("inner")
    number, panel, row, left, right, target = (
        Local(word, INDEX_DTYPE) for word in ("number", "panel", "row", "left", "right", "target")
    )
    stack, across, there = (Local(word, INDEX_DTYPE) for word in ("stack", "across", "there"))
    sums = [Local(f"sum{r}", dtype) for r in range(tile.rows)]
    factor = _load(packed, right.expr + inner * tile.columns + column)
    terms = [_load(a, left.expr + r * of.a_row + inner * of.a_inner) for r in range(tile.rows)]
    grow = [Assign(one, one.expr + term * factor) for one, term in zip(sums, terms, strict=True)]
    into = _Into(c, of, adds)
    keep = [into.store(target.expr + r * of.c_row + column, one.expr) for r, one in enumerate(sums)]
    start: list[Statement] = [Let(one, const(0, dtype), constant=False) for one in sums]
    vectors = Loop(
        column,
        there.expr,
        [*start, Loop(inner, of.k, list(grow)), *keep],
        LoopKind.SIMD,
        width=tile.columns,
    )
    body: list[Statement] = [
        Let(number, piece * of.share + step),
        Let(panel, number.expr // of.row_tiles),
        Let(stack, panel.expr // of.panels),
        Let(row, of.first_row + number.expr % of.row_tiles * tile.rows),
        Let(across, panel.expr % of.panels * tile.columns),
        Let(there, minimum(of.n - across.expr, tile.columns)),
        Let(left, of.a_at + stack.expr * of.a_stack + row.expr * of.a_row),
        Let(right, panel.expr * of.k * tile.columns),
        Let(target, of.c_at + stack.expr * of.c_stack + row.expr * of.c_row + across.expr),
        *into.start,
        vectors,
    ]
    total = of.stacks * of.panels * of.row_tiles
    steps = Loop(step, minimum(of.share, total - piece * of.share), body, LoopKind.GRID)
    return _kernel(name, [a, packed, *into.reads], [c], Loop(piece, of.items, [steps], LoopKind.ITEMS), of)


def column_kernel(name: str, dtype: str, tile: Tile, adds: bool = False) -> Kernel:
    """Tiles for work-items that run side by side: neighbours have neighbouring columns, and more of them further on.

    So the elements of a row that they read at once lie together.  Columns that are not there are read as the last one.
    """
    a, b, c, of = Value("a", dtype), Value("b", dtype), Value("c", dtype), Numbers()
    item, inner = index("item"), index("inner")
    above, row, left, target, first = (Local(word, INDEX_DTYPE) for word in ("above", "row", "left", "target", "first"))
    stack = above.expr // of.row_tiles
    columns = [first.expr + j * of.panels for j in range(tile.columns)]
    rights = [Local(f"right{j}", INDEX_DTYPE) for j in range(tile.columns)]
    sums = [[Local(f"sum{r}_{j}", dtype) for j in range(tile.columns)] for r in range(tile.rows)]
    terms, factors = (
        [Local(f"{word}{k}", dtype) for k in range(n)] for word, n in (("term", tile.rows), ("factor", tile.columns))
    )
    grow: list[Statement] = [
        *(Let(one, _load(b, right.expr + inner * of.b_inner)) for one, right in zip(factors, rights, strict=True)),
        *(Let(one, _load(a, left.expr + r * of.a_row + inner * of.a_inner)) for r, one in enumerate(terms)),
        *(
            Assign(sums[r][j], sums[r][j].expr + terms[r].expr * factors[j].expr)
            for r in range(tile.rows)
            for j in range(tile.columns)
        ),
    ]
    into = _Into(c, of, adds)
    body: list[Statement] = [
        *into.start,
        Let(above, item // of.panels),
        Let(first, item % of.panels),
        Let(row, of.first_row + above.expr % of.row_tiles * tile.rows),
        Let(left, of.a_at + stack * of.a_stack + row.expr * of.a_row),
        *(
            Let(right, of.b_at + stack * of.b_stack + minimum(column, of.n - 1) * of.b_column)
            for right, column in zip(rights, columns, strict=True)
        ),
        Let(target, of.c_at + stack * of.c_stack + row.expr * of.c_row),
        *(Let(one, const(0, dtype), constant=False) for line in sums for one in line),
        Loop(inner, of.k, grow),
    ]
    for j, column in enumerate(columns):
        stores: list[Statement] = [
            into.store(target.expr + r * of.c_row + column * of.c_column, line[j].expr) for r, line in enumerate(sums)
        ]
        body += stores if j == 0 else [If(compare(Code.LT, column, of.n), stores)]
    loop = Loop(item, of.stacks * of.row_tiles * of.panels, body, LoopKind.ITEMS)
    return _kernel(name, [a, b, *into.reads], [c], loop, of)


class TileProducts:
    """Products with tiles of one shape, which replace what lies in their place, or are added to it."""

    def __init__(self, device: Any, dtype: str, tile: Tile, adds: bool = False):
        self._device, self._dtype, self.tile, self._adds, facts = device, dtype, tile, adds, device.facts
        self._vectors = bool(facts.dialect.vectors)
        write = vector_kernel if self._vectors else column_kernel
        rest = Tile(1, tile.columns)
        kernels = [write("product", dtype, tile, adds), write("product_rest", dtype, rest, adds)]
        kernels += [pack_kernel(dtype, tile)] if self._vectors else []
        text = unit([print_kernel(kernel, facts.dialect)[0] for kernel in kernels], kernels, facts.dialect)
        self._code = device.build(Source("product", text, tuple((kernel, ()) for kernel in kernels)))
        self._launchers: dict[tuple, list[tuple[Any, Callable[..., list[Block]]]]] = {}
        self._numbers: dict[float, Block] = {}

    def multiply(self, a: Strided, b: Strided, c: Strided, packed: Block | None, added: Added) -> None:
        """Queue a product.  ``packed``: memory for the right operand, on a device with vectors."""
        times, at = [], 0
        if self._adds:
            factor, at = (self._number(1.0), 0) if added.factor is None else (added.factor.block, added.factor.offset)
            times = [self._number(added.alpha), factor]
        blocks = (a.block, b.block, c.block, packed, times)
        key = (at, *((one.shape, one.strides, one.offset) for one in (a, b, c)))
        found = self._launchers.get(key)
        if found is None:
            while len(self._launchers) >= _PREPARED:
                del self._launchers[next(iter(self._launchers))]
            found = self._launchers[key] = self._prepared(a, b, c, at, blocks)
        for launcher, which in found:
            for position, block in enumerate(which(*blocks)):
                launcher.set(position, block)
            launcher()

    def _number(self, value: float) -> Block:
        """One element of that value, on the device."""
        block = self._numbers.get(value)
        if block is None:
            while len(self._numbers) >= _PREPARED:
                self._device.release(self._numbers.pop(next(iter(self._numbers))))
            array = np.full(1, value, self._dtype)
            block = self._numbers[value] = self._device.allocate(array.nbytes)
            self._device.upload(block, array, keep=False)
        return block

    def _prepared(self, a: Strided, b: Strided, c: Strided, factor: int, blocks: tuple) -> list[tuple[Any, Any]]:
        """Launchers, each with the blocks that it takes of ``blocks``."""
        tile, device, found = self.tile, self._device, []
        whole, left = divmod(c.shape[-2], tile.rows)
        if self._vectors:
            panels = c.shape[0] * -(-c.shape[-1] // tile.columns)
            numbers = Numbers.of(a, b, c, tile, (0, whole), (panels, 1), 0)
            grid = Grid((panels, 1), (1, 1))
            found.append((device.launcher(self._code, "pack", [*_to_pack(*blocks), *numbers], grid), _to_pack))
        which = _packed if self._vectors else _plain
        for name, rows, first, tiles in (
            ("product", tile.rows, 0, whole),
            ("product_rest", 1, whole * tile.rows, left),
        ):
            if not tiles:
                continue
            count = c.shape[0] * tiles * -(-c.shape[-1] // tile.columns)
            share = -(-count // min(count, device.facts.target.units)) if self._vectors else 1
            items = -(-count // share)
            grid = Grid((items, 1), (1, 1)) if self._vectors else Grid((-(-count // _GROUP), 1), (_GROUP, 1))
            numbers = Numbers.of(a, b, c, Tile(rows, tile.columns), (first, tiles), (items, share), factor)
            found.append((device.launcher(self._code, name, [*which(*blocks), *numbers], grid), which))
        return found


def _to_pack(a: Block, b: Block, c: Block, packed: Block, times: list[Block]) -> list[Block]:
    return [packed, b]


def _packed(a: Block, b: Block, c: Block, packed: Block, times: list[Block]) -> list[Block]:
    return [c, a, packed, *times]


def _plain(a: Block, b: Block, c: Block, packed: Block | None, times: list[Block]) -> list[Block]:
    return [c, a, b, *times]


def packed_bytes(b: Strided, tile: Tile) -> int:
    """How much memory the right operand takes when it is packed."""
    return b.shape[0] * -(-b.shape[-1] // tile.columns) * tile.columns * b.shape[-2] * dtypes.size_bytes(b.dtype)


_PREPARED = 16  # products of certain matrices that stay prepared
