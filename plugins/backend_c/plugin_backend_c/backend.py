"""The driver of backend "c": text to library to something that can be called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.ccode import CCode
from core.errors import BackendError, CompileError
from core.ir.clike.ccalls import calls_of, needs_of
from core.ir.clike.centry import functions_of
from core.ir.clike.cfamily import Dialect
from core.ir.clike.cunits import INITIALIZE, print_units
from core.ir.program import Program
from core.ir.target import Target
from core.options import config
from core.records import Probe
from plugin_backend_c import cache, compiler, launcher
from plugin_backend_c.aside import Aside
from plugin_backend_c.dialect import C_PRECISE, C_WITHOUT_LIBMVEC, C
from plugin_backend_c.executable import Executable
from plugin_backend_c.python_op import PythonOp, with_line

REMEDY = "install one (Debian: apt-get install gcc; macOS: xcode-select --install) or `pip install ziglang`"


class Prepared:
    """A program as text.  ``at_hand``: whether its library is in the cache, and nobody has to wait for a compiler."""

    def __init__(self, program: Program, found: compiler.Compiler):
        self._program, self._found = program, found
        self._nodes = [step.node for _, step in calls_of(program)]
        self._needs = needs_of([(step.node, step.code) for _, step in calls_of(program)])
        self._builder = found.serving(self._needs) if self._nodes else found
        self._units = print_units(program, _dialect(found))

    @property
    def at_hand(self) -> bool:
        return self._needs.kept and cache.has(self._units, self._builder)

    def finish(self) -> Executable:
        """Build and load it; may run in a thread of its own.  Errors: CompileError."""
        program, found = self._program, self._found
        # both may take a compiler's time of their own, the first time on a machine
        with Aside(launcher.module, found) as extension, Aside(_addresses, program) as routines:
            try:
                library, sources = cache.load(self._units, self._builder, self._needs.kept)
            except CompileError as error:
                raise with_line(error, self._nodes) from None
            if self._nodes:
                getattr(library, INITIALIZE)()
            return Executable(program, library, sources, routines.result(), found, extension.result())


class Driver:
    """Builds programs with the first compiler that works."""

    name = "c"
    dialect = "c"
    dialect_table = C
    target = Target(threads=True, layouts=True)

    def probe(self) -> Probe:
        """The compiler, or why there is none.  What it can do is tried once, and remembered in the cache."""
        found, why = compiler.find()
        if found is None:
            return Probe(reason=f"no C compiler: {why}", remedy=REMEDY)
        return Probe(devices=(str(found),))

    def fingerprint(self) -> str:
        found, why = compiler.find()
        return found.identity if found is not None else why

    def compile(self, program: Program, device: Any = None) -> Executable:
        """Errors: CompileError when the compiler refuses the text, BackendError without a compiler."""
        return self.prepare(program, device).finish()

    def prepare(self, program: Program, device: Any = None) -> Prepared:
        """A program as text, before a compiler is asked.  Errors: BackendError without one."""
        return Prepared(program, _compiler())

    def callable_type(self, base: type) -> type:
        """``base``, or with a launcher a subclass whose objects are called without a detour through Python."""
        if config.first_tier and not launcher.is_at_hand():
            return base  # nobody is to wait for it
        extension = launcher.module(_compiler())
        return base if extension is None else launcher.callable_type(extension, base)

    def c_op(self, node: Any, code: CCode) -> Callable[..., None]:
        """What does the same as ``perform`` of a node by its C for Python's C-API.  Errors: as of ``compile``."""
        return PythonOp(node, code, _compiler())


def _addresses(program: Program) -> list[int]:
    """Of the C functions that a program calls, in the order in which it numbers them."""
    return [routine.address(name) for name, routine in functions_of(program).items()]


def _compiler() -> compiler.Compiler:
    found, why = compiler.find()
    if found is None:
        raise BackendError(f"backend 'c' needs a C compiler: {why}; {REMEDY}")
    return found


def _dialect(found: compiler.Compiler) -> Dialect:
    """The functions of mathematics that are asked for, or the quickest that the compiler has."""
    if config["c.precise_math"]:
        return C_PRECISE
    return C if found.has_libmvec else C_WITHOUT_LIBMVEC


driver = Driver()
