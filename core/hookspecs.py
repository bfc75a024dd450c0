"""Every hook, each documented: the only list of what a plugin can do.  Semantics at length: docs/hooks.md.

Hooks run while a function is compiled or a command is run, never per node and never in a call of a compiled function.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.markers import hookspec
from core.records import Backend, GraphType, Library, Lowering, OpPack, Option, Rewrite

# Registration: what a plugin has.  Called once per process, when anything of any plugin is first asked for.


@hookspec
def types() -> Iterable[GraphType]:
    """Offer graph types beyond tensors.

    Called  once per process, with the other registration hooks.
    Return  GraphType records: a name and a reference to a subclass of core.graph.Type.
    Errors  PluginConflict, naming both distributions, when a type is asked for that two plugins offer.
    """


@hookspec
def ops() -> Iterable[OpPack]:
    """Offer namespaces of ops, to be reached as ``core.ops.<namespace>``.

    Called  once per process, with the other registration hooks.
    Return  OpPack records: a namespace and a reference to a module, imported when the namespace is first used.
            Gradients, shapes and lowerings are methods of the ops, never hooks.
    Errors  PluginConflict when a namespace is used that two plugins own.
    """


@hookspec
def rewrites() -> Iterable[Rewrite]:
    """Add rewrites to the stages.

    Called  once per process, with the other registration hooks.
    Return  Rewrite records; ``after`` and ``before`` order them inside their stage, ties go by name.
    Errors  PluginConflict when a function is compiled while two plugins use one name in one stage, or while ``after``
            and ``before`` form a cycle.
    """


@hookspec
def lowerings() -> Iterable[Lowering]:
    """Say how to compute ops that the plugin did not write, for one dialect or for all.

    Called  once per process, with the other registration hooks.
    Return  Lowering records; the highest priority wins, the op's own lowering serves where there is none.
    Errors  PluginConflict when such an op is lowered and two plugins answer with one priority.
    """


@hookspec
def libraries() -> Iterable[Library]:
    """Offer named routines ("gemm", "potrf") in one dialect.

    Called  once per process, with the other registration hooks.
    Return  Library records; the highest priority whose probe succeeds provides the routine.
    Errors  PluginConflict when a routine is needed that two working libraries provide with one priority.
    """


@hookspec
def backends() -> Iterable[Backend]:
    """Offer the backends that this plugin can drive.

    Called  once per process, with the other registration hooks.
    Return  Backend records that cost nothing to make: no driver call, no compiler probe, no device memory.  Those
            wait for the driver that ``ref`` names.
    Errors  PluginConflict when a backend is asked for that two plugins offer with one priority.
    """


@hookspec
def options() -> Iterable[Option]:
    """Offer settings, to be read as ``core.config["plugin.key"]``.

    Called  once per process, with the other registration hooks.
    Return  Option records whose names begin with the plugin's own name and a dot.
    Errors  PluginConflict when an option is read that two plugins offer.
    """


# Behaviour: called once per compile or per command.  A plugin that fails here is left out, with a warning.


@hookspec(firstresult=True)
def choose_backend(graph: Any, candidates: tuple[str, ...]) -> str | None:
    """Choose the backend of a function whose user named none.

    Called  once per compile without ``backend=``; ``candidates`` are the known names, the best first.
    Return  a name, with a device if need be ("opencl:1"), or None to leave it to the next plugin; core's own answer is
            last: the highest priority whose probe succeeds.
    Errors  BackendError when the answer is no backend or one that does not work.
    """


@hookspec
def instrument(program: Any) -> Any:
    """Watch a compiled function run.

    Called  once per compiled function, with its program.
    Return  an object with ``enter(step)`` and ``leave(step)``, or None.  With nobody listening, a call costs nothing.
    Errors  what this hook raises disables the plugin; what ``enter`` and ``leave`` raise reaches the caller.
    """


@hookspec(firstresult=True)
def render(graph: Any, format: str) -> str | bytes | None:
    """Draw a graph.

    Called  once per picture asked for; ``format`` is its file name extension, such as "svg".
    Return  the file's contents, or None when this plugin does not draw that format; core answers text formats.
    Errors  what this hook raises disables the plugin, and the next one is asked.
    """


@hookspec
def commands(subparsers: Any) -> None:
    """Add subcommands to the ``core`` command.

    Called  once per run of the command, with the result of ``ArgumentParser.add_subparsers``.
    Return  nothing: call ``subparsers.add_parser(name)`` and ``set_defaults(run=handler)``; ``handler(arguments)``
            returns an exit status, and what it needs is imported inside it.
    Errors  what this hook raises disables the plugin; the other commands work on.
    """
