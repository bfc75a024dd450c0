"""The ``core`` command.  What its diagnostics say is in diagnosis.py; plugins add subcommands through a hook."""

from __future__ import annotations

import argparse
import importlib
import json
import runpy
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import cachedir, diagnosis, new_plugin, plugins
from core.errors import ArgumentError, CoreError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv`` (None: those of the process).  Returns the exit status: 0, or 1 for a failure."""
    try:
        parser = build_parser()
        arguments, rest = parser.parse_known_args(argv)
        if rest and not getattr(arguments, "passes_rest", False):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        arguments.rest = rest
        return int(arguments.run(arguments) or 0)
    except CoreError as error:
        print(f"core: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `core plugins | head`
        sys.stderr.close()
        return 1


def build_parser() -> argparse.ArgumentParser:
    """The parser with core's own subcommands and those of plugins."""
    about = "core: a symbolic tensor compiler, and what is installed of it."
    parser = argparse.ArgumentParser(prog="core", description=about)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    one = subparsers.add_parser("plugins", help="what is installed, what it offers, what is wrong with it")
    one.add_argument("--json", action="store_true", help="print everything that is known, as JSON")
    one.set_defaults(run=_plugins)

    one = subparsers.add_parser(
        "doctor",
        help="check this machine: compilers, backends, cache, plugins",
        description="Exit status 1 for a problem.",
    )
    one.set_defaults(run=_doctor)

    one = subparsers.add_parser("why", help="how an op is computed in a dialect, and what else could compute it")
    one.add_argument("op", metavar="OP", help="exp, tensor.exp, or package.module:Class")
    one.add_argument("dialect", metavar="DIALECT", help="a dialect or a backend: c, opencl, interpreter")
    one.set_defaults(run=_why)

    one = subparsers.add_parser("show", help="the generated code of a compiled function")
    one.add_argument("what", metavar="FILE.py:NAME", help="a compiled function, or a function that returns one")
    one.set_defaults(run=_show)

    _add_cache(subparsers)

    one = subparsers.add_parser(
        "new-plugin",
        help="write a pack of your own, with tests, that builds and installs as it is",
        description="Writes the folder plugin-KIND-NAME; overwrites nothing.",
    )
    one.add_argument("name", metavar="NAME", help="what it is called: special, or plugin-ops-special")
    one.add_argument("--kind", required=True, choices=sorted(new_plugin.KINDS), help="what it offers")
    one.add_argument("--path", default=".", help="the folder to write it into (default: this one)")
    one.add_argument("--author", default="", help="for its metadata")
    one.set_defaults(run=_new_plugin)

    one = subparsers.add_parser(
        "demo", help="train two models on handwritten digits; see core demo --help", add_help=False
    )
    one.set_defaults(run=_demo, passes_rest=True)

    for _ in plugins.call_each("commands", subparsers=subparsers):
        pass  # they add themselves
    return parser


def _add_cache(subparsers: Any) -> None:
    parser = subparsers.add_parser("cache", help="where compiled code is kept, and how to be rid of it")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    actions.add_parser("path", help="the folder").set_defaults(run=_cache_path)
    actions.add_parser("list", help="its files: size, last use, name").set_defaults(run=_cache_list)
    actions.add_parser("size", help="how much it holds").set_defaults(run=_cache_size)
    actions.add_parser("clear", help="remove everything in it").set_defaults(run=_cache_clear)
    purge = actions.add_parser("purge", help="remove what was not used for some time")
    purge.add_argument("--days", type=float, default=30, help="not used for so many days (default: 30)")
    purge.set_defaults(run=_cache_purge)


# --- diagnostics ----------------------------------------------------------------------------------------------------


def _plugins(arguments: argparse.Namespace) -> None:
    print(json.dumps(diagnosis.describe_plugins(), indent=2) if arguments.json else diagnosis.plugins_text())


def _doctor(arguments: argparse.Namespace) -> int:
    findings = diagnosis.doctor()
    print("\n".join(map(str, findings)))
    problems = sum(finding.ok is False for finding in findings)
    print(f"\n{problems} problem{'s' * (problems != 1)}" if problems else "\nno problems")
    return 1 if problems else 0


def _why(arguments: argparse.Namespace) -> None:
    print(diagnosis.why_text(arguments.op, arguments.dialect))


def _show(arguments: argparse.Namespace) -> None:
    """Run the file, take the name, print its sources."""
    file, _, name = arguments.what.rpartition(":")
    if not file:
        raise ArgumentError(f"core show needs FILE.py:NAME, got {arguments.what!r}")
    if not Path(file).is_file():
        raise ArgumentError(f"core show needs a file, but there is no {file!r}")
    names = runpy.run_path(file)
    if name not in names:
        raise ArgumentError(f"{file} defines no {name!r}")
    found = names[name]
    if callable(found) and not hasattr(found, "sources"):
        found = found()
    if not hasattr(found, "sources"):
        raise ArgumentError(f"{name} in {file} is no compiled function but {found!r} of type {type(found).__name__}")
    if not found.sources:
        print(f"{name} runs on backend {found.backend}, which generates no code")
    for file_name, text in found.sources.items():
        print(f"--- {file_name}\n{text}")


def _new_plugin(arguments: argparse.Namespace) -> None:
    folder = new_plugin.new_plugin(arguments.name, arguments.kind, arguments.path, arguments.author)
    print(f"wrote {folder}\n  pip install -e '{folder}[test]'\n  cd {folder} && python -m pytest")


def _demo(arguments: argparse.Namespace) -> int:
    return importlib.import_module("core.demo.main").main(arguments.rest)


# --- cache ----------------------------------------------------------------------------------------------------------


def _cache_path(arguments: argparse.Namespace) -> None:
    print(cachedir.path())


def _cache_list(arguments: argparse.Namespace) -> None:
    for file in cachedir.files():
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(cachedir.last_use(file)))
        print(f"{diagnosis.size_text(cachedir.size_of(file)):>9}  {used}  {file.relative_to(cachedir.path())}")


def _cache_size(arguments: argparse.Namespace) -> None:
    print(f"{len(cachedir.files())} files, {diagnosis.size_text(cachedir.size_bytes())}")


def _cache_clear(arguments: argparse.Namespace) -> None:
    print(f"removed {cachedir.clear()} files from {cachedir.path()}")


def _cache_purge(arguments: argparse.Namespace) -> None:
    print(f"removed {cachedir.purge(arguments.days)} files from {cachedir.path()}")
