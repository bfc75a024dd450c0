"""The loops that an op writes itself, in its ``kernel``, on a device.

A grid is spread out over work-items, each of which runs what is in it.  Where a loop in order has grids inside (a sort:
rounds, one after the other, of comparisons that are independent), a group runs an iteration of the outer grid, and its
lanes share the inner ones.  What has no grid around it runs in one work-item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.dataclass import replace
from core.ir.axes import product
from core.ir.expr import Expr, const, index
from core.ir.nodes import Assign, Atomic, Barrier, If, Let, Loop, LoopKind, Statement, Store, rewritten, statements
from core.ir.rebuild import rebuild
from core.ir.work.launch import Launch, Work
from core.ir.work.place import flattened


def own_launches(work: Work, body: Sequence[Statement]) -> list[Statement]:
    """The launches that ``body`` becomes: one for each grid, or one work-item or group for all of it."""
    if all(isinstance(statement, Loop) and statement.kind is LoopKind.GRID for statement in body):
        return [_spread(work, statement) for statement in body if isinstance(statement, Loop)]
    if work.target.has_groups and _has_rounds(body):
        return [_by_groups(work, [], [], body)]
    return [Loop(index("once"), const(1), list(body), LoopKind.ITEMS)]


def _nested(loop: Loop) -> tuple[list[Expr], list[Expr], list[Statement]]:
    """The variables and extents of a grid of one or several axes, and what is in it.  Axes of length 1 are none."""
    variables, extents, body = [loop.variable], [loop.extent], loop.body
    while len(body) == 1 and isinstance(body[0], Loop) and body[0].kind is LoopKind.GRID and not body[0].extent.free:
        variables.append(body[0].variable)
        extents.append(body[0].extent)
        body = body[0].body
    single = {v: const(0) for v, n in zip(variables, extents, strict=True) if n is const(1)}
    moving = [(v, n) for v, n in zip(variables, extents, strict=True) if v not in single]
    return [v for v, _ in moving], [n for _, n in moving], renamed(body, single)


def _spread(work: Work, loop: Loop) -> Loop:
    """A grid over all work-items, or over all groups."""
    variables, extents, body = _nested(loop)
    if work.target.has_groups and _has_rounds(body):
        return _by_groups(work, variables, extents, body)
    if not variables:
        return Loop(index("once"), const(1), body, LoopKind.ITEMS)
    launch, total = Launch(work), product(extents)
    if work.target.has_groups:
        position = launch.open("e", total)
    else:
        first, size = launch.open_piece(total, 1)
        position = first + launch.open("i", size)
    where = {v: launch.nest.let(e) for v, e in flattened(variables, extents, position).items()}
    launch.nest.emit(*renamed(body, where))
    if launch.nest.depth > 1:
        launch.close(LoopKind.GRID)
    return launch.finished(LoopKind.ITEMS)


# --- rounds: grids inside an order -----------------------------------------------------------------------------------


def _has_rounds(body: Sequence[Statement]) -> bool:
    """Whether loops in order hold grids that lanes can share.  What else is stored, a lane can then store alone."""
    if any(isinstance(s, If) and _grids(s.body + s.orelse) for s in statements(list(body))):
        return False  # where lanes must meet, all have to come
    declared = {s.local for s in _alike(body) if isinstance(s, Let)}
    alone = [s for s in _alike(body) if _stores(s)]
    if any(isinstance(s, Assign) and s.local in declared for s in statements(alone)):
        return False  # the other lanes would not know
    return any(isinstance(s, Loop) and s.kind is LoopKind.ORDER and _grids(s.body) for s in body)


def _alike(body: Sequence[Statement]) -> list[Statement]:
    """What all lanes do alike: everything but grids, in the loops in order that hold grids, too."""
    found: list[Statement] = []
    for s in body:
        if isinstance(s, Loop) and s.kind is LoopKind.ORDER and _grids(s.body):
            found += _alike(s.body)
        elif not (isinstance(s, Loop) and s.kind is LoopKind.GRID):
            found.append(s)
    return found


def _grids(body: list[Statement]) -> bool:
    return any(isinstance(s, Loop) and s.kind is LoopKind.GRID for s in statements(body))


def _stores(statement: Statement) -> bool:
    return any(isinstance(s, (Store, Atomic)) for s in statements([statement]))


def _by_groups(work: Work, variables: list[Expr], extents: list[Expr], body: Sequence[Statement]) -> Loop:
    """Each iteration of the grid over ``variables`` by one group."""
    launch = Launch(work)
    row = launch.open("row", product(extents))
    where = {v: launch.nest.let(e) for v, e in flattened(variables, extents, row).items()}
    launch.nest.emit(*_in_lanes(renamed(body, where)))
    return launch.finished(LoopKind.GROUPS)


def _in_lanes(body: Sequence[Statement]) -> list[Statement]:
    """Grids become loops over lanes, after which all lanes meet."""
    new: list[Statement] = []
    for s in body:
        if isinstance(s, Loop) and s.kind is LoopKind.GRID:
            variables, extents, inside = _nested(s)
            lane = index("e")
            new.append(
                Loop(lane, product(extents), renamed(inside, flattened(variables, extents, lane)), LoopKind.LANES)
            )
        elif isinstance(s, Loop) and s.kind is LoopKind.ORDER and _grids(s.body):
            new.append(replace(s, body=_in_lanes(s.body)))
            continue  # it ends with a barrier
        elif _stores(s):
            new.append(Loop(index("once"), const(1), [s], LoopKind.LANES))
        else:
            new.append(s)
            continue
        new.append(Barrier())
    return new


def renamed(body: Sequence[Statement], where: Mapping[Expr, Expr]) -> list[Statement]:
    """Statements with loop variables replaced."""
    memo = dict(where)

    def new(e: Expr) -> Expr:
        return rebuild(e, lambda node, args: None, memo)

    return [rewritten(statement, new) for statement in body]
