"""Every function of the pack: names and arguments are those of numpy.random.Generator, after a key."""
# ruff: noqa: F403 - a file says in its __all__ what it gives

from importlib import import_module as _import_module
from typing import Any as _Any

from plugin_ops_random import distributions as _distributions
from plugin_ops_random import keys as _keys
from plugin_ops_random.distributions import *
from plugin_ops_random.keys import *
from plugin_ops_random.later import LATER as _LATER
from plugin_ops_random.stream import RandomStream

__all__ = ["RandomStream", *_keys.__all__, *_distributions.__all__, *_LATER]


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        raise AttributeError(f"module 'plugin_ops_random' has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(_LATER[name]), name)
    return value
