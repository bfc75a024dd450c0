"""The CUDA backend: programs become kernels for NVIDIA GPUs, with products on cuBLAS.

Only what plugins must say is here; nothing heavy is imported, and no driver is touched.
"""

from core.markers import hookimpl
from core.records import Backend, Library, Option


@hookimpl
def backends() -> list[Backend]:
    # below "c": who wants the GPU says so, and a small function is not sent over the bus by surprise
    return [Backend("cuda", dialect="cuda", ref="plugin_backend_cuda.backend:driver", priority=40)]


@hookimpl
def libraries() -> list[Library]:
    place = "plugin_backend_cuda"
    products = ("gemm", "complex_gemm", "gemm_add")
    transforms = ("fourier", "fourier_of_real", "fourier_to_real")
    systems = ("trtrs", "potrs", "potri", "gesv", "sysv", "hesv", "gtsv", "gbsv", "getri", "getrs", "lu_inverse")
    factors = ("potrf", "getrf", "determinant", "syevd", "gesdd", "geqrf", "geqrf_complete")
    solved = ("potrf_gradient", *systems, *factors, *(f"{name}_complex" for name in systems + factors))
    return [
        Library("cublas", "cuda", products, ref=f"{place}.cublas:routines", probe=f"{place}.cublas:probe"),
        Library(
            "cublas-convolution",
            "cuda",
            ("convolution", "convolution_transposed", "convolution_filters"),
            ref=f"{place}.convolutions:ROUTINES",
            probe=f"{place}.cublas:probe",
            when=f"{place}.convolutions:serves",
        ),
        Library("cusolver", "cuda", solved, ref=f"{place}.decompositions:ROUTINES", probe=f"{place}.cusolver:probe"),
        Library(
            "cusolver-general",
            "cuda",
            ("geev", "geev_complex"),
            ref=f"{place}.decompositions:GENERAL",
            probe=f"{place}.cusolver:probe_general",
        ),
        Library("cufft", "cuda", transforms, ref=f"{place}.fourier:ROUTINES", probe=f"{place}.cufft:probe"),
    ]


@hookimpl
def options() -> list[Option]:
    return [
        Option(
            "cuda.products", str, "float32", choices=("float32", "tf32", "bf16"), help="how products of float32 round"
        ),
        Option("cuda.deterministic", bool, False, affects_code=True, help="scatter adds in order, not with atomics"),
        Option("cuda.launcher", bool, True, help="queue calls whose results stay on the GPU by C, where it was built"),
        Option("cuda.graphs", bool, True, help="repeated calls with the same shapes replay a CUDA graph"),
    ]
