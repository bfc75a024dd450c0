"""The C backend: programs become C, built by the compiler at hand, with products on SciPy's BLAS.

Only what plugins must say is here; nothing heavy is imported.
"""

from core.markers import hookimpl
from core.records import Backend, Library, Option


@hookimpl
def backends() -> list[Backend]:
    return [Backend("c", dialect="c", ref="plugin_backend_c.backend:driver", priority=50)]


@hookimpl
def libraries() -> list[Library]:
    return [
        Library(
            "scipy-blas",
            dialect="c",
            provides=("gemm", "gemv", "gemm_add", "complex_gemm", "complex_gemv"),
            ref="plugin_backend_c.products:ROUTINES",
        )
    ]


@hookimpl
def options() -> list[Option]:
    return [
        Option("c.launcher", bool, True, help="call C through an extension module that is built once; else cffi"),
        Option(
            "c.precise_math",
            bool,
            False,
            affects_code=True,
            help="exp, log, ... of math.h, one element at a time: more digits, several times slower",
        ),
    ]
