"""The driver of backend "c".  What only a graph needs that nobody has compiled before is imported when one comes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from core.errors import BackendError
from core.options import config
from core.records import Probe
from plugin_backend_c import compiler, kept, launcher
from plugin_backend_c.folder import folders

if TYPE_CHECKING:
    from core.ccode import CCode
    from core.ir.clike.cfamily import Dialect
    from core.ir.program import Program
    from core.ir.target import Target
    from plugin_backend_c.executable import Executable
    from plugin_backend_c.prepared import Prepared

REMEDY = "install one (Debian: apt-get install gcc; macOS: xcode-select --install) or `pip install ziglang`"


class Driver:
    """Builds programs with the first compiler that works."""

    name = "c"
    dialect = "c"

    @cached_property
    def target(self) -> Target:
        from core.ir.target import Target

        return Target(threads=True, layouts=True, blocks=True)

    @cached_property
    def dialect_table(self) -> Dialect:
        from plugin_backend_c.dialect import C

        return C

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
        from plugin_backend_c.prepared import Prepared

        return Prepared(program, _compiler())

    def keep(self, key: str, executable: Executable) -> None:
        """Leave a program to processes to come, if the launcher can call it from a plan alone."""
        if executable.launcher is not None and executable.plan is not None and not executable.runs_ops:
            kept.write(key, executable.plan, executable.binary)

    def kept(self, key: str, routine: Callable[[str], Any]) -> kept.KeptExecutable | None:
        """The program that was left under a key.  ``routine`` gives what binds a library routine."""
        extension = launcher.module(_compiler())
        return None if extension is None else kept.executable(key, next(folders()), extension, routine)

    def callable_type(self, base: type) -> type:
        """``base``, or with a launcher a subclass whose objects are called without a detour through Python."""
        if config.first_tier and not launcher.is_at_hand():
            return base  # nobody is to wait for it
        extension = launcher.module(_compiler())
        return base if extension is None else launcher.callable_type(extension, base)

    def c_op(self, node: Any, code: CCode) -> Callable[..., None]:
        """What does the same as ``perform`` of a node by its C for Python's C-API.  Errors: as of ``compile``."""
        from plugin_backend_c.python_op import PythonOp

        return PythonOp(node, code, _compiler())


def _compiler() -> compiler.Compiler:
    found, why = compiler.find()
    if found is None:
        raise BackendError(f"backend 'c' needs a C compiler: {why}; {REMEDY}")
    return found


driver = Driver()
