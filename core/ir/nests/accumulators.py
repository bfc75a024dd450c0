"""Accumulators: the registers of a reduction, and the narrower ones in which part of a sum may grow."""

from __future__ import annotations

from collections.abc import Callable

from core import dtypes
from core.ir.codes import Code, Combine
from core.ir.definitions import Reduction, Value
from core.ir.expr import Expr, cast, const, maximum, minimum, not_equal, select
from core.ir.nodes import Assign, Local, Statement, statements


class Accumulator:
    """The registers of one reduction: start, update, result.

    float32 sums and products run in float64, where ``wide`` says so.  A maximum keeps NaN by a flag beside it, so that
    its loop vectorises; in dtypes of ``keeps_nan`` it does so by itself, and one that is ``blind`` passes over NaN
    (nan.py).
    """

    def __init__(
        self,
        value: Value,
        definition: Reduction,
        number: int,
        wide: bool = True,
        blind: bool = False,
        keeps_nan: frozenset[str] = frozenset(),
    ):
        self.combine, self.dtype = definition.combine, value.dtype
        wide = wide and self.combine in (Combine.ADD, Combine.MUL) and self.dtype == "float32"
        main = "float64" if wide else self.dtype
        self.total = Local(f"{self.combine.value}{number}", main)
        self.flag: Local | None = None
        self._chooses = self.combine in (Combine.MAX, Combine.MIN) and main in dtypes.FLOATS and main not in keeps_nan
        if self._chooses and not blind:
            self.flag = Local(f"nan{number}", "int64" if main == "float64" else "int32")

    def start(self) -> list[tuple[Local, Expr]]:
        """The registers with their first values."""
        pairs = [(self.total, const(self.combine.identity(self.total.dtype), self.total.dtype))]
        return pairs + ([(self.flag, const(0, self.flag.dtype))] if self.flag else [])

    def update(self, new: Expr, named: Callable[[Expr], Expr]) -> list[Statement]:
        """Take in one more element; ``named`` gives an expression a name."""
        total = self.total.expr
        if self._chooses:
            new = named(new)
            closer = total < new if self.combine is Combine.MAX else new < total
            taken: list[Statement] = [Assign(self.total, select(closer, new, total))]
            if self.flag is not None:
                taken.append(Assign(self.flag, self.flag.expr | cast(not_equal(new, new), self.flag.dtype)))
            return taken
        return [Assign(self.total, combined(self.combine, total, cast(new, self.total.dtype)))]

    def result(self) -> Expr:
        if self.flag is not None:
            nan = const(float("nan"), self.total.dtype)
            return select(not_equal(self.flag.expr, const(0, self.flag.dtype)), nan, self.total.expr)
        return cast(self.total.expr, self.dtype)

    def reductions(self) -> list[tuple[Combine, Local]]:
        """What a vectorised loop must combine across its lanes."""
        return [(self.combine, self.total)] + ([(Combine.OR, self.flag)] if self.flag else [])


def combined(combine: Combine, a: Expr, b: Expr) -> Expr:
    """Two values taken together."""
    if combine is Combine.ADD:
        return a + b
    if combine is Combine.MUL:
        return a * b
    if combine is Combine.MAX:
        return maximum(a, b)
    if combine is Combine.MIN:
        return minimum(a, b)
    return a | b if combine is Combine.OR else a & b


# dtypes of terms and sum -> the dtype in which a part of the sum may grow.  Of integers so small, an int32 holds the
# sum of 2**15 at least, and a vector holds twice as many of it
_NARROW = {("float32", "float64"): "float32"}
_NARROW |= {(small, "int64"): "int32" for small in ("bool", "int8", "uint8", "int16", "uint16")}
_NARROW |= {(small, "uint64"): "int32" for small in ("uint8", "uint16")}


def narrow_sum(combine: Combine, local: Local, body: list[Statement]) -> Local | None:
    """A register for part of a sum, no longer than 2**15 terms, where ``local`` is wider than these need."""
    updates = [s for s in statements(body) if isinstance(s, Assign) and s.local is local]
    if combine is not Combine.ADD or len(updates) != 1:
        return None
    value = updates[0].value
    if value.code is not Code.ADD or value.args[0] is not local.expr or value.args[1].code is not Code.CAST:
        return None
    term = value.args[1].args[0]
    narrow = _NARROW.get((term.dtype, local.dtype))
    return Local(f"{local.name}_part", narrow) if narrow else None


def narrowed(body: list[Statement], sums: dict[Local, Local]) -> list[Statement]:
    """``body`` with the sums in ``sums`` growing in the narrow registers there."""
    new: list[Statement] = []
    for s in body:
        if isinstance(s, Assign) and s.local in sums:
            part = sums[s.local]
            s = Assign(part, part.expr + cast(s.value.args[1].args[0], part.dtype))
        new.append(s)
    return new
