"""What a plugin says of a library routine, by itself: who binds one need not know how its calls are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from core.dataclass import dataclass, field

# what the unit with the entry function begins with where a routine brings loops of its own: others run once in a call
HAS_LOOPS = "/* Routines in here have loops. */"

Call: TypeAlias = Any  # of core.ir.clike.clibrary, as Failure is
Failure: TypeAlias = Any
LibraryStep: TypeAlias = Any  # of core.ir.program


@dataclass(frozen=True)
class Routine:
    """A routine as C calls it.

    functions  C function -> its type with ``{}`` for the name: ``"void {}(const char *, const int *, double *)"``.  All
               that ``write`` may ask for
    address    gives the address of one of them; asked when a program that calls it is loaded
    write      gets a Call, returns the lines of C that make it
    failed     gets the node and a Failure, returns the exception to raise; None: BackendError
    helpers    C functions that ``write`` may call, by name: text, after what it needs itself
    asked      gets a LibraryStep, returns those of ``functions`` that its call asks for; None: all may be
    stacks     whether one call makes a stack of them, along the last of the axes along which calls are stacked: then
               Call.stack says how many, and Array.next how far it is to the next
    """

    functions: Mapping[str, str]
    address: Callable[[str], int]
    write: Callable[[Call], Iterable[str]]
    failed: Callable[[Any, Failure], Exception] | None = None
    helpers: Mapping[str, str] = field(default_factory=dict)
    asked: Callable[[LibraryStep], Iterable[str]] | None = None
    stacks: bool = False
