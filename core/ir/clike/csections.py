"""A long C function in sections: a C compiler's time for one function grows with the square of its length.

What one section declares and a later one reads is kept in a struct, under the same name.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from core.dataclass import dataclass

LONG = 400  # lines of a function that is left whole
SECTION = 200  # lines of a section, and what is left of the paragraph in which it gets so long
_PARAMETERS = {
    "routines": "void **",
    "outputs": "void **",
    "output_lengths": "int64_t *",
    "report": "int64_t *",
    "call": "core_call *",
}


@dataclass(frozen=True)
class Declared:
    """A name that does not change: its type, and the number of the line that declares it."""

    kind: str
    line: int


@dataclass(frozen=True)
class Sections:
    """``before``: what stands before the function, in C; ``lines``: what is left of it."""

    before: str
    lines: list[str]


def cut(lines: Sequence[str], starts: Sequence[int], declared: Mapping[str, Declared], qualifiers: str) -> Sections:
    """A function in sections.

    lines       its statements; those before the first start stay in it
    starts      the numbers of the lines with which paragraphs begin, in order: only there may it be cut
    declared    what the lines declare, and another paragraph may read
    qualifiers  what stands before a section
    """
    bounds = _bounds(starts, len(lines))
    words = [set(re.findall(r"\w+", "\n".join(lines[a:b]))) for a, b in bounds]
    firsts = [a for a, _ in bounds]
    where = {name: bisect_right(firsts, one.line) - 1 for name, one in declared.items()}
    last = {word: number for number, used in enumerate(words) for word in used}
    kept = [name for name, place in where.items() if last.get(name, place) > place]
    made: list[list[str]] = [[] for _ in bounds]
    for name in kept:
        made[where[name]].append(name)
    struct = "\n".join(["struct core_kept {", *(f"    {_joined(declared[name].kind, name)};" for name in kept), "};"])
    given = ", ".join(["struct core_kept *core_kept", *(_joined(kind, name) for name, kind in _PARAMETERS.items())])
    texts = [struct]
    for number, (a, b) in enumerate(bounds[1:], start=1):
        read = sorted(name for name in words[number].intersection(where) if where[name] < number)
        body = [constant(declared[name].kind, name, f"core_kept->{name}") for name in read]
        body += [*lines[a:b], *(f"core_kept->{name} = {name};" for name in made[number])]
        texts.append(_section(f"{qualifiers}static int32_t core_section{number}({given})", body))
    rest = ["", "struct core_kept core_kept;"]
    rest += [f"core_kept.{name} = {name};" for name in made[0]]
    names = ", ".join(_PARAMETERS)
    for number in range(1, len(bounds)):
        rest.append(f"if ((status = core_section{number}(&core_kept, {names}))) goto failed;")
    return Sections("\n\n".join(texts), [*lines[: bounds[0][1]], *rest])


def _bounds(starts: Sequence[int], end: int) -> list[tuple[int, int]]:
    """First and last line of each part: what stays, then the sections."""
    cuts = [0, *starts[:1]]
    for start in starts[1:]:
        if start - cuts[-1] >= SECTION:
            cuts.append(start)
    return list(zip(cuts, [*cuts[1:], end], strict=True))


def _section(head: str, body: Sequence[str]) -> str:
    fails = any("goto failed;" in line for line in body)
    first, last = (["int32_t status = 0;"], ["failed:", "    return status;"]) if fails else ([], ["    return 0;"])
    return "\n".join([head, "{", *(f"    {line}" if line else "" for line in [*first, *body]), *last, "}"])


def constant(kind: str, name: str, value: str) -> str:
    """A declaration of what does not change."""
    return f"{kind}const {name} = {value};" if kind.endswith("*") else f"const {kind} {name} = {value};"


def _joined(kind: str, name: str) -> str:
    return f"{kind}{name}" if kind.endswith("*") else f"{kind} {name}"
