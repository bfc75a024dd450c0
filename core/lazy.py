"""Public names of a package that are imported when the first of them is used: importing a plugin must cost nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_names(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` for a package whose public names are the ``__all__`` of its module ``names``.

    In the package's ``__init__.py``::

        __getattr__, __dir__ = lazy_names(__name__)

    ``__dir__`` gives only what is here by now: a plugin is looked through when it is registered, and that imports
    nothing.  Errors: AttributeError for a name that ``names`` does not offer.
    """
    home = f"{package}.names"

    def find(name: str) -> Any:
        if name.startswith("__"):  # asked for by the import system and by tools, of every module
            raise AttributeError(name)
        names = import_module(home)
        if name != "names" and name not in names.__all__:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = names if name == "names" else getattr(names, name)
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        names = sys.modules.get(home)
        return sorted({*vars(sys.modules[package]), *(names.__all__ if names is not None else ())})

    return find, listed
