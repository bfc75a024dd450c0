"""QR factors: what they are, and their derivatives."""

import numpy as np
import pytest
import scipy.linalg

import core
import core.tensor as ct
import plugin_ops_linalg as linalg
from core.errors import ArgumentError, NullGradientError
from core.testing import check_derivatives, check_shapes, evaluate

SHAPES = [(0, 0), (3, 0), (0, 3), (1, 1), (4, 4), (5, 3), (3, 5), (2, 4, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_factors_are_numpys(agree, make, backend, dtype, tol, shape, mode):
    agree(
        lambda a: linalg.qr(a, mode),
        lambda a: tuple(np.linalg.qr(a, mode)),
        make.general(*shape, dtype=dtype),
        backend=backend,
        tol=tol,
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_r_alone_is_numpys(agree, make, shape):
    agree(lambda a: linalg.qr(a, "r"), lambda a: np.linalg.qr(a, "r"), make.general(*shape))


@pytest.mark.parametrize("names", [("economic", "reduced"), ("full", "complete")])
def test_scipys_modes_are_known(make, names):
    a = make.general(4, 2)
    for mine, theirs in zip(*(evaluate(lambda a, m=name: linalg.qr(a, m), a) for name in names), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("mode", ["economic", "full"])
def test_columns_can_be_exchanged(agree, make, mode):
    agree(
        lambda a: linalg.qr(a, mode, pivoting=True),
        lambda a: scipy.linalg.qr(a, mode=mode, pivoting=True),
        make.general(2, 4, 3),
    )


@pytest.mark.parametrize("shape", SHAPES[3:])
def test_derivatives(make, shape):
    check_derivatives(linalg.qr, make.general(*shape), rtol=1e-5)
    check_derivatives(lambda a: linalg.qr(a, "r"), make.general(*shape), rtol=1e-5)
    check_derivatives(lambda a: linalg.qr(a)[0], make.general(*shape), rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 4, 3)])
@pytest.mark.parametrize("mode", ["reduced", "r"])
def test_derivatives_with_exchanged_columns(make, shape, mode):
    check_derivatives(lambda a: linalg.qr(a, mode, pivoting=True)[:-1], make.general(*shape), rtol=1e-5)


def test_derivatives_of_a_square_complete_q(make):
    check_derivatives(lambda a: linalg.qr(a, "complete"), make.general(3, 3), static=True, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
def test_derivatives_of_complex_factors(adjoint_holds, make, shape):
    adjoint_holds(linalg.qr, make.general(*shape, dtype="complex128"))


def test_the_free_columns_of_a_complete_q_have_no_gradient():
    a = ct.matrix("a")
    with pytest.raises(NullGradientError, match="last columns of a complete Q are free"):
        core.grad(linalg.qr(a, "complete")[0].sum(), a)


def test_shapes_are_inferred(make):
    for mode in ("reduced", "complete", "r"):
        for shape in ((2, 3, 3), (3, 4), (4, 3)):
            check_shapes(lambda a, m=mode: linalg.qr(a, m), make.general(*shape))


def test_modes_that_are_not_known_are_an_error():
    with pytest.raises(ArgumentError, match="qr needs mode from 'reduced', .* got 'thin'"):
        linalg.qr(ct.matrix(), "thin")
