"""What all lanes of a loop have in common gets a name, outside of the loop over lanes.

Compilers leave it inside where the lanes may store over it, or where only some of them ask for it, and such a choice
keeps them from making vectors: ``x[i, j] == most[i] ? g[i] : 0``.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.dataclass import replace
from core.ir.codes import LEAVES, Code
from core.ir.expr import INDEX_DTYPE, Expr
from core.ir.nodes import If, Let, Local, Loop, Statement, Store, expressions, rewritten, statements
from core.ir.rebuild import rebuild, unconditional
from core.ir.walk import walk


def with_common_named(loop: Loop, varying: set[Local]) -> Loop:
    """``loop`` with a name in front of each statement for what that computes alike in all iterations of ``loop``.

    ``varying`` are the locals that differ.  What happens only under a guard stays there.
    """
    written = {s.buffer for s in statements(loop.body) if isinstance(s, Store)}

    def visit(body: Sequence[Statement]) -> list[Statement]:
        new: list[Statement] = []
        names: dict[Expr, Expr] = {}
        for s in body:
            if isinstance(s, Loop):
                new.append(replace(s, body=visit(s.body)))
            elif isinstance(s, If) or (isinstance(s, Let) and s.local not in varying):
                new.append(s)
            else:
                for e in _common(list(expressions([s])), loop.variable, varying, written):
                    if e not in names:
                        local = Local("common", e.dtype)
                        names[e] = local.expr
                        new.append(Let(local, e))
                new.append(_renamed(s, dict(names)))
        return new

    return replace(loop, body=visit(loop.body))


def _renamed(s: Statement, names: dict[Expr, Expr]) -> Statement:
    return rewritten(s, lambda e: rebuild(e, lambda node, args: None, names)) if names else s


def _common(roots: list[Expr], variable: Expr, varying: set[Local], written: set[object]) -> list[Expr]:
    """The largest expressions that are the same for every value of ``variable``.  Compilers see to index arithmetic."""
    always = unconditional(roots)
    differs: set[Expr] = set()
    for e in walk(roots):
        own = e is variable or (e.code is Code.LOCAL and e.payload in varying)
        if own or (e.code is Code.LOAD and e.payload in written) or not differs.isdisjoint(e.args):
            differs.add(e)
    found: list[Expr] = []
    pending = list(roots)
    while pending:
        e = pending.pop()
        if e not in always or e.code in LEAVES:
            continue
        if e in differs or (e.dtype == INDEX_DTYPE and e.code is not Code.LOAD):
            pending.extend(reversed(e.args))
        else:
            found.append(e)
    return list(dict.fromkeys(found))
