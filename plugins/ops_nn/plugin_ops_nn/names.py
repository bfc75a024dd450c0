"""Every function of the pack: names and arguments are those of torch.nn.functional, channels first."""
# ruff: noqa: F403 - a file says in its __all__ what it gives

from plugin_ops_nn import convolve as _convolve
from plugin_ops_nn import normalization as _normalization
from plugin_ops_nn import pooling as _pooling
from plugin_ops_nn import resizing as _resizing
from plugin_ops_nn.convolve import *
from plugin_ops_nn.normalization import *
from plugin_ops_nn.pooling import *
from plugin_ops_nn.resizing import *

__all__ = [*_convolve.__all__, *_pooling.__all__, *_normalization.__all__, *_resizing.__all__]
