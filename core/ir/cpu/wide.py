"""Wide reductions: a long row is reduced in many registers side by side, and block by block.

One register a loop waits for its last addition before it begins the next; several do not.  Within a block a float32 sum
grows in float32, the blocks' sums grow in float64; those of a whole float64 array keep what each addition rounds away.
So sums are about as accurate as NumPy's pairwise ones.  A search ends with the block in which it finds something.
Products are left alone: in more registers they overflow sooner.
"""

from __future__ import annotations

from typing import Any

from core import dtypes
from core.dataclass import dataclass, replace
from core.ir.codes import COMPARISONS, Code, Combine
from core.ir.definitions import Value
from core.ir.expr import Expr, cast, const, equal, index, make, minimum, not_equal, select
from core.ir.nests.accumulators import combined, narrow_sum, narrowed
from core.ir.nests.copies import Copy, assigned
from core.ir.nests.strides import linear, work
from core.ir.nodes import Assign, If, Kernel, Let, Local, Loop, LoopKind, Statement, Store, statements
from core.ir.walk import walk

BLOCK = 2048  # elements reduced before their result joins that of earlier blocks
SEARCHED = 256  # elements searched before it is asked whether something was found
SIDE_BY_SIDE_BYTES = 256  # registers of one reduction: eight vectors of 32 bytes
SHORT = 256  # a shorter row is quicker with one register
FEW = 16  # fewer elements with little work are quicker one by one than taken together from vectors at the end
LITTLE_WORK = 8  # operations an element up to which one register would be waited for


def widen(kernel: Kernel, shapes: dict[Any, tuple[Expr, ...]]) -> Kernel:
    """``kernel`` with its reductions over consecutive elements in blocks.

    ``shapes`` learns those of new local arrays.
    """
    arrays: list[Value] = []

    def visit(body: list[Statement], outermost: bool) -> list[Statement]:
        new: list[Statement] = []
        for s in body:
            if isinstance(s, Loop) and s.kind is LoopKind.SIMD and s.reductions and not s.reverse:
                fresh = {t.local for t in body if isinstance(t, Let)}
                new += _Wide(s, fresh, outermost, kernel.name, shapes, arrays).statements()
            elif isinstance(s, If):
                new.append(If(s.condition, visit(s.body, False), visit(s.orelse, False)))
            else:
                new.append(replace(s, body=visit(s.body, False)) if isinstance(s, Loop) else s)
        return new

    body = visit(kernel.body, True)
    return replace(kernel, body=body, writes=[*kernel.writes, *arrays], scratch=[*kernel.scratch, *arrays])


@dataclass
class _Register:
    """A reduction: ``total`` for all blocks, ``part`` for one; ``lost`` is what adding to the total rounded away."""

    combine: Combine
    total: Local
    part: Local
    lost: Local | None = None

    @property
    def identity(self) -> Expr:
        return const(self.combine.identity(self.part.dtype), self.part.dtype)

    @property
    def is_narrow(self) -> bool:
        return self.part.dtype != self.total.dtype

    def join(self) -> list[Statement]:
        """Take a block's result into the total.  With ``lost``: Knuth (1998), section 4.2.2, theorem B."""
        total, new = self.total.expr, self.part.expr
        if self.lost is None:
            return [Assign(self.total, combined(self.combine, total, cast(new, self.total.dtype)))]
        before, after, back = (Local(f"{self.total.name}_{name}", self.total.dtype) for name in ("old", "new", "back"))
        error = (before.expr - (after.expr - back.expr)) + (new - back.expr)
        return [
            Let(before, total),
            Let(after, before.expr + new),
            Let(back, after.expr - before.expr),
            Assign(self.lost, self.lost.expr + error),
            Assign(self.total, after.expr),
        ]

    def settle(self) -> list[Statement]:
        """After the last block.  Where an infinity came in, what was lost is NaN and means nothing."""
        if self.lost is None:
            return []
        lost = select(equal(self.lost.expr, self.lost.expr), self.lost.expr, const(0, self.lost.dtype))
        return [Assign(self.total, self.total.expr + lost)]


