"""Linear algebra for core: ops, their derivatives, and rewrites that use structure.

Only what plugins must say is here.  The functions, ``plugin_ops_linalg.cholesky`` or ``core.ops.linalg.cholesky``, are
those of plugin_ops_linalg/names.py, imported when the first of them is used.
"""

from core.lazy import lazy_names
from core.markers import hookimpl
from core.records import Library, OpPack, Option, Rewrite


@hookimpl
def ops() -> list[OpPack]:
    return [OpPack("linalg", "plugin_ops_linalg.names", help="decompositions, solvers and functions of matrices")]


@hookimpl
def rewrites() -> list[Rewrite]:
    return [
        Rewrite("linalg", stage, fn=f"plugin_ops_linalg.rules:{stage}", about="plugin_ops_linalg.batched")
        for stage in ("stabilize", "specialize", "fuse")
    ]


@hookimpl
def libraries() -> list[Library]:
    systems = ("gesv", "sysv", "hesv", "gtsv", "gbsv", "trtrs", "potrs", "getrs", "toeplitz", "circulant")
    factors = ("potrf", "potri", "getrf", "lu_inverse", "getri", "determinant", "geqrf", "geqrf_complete", "geqp3")
    spectra = ("gesdd", "syevd", "geev", "gees", "gges", "schur_turn", "qz_turn")
    functions = ("expm", "logm", "sqrtm", "sylvester", "discrete_lyapunov", "riccati")
    every = (*systems, *factors, *spectra, *functions)
    provided = (*every, *(f"{name}_complex" for name in every), "potrf_gradient")
    return [Library("scipy-lapack", dialect="c", provides=provided, ref="plugin_ops_linalg.compiled.routines:ROUTINES")]


@hookimpl
def options() -> list[Option]:
    text = "what a matrix that fails gives (singular, not positive definite): an error, or NaN in its place"
    return [Option("linalg.on_error", str, "raise", choices=("raise", "nan"), help=text)]


__getattr__, __dir__ = lazy_names(__name__)
