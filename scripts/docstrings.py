"""Docstrings as the site shows them: lines such as ``axis    what it is`` become rows of a table.

In a docstring they are aligned by spaces, which Markdown would run together.
"""

from __future__ import annotations

import re

from griffe import Extension, Object

_ROW = re.compile(r"(?P<name>\S(?:.{0,40}?\S)?) {2,}(?P<text>\S.*)")


class AlignedDocstrings(Extension):
    """Rewrites each docstring before it is rendered."""

    def on_object(self, *, obj: Object, **kwargs: object) -> None:
        if obj.docstring is not None:
            obj.docstring.value = with_tables(obj.docstring.value)


def with_tables(text: str) -> str:
    """``text`` with its aligned lines, and the deeper lines that go on with them, as tables."""
    lines: list[str] = []
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        row = _ROW.fullmatch(line)
        if row:
            rows.append([row["name"], row["text"]])
        elif rows and line.startswith(" "):
            rows[-1][1] += f" {line.strip()}"
        else:
            lines += _table(rows)
            rows = []
            lines.append(line)
    return "\n".join(lines).rstrip()


def _table(rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return ["", "| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in cells), ""]
