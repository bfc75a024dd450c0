"""Every function of the pack: names and arguments are those of numpy.random.Generator, after a key."""
# ruff: noqa: F403 - a file says in its __all__ what it gives

from plugin_ops_random import distributions as _distributions
from plugin_ops_random import keys as _keys
from plugin_ops_random.distributions import *
from plugin_ops_random.keys import *
from plugin_ops_random.stream import RandomStream

__all__ = ["RandomStream", *_keys.__all__, *_distributions.__all__]
