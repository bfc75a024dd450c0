"""Convolution, pooling and normalisation for core: what networks of images need, on every backend.

Only what plugins must say is here.  The functions, ``plugin_ops_nn.conv2d`` or ``core.ops.nn.conv2d``, are those of
plugin_ops_nn/names.py, imported when the first of them is used.
"""

from core.lazy import lazy_names
from core.markers import hookimpl
from core.records import Library, OpPack


@hookimpl
def ops() -> list[OpPack]:
    return [
        OpPack("nn", "plugin_ops_nn.names", help="convolution, pooling, normalisation: what networks of images need")
    ]


@hookimpl
def libraries() -> list[Library]:
    provided = ("convolution", "convolution_transposed", "convolution_filters", "placed_in_window")
    return [Library("nn-convolution", dialect="c", provides=provided, ref="plugin_ops_nn.compiled.routines:ROUTINES")]


__getattr__, __dir__ = lazy_names(__name__)
