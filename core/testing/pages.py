"""A page of Markdown as a test: its Python blocks run in order, in one namespace, and print what the page says.

Of fenced blocks, these count; all others are for the reader alone:

    ```python                     runs; a traceback shows the page's own lines
    ```output                     what the block before it prints; where that block raises, the last line is
                                  ``NameOfError: message``.  ``...`` stands for anything
    ```LANGUAGE title="name.ext"  is written to that file in the working directory, and not run
"""

from __future__ import annotations

import contextlib
import difflib
import doctest
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_FENCE = re.compile(r"^(?P<fence>```+)(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_NEEDS = re.compile(r"<!-- needs: (.*?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file it is written to (or ""), its text, and how many lines stand before it."""

    language: str
    title: str
    text: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language, _, rest = match["info"].strip().partition(" ")
        title = _TITLE.search(rest)
        line = text[: match.start("text")].count("\n")
        found.append(Block(language, title[1] if title else "", match["text"], line))
    return found


def needs_of(page: Path) -> list[str]:
    """Modules that a page needs, as its first line says: ``<!-- needs: plugin_ops_linalg, pyopencl -->``."""
    found = _NEEDS.match(page.read_text(encoding="utf-8"))
    return re.split(r",\s*", found[1]) if found else []


def run_page(page: Path, folder: Path) -> int:
    """Run a page in the empty folder ``folder``; returns how many blocks ran.

    Errors  AssertionError naming page and line where a block prints something else than the page says; whatever a
            block raises, unless the page says that it does.
    """
    module = ModuleType("__page__")  # classes of the page can be pickled, and are no part of core: see user_line
    module.__file__ = str(page)
    outer, sys.modules["__page__"] = sys.modules.get("__page__"), module
    sys.path.insert(0, str(folder))
    ran = 0
    try:
        with contextlib.chdir(folder):
            for block, expected in _with_outputs(blocks_of(page)):
                if block.title:
                    Path(block.title).parent.mkdir(parents=True, exist_ok=True)
                    Path(block.title).write_text(block.text, encoding="utf-8")
                elif block.language == "python":
                    _run(page, block, expected, module.__dict__)
                    ran += 1
    finally:
        sys.path.remove(str(folder))
        for name, other in list(sys.modules.items()):  # another page may have a file of that name
            if str(getattr(other, "__file__", None) or "").startswith(str(folder)):
                del sys.modules[name]
        if outer is None:
            del sys.modules["__page__"]
        else:
            sys.modules["__page__"] = outer
    return ran


def _with_outputs(blocks: list[Block]) -> Iterator[tuple[Block, Block | None]]:
    """Each block with the output block that follows it."""
    for position, block in enumerate(blocks):
        after = blocks[position + 1] if position + 1 < len(blocks) else None
        if block.language != "output":
            yield block, after if after is not None and after.language == "output" else None


def _run(page: Path, block: Block, expected: Block | None, namespace: dict[str, Any]) -> None:
    code = compile("\n" * block.line + block.text, str(page), "exec")
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, namespace)
    except Exception as error:
        if expected is None:
            raise
        printed.write(f"{type(error).__name__}: {error}\n")
        if not matches(expected.text, printed.getvalue()):
            raise AssertionError(_difference(page, expected, printed.getvalue())) from error
        return
    if expected is not None and not matches(expected.text, printed.getvalue()):
        raise AssertionError(_difference(page, expected, printed.getvalue()))


def matches(expected: str, printed: str) -> bool:
    """Whether a text is what was expected: ``...`` stands for anything, spaces at the ends of lines do not count."""
    want, got = ("\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n" for text in (expected, printed))
    return doctest.OutputChecker().check_output(want, got, doctest.ELLIPSIS | doctest.DONT_ACCEPT_BLANKLINE)


def _difference(page: Path, expected: Block, printed: str) -> str:
    lines = difflib.ndiff(expected.text.splitlines(), printed.splitlines())
    return f"{page}:{expected.line}: the page says '-', the block prints '+'\n" + "\n".join(lines)