class _Wide:
    """Writes one loop anew, or as it is where that gains nothing.

    ``fresh`` are the locals declared in the body around the loop: nothing has been reduced into them yet.
    ``outermost``: that body is the kernel's own.
    """

    def __init__(
        self,
        loop: Loop,
        fresh: set[Local],
        outermost: bool,
        name: str,
        shapes: dict[Any, tuple[Expr, ...]],
        arrays: list[Value],
    ):
        self.loop, self.fresh, self.name, self.shapes, self.arrays = loop, fresh, name, shapes, arrays
        self.outermost = outermost
        pure = not any(isinstance(s, Store) for s in statements(loop.body))
        combines = {combine for combine, _ in loop.reductions}
        waits = not all(_takes_one_cycle(combine, total) for combine, total in loop.reductions)
        self.light = pure and waits and work(loop.body) <= LITTLE_WORK and Combine.MUL not in combines
        narrow = {local: part for combine, local in loop.reductions if (part := narrow_sum(combine, local, loop.body))}
        self.registers = []
        for combine, total in loop.reductions:
            part = narrow.get(total) or Local(f"{total.name}_part", total.dtype)
            exact = outermost and self.light and combine is Combine.ADD and total.dtype == part.dtype == "float64"
            lost = Local(f"{total.name}_lost", "float64") if exact else None
            self.registers.append(_Register(combine, total, part, lost))
        self.body = narrowed(loop.body, narrow)
        self.condition = self._searched_for() if pure else None
        self.more = self._undecided() if pure else None
        self.in_blocks = outermost or bool(narrow) or self.more is not None

    def statements(self) -> list[Statement]:
        known = self.loop.extent.payload if self.loop.extent.is_const else BLOCK
        if known < FEW and self.light:
            return [replace(self.loop, kind=LoopKind.ORDER, reductions=[])]
        if known < SHORT or assigned(self.loop.body) != {local for _, local in self.loop.reductions}:
            return [self.loop]
        if self.condition is not None:
            return self._search(self.condition)
        if self.light:
            return self._side_by_side()
        in_order = any(r.is_narrow for r in self.registers) or self.more is not None
        return self._one_by_one() if in_order else [self.loop]

    def _one_by_one(self) -> list[Statement]:
        """Blocks in one register: for sums in float32 that have enough to do besides, and for searches."""
        block = index(f"{self.loop.variable.payload}_block")
        count = minimum(self.loop.extent - block * BLOCK, const(BLOCK))
        inside = [*self._started(), *self._plain(block * BLOCK, count), *self._joined()]
        return [self._over_blocks(block, self.loop.extent, inside)]

    def _side_by_side(self) -> list[Statement]:
        """Rows of registers; what does not fill one, or an array that is short, goes through one register."""
        n, width = self.loop.extent, self._width()
        whole = Local("whole", n.dtype)
        lost = [r.lost for r in self.registers if r.lost is not None]
        if self.in_blocks:
            block = index(f"{self.loop.variable.payload}_block")
            count = minimum(whole.expr - block * BLOCK, const(BLOCK))
            inside = [*self._rows(block * BLOCK, count // width, width), *self._joined()]
            main: Statement = self._over_blocks(block, whole.expr, inside)
        else:
            main = If(const(0) < whole.expr, [*self._rows(const(0), whole.expr // width, width), *self._joined()])
        return [
            Let(whole, select(const(SHORT) <= n, (n // width) * width, const(0))),
            *(Let(local, const(0, local.dtype), False) for local in lost),
            main,
            *(s for register in self.registers for s in register.settle()),
            *self._rest(whole.expr, n - whole.expr),
        ]

    def _width(self) -> int:
        smallest = min(dtypes.size_bytes(register.part.dtype) for register in self.registers)
        share = SIDE_BY_SIDE_BYTES if work(self.loop.body) <= LITTLE_WORK // 2 else SIDE_BY_SIDE_BYTES // 2
        return share // max(smallest, 2)

    def _over_blocks(self, block: Expr, n: Expr, inside: list[Statement]) -> Loop:
        if self.more is not None:
            inside = [If(self.more, inside)]
        shared = [(r.combine, r.total) for r in self.registers]
        shared += [(Combine.ADD, r.lost) for r in self.registers if r.lost is not None]
        return Loop(block, (n + (BLOCK - 1)) // BLOCK, inside, LoopKind.GRID, False, shared)

    def _rows(self, start: Expr, rows: Expr, width: int) -> list[Statement]:
        """``rows`` times ``width`` elements, element ``l`` of each row into register ``l``; then all into one."""
        row, lane = index("row"), self.loop.variable
        count = Local("rows", rows.dtype)
        homes = []
        for register in self.registers:
            value = Value(f"{register.total.name}_of_{self.name}", register.part.dtype)
            self.shapes[value] = (const(width),)
            homes.append(value)
        self.arrays += homes
        clear: list[Statement] = [Store(home, lane, r.identity) for home, r in zip(homes, self.registers, strict=True)]
        mine = [make(Code.LOAD, home.dtype, (lane,), home) for home in homes]
        pairs = list(zip(self.registers, homes, mine, strict=True))
        update: list[Statement] = [Let(r.part, own, False) for r, _, own in pairs]
        update += self._copy(start + row * width + lane).body(self.body)
        update += [Store(home, lane, r.part.expr) for r, home, _ in pairs]
        fold: list[Statement] = [Assign(r.part, combined(r.combine, r.part.expr, own)) for r, _, own in pairs]
        extent = const(width)
        return [
            Let(count, rows),
            Loop(lane, extent, clear, LoopKind.SIMD),
            Loop(row, count.expr, [Loop(lane, extent, update, LoopKind.SIMD)], LoopKind.ORDER),
            *self._started(),
            Loop(lane, extent, fold, LoopKind.SIMD, False, [(r.combine, r.part) for r in self.registers]),
        ]

    def _rest(self, start: Expr, count: Expr) -> list[Statement]:
        """The last elements, straight into the totals where these are as narrow."""
        for register in self.registers:
            if not register.is_narrow:
                register.part = register.total
        narrow = [r for r in self.registers if r.is_narrow]
        body: list[Statement] = [Let(r.part, r.identity, False) for r in narrow]
        (plain,) = self._plain(start, count)
        body.append(If(count < FEW, [replace(plain, kind=LoopKind.ORDER, reductions=[])], [plain]))
        return [*body, *(s for register in narrow for s in register.join())]

    def _plain(self, start: Expr, count: Expr) -> list[Loop]:
        body = self._copy(start + self.loop.variable).body(self.body)
        reductions = [(r.combine, r.part) for r in self.registers]
        return [Loop(self.loop.variable, count, body, LoopKind.SIMD, False, reductions)]

    def _started(self) -> list[Statement]:
        return [Let(r.part, r.identity, False) for r in self.registers]

    def _joined(self) -> list[Statement]:
        return [s for register in self.registers for s in register.join()]

    def _copy(self, position: Expr) -> Copy:
        copy = Copy({self.loop.variable: position})
        for register in self.registers:
            if not register.is_narrow:
                copy.rename(register.total, register.part)
        return copy

    def _search(self, condition: Expr) -> list[Statement]:
        """The first position where a condition holds: which block has one is asked in lanes as wide as the elements."""
        (register,) = self.registers
        block, variable = index(f"{self.loop.variable.payload}_block"), self.loop.variable
        start = block * SEARCHED
        count = minimum(self.loop.extent - start, const(SEARCHED))
        found = Local("found", _flag_dtype(condition))
        flag = Assign(found, found.expr | cast(condition, found.dtype))
        lets = [s for s in self.loop.body if isinstance(s, Let)]
        asks = Copy({variable: start + variable}).body([*lets, flag])
        nothing = const(0, found.dtype)
        looks = [*self._started(), *self._plain(start, count), *self._joined()]
        inside: list[Statement] = [
            Let(found, nothing, False),
            Loop(variable, count, asks, LoopKind.SIMD, False, [(Combine.OR, found)]),
            If(not_equal(found.expr, nothing), looks),
        ]
        unknown = equal(register.total.expr, register.identity)
        blocks = (self.loop.extent + (SEARCHED - 1)) // SEARCHED
        shared = [(register.combine, register.total)]
        search = Loop(block, blocks, [If(unknown, inside)], LoopKind.GRID, False, shared)
        if self.outermost:
            return [search]
        is_short = self.loop.extent <= SEARCHED  # then it is found in the first block, if at all
        few = If(self.loop.extent < FEW, [replace(self.loop, kind=LoopKind.ORDER, reductions=[])], [self.loop])
        return [If(is_short, [few], [search])]

    def _undecided(self) -> Expr | None:
        """What says that a further block can change the result; None where any can."""
        combine, total = self.registers[0].combine, self.registers[0].total.expr
        if len(self.registers) == 1 and combine in (Combine.OR, Combine.AND) and total.dtype == "bool":
            return ~total if combine is Combine.OR else total
        return None

    def _searched_for(self) -> Expr | None:
        """The condition whose first position is looked for, where the loop does nothing else."""
        (register, *others), update = self.registers, self.loop.body[-1]
        if others or register.combine is not Combine.MIN or register.total not in self.fresh:
            return None
        if not isinstance(update, Assign) or not all(isinstance(s, Let) for s in self.loop.body[:-1]):
            return None
        choice = next((arg for arg in update.value.args if arg.code is Code.SELECT), None)
        if update.value.code is not Code.MIN or choice is None or choice.args[2] is not register.identity:
            return None
        form = linear(choice.args[1], (self.loop.variable,))
        return choice.args[0] if form is not None and form.is_consecutive(self.loop.variable) else None


def _takes_one_cycle(combine: Combine, total: Local) -> bool:
    """Whether a register is ready for the next element when that is there: one of bits, or of integers that compare."""
    return combine in (Combine.OR, Combine.AND) or (
        combine in (Combine.MAX, Combine.MIN) and total.dtype not in dtypes.FLOATS
    )


def _flag_dtype(condition: Expr) -> str:
    """The integers that are as wide as what a condition compares."""
    compared = next((e.args[0].dtype for e in walk([condition]) if e.code in COMPARISONS), "int64")
    return "int64" if dtypes.size_bytes(compared) == 8 else "int32"
