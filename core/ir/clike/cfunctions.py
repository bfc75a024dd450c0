"""Functions of scalars as text: each once in a unit, before what calls it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.ir.clike.cfamily import Dialect, Names, Printer
from core.ir.nodes import Kernel, expressions
from core.ir.rebuild import functions_in


def functions_of(kernels: Iterable[Kernel], dialect: Dialect) -> dict[str, str]:
    """By name, the text of each function that kernels call, those before it that it calls itself."""
    found: dict[str, str] = {}
    pending = functions_in(e for kernel in kernels for e in expressions(kernel.body))[::-1]
    while pending:
        function = pending[-1]
        missing = [called for called in function.calls if called.c_name not in found]
        if missing:
            pending += missing
            continue
        found.setdefault(function.c_name, print_function(function, dialect))
        pending.pop()
    return found


def print_function(function: Any, dialect: Dialect) -> str:
    """The text of one ScalarFunction of core.ir.function."""
    names = Names([function.c_name, *dialect.reserved])
    printer = Printer(dialect, names)
    qualifiers, kind = dialect.looping or dialect.function, dialect.types[function.dtype]
    parameters = [f"{dialect.types[p.dtype]} {names.of(p, p.name)}" for p in function.parameters]
    return "\n".join(
        [
            f"{qualifiers} {kind} {function.c_name}({', '.join(parameters)})",
            "{",
            *printer.lines(function.body, "    "),
            f"    return {printer.expr(function.result)};",
            "}",
        ]
    )
