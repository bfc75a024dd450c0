"""Every part of an expression, once: in the order in which they would be computed.  Nothing here recurses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar


class Part(Protocol):
    """What is walked through: expressions, which this file lies below, for they show themselves."""

    args: tuple[Any, ...]
    marks: int


E = TypeVar("E", bound=Part)


def walk(roots: Iterable[E], into: Callable[[E], bool] | None = None) -> list[E]:
    """Every expression below ``roots``, once, operands first.  ``into(e)`` says whether to look below ``e``."""
    seen: set[E] = set()
    order: list[E] = []
    for root in roots:
        stack = [root]
        while stack:
            node = stack[-1]
            if node not in seen:
                if node.args and (into is None or into(node)):
                    pending: list[E] = []
                    for arg in node.args:
                        if arg not in seen:
                            if arg.args or pending:
                                pending.append(arg)
                            else:  # half of all: they need not wait on the stack
                                seen.add(arg)
                                order.append(arg)
                    if pending:
                        stack += pending[::-1]
                        continue
                seen.add(node)
                order.append(node)
            stack.pop()
    return order


def marked(roots: Iterable[E], mark: int) -> list[E]:
    """Every expression below ``roots`` that holds ``mark``, once, operands first."""
    seen: set[E] = set()
    order: list[E] = []
    for root in roots:
        if not root.marks & mark:
            continue
        stack = [root]
        while stack:
            node = stack[-1]
            if node not in seen:
                pending = [arg for arg in node.args if arg.marks & mark and arg not in seen]
                if pending:
                    stack += pending[::-1]
                    continue
                seen.add(node)
                order.append(node)
            stack.pop()
    return order
