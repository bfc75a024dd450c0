"""The records that plugins return from their hooks: frozen data, cheap to make, heavy parts named by strings.

Nothing here looks a record up or decides between two: see core/registry.py.  A *reference* is a string
``"package.module:attribute"`` (or ``"package.module"``), imported on first use, or the object itself.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cached_property
from typing import Any, TypeAlias

from core.dataclass import dataclass
from core.errors import PluginError

Reference: TypeAlias = Any  # "package.module:attribute", or the object itself


def load(reference: Reference, owner: str) -> Any:
    """The object that ``reference`` names; anything but a string is that object.

    Errors  PluginError naming ``owner``, the distribution that gave the reference, and what its import said.
    """
    if not isinstance(reference, str):
        return reference
    try:
        # without a colon, resolve_name would take a module whose own import fails for a missing attribute
        return pkgutil.resolve_name(reference) if ":" in reference else importlib.import_module(reference)
    except ModuleNotFoundError as error:
        raise PluginError(f"{owner} needs {reference!r}, but there is no module {error.name!r}; install it") from error
    except AttributeError as error:
        raise PluginError(f"{owner} needs {reference!r}, but: {error}") from error
    except ValueError as error:
        raise PluginError(f"{owner} needs a reference like 'package.module:attribute', got {reference!r}") from error
    except Exception as error:  # whatever the import of a plugin raises
        raise PluginError(
            f"{owner} needs {reference!r}, whose import failed: {type(error).__name__}: {error}"
        ) from error


@dataclass(frozen=True, sealed=True)
class Probe:
    """What a backend or library found on this machine: devices that work, or the reason why there is none.

    devices  names to show, in the order of their numbers (``"opencl:1"`` is the second); () when it cannot be used
    reason   why it cannot be used; empty when it can
    remedy   what the user can do about it, such as a command to install something
    """

    devices: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""

    @property
    def works(self) -> bool:
        return bool(self.devices)

    def __str__(self) -> str:
        if self.works:
            return ", ".join(self.devices)
        return "; ".join(filter(None, (self.reason or "no device", self.remedy)))


@dataclass(frozen=True, sealed=True)
class GraphType:
    """A graph type beyond tensors.  ``ref`` names its class, a subclass of core.graph.Type."""

    name: str
    ref: Reference
    help: str = ""


@dataclass(frozen=True, sealed=True)
class OpPack:
    """A namespace of ops with one owner: ``core.ops.<namespace>`` is what ``ref`` names, usually a module."""

    namespace: str
    ref: Reference
    help: str = ""


@dataclass(frozen=True, sealed=True)
class Rewrite:
    """One rewrite, or a set of rules under one name, in a stage that core fixes.

    fn             names a rule or a RuleSet of core.rewriting
    on             names the op, op class or pattern that it starts from; None when ``fn`` says so itself
    after, before  names of rewrites of the same stage; those left free run in the order of their names
    dialects       the dialects that it is meant for; () for all
    tags           words that a backend can need or forbid
    optional       left out unless the backend needs one of its tags
    about          a module with the ops that it is about, by name: left out, and not looked up, while nothing has
                   imported that, for no graph can hold them
    """

    name: str
    stage: str
    fn: Reference
    on: Reference = None
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    optional: bool = False
    about: str = ""


@dataclass(frozen=True, sealed=True)
class Lowering:
    """A way to compute an op that its author did not write.

    op        the op class, an op, or a string that names either (looked up only once its module has been imported)
    fn        names ``fn(op, node, *views)``, which returns what ``Op.lower`` returns
    c_code    instead of ``fn``: names a core.ccode.CCode, hand-written C for the op.  For one dialect, whose host is C
    dialect   the dialect it is meant for; None for all
    priority  the highest wins, a tie is a conflict; the op's own lowering serves where no attached one does
    when      names ``when(node) -> bool``: whether it serves this node; None: always
    """

    op: Reference
    fn: Reference = None
    dialect: str | None = None
    priority: int = 0
    when: Reference = None
    c_code: Reference = None

    def __post_init__(self) -> None:
        if (self.fn is None) == (self.c_code is None):
            raise PluginError(f"the Lowering of {self.op} needs either fn or c_code")
        if self.c_code is not None and self.dialect is None:
            raise PluginError(f'the Lowering of {self.op} needs a dialect for its c_code, such as dialect="c"')


@dataclass(frozen=True, sealed=True)
class Library:
    """A provider of named routines ("gemm", "potrf") for one dialect.  No op names a vendor.

    provides  the routines
    ref       names a mapping from each routine to what the backend of that dialect takes to bind it; where the host is
              C, that is a core.ir.clike.clibrary.Routine
    probe     names a function without arguments that returns a Probe; None when it always works
    when      names a function of a node: whether the routine serves it, or else the op's own code; None: always
    """

    name: str
    dialect: str
    provides: tuple[str, ...]
    ref: Reference
    probe: Reference = None
    when: Reference = None
    priority: int = 0


@dataclass(frozen=True, sealed=True)
class Backend:
    """Something that runs programs.

    dialect         the language that it compiles; None for a backend that takes the graph itself
    ref             names its driver: ``probe() -> Probe``, ``fingerprint() -> str`` and ``compile(program, device)``,
                    or ``compile_graph(graph)`` where ``dialect`` is None
    priority        left to choose, core takes the highest whose probe succeeds; it also settles two claims of one name
    needs, forbids  tags of rewrites that it must have, or cannot bear
    """

    name: str
    dialect: str | None
    ref: Reference
    priority: int = 0
    needs: tuple[str, ...] = ()
    forbids: tuple[str, ...] = ()


@dataclass(frozen=True, sealed=True)
class Option:
    """A setting, ``core.config[name]``; a plugin's own are called ``"plugin.key"``.

    type          bool, int, float or str; None is admitted where it is the default
    env           the environment variable that sets it; None: CORE_ and the name in capitals, dots as underscores
    choices       the values that are admitted; () for all
    affects_code  whether a change means other generated code, so that it belongs into the cache key
    Errors        PluginError for another type, and for a default that is neither None nor an admitted value
    """

    name: str
    type: type
    default: Any
    env: str | None = None
    choices: tuple[Any, ...] = ()
    affects_code: bool = False
    help: str = ""

    def __post_init__(self) -> None:
        if self.type not in (bool, int, float, str):
            raise PluginError(f"the Option {self.name} needs type bool, int, float or str, got {self.type!r}")
        if self.default is None:
            return
        if type(self.default) is not self.type:
            raise PluginError(
                f"the Option {self.name} needs a default of type {self.type.__name__} or None, got {self.default!r}"
            )
        if self.choices and self.default not in self.choices:
            raise PluginError(f"the Option {self.name} needs one of its choices as default, got {self.default!r}")

    @cached_property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return self.env or "CORE_" + self.name.upper().replace(".", "_").replace("-", "_")
