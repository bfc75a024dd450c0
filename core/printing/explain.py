"""``explain``: what compiling a function did: graph, rewrites, graph, kernels and buffers, source, times, plugins."""

from __future__ import annotations

from typing import Any

from core.compile.function import Function
from core.dataclass import dataclass
from core.errors import ArgumentError
from core.printing.debugprint import debugprint
from core.rewriting import RewriteLog


@dataclass(frozen=True)
class Explanation:
    """Each part of a compile as an attribute; ``str`` gives all of them under headings.

    before, after  the graph as text, before and after rewriting
    rewrites       the rules that fired, with plugin, count and the user's line
    program        kernels and buffers, as text; empty where there is no program
    sources        generated files: name -> text
    times          seconds per step
    backend        its name and the distribution that it came with
    plugins        the distributions that took part
    """

    name: str
    before: str
    rewrites: RewriteLog
    after: str
    program: str
    sources: dict[str, str]
    times: dict[str, float]
    backend: str
    plugins: tuple[str, ...]

    def __str__(self) -> str:
        parts = [
            ("graph as written", self.before),
            ("rewrites", str(self.rewrites)),
            ("graph as rewritten", self.after),
        ]
        if self.program:
            parts.append(("program", self.program))
        parts += [(f"source {name}", text) for name, text in self.sources.items()]
        parts.append(
            ("times", "\n".join(f"{step:<8} {1000 * seconds:9.1f} ms" for step, seconds in self.times.items()))
        )
        parts.append(("backend", self.backend))
        parts.append(("plugins", "\n".join(self.plugins)))
        body = "\n\n".join(f"== {title} ==\n{text.rstrip()}" for title, text in parts)
        return f"{self.name}\n\n{body}"

    __repr__ = __str__


def explain(function: Any) -> Explanation:
    """How ``function``, made by ``core.function``, was compiled.  Errors: ArgumentError for anything else."""
    if not isinstance(function, Function):
        raise ArgumentError(
            f"explain needs a compiled function, got {function!r} of type {type(function).__name__}; "
            "compile it with core.function"
        )
    source = function.choice.source
    backend = f"{function.backend} ({source})" if source is not None else function.backend
    used = dict.fromkeys(entry.plugin for entry in function.rewrites)
    if source is not None:
        used[source.dist] = None
    return Explanation(
        name=repr(function),
        before=debugprint(function.original, file="str") or "",
        rewrites=function.rewrites,
        after=debugprint(function, file="str") or "",
        program="" if function.program is None else str(function.program),
        sources=dict(function.sources),
        times=dict(function.compile_times),
        backend=backend,
        plugins=tuple(sorted(used)),
    )
