"""A text of an expression, for people."""

from __future__ import annotations

from typing import Any, TypeAlias

from core.ir.codes import Code
from core.ir.walk import walk

Expr: TypeAlias = Any  # of core.ir.expr, which shows itself

_SHOW_LIMIT = 400


def show(root: Expr, limit: int = _SHOW_LIMIT) -> str:
    """A readable text, cut where it grows past ``limit`` characters."""
    text: dict[Expr, str] = {}
    for node in walk([root]):
        args = [text[arg] for arg in node.args]
        if node.code is Code.CONST:
            shown = repr(node.payload)
        elif node.code in (Code.INDEX, Code.LOCAL):
            shown = str(node.payload)
        elif node.code is Code.LENGTH:
            shown = f"{node.payload[0]}.shape[{node.payload[1]}]"
        elif node.code is Code.LOAD:
            shown = f"{node.payload}[{', '.join(args)}]"
        elif node.code is Code.CALL:
            shown = f"{node.payload}({', '.join(args)})"
        elif node.code is Code.CAST:
            shown = f"{node.dtype}({args[0]})"
        elif node.code is Code.REDUCE:
            names = ", ".join(f"{v.payload} < {n}" for v, n in zip(node.payload[1], args[1:], strict=True))
            shown = f"{node.payload[0].value}[{names}]({args[0]})"
        elif len(args) == 2 and len(node.code.value) <= 2:
            shown = f"({args[0]} {node.code.value} {args[1]})"
        else:
            shown = f"{node.code.value}({', '.join(args)})"
        text[node] = shown if len(shown) <= limit else shown[: limit - 3] + "..."
    return text[root]
