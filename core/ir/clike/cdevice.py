"""A whole program as the text of a device's language: its kernels, with the small functions that they use."""

from __future__ import annotations

import re
from typing import TypeAlias

from core.dataclass import dataclass, replace
from core.ir.clike.cfamily import Dialect, print_kernel
from core.ir.clike.cfunctions import functions_of
from core.ir.clike.chelpers import helpers_for
from core.ir.clike.csimd import packed_types
from core.ir.clike.cvector import declared
from core.ir.clike.cwork import group_text, lane_reductions
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr
from core.ir.nodes import Kernel, Loop
from core.ir.program import KernelStep, LoopStep, Program
from core.ir.walk import walk
from core.ir.work.launches import launches

Steps: TypeAlias = dict[int, list[tuple[Kernel, list[Expr]]]]


@dataclass(frozen=True)
class Printed:
    """Text, and what is in it: for each kernel step, by its position, its launches with the lengths each takes.

    inner  the same for programs inside of steps, by their identity
    """

    text: str
    steps: Steps
    inner: dict[int, Steps]


def print_device_program(program: Program, dialect: Dialect) -> Printed:
    """The translation unit of a program, whose kernels are those of a schedule for devices."""
    assert dialect.work is not None
    texts: list[str] = []
    outer, *bodies = program.all
    in_parts = not dialect.work.has_addresses  # what steps use are rows of arrays
    steps, inner = _steps(outer, dialect, texts), [_steps(one, dialect, texts, in_parts) for one in bodies]
    kernels = [kernel for each in (steps, *inner) for found in each.values() for kernel, _ in found]
    own = {id(one): found for one, found in zip(bodies, inner, strict=True)}
    return Printed(unit(texts, kernels, dialect), steps, own)


def _steps(program: Program, dialect: Dialect, texts: list[str], in_parts: bool = False) -> Steps:
    """The launches of a program's own kernels; their text is added to ``texts``."""
    scalars = {value for value in program.inputs if not program.shapes[value]}
    steps: Steps = {}
    for position, step in enumerate(program.steps):
        found = launches(step.kernel) if isinstance(step, KernelStep) else []
        if isinstance(step, LoopStep) and step.alone is not None:
            found = [step.alone.kernel]
        if found:
            steps[position] = []
            for kernel in found:
                kernel = replace(kernel, in_parts=in_parts)
                text, lengths = print_kernel(kernel, dialect, scalars, asked=_asked(kernel, program))
                steps[position].append((kernel, lengths))
                texts.append(text)
    return steps


def _asked(kernel: Kernel, program: Program) -> set[Value]:
    """The 0-d values of which it depends how often the loop of a launch runs: they are read to launch it."""
    extents = [loop.extent for loop in kernel.body if isinstance(loop, Loop)]
    return {e.payload for e in walk(extents) if e.code is Code.LOAD and not program.shapes[e.payload]}


def unit(texts: list[str], kernels: list[Kernel], dialect: Dialect) -> str:
    """The translation unit of kernels that were printed."""
    body = "\n\n".join(texts)
    return "\n".join([dialect.preamble, *_helpers(body, kernels, dialect), "", body, ""])


def _helpers(body: str, kernels: list[Kernel], dialect: Dialect) -> list[str]:
    """The functions that ``body`` uses, each before those that use it."""
    assert dialect.work is not None
    qualifiers = dialect.function if dialect.work.function is None else dialect.work.function
    groups = [
        group_text(combine, dtype, dialect.types[dtype], qualifiers, dialect.work)
        for combine, dtype in dict.fromkeys(pair for kernel in kernels for pair in lane_reductions(kernel.body))
    ]
    used = set(re.findall(r"\w+", "\n".join([body, *groups])))
    theirs = {**functions_of(kernels, dialect), **dialect.work.helpers}
    words = used.union(*(re.findall(r"\w+", text) for text in theirs.values()))
    own = {name: text.replace("static inline", dialect.function) for name, text in helpers_for(words).items()}
    known = {**dialect.declarations, **own, **theirs}
    found: dict[str, str] = {}
    for name in reversed(known):
        if name in used:
            found[name] = known[name]
            used.update(re.findall(r"\w+", known[name]))
    wide = declared("\n".join(found.values()) + body, dialect.work.wide, dict(dialect.types))
    return [*packed_types(body), *wide, *(found[name] for name in reversed(found)), *groups]
