"""Convolution, pooling and normalisation for core: what networks of images need, on every backend.

Only what plugins must say is here.  The functions, ``plugin_ops_nn.conv2d`` or ``core.ops.nn.conv2d``, are
those of plugin_ops_nn/names.py, imported when the first of them is used.
"""

import sys
from importlib import import_module
from typing import Any

from core.markers import hookimpl
from core.records import OpPack


@hookimpl
def ops() -> list[OpPack]:
    return [
        OpPack("nn", "plugin_ops_nn.names", help="convolution, pooling, normalisation: what networks of images need")
    ]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    names = import_module("plugin_ops_nn.names")
    if name != "names" and name not in names.__all__:
        raise AttributeError(f"module 'plugin_ops_nn' has no attribute {name!r}")
    value = names if name == "names" else getattr(names, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What is here by now: a plugin is looked through when it is registered, and that must import nothing."""
    names = sys.modules.get("plugin_ops_nn.names")
    return sorted({*globals(), *(names.__all__ if names is not None else ())})
