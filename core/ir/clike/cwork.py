"""How C-like languages of devices spell work-items, groups and what these do together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from core.dataclass import dataclass, field
from core.ir.clike.chelpers import COMBINED
from core.ir.codes import Combine
from core.ir.nodes import Loop, LoopKind, Statement, statements


@dataclass(frozen=True)
class WorkItems:
    """A table, part of a Dialect.  Lanes of a group lie along x; rows, where a group has several, along y.

    item, items     this work-item's number along x among all of the launch, and how many there are
    row, rows       the same along y
    lane, lanes     this work-item's number along x in its group, and how many the group has: 1, or a power of two
    barrier         the statement at which the work-items of a group meet
    local           the qualifier of memory that a group shares, ``local_pointer`` of a pointer to it
    largest_group   the most lanes that a kernel is ever launched with;  has_full_groups: it is launched with as many
                    wherever as many have something to do, so that where lengths are known, so are the lanes
    wide            the definition of a type of several elements: ``{name}``, ``{type}``, ``{width}``, and
                    ``{size_bytes}``, on whose multiples it lies; "" where elements are taken one by one
    pointer         the qualifier of a pointer to such a type in the memory of the device
    function        qualifiers of the functions in which lanes meet; None: those of every other function
    shuffle         ``{x}`` of the lane whose number differs in the bits ``{d}``, within ``warp`` lanes; "" if there
                    is none.  Then a group has 1 lane, or a multiple of ``warp``.
    atomics         (combine, dtype) -> a function of a pointer and a value; what is missing is done in order
    keeps_nan       float dtypes whose maximum and minimum keep NaN by functions core_max_DTYPE, core_min_DTYPE of
                    ``helpers``, in one instruction
    arrive          whether a group is the last of ``{count}`` to come to the uint32 at ``{at}``: nodes.Arrive;
                    "" where groups cannot know, or the last one would not see what the others have stored
    ahead           a statement that brings what lies at the address ``{at}`` nearer, for somebody who reads it soon;
                    "" where there is none
    long_positions  the line before a text that asks for 64-bit positions, where coordinates are split from them by the
                    functions core_quotient and core_rest of ``helpers``, in 32 bits without that line: see
                    work/positions.py; "" where they are divided like other numbers
    has_addresses   a pointer that a kernel takes may lead anywhere into memory; else to the beginning of a block alone
    helpers         functions that these spellings use, by name; a text may only use helpers that stand before it
    """

    item: str
    items: str
    row: str
    rows: str
    lane: str
    lanes: str
    barrier: str
    local: str
    local_pointer: str
    largest_group: int = 256
    has_full_groups: bool = False
    shuffle: str = ""
    warp: int = 1
    wide: str = ""
    pointer: str = ""
    function: str | None = None
    atomics: Mapping[tuple[Combine, str], str] = field(default_factory=dict)
    keeps_nan: frozenset[str] = frozenset()
    arrive: str = ""
    ahead: str = ""
    long_positions: str = ""
    has_addresses: bool = True
    helpers: Mapping[str, str] = field(default_factory=dict)

    def head(self, kind: LoopKind, index: str, i: str, n: str, lanes: str = "") -> str:
        """The head of a loop whose iterations are spread out; ``lanes``: how many a group has, where that is known."""
        first, step = self.spread(kind, lanes)
        return f"for ({index} {i} = {first}; {i} < {n}; {i} += {step}) {{"

    def spread(self, kind: LoopKind, lanes: str = "") -> tuple[str, str]:
        """Where this work-item starts in such a loop, and how far it goes at a time."""
        return {
            LoopKind.ITEMS: (self.item, self.items),
            LoopKind.GROUPS: (self.row, self.rows),
            LoopKind.LANES: (self.lane, lanes or self.lanes),
        }[kind]


def group_function(combine: Combine, dtype: str) -> str:
    """The name of the function that combines a value over the lanes of a group."""
    return f"core_group_{combine.value}_{dtype}"


def group_memory(dtype: str) -> str:
    """The name of the memory that it uses, one element a lane."""
    return f"core_lanes_{dtype}"


def lane_reductions(body: Iterable[Statement]) -> dict[tuple[Combine, str], None]:
    """What the loops over lanes in ``body`` combine, each once."""
    return {
        (combine, local.dtype): None
        for statement in statements(list(body))
        if isinstance(statement, Loop) and statement.kind is LoopKind.LANES
        for combine, local in statement.reductions
    }


def group_text(combine: Combine, dtype: str, ctype: str, function: str, work: WorkItems) -> str:
    """The function itself: every lane gives its value and gets that of all, in an order that never changes."""
    name = group_function(combine, dtype)

    def taken(a: str, b: str) -> str:
        if combine in (Combine.MAX, Combine.MIN) and dtype in work.keeps_nan:
            return f"core_{combine.value}_{dtype}({a}, {b})"
        return f"({ctype})({COMBINED[combine].format(a=a, b=b)})"

    head = f"{function} {ctype} {name}({ctype} value, {work.local_pointer}{ctype} *memory, int lanes)\n{{".lstrip()
    body = _by_shuffles(ctype, work, taken) if work.shuffle else _by_halves(work, taken)
    return "\n".join([head, *(f"    {line}" for line in body), "}"])


def _by_halves(work: WorkItems, taken: Callable[[str, str], str]) -> list[str]:
    return [
        f"const int lane = {work.lane};",
        "if (lanes == 1) return value;",
        "memory[lane] = value;",
        work.barrier,
        "for (int near = lanes / 2; near > 0; near /= 2) {",
        f"    if (lane < near) memory[lane] = {taken('memory[lane]', 'memory[lane + near]')};",
        f"    {work.barrier}",
        "}",
        "value = memory[0];",
        f"{work.barrier}",
        "return value;",
    ]


def _by_shuffles(ctype: str, work: WorkItems, taken: Callable[[str, str], str]) -> list[str]:
    return [
        f"const int lane = {work.lane};",
        "if (lanes == 1) return value;",
        f"for (int d = {work.warp // 2}; d > 0; d /= 2) {{",
        f"    const {ctype} other = {work.shuffle.format(x='value', d='d')};",
        f"    value = {taken('value', 'other')};",
        "}",
        f"if (lanes > {work.warp}) {{",
        f"    const int warps = lanes / {work.warp};",
        f"    if (lane % {work.warp} == 0) memory[lane / {work.warp}] = value;",
        f"    {work.barrier}",
        "    value = memory[lane % warps];",
        "    for (int d = warps / 2; d > 0; d /= 2) {",
        f"        const {ctype} other = {work.shuffle.format(x='value', d='d')};",
        f"        value = {taken('value', 'other')};",
        "    }",
        f"    {work.barrier}",
        "}",
        "return value;",
    ]
