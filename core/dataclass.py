"""``dataclass`` of the standard library, for a quarter of its price.

That one has Python compile up to six functions for each class, a third of a millisecond: 30 ms for all that the first
function of a user's needs, of 140 in Python.  Here that is ``__init__`` alone; the others look at the fields' names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import field, fields, is_dataclass, replace
from operator import attrgetter
from typing import Any, dataclass_transform

__all__ = ["dataclass", "field", "fields", "is_dataclass", "replace"]


@dataclass_transform(field_specifiers=(field,))
def dataclass(cls: Any = None, /, *, eq: bool = True, frozen: bool = False, sealed: bool = False) -> Any:
    """A class whose annotations are its fields: see the standard library.

    eq      objects of the same class with equal fields are equal, and have one hash if they are ``frozen``
    frozen  fields are not set again: whoever checks types sees to that, nobody does so when it runs
    sealed  who sets a field of a ``frozen`` object all the same gets an error, as the standard library has it: for
            objects that come into the hands of others; two more functions
    """
    return (lambda cls: _made(cls, eq, frozen, sealed)) if cls is None else _made(cls, eq, frozen, sealed)


def _made(cls: Any, eq: bool, frozen: bool, sealed: bool) -> Any:
    own = set(vars(cls))
    kind = dataclasses.dataclass(cls, eq=False, repr=False, frozen=frozen and sealed)
    members: dict[str, Any] = {"__repr__": _repr(kind)}
    if eq:
        members.update(_comparison(kind.__match_args__, frozen))
    for name, member in members.items():
        if name not in own:
            setattr(kind, name, member)
    return kind


def _repr(kind: Any) -> Callable[[Any], str]:
    shown = [one.name for one in fields(kind) if one.repr]

    def text(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    return text


def _comparison(names: tuple[str, ...], frozen: bool) -> dict[str, Any]:
    values: Callable[[Any], Any] = attrgetter(*names) if names else type

    def equal(self: Any, other: Any) -> bool:
        return values(self) == values(other) if type(self) is type(other) else NotImplemented

    def hashed(self: Any) -> int:
        return hash(values(self))

    return {"__eq__": equal, "__hash__": hashed if frozen else None}
