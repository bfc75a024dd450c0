"""A nest of loops while it is written: each subexpression goes into the outermost loop that knows its variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from core import dtypes
from core.ir.axes import ravel
from core.ir.codes import LEAVES, Code, Combine
from core.ir.definitions import Value
from core.ir.expr import INDEX_DTYPE, Expr, imaginary_part, make, pair, real_part
from core.ir.nests.wishes import wish
from core.ir.nodes import If, Let, Local, Loop, LoopKind, Statement
from core.ir.parts.elements import element_part
from core.ir.rebuild import remake, unconditional
from core.ir.walk import walk

_INDEX_COST = 4  # index arithmetic up to this cost is repeated rather than named: compilers share it anyway


class _Scope:
    def __init__(self, variable: Expr | None):
        self.variable = variable
        self.body: list[Statement] = []
        self.after: list[Statement] = []  # what follows the loop that is open inside


class Nest:
    """Open loops, innermost last, and what is known in them.

    Level 0 is outside all loops, level k inside k of them.  ``begin`` announces the expressions of a stage, so that
    shared ones are computed once, and ones under a guard stay under it.  ``became``: which expressions were values of
    the graph; what holds one is called after it.
    """

    def __init__(self, extents: dict[Expr, Expr], shapes: Any, became: Mapping[Expr, Value] = MappingProxyType({})):
        self.extents, self.shapes, self._became = extents, shapes, became
        self._scopes = [_Scope(None)]
        self._levels: dict[Expr, int] = {}  # of variables and locals
        self._done: dict[Expr, tuple[Expr, int]] = {}  # expression -> what stands for it, its level
        self._needed: set[Expr] = set()
        self._readers: dict[Expr, int] = {}
        self._names: dict[str, int] = {}

    @property
    def depth(self) -> int:
        return len(self._scopes) - 1

    @property
    def body(self) -> list[Statement]:
        """The statements outside all loops.  Errors: none; call it when all loops are closed."""
        return [*self._scopes[0].body, *self._scopes[0].after]

    # --- loops ------------------------------------------------------------------------------------------------------

    def open(self, variable: Expr) -> None:
        self._scopes.append(_Scope(variable))
        self._levels[variable] = self.depth

    def close(
        self, kind: LoopKind, reductions: Sequence[tuple[Combine, Local]] = (), condition: Expr | None = None
    ) -> None:
        """Close the innermost loop; what was known in it is forgotten.  ``condition``: when its body runs."""
        scope = self._scopes.pop()
        self._done = {e: entry for e, entry in self._done.items() if entry[1] <= self.depth}
        assert scope.variable is not None
        body = [*scope.body, *scope.after]
        body = body if condition is None else [If(condition, body)]
        loop = Loop(scope.variable, self.extents[scope.variable], body, kind, False, list(reductions))
        outside = self._scopes[-1]
        outside.body += [loop, *outside.after]
        outside.after = []

    def open_if(self) -> None:
        """Open the body of a condition, which ``close_if`` tells."""
        self._scopes.append(_Scope(None))

    def close_if(self, condition: Expr) -> None:
        scope = self._scopes.pop()
        self._done = {e: entry for e, entry in self._done.items() if entry[1] <= self.depth}
        outside = self._scopes[-1]
        outside.body += [If(condition, [*scope.body, *scope.after]), *outside.after]
        outside.after = []

    def emit(self, *statements: Statement, level: int | None = None) -> None:
        self._scopes[self.depth if level is None else level].body.extend(statements)

    def later(self, *statements: Statement, level: int) -> None:
        """Put statements behind the loop that is open inside ``level``."""
        self._scopes[level].after.extend(statements)

    def declare(self, local: Local, init: Expr, level: int | None = None) -> None:
        """A local that changes, declared in the body at ``level``."""
        level = self.depth if level is None else level
        self._levels[local.expr] = level
        self._scopes[level].body.append(Let(local, init, constant=False))

    # --- expressions ------------------------------------------------------------------------------------------------

    def begin(self, roots: Sequence[Expr]) -> None:
        """Announce what the next stage computes."""
        self._needed = unconditional(roots)
        self._readers = {}
        for root in roots:
            self._readers[root] = self._readers.get(root, 0) + 1
        for e in walk(roots):
            for arg in e.args:
                self._readers[arg] = self._readers.get(arg, 0) + 1

    def know(self, e: Expr, stands: Expr, level: int) -> None:
        """From now on ``stands`` is written for ``e``, in loops from ``level`` inwards."""
        self._done[e] = (stands, level)
        self._levels.setdefault(stands, level)

    def value(self, root: Expr) -> Expr:
        """``root`` as it is written here, after naming the parts that are shared or belong further out."""
        for e in walk([root], into=lambda e: e not in self._done):
            if e not in self._done:
                self._done[e] = self._made(e)
        if root in self._needed and self._readers.get(root, 0) > 1 and _worth_a_name(root, False):
            return self._bind(root)
        return self._done[root][0]

    def named(self, root: Expr, name: str = "") -> Expr:
        """Like ``value``, and the whole has a name of its own, perhaps this one; of a complex number, each part has."""
        if root.dtype in dtypes.COMPLEXES:
            return pair(self.named(real_part(root), name), self.named(imaginary_part(root), name))
        self.value(root)
        return self._bind(root, name)

    def let(self, written: Expr) -> Expr:
        """A name, in the innermost loop, for an expression that is written already."""
        if written.code in LEAVES:
            return written
        local = Local(self._called(written), written.dtype)
        self._levels[local.expr] = self.depth
        self.emit(Let(local, written))
        return local.expr

    def _made(self, e: Expr) -> tuple[Expr, int]:
        if e.code in LEAVES:
            return e, self._levels.get(e, 0)
        level = max((self._done[arg][1] for arg in e.args), default=0)
        if e in self._needed:
            for arg in e.args:
                further_out = self._done[arg][1] < level
                if (
                    arg in self._needed
                    and (further_out or self._readers.get(arg, 0) > 1)
                    and _worth_a_name(arg, further_out)
                ):
                    self._bind(arg)
        args = tuple(self._done[arg][0] for arg in e.args)
        if e.code is Code.LOAD:
            return make(Code.LOAD, e.dtype, (ravel(args, self.shapes[e.payload]),), e.payload), level
        if e.code is Code.CALL and args[0].code is Code.LOAD and args[0].dtype in dtypes.COMPLEXES:
            return element_part(e, args[0]), level
        return remake(e, args), level

    def _bind(self, e: Expr, name: str = "") -> Expr:
        stands, level = self._done[e]
        if stands.code in LEAVES:
            return stands
        local = Local(self._called(e, name), e.dtype)
        self._scopes[level].body.append(Let(local, stands))
        self.know(e, local.expr, level)
        return local.expr

    def _called(self, e: Expr, name: str = "") -> str:
        name = name or wish(e, self._became) or "t"
        self._names[name] = number = self._names.get(name, 0) + 1
        return name if number == 1 and name != "t" else f"{name}_{number}" if name != "t" else f"t{number}"


def _worth_a_name(e: Expr, further_out: bool) -> bool:
    if e.code in LEAVES or e.dtype in dtypes.COMPLEXES:
        return False
    if e.dtype == INDEX_DTYPE and e.cost <= _INDEX_COST and e.code is not Code.LOAD:
        return False
    return True
