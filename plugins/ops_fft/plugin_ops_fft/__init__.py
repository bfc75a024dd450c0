"""Fourier transforms for core: of any length, along any axes, differentiated, on every backend.

Only what plugins must say is here.  The functions, ``plugin_ops_fft.fft`` or ``core.ops.fft.fft``, are those of
plugin_ops_fft/names.py, imported when the first of them is used.
"""

from core.lazy import lazy_names
from core.markers import hookimpl
from core.records import Library, OpPack


@hookimpl
def ops() -> list[OpPack]:
    return [OpPack("fft", "plugin_ops_fft.names", help="Fourier, cosine and sine transforms; convolution by them")]


@hookimpl
def libraries() -> list[Library]:
    provided, on_device = ("fourier", "fourier_of_real", "fourier_to_real"), "plugin_ops_fft.device.routines:ROUTINES"
    return [
        Library("fft-fourier", dialect="c", provides=provided, ref="plugin_ops_fft.compiled.routines:ROUTINES"),
        Library("fft-opencl", dialect="opencl", provides=provided, ref=on_device),
    ]


__getattr__, __dir__ = lazy_names(__name__)
