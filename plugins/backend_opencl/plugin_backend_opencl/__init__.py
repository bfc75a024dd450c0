"""The OpenCL backend: programs become OpenCL kernels and run on the device that is chosen, a GPU or a CPU.

Only what plugins must say is here; nothing heavy is imported.
"""

from core.markers import hookimpl
from core.records import Backend, Library, Option


@hookimpl
def backends() -> list[Backend]:
    return [Backend("opencl", dialect="opencl", ref="plugin_backend_opencl.backend:driver", priority=20)]


@hookimpl
def libraries() -> list[Library]:
    # one record for all means: which of them serves depends on the device, and one process may use several
    return [
        Library(
            "opencl-products",
            dialect="opencl",
            provides=("gemm", "gemm_add"),
            ref="plugin_backend_opencl.products:routines",
        )
    ]


@hookimpl
def options() -> list[Option]:
    return [
        Option(
            "opencl.device", str, None, help="number or name of the device for backend='opencl'; None: PYOPENCL_CTX"
        ),
        Option(
            "opencl.schedule",
            str,
            "auto",
            choices=("auto", "pieces", "groups"),
            affects_code=True,
            help="pieces: few work-items and vectors; groups: lanes that share rows; auto: pieces on a CPU",
        ),
        Option(
            "opencl.float64",
            str,
            "error",
            choices=("error", "float32"),
            affects_code=True,
            help="what to do with float64 on a device that lacks it: refuse, or compute in float32",
        ),
        Option(
            "opencl.products",
            str,
            "auto",
            choices=("auto", "blas", "clblast", "kernels"),
            affects_code=True,
            help="what multiplies matrices: SciPy's BLAS (on CPUs), CLBlast, or kernels; auto: the best there is",
        ),
        Option(
            "opencl.zero_copy",
            bool,
            True,
            affects_code=True,
            help="a CPU that shares the host's memory uses arrays where they lie; False: they are copied, as for a GPU",
        ),
        Option(
            "opencl.launcher",
            bool,
            True,
            help="queue calls whose results stay on the device by C, where it was built; else by Python",
        ),
        Option(
            "opencl.deterministic",
            bool,
            False,
            affects_code=True,
            help="scatters add in the order of the program instead of atomically, so every run gives the same bits",
        ),
    ]
