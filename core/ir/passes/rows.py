"""Rows that go together: what is done with tall matrices from row to row, and when it pays to do it block by block.

``h = x @ w``, then ``tanh(h)``, its product with another matrix, softmax, sums over all rows, ``x.T @ d``: where each
step passes through memory from the first row to the last, what one wrote has left the cache before the next one asks
for it.  For a block of rows it is still there.  row_blocks.py makes a program for a block of what is found here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from core import dtypes
from core.dataclass import dataclass, field, replace
from core.ir.axes import product
from core.ir.codes import Code
from core.ir.definitions import (
    Definition,
    FromLibrary,
    Lowered,
    Operand,
    Pointwise,
    Reduction,
    Scattering,
    Value,
    operands_of,
)
from core.ir.expr import Expr, const, maximum, minimum, select
from core.ir.passes.accumulate import ROUTINE
from core.ir.program import Guard
from core.ir.rebuild import lengths_in, loads_in

BLOCK = 3 << 17  # bytes of a block of rows: they stay in the second cache
LEAST, MULTIPLE, MOST = 32, 16, 4096  # rows of a block, whatever they have
TALL = 1 << 22  # bytes of rows from which on blocks pay
KEPT = 1 << 19  # bytes of what is read, or grows, in each block: it has to stay in the second cache besides
OVER = 8  # times as many bytes have the rows, at least
FEWEST = 4  # blocks
NARROW = 512  # elements of a sum over all rows whose loop over columns cannot be divided
PIECES, MOST_PIECES = 16, 64  # of the rows, which threads may take: where something grows in each, and where not
MOST_MEMBERS = 64  # definitions of one block
_PRODUCTS = frozenset({"gemm", "gemv", ROUTINE})
_DTYPES = frozenset({"float32", "float64", "bool", "int8", "int16", "int32", "int64", *("uint8 uint16 uint32".split())})


@dataclass(eq=False)
class Rows:
    """Definitions that go together: those whose elements lie in ``count`` rows, and those that add up over them.

    limits  lengths that are no longer, of loops that run over some of the rows
    rows    values of which each row is made from the same row of others -> how many rows: ``count`` or of ``limits``
    sums    values that combine something over all rows -> the loop over these; of products, which have none, None
    narrow  values that are only worth a share for each block where they have few elements
    """

    count: Expr
    limits: list[Expr]
    rows: dict[Value, Expr] = field(default_factory=dict)
    sums: dict[Value, Expr | None] = field(default_factory=dict)
    narrow: list[Value] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows) + len(self.sums)


def find(lowered: Lowered, definitions: Mapping[Value, Definition], guards: Sequence[Guard]) -> Rows | None:
    """The definitions that gain most by blocks, if there are any: around products, or else sums of narrow columns."""
    counts = [
        definition.shape[0]
        for definition in definitions.values()
        if isinstance(definition, FromLibrary) and _is_product(definition) and definition.shape
        if _is_rows_of(definition, definition.shape[0])
    ]
    return _largest(lowered, definitions, guards, counts, False) or sums_of_columns(lowered, definitions, guards)


def sums_of_columns(
    lowered: Lowered, definitions: Mapping[Value, Definition], guards: Sequence[Guard], count: Expr | None = None
) -> Rows | None:
    """Sums over all rows of matrices, perhaps of ``count`` only: loops over narrow ones cannot be shared by threads."""
    counts = [
        extent
        for definition in definitions.values()
        if isinstance(definition, Reduction) and definition.axes
        for extent in definition.extents
        if count is None or extent is count
    ]
    return _largest(lowered, definitions, guards, counts, True)


def _largest(
    lowered: Lowered,
    definitions: Mapping[Value, Definition],
    guards: Sequence[Guard],
    counts: Iterable[Expr],
    of_columns: bool,
) -> Rows | None:
    if not {value.dtype for value in definitions} <= _DTYPES:
        return None
    at_entry = [n for n in dict.fromkeys(counts) if _at_entry([n], lowered)]
    found = [_Search(lowered, definitions, guards, n, of_columns).rows() for n in at_entry]
    return max((rows for rows in found if 0 < len(rows) <= MOST_MEMBERS), key=len, default=None)


def _is_product(definition: Definition) -> bool:
    if not isinstance(definition, FromLibrary):
        return False
    call = definition.call
    return call.name in _PRODUCTS and not call.batch and not definition.merged


def _is_rows_of(definition: FromLibrary, count: Expr) -> bool:
    """Whether rows of a product are those of its first operand."""
    return len(definition.operands[0].shape) == 2 and definition.operands[0].shape[0] is count


def _at_entry(lengths: Iterable[Expr], lowered: Lowered) -> bool:
    """Whether lengths follow from those of the arguments."""
    lengths = list(lengths)
    return not loads_in(lengths) and all(e.payload[0] in lowered.inputs for e in lengths_in(lengths))


class _Search:
    """Looks for what can go together with products of ``count`` rows, or with sums ``of_columns`` over so many."""

    def __init__(
        self,
        lowered: Lowered,
        definitions: Mapping[Value, Definition],
        guards: Sequence[Guard],
        count: Expr,
        of_columns: bool,
    ):
        self._lowered, self._definitions, self._count, self._of_columns = lowered, definitions, count, of_columns
        limits = [g.a for g in guards if g.kind == "within" and g.b is count and _at_entry([g.a], lowered)]
        self._lengths = list(dict.fromkeys([count, *limits]))
        self._rows: dict[Value, Expr] = {}
        self._sums: dict[Value, Expr | None] = {}
        self._late: set[Value] = set()  # what depends on a row as a whole, or on a sum

    def rows(self) -> Rows:
        for value, definition in self._definitions.items():
            if self._is_late(value, definition):
                self._late.add(value)
            elif value in self._lowered.checks or not self._joins(value, definition):
                if any(source in self._rows for source in self._sources(value, definition)):
                    self._late.add(value)
        return self._together()

    def _sources(self, value: Value, definition: Definition) -> list[Value]:
        return sources(self._lowered, value, definition)

    def _is_late(self, value: Value, definition: Definition) -> bool:
        return any(source in self._late or source in self._sums for source in self._sources(value, definition))

    def _joins(self, value: Value, definition: Definition) -> bool:
        """Take a definition for one of the rows, or of the sums, where it is one."""
        lengths = (*definition.shape, *getattr(definition, "extents", ()))
        if any(e.payload in self._rows for e in loads_in(lengths)):
            return False
        if isinstance(definition, (Pointwise, Reduction)) and definition.shape and definition.shape[0] in self._lengths:
            row = definition.axes[0]
            if row.code is Code.INDEX and self._follows(_elements(definition), {row: definition.shape[0]}):
                self._rows[value] = definition.shape[0]
                return True
        if isinstance(definition, Reduction):
            return self._is_sum(value, definition)
        if isinstance(definition, Scattering):
            return self._is_scattered(value, definition)
        if isinstance(definition, FromLibrary) and _is_product(definition):
            return self._multiplies(value, definition)
        return False

    def _follows(self, roots: Sequence[Expr], loops: Mapping[Expr, Expr]) -> bool:
        """Whether rows of others are only read at the same place, by loops over rows."""
        for e in loads_in(roots):
            if e.payload in self._rows:
                have = self._rows[e.payload]
                if e.args[0] not in loops or (loops[e.args[0]] is not have and have is not self._count):
                    return False
        return True

    def _is_sum(self, value: Value, definition: Reduction) -> bool:
        if any(n in self._lengths for n in definition.shape):  # a share of that for each block would be large
            return False
        loads = loads_in([definition.body])
        for variable, extent in zip(definition.bound, definition.extents, strict=True):
            if extent not in self._lengths or not self._follows([definition.body], {variable: extent}):
                continue
            reads = any(e.payload in self._rows for e in loads)
            if reads or (self._of_columns and any(len(e.args) > 1 and e.args[0] is variable for e in loads)):
                self._sums[value] = variable
                return True
        return False

    def _is_scattered(self, value: Value, own: Scattering) -> bool:
        """Whether what is scattered goes to the row that it comes from."""
        if not own.shape or own.shape[0] is not self._count or own.axes[0].code is not Code.INDEX:
            return False
        extents = dict(zip(own.bound, own.extents, strict=True))
        row = own.at[0]
        if extents.get(row) not in self._lengths:
            return False
        if not self._follows([own.base], {own.axes[0]: own.shape[0]}):
            return False
        if not self._follows([*own.at[1:], own.value], {row: extents[row]}):
            return False
        self._rows[value] = own.shape[0]
        return True

    def _multiplies(self, value: Value, definition: FromLibrary) -> bool:
        a, b, *more = definition.operands
        start = more[0] if more else None
        if any(operand.value in self._rows for operand in more[1:]):
            return False
        if _is_rows_of(definition, self._count) and b.value not in self._rows:
            if (a.value in self._rows and not self._is_whole(a)) or not (start is None or self._is_whole(start)):
                return False
            self._rows[value] = self._count
            return True
        return self._multiplies_along(value, a, b, start)

    def _multiplies_along(self, value: Value, a: Operand, b: Operand, start: Operand | None) -> bool:
        """Whether a product is a sum over all rows: of its first operand they are the columns."""
        if a.shape[-1] is not self._count or b.shape[0] is not self._count:
            return False
        if any(n in self._lengths for n in self._definitions[value].shape):
            return False
        if not {a.value, b.value} & set(self._rows) or (start is not None and start.value in self._rows):
            return False
        turned = a if len(a.shape) == 1 else replace(a, shape=a.shape[::-1], strides=a.strides[::-1])
        if not all(operand.value not in self._rows or self._is_whole(operand) for operand in (turned, b)):
            return False
        if start is not None and start != Operand.whole(start.value, self._definitions[value].shape):
            return False
        self._sums[value] = None
        return True

    def _is_whole(self, operand: Operand) -> bool:
        """Whether an operand is all of a value as it lies."""
        shape = self._definitions[operand.value].shape
        return operand == Operand.whole(operand.value, shape) and shape[0] is self._count

    # --- which of them ----------------------------------------------------------------------------------------------

    def _together(self) -> Rows:
        """Those that are connected with a product, or a sum of columns, by rows that one makes and another reads."""
        members = [*self._rows, *self._sums]
        near: dict[Value, set[Value]] = {value: set() for value in members}
        for value in members:
            for source in self._sources(value, self._definitions[value]):
                if source in self._rows:
                    near[value].add(source)
                    near[source].add(value)
        kept: set[Value] = set()
        narrow = [v for v in self._sums if self._of_columns and self._definitions[v].axes]
        pending = [*narrow] or [v for v in self._rows if _is_product(self._definitions[v]) and near[v]]
        while pending:
            value = pending.pop()
            if value not in kept:
                kept.add(value)
                pending.extend(near[value])
        rows = {value: n for value, n in self._rows.items() if value in kept}
        sums = {value: variable for value, variable in self._sums.items() if value in kept}
        if self._of_columns and self._have_better(rows):
            rows, sums = {}, {}
        return Rows(self._count, self._lengths[1:], rows, sums, narrow)

    def _have_better(self, rows: Collection[Value]) -> bool:
        """Whether loops over rows are shared by threads as they are, or hold rows for what the sums lead to."""
        if any(isinstance(self._definitions[value], Reduction) for value in rows):
            return True
        return any(self._definitions[value].shape[:1] == (self._count,) for value in self._late)


def sources(lowered: Lowered, value: Value, definition: Definition) -> list[Value]:
    """What has to be there before a value is computed."""
    read = [e.payload for e in definition.loads]
    hosts = [v for _, inputs, outputs in lowered.host_nodes if value in outputs for v in inputs]
    return [*read, *operands_of(definition), *hosts, *lowered.requires.get(value, ())]


def _elements(definition: Pointwise | Reduction) -> tuple[Expr, ...]:
    return (definition.expr if isinstance(definition, Pointwise) else definition.body,)


# --- when it pays -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sizes:
    """How large blocks are, and when they pay: where ``bytes`` is more than ``least``."""

    rows: Expr
    number: Expr
    together: Expr
    bytes: Expr
    least: Expr


def sizes(found: Rows, definitions: Mapping[Value, Definition]) -> Sizes:
    """By what the rows have in bytes, and what is read, or grows, in each block."""
    widths: dict[Value, Expr] = {value: _bytes(value, definitions[value].shape[1:]) for value in found.rows}
    kept: dict[Value, Expr] = {}
    for value in (*found.rows, *found.sums):
        definition = definitions[value]
        if not isinstance(definition, FromLibrary):
            row_loop = found.sums[value] if value in found.sums else definition.axes[0]
            for e in definition.loads:
                if e.args and e.args[0] is row_loop:
                    widths.setdefault(e.payload, _bytes(e.payload, definitions[e.payload].shape[1:]))
            continue
        a, b, *_ = definition.operands
        along = value in found.sums
        if along:
            kept[value] = _bytes(value, definition.shape)
            pairs = [(a, a.shape[:-1]), (b, b.shape[1:])]
        else:
            kept.setdefault(b.value, _bytes(b.value, b.shape))
            pairs = [(a, a.shape[1:])]
        for operand, width in pairs:
            widths.setdefault(operand.value, _bytes(operand.value, width))
    row = sum(widths.values(), const(0))
    weight = sum(kept.values(), const(0))
    fitting = const(BLOCK) // maximum(row, const(1)) // const(MULTIPLE) * const(MULTIPLE)
    rows = minimum(maximum(fitting, const(LEAST)), const(MOST))
    number = (found.count + (rows - 1)) // rows
    grows = any(isinstance(definitions[value], FromLibrary) for value in found.sums)
    pieces = PIECES if grows else MOST_PIECES
    together = (number + (pieces - 1)) // const(pieces)
    fits = weight <= KEPT
    for value in found.narrow:
        fits = fits & (product(definitions[value].shape) <= NARROW)
    enough = maximum(maximum(const(TALL), weight * OVER), rows * row * FEWEST)
    least = select(fits, enough, const(1 << 62))
    return Sizes(rows, number, together, found.count * row, least)


def _bytes(value: Value, shape: Sequence[Expr]) -> Expr:
    return product(shape) * dtypes.size_bytes(value.dtype)


def guarded(size: Sizes, tall: bool) -> Guard | None:
    """What must hold of lengths where rows are, or are not, done by blocks; None where that is known."""
    if size.bytes.is_const and size.least.is_const:
        return None
    return Guard("tall" if tall else "short", size.bytes, size.least, "rows by blocks")


def pays(size: Sizes, tall: bool) -> bool:
    """Whether rows are done by blocks: ``tall``, where lengths do not say it."""
    if size.bytes.is_const and size.least.is_const:
        return size.bytes.payload > size.least.payload
    return tall
