"""Kernels in parts: an element of a complex dtype is two neighbours in memory, a local of one is two locals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from core import dtypes
from core.dataclass import replace
from core.ir.codes import Code
from core.ir.expr import INDEX_DTYPE, Expr
from core.ir.nodes import Assign, Atomic, If, Let, Local, Loop, Statement, Store, statements
from core.ir.parts.arithmetic import Pair
from core.ir.parts.elements import loaded, neighbours
from core.ir.parts.split import Parts, is_complex
from core.ir.rebuild import loads_in, remake, unconditional
from core.ir.walk import walk


def statements_in_parts(body: list[Statement]) -> list[Statement]:
    """``body`` with nothing complex in it; itself, where there is nothing."""
    return _Body().all(body) if any(map(_touches_complex, statements(body))) else body


def _touches_complex(statement: Statement) -> bool:
    if isinstance(statement, (Store, Atomic)) and statement.buffer.dtype in dtypes.COMPLEXES:
        return True
    if isinstance(statement, (Let, Assign)) and statement.local.dtype in dtypes.COMPLEXES:
        return True
    return any(is_complex(e) for e in walk(_roots(statement)))


def _roots(statement: Statement) -> tuple[Expr, ...]:
    if isinstance(statement, (Let, Assign, Store, Atomic)):
        return (statement.value,)
    return (statement.condition,) if isinstance(statement, If) else ()


class _Body:
    """Rewrites statements; remembers which locals stand for a local of a complex dtype."""

    def __init__(self) -> None:
        self._locals: dict[Local, tuple[Local, Local]] = {}
        self._parts = Parts(loaded, lambda e: self._read(e.payload))

    def all(self, body: Sequence[Statement]) -> list[Statement]:
        return [new for statement in body for new in self._one(statement)]

    def _one(self, statement: Statement) -> list[Statement]:
        if isinstance(statement, Loop):
            pairs = [
                (combine, part)
                for combine, local in statement.reductions
                for part in (self._of(local) if local.dtype in dtypes.COMPLEXES else (local,))
            ]
            return [replace(statement, body=self.all(statement.body), reductions=pairs)]
        if isinstance(statement, If):
            lets, (condition,) = self._named([self._parts.real(statement.condition)])
            return [*lets, If(condition, self.all(statement.body), self.all(statement.orelse))]
        if not _touches_complex(statement):
            return [statement]
        if isinstance(statement, (Let, Assign)):
            return self._local(statement)
        assert isinstance(statement, (Store, Atomic))
        return self._stored(statement)

    def _local(self, statement: Let | Assign) -> list[Statement]:
        if statement.local.dtype not in dtypes.COMPLEXES:
            lets, (value,) = self._named([self._parts.real(statement.value)])
            return [*lets, replace(statement, value=value)]
        lets, values = self._named(self._parts.pair(statement.value))
        locals = self._of(statement.local)
        if isinstance(statement, Assign) and locals[0].expr in walk([values[1]]):  # both are made of what was before
            lets, values = _first(lets, values)
        return [*lets, *(replace(statement, local=own, value=e) for own, e in zip(locals, values, strict=True))]

    def _stored(self, statement: Store | Atomic) -> list[Statement]:
        places = neighbours(statement.offset)
        if statement.buffer.dtype not in dtypes.COMPLEXES:
            lets, (value,) = self._named([self._parts.real(statement.value)])
            return [*lets, replace(statement, value=value)]
        value = statement.value
        grows = isinstance(statement, Store) and value.code is Code.ADD and _is_element(value.args[0], statement)
        lets, values = self._named(self._parts.pair(value.args[1] if grows else value))
        if loads_in(values):  # of what the first store may write over
            lets, values = _first(lets, values)
        if grows:
            before = loaded(value.args[0], value.args[0].args)
            values = [old + new for old, new in zip(before, values, strict=True)]
        return [*lets, *(replace(statement, offset=at, value=e) for at, e in zip(places, values, strict=True))]

    def _of(self, local: Local) -> tuple[Local, Local]:
        if local not in self._locals:
            part = dtypes.real_of(local.dtype)
            self._locals[local] = Local(f"{local.name}_re", part), Local(f"{local.name}_im", part)
        return self._locals[local]

    def _read(self, local: Local) -> Pair:
        first, second = self._of(local)
        return first.expr, second.expr

    @staticmethod
    def _named(roots: Sequence[Expr]) -> tuple[list[Statement], list[Expr]]:
        """Names for what several expressions read, and ``roots`` by these names."""
        order = walk(roots)
        readers = Counter([*roots, *(arg for e in order for arg in e.args)])
        always, lets = unconditional(roots), list[Statement]()
        known: dict[Expr, Expr] = {}
        for e in order:
            known[e] = remake(e, tuple(known[arg] for arg in e.args))
            if readers[e] > 1 and e in always and e.args and e.dtype != INDEX_DTYPE:
                local = Local("t", e.dtype)
                lets.append(Let(local, known[e]))
                known[e] = local.expr
        return lets, [known[root] for root in roots]


def _is_element(e: Expr, store: Store | Atomic) -> bool:
    return e.code is Code.LOAD and e.payload is store.buffer and e.args == (store.offset,)


def _first(lets: list[Statement], values: Sequence[Expr]) -> tuple[list[Statement], list[Expr]]:
    """The same with a name for each value, so that all are there before one is written."""
    names = [Local(name, value.dtype) for name, value in zip(("re", "im"), values, strict=True)]
    new = [Let(local, value) for local, value in zip(names, values, strict=True)]
    return [*lets, *new], [local.expr for local in names]
