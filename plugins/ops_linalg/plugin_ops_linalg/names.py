"""Every function of the pack: names and arguments are those of numpy.linalg and scipy.linalg."""

from core.tensor import matmul, tensordot, vecdot
from plugin_ops_linalg.errors import LinAlgError
from plugin_ops_linalg.families.assembled import block_diag, circulant, kron, toeplitz
from plugin_ops_linalg.families.assumptions import assume
from plugin_ops_linalg.families.banded import solve_banded
from plugin_ops_linalg.families.cholesky import cho_factor, cho_solve, cholesky
from plugin_ops_linalg.families.determinant import adjugate, det, inv, slogdet
from plugin_ops_linalg.families.eigen import eig, eigh, eigvals, eigvalsh
from plugin_ops_linalg.families.equations import (
    solve_continuous_lyapunov,
    solve_discrete_are,
    solve_discrete_lyapunov,
    solve_sylvester,
)
from plugin_ops_linalg.families.functions import expm, logm, sqrtm
from plugin_ops_linalg.families.householder import householder_product
from plugin_ops_linalg.families.lu import lu, lu_factor, lu_solve, pivot_to_permutation
from plugin_ops_linalg.families.norms import cond, matrix_norm, matrix_rank, norm, null_space, trace, vector_norm
from plugin_ops_linalg.families.products import (
    cross,
    matrix_dot,
    matrix_power,
    multi_dot,
    outer,
    tensorinv,
    tensorsolve,
)
from plugin_ops_linalg.families.pseudoinverse import lstsq, pinv
from plugin_ops_linalg.families.qr import qr
from plugin_ops_linalg.families.qz import ordqz, qz
from plugin_ops_linalg.families.schur import schur
from plugin_ops_linalg.families.shifts import solve_circulant, solve_toeplitz
from plugin_ops_linalg.families.solve import solve
from plugin_ops_linalg.families.svd import svd, svdvals
from plugin_ops_linalg.families.triangular import solve_triangular
from plugin_ops_linalg.matrices import matrix_transpose

__all__ = [
    "LinAlgError",
    "adjugate",
    "assume",
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "circulant",
    "cond",
    "cross",
    "det",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "expm",
    "householder_product",
    "inv",
    "kron",
    "logm",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_solve",
    "matmul",
    "matrix_dot",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "null_space",
    "ordqz",
    "outer",
    "pinv",
    "pivot_to_permutation",
    "qr",
    "qz",
    "schur",
    "slogdet",
    "solve",
    "solve_banded",
    "solve_circulant",
    "solve_continuous_lyapunov",
    "solve_discrete_are",
    "solve_discrete_lyapunov",
    "solve_sylvester",
    "solve_toeplitz",
    "solve_triangular",
    "sqrtm",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "toeplitz",
    "trace",
    "vecdot",
    "vector_norm",
]
