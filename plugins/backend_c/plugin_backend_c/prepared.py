"""A program as text, and then as a library: what the C backend does for a graph that nobody has compiled before."""

from __future__ import annotations

from core.errors import CompileError
from core.ir.clike.ccalls import calls_of, needs_of
from core.ir.clike.cfamily import Dialect
from core.ir.clike.cinterface import functions_of
from core.ir.clike.cunits import INITIALIZE, print_units
from core.ir.program import Program
from core.options import config
from plugin_backend_c import cache, launcher
from plugin_backend_c import running as _needed_to_finish  # noqa: F401
from plugin_backend_c.aside import Aside
from plugin_backend_c.compiler import Compiler
from plugin_backend_c.dialect import C_PRECISE, C_WITHOUT_LIBMVEC, C
from plugin_backend_c.executable import Executable
from plugin_backend_c.processes import processors


class Prepared:
    """A program as text.  ``finish`` imports nothing more: see core/compile/compilation.py."""

    def __init__(self, program: Program, found: Compiler):
        self._program, self._found = program, found
        self._nodes = [step.node for _, step in calls_of(program)]
        self._needs = needs_of([(step.node, step.code) for _, step in calls_of(program)])
        self._builder = found.serving(self._needs) if self._nodes else found
        self._units = print_units(program, _dialect(found), at_once=processors())

    def finish(self) -> Executable:
        """Build and load it; may run in a thread of its own.  Errors: CompileError."""
        program, found = self._program, self._found
        # both may take a compiler's time of their own, the first time on a machine
        with Aside(launcher.module, found) as extension, Aside(_addresses, program) as routines:
            try:
                library, sources = cache.load(self._units, self._builder, self._needs.kept)
            except CompileError as error:
                raise cache.with_line(error, self._nodes) from None
            if self._nodes:
                getattr(library, INITIALIZE)()
            return Executable(program, library, sources, routines.result(), found, extension.result())


def _addresses(program: Program) -> list[int]:
    """Of the C functions that a program calls, in the order in which it numbers them."""
    return [routine.address(name) for name, routine in functions_of(program).items()]


def _dialect(found: Compiler) -> Dialect:
    """The functions of mathematics that are asked for, or the quickest that the compiler has."""
    if config["c.precise_math"]:
        return C_PRECISE
    return C if found.has_libmvec else C_WITHOUT_LIBMVEC
