"""Functions of matrices against SciPy, and their derivatives."""

import numpy as np
import pytest
import scipy.linalg

import core
import plugin_ops_linalg as linalg
from core.testing import check_derivatives, check_shapes, evaluate

SHAPES = [(0, 0), (1, 1), (4, 4), (2, 3, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["expm", "logm", "sqrtm"])
def test_values_are_scipys(agree, make, backend, dtype, tol, shape, name):
    a = make.positive(*shape, dtype=dtype)
    reference = getattr(scipy.linalg, name)

    def plain(a):
        found = reference(a) if a.size else a
        return np.asarray(found if dtype.startswith("complex") else found.real, dtype)

    agree(getattr(linalg, name), plain, a, backend=backend, tol=10 * tol)


def test_expm_of_a_general_matrix(agree, make):
    agree(linalg.expm, scipy.linalg.expm, make.general(4, 4))


@pytest.mark.parametrize("name", ["expm", "logm", "sqrtm"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 3, 3)])
def test_derivatives(make, name, shape):
    a = make.general(*shape) if name == "expm" else make.positive(*shape) + np.triu(make.general(*shape), 1) / 4
    check_derivatives(getattr(linalg, name), a, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["expm", "logm", "sqrtm"])
def test_derivatives_of_complex_matrices(adjoint_holds, make, name):
    adjoint_holds(getattr(linalg, name), make.positive(3, 3, dtype="complex128"))


def test_second_derivatives(make):
    check_derivatives(lambda a: core.grad(linalg.expm(a).sum(), a), make.general(2, 2), rtol=1e-5)


@pytest.mark.parametrize("name, what", [("sqrtm", "square root"), ("logm", "logarithm")])
def test_a_complex_result_of_a_real_matrix_is_an_error(name, what):
    with pytest.raises(linalg.LinAlgError, match=f"the {what} of this real matrix is complex"):
        evaluate(getattr(linalg, name), -np.eye(2))
    assert np.iscomplexobj(evaluate(getattr(linalg, name), -np.eye(2).astype("complex128")))


def test_matrices_without_logarithm_or_root():
    with pytest.raises(linalg.LinAlgError, match="singular and has no logarithm"):
        evaluate(linalg.logm, np.zeros((2, 2)))
    with pytest.raises(linalg.LinAlgError, match="has no square root"):
        evaluate(linalg.sqrtm, np.array([[0.0, 1.0], [0.0, 0.0]]))


def test_shapes_are_inferred(make):
    check_shapes(linalg.expm, make.general(2, 3, 3))
