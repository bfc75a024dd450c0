"""Rows by blocks: definitions that go together (rows.py) become a program of their own, which runs once for each block.

What only the block needs is never larger than a block.  What adds up over rows has a share of each block, and these are
added up in the order of the blocks; a product that grows does so block by block in each of a few pieces of the rows.
All of this follows from lengths alone, so that threads, which take pieces, change no result.

In: definitions of what is written, after products are accumulated.  Out: the same, with ``FromBlocks`` for some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.dataclass import replace
from core.ir.axes import product
from core.ir.codes import Code
from core.ir.definitions import (
    Definition,
    FromBlocks,
    FromLibrary,
    Given,
    Lowered,
    Operand,
    Pointwise,
    Reduction,
    Scattering,
    Value,
    operands_of,
)
from core.ir.expr import Expr, index, length, make
from core.ir.passes.accumulate import ROUTINE
from core.ir.passes.rows import Rows, Sizes, sources
from core.ir.program import LibraryCall
from core.ir.rebuild import loads_in, rebuild
from core.ir.row_blocks import Blocks, Part, Way


def outlined(
    found: Rows, size: Sizes, lowered: Lowered, definitions: Mapping[Value, Definition], extents: dict[Expr, Expr]
) -> dict[Value, Definition]:
    """``definitions`` with those of ``found`` made block by block.  ``extents`` grows by loops over blocks."""
    body = _Body(found, definitions, lowered)
    members = [value for value in definitions if value in found.rows or value in found.sums]
    outside = _read_outside(lowered, definitions, set(members))
    after: dict[Value, Definition] = {}
    outputs: dict[Value, Part] = {}
    shapes: dict[Value, tuple[Expr, ...]] = {}
    pieces = (size.number + (size.together - 1)) // size.together
    for value in members:
        definition = definitions[value]
        if value in found.rows:
            body.add_rows(value, definition)
            if value in outside:
                outputs[value] = Part(value, Way.ROWS)
                shapes[value] = definition.shape
        elif isinstance(definition, Reduction):
            share, shares = body.add_share(value, definition), Value(f"{value.name}_of_blocks", value.dtype, value.node)
            outputs[share] = Part(shares, Way.EACH)
            shapes[shares] = (size.number, *definition.shape)
            block = index("block")
            extents[block] = size.number
            term = make(Code.LOAD, value.dtype, (block, *definition.axes), shares)
            after[value] = replace(definition, bound=(block,), extents=(size.number,), body=term)
        else:
            assert isinstance(definition, FromLibrary)
            grown = body.add_growing(value, definition)
            more = Value(f"pieces_of_{value.name}", value.dtype, value.node)
            start = definition.operands[2].value if len(definition.operands) > 2 else None
            outputs[value] = part = Part(value, Way.GROWN, start, more)
            body.inputs[grown] = part
            shapes[value], shapes[more] = definition.shape, (pieces - 1, product(definition.shape))
    made = Blocks(
        body=body.lowered(list(outputs)),
        inputs=tuple(body.inputs.values()),
        outputs=tuple(outputs.values()),
        count=found.count,
        rows=size.rows,
        number=size.number,
        together=size.together,
        limits=tuple(found.limits),
        lengths=tuple(body.lengths),
    )
    read = [part.value for part in made.inputs if part.way is not Way.GROWN]
    read += [part.start for part in made.outputs if part.start is not None]
    checks = [check for value in members for check in lowered.requires.get(value, ()) if check in definitions]
    inputs = tuple(dict.fromkeys([*read, *checks, *(e.payload for e in loads_in(made.sizes))]))
    late = set(members)  # what members lead to
    for value, definition in definitions.items():
        if not late.isdisjoint(sources(lowered, value, definition)):
            late.add(value)
    ordered: dict[Value, Definition] = {value: d for value, d in definitions.items() if value not in late}
    outs = tuple(shapes)
    ordered.update(
        (value, FromBlocks(shape, _fresh(len(shape)), inputs, outs, made)) for value, shape in shapes.items()
    )
    ordered.update(after)
    ordered.update((value, d) for value, d in definitions.items() if value in late and value not in members)
    return ordered


def _read_outside(lowered: Lowered, definitions: Mapping[Value, Definition], members: set[Value]) -> set[Value]:
    """What others than ``members`` read."""
    read = {*lowered.outputs, *(value for _, inputs, _ in lowered.host_nodes for value in inputs)}
    for value, definition in definitions.items():
        if value not in members:
            read.update(e.payload for e in definition.loads)
            read.update(operands_of(definition))
    return read


class _Body:
    """Makes the definitions of one block from those of all rows."""

    def __init__(self, found: Rows, definitions: Mapping[Value, Definition], lowered: Lowered):
        self._found, self._outer, self._around = found, definitions, lowered
        self._measures = Value("block", "bool")
        self.lengths: dict[Expr, Expr] = {}  # of the program around -> of the block
        self.inputs: dict[Value, Part] = {}
        self._feeds: dict[tuple[Value, Expr | None], Value] = {}
        self._given: dict[Value, Definition] = {}
        self._made: dict[Value, Definition] = {}
        self._first = length(self._measures, 1)
        self._here = {n: length(self._measures, 2 + k) for k, n in enumerate(found.limits)}
        self._here[found.count] = length(self._measures, 0)
        self._memo: dict[Expr, Expr] = {}

    def lowered(self, outputs: list[Value]) -> Lowered:
        """All of it, with the inputs in the order of ``inputs``."""
        shape = [length(self._measures, k) for k in range(2 + len(self._found.limits) + len(self.lengths))]
        measures = Given(tuple(shape), _fresh(len(shape)))
        given = {self._measures: measures, **{value: self._given[value] for value in self.inputs}}
        name = f"block_of_{next(iter(self._made)).name}"
        inputs = [self._measures, *self.inputs]
        return Lowered(name, {**given, **self._made}, inputs, outputs, {}, kernels="b")

    # --- what others compute ----------------------------------------------------------------------------------------

    def _whole(self, value: Value) -> Value:
        """All of a value of the program around."""
        return self._feed(value, None)

    def _feed(self, value: Value, count: Expr | None) -> Value:
        """A value of the program around, or as many of its rows as a block has."""
        if (value, count) not in self._feeds:
            feed = Value(value.name, value.dtype, value.node)
            self._feeds[value, count] = feed
            shape = self._outer[value].shape
            rest = tuple(self._length(n) for n in (shape if count is None else shape[1:]))
            self._given[feed] = Given(rest if count is None else (self._here[count], *rest), _fresh(len(shape)))
            self.inputs[feed] = Part(value, Way.WHOLE if count is None else Way.ROWS)
        return self._feeds[value, count]

    def _length(self, n: Expr) -> Expr:
        """A length of the program around."""
        return rebuild(n, self._change({}), self._memo)

    def _change(self, loops: Mapping[Expr, Expr]):
        """The rule for ``rebuild``, in the loops over rows ``loops``, which have so many."""

        def change(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
            if node.code is Code.LENGTH:
                return self.lengths.setdefault(
                    node, length(self._measures, 2 + len(self._found.limits) + len(self.lengths))
                )
            if node.code is Code.INDEX and node in loops:
                return node + self._first
            if node.code is not Code.LOAD:
                return None
            value, bare = node.payload, bool(node.args) and node.args[0] in loops
            if value in self._found.rows:
                return make(Code.LOAD, node.dtype, (node.args[0], *args[1:]), value)
            if bare and value not in self._around.layouts:
                return make(Code.LOAD, node.dtype, (node.args[0], *args[1:]), self._feed(value, loops[node.args[0]]))
            return make(Code.LOAD, node.dtype, args, self._whole(value))

        return change

    def _in(self, loops: Mapping[Expr, Expr]):
        memo: dict[Expr, Expr] = {}
        change = self._change(loops)
        return lambda e: rebuild(e, change, memo)

    def _shape(self, shape: Sequence[Expr]) -> tuple[Expr, ...]:
        return tuple(map(self._length, shape))

    # --- members ----------------------------------------------------------------------------------------------------

    def add_rows(self, value: Value, definition: Definition) -> None:
        count = definition.shape[0]
        shape = (self._here[count], *self._shape(definition.shape[1:]))
        if isinstance(definition, FromLibrary):
            self._made[value] = self._product(definition, shape, value)
            return
        new = self._in({definition.axes[0]: count})
        if isinstance(definition, Pointwise):
            self._made[value] = replace(definition, shape=shape, expr=new(definition.expr))
        elif isinstance(definition, Reduction):
            extents = self._shape(definition.extents)
            self._made[value] = replace(definition, shape=shape, extents=extents, body=new(definition.body))
        else:
            assert isinstance(definition, Scattering)
            own, row = definition, definition.at[0]
            limit = dict(zip(own.bound, own.extents, strict=True))[row]
            inside = self._in({row: limit})
            extents = tuple(
                self._here[n] if v is row else self._length(n) for v, n in zip(own.bound, own.extents, strict=True)
            )
            at = (row, *map(inside, own.at[1:]))
            self._made[value] = replace(
                own, shape=shape, base=new(own.base), extents=extents, at=at, value=inside(own.value)
            )

    def add_share(self, value: Value, definition: Reduction) -> Value:
        """What a block has of a sum over all rows; returns that value."""
        row = self._found.sums[value]
        assert row is not None
        share = Value(f"{value.name}_of_block", value.dtype, value.node)
        pairs = list(zip(definition.bound, definition.extents, strict=True))
        extents = tuple(self._here[n] if v is row else self._length(n) for v, n in pairs)
        body = self._in({row: dict(pairs)[row]})(definition.body)
        self._made[share] = replace(definition, shape=self._shape(definition.shape), extents=extents, body=body)
        return share

    def add_growing(self, value: Value, definition: FromLibrary) -> Value:
        """A product that is a sum over all rows: what a block adds to it.  Returns what it adds that to."""
        a, b, *more = definition.operands
        shape = self._shape(definition.shape)
        so_far = Value(f"{value.name}_so_far", value.dtype, value.node)
        self._given[so_far] = Given(shape, _fresh(len(shape)))
        operands = (
            self._moved(a, -1),
            self._moved(b, 0),
            Operand.whole(so_far, shape),
            *(self._kept(operand) for operand in more[1:]),
        )
        alpha = dict(definition.call.attributes).get("alpha", 1.0)
        call = LibraryCall(ROUTINE, (("alpha", alpha),), replaces=((0, 2),))
        self._made[value] = replace(definition, shape=shape, call=call, operands=operands, outputs=(value,))
        return so_far

    def _product(self, definition: FromLibrary, shape: tuple[Expr, ...], value: Value) -> FromLibrary:
        a, b, *more = definition.operands
        operands = [self._moved(a, 0), self._kept(b)]
        if more:
            start = more[0]
            made = start.value in self._found.rows
            operands.append(Operand.whole(start.value if made else self._feed(start.value, self._found.count), shape))
        operands += map(self._kept, more[1:])
        return replace(definition, shape=shape, operands=tuple(operands), outputs=(value,))

    def _kept(self, operand: Operand) -> Operand:
        """An operand that is the same for all blocks."""
        return replace(operand.map(self._length), value=self._whole(operand.value))

    def _moved(self, operand: Operand, axis: int) -> Operand:
        """An operand of which each block has its own part, along ``axis``."""
        here = operand.map(self._length)
        shape = list(here.shape)
        shape[axis] = self._here[self._found.count]
        if operand.value in self._found.rows:
            return replace(here, shape=tuple(shape))
        offset = here.offset + self._first * here.strides[axis]
        return replace(here, value=self._whole(operand.value), shape=tuple(shape), offset=offset)


def _fresh(ndim: int) -> tuple[Expr, ...]:
    return tuple(index("i") for _ in range(ndim))
