"""LAPACK and SciPy for the ops' ``compute``, imported when a matrix is first computed: scipy.linalg takes a while."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from plugin_ops_linalg.errors import LinAlgError


@cache
def _routine(name: str, dtype: str) -> Any:
    from scipy.linalg.lapack import get_lapack_funcs

    (found,) = get_lapack_funcs((name,), dtype=np.dtype(dtype))
    return found


def routine(name: str, x: np.ndarray) -> Any:
    """The LAPACK routine of this name, without its first letter, for the dtype of ``x``."""
    return _routine(name, x.dtype.name)


def scipy_linalg() -> Any:
    """The module scipy.linalg."""
    import scipy.linalg

    return scipy.linalg


def require(name: str, info: int, why: str = "") -> None:
    """Errors: LinAlgError when LAPACK's ``info`` is not 0: ``why``, in which {info} is the number that it gives."""
    if info > 0:
        raise LinAlgError(why.format(info=info) if why else f"{name} did not converge (info {info})")
    if info < 0:
        raise LinAlgError(f"argument {-info} of {name} is not what it takes")
