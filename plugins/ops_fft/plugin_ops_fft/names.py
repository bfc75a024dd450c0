"""Every function of the pack: names and arguments are those of numpy.fft, scipy.fft and scipy.signal."""
# ruff: noqa: F403 - a file says in its __all__ what it gives

from plugin_ops_fft import cosines as _cosines
from plugin_ops_fft import filtering as _filtering
from plugin_ops_fft import frequencies as _frequencies
from plugin_ops_fft import half as _half
from plugin_ops_fft import whole as _whole
from plugin_ops_fft.cosines import *
from plugin_ops_fft.filtering import *
from plugin_ops_fft.frequencies import *
from plugin_ops_fft.half import *
from plugin_ops_fft.whole import *

__all__ = [*_whole.__all__, *_half.__all__, *_frequencies.__all__, *_cosines.__all__, *_filtering.__all__]
