"""Products of vectors, matrices and stacks of them, against NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core.tensor as ct
from core.errors import AxisError, ShapeError
from core.ir.library import LibraryCall
from core.testing import available_backends, check_derivatives, check_op, evaluate, random

FLAT = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
    ((1, 1), (1, 1)),
]
STACKED = [
    *[((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 2, 3), (1, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((3,), (5, 3, 4))],
    *[
        ((5, 2, 3), (3,)),
        ((2, 1, 2, 3), (4, 3, 2)),
        ((2, 1, 1), (1, 1, 2)),
        ((0, 2, 3), (3, 2)),
        ((5, 2, 3), (5, 3, 2)),
    ],
]


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("x_shape, y_shape", FLAT + STACKED)
def test_matmul_matches_numpy(backend, x_shape, y_shape):
    x, y = random(x_shape), random(y_shape, seed=1)
    for static in (False, True):
        got = evaluate(ct.matmul, x, y, backend=backend, static=static)
        assert_allclose(got, x @ y, rtol=1e-12, atol=1e-12, strict=True)


@pytest.mark.parametrize("x_shape, y_shape", FLAT + STACKED)
def test_matmul_keeps_the_contract(x_shape, y_shape):
    check_op(ct.matmul, random(x_shape), random(y_shape, seed=1), backends=())


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32", "complex64", "complex128"])
@pytest.mark.parametrize("x_shape", [(2, 3), (5, 2, 3)])
def test_matmul_has_the_dtype_of_numpy(x_shape, dtype):
    x, y = random(x_shape, dtype, low=-3, high=3), random((3, 4), dtype, seed=1, low=-3, high=3)
    tolerance = 1e-2 if dtype == "float16" else 1e-5
    assert_allclose(evaluate(ct.matmul, x, y), x @ y, rtol=tolerance, atol=tolerance, strict=True)
    check_op(ct.matmul, x, y, derivatives=False, backends=())


def test_operands_of_two_dtypes_are_promoted_and_get_gradients_of_their_own():
    x, y = random((2, 3), "float32"), random((3, 4), "int64", low=-3, high=3)
    assert evaluate(ct.matmul, x, y).dtype == "float64"
    g = ct.fmatrix("g")
    x, y = ct.fmatrix("x"), ct.matrix("y")
    gx, gy = ct.Dot().grad([x, y], [g.astype("float64")])
    assert (gx.dtype, gy.dtype) == ("float32", "float64")


def test_matmul_of_second_derivatives():
    check_derivatives(lambda x, y: ct.Dot().grad([x, y], [x @ y]), random((2, 3)), random((3, 4)))


@pytest.mark.parametrize(
    "x_shape, y_shape", [*FLAT, ((), (3,)), ((2, 3, 4), (5, 4, 2)), ((2, 3), (5, 3, 4)), ((2, 3, 4), (4,))]
)
def test_dot_matches_numpy(x_shape, y_shape):
    x, y = random(x_shape), random(y_shape, seed=1)
    assert_allclose(evaluate(ct.dot, x, y), np.dot(x, y), rtol=1e-12, atol=1e-12)
    check_op(ct.dot, x, y, backends=())


@pytest.mark.parametrize(
    "x_shape, y_shape, axes",
    [
        ((2, 3, 4), (3, 4, 5), 2),
        ((2,), (3, 4), 0),
        ((2, 3), (3,), 1),
        ((2, 3, 4), (4, 2), ([0, 2], [1, 0])),
        ((2, 3), (4, 3), (1, -1)),
        ((2, 3), (2, 3), 2),
        ((2, 0), (0, 3), 1),
    ],
)
def test_tensordot_matches_numpy(x_shape, y_shape, axes):
    x, y = random(x_shape), random(y_shape, seed=1)
    assert_allclose(
        evaluate(lambda x, y: ct.tensordot(x, y, axes), x, y), np.tensordot(x, y, axes), rtol=1e-12, atol=1e-12
    )
    check_op(lambda x, y: ct.tensordot(x, y, axes), x, y, backends=())


@pytest.mark.parametrize(
    "function, expected, x_shape, y_shape",
    [
        (ct.inner, np.inner, (2, 3), (4, 3)),
        (ct.inner, np.inner, (3,), (3,)),
        (ct.inner, np.inner, (), (3,)),
        (ct.outer, np.outer, (2, 3), (4,)),
        (ct.outer, np.outer, (0,), (4,)),
        (ct.vdot, np.vdot, (2, 3), (2, 3)),
        (ct.vecdot, np.vecdot, (2, 3), (3,)),
        (lambda x, y: ct.vecdot(x, y, 0), lambda x, y: np.vecdot(x, y, axis=0), (3, 2), (3, 2)),
        (ct.batched_dot, lambda x, y: np.einsum("bij,bjk->bik", x, y), (2, 3, 4), (2, 4, 5)),
        (ct.batched_dot, lambda x, y: np.einsum("bj,bjk->bk", x, y), (2, 4), (2, 4, 5)),
        (ct.batched_dot, lambda x, y: np.einsum("bij,bj->bi", x, y), (2, 3, 4), (2, 4)),
        (ct.batched_dot, lambda x, y: np.einsum("bj,bj->b", x, y), (2, 4), (2, 4)),
    ],
)
def test_other_products_match_numpy(function, expected, x_shape, y_shape):
    x, y = random(x_shape), random(y_shape, seed=1)
    assert_allclose(evaluate(function, x, y), expected(x, y), rtol=1e-12, atol=1e-12)
    check_op(function, x, y, backends=())


@pytest.mark.parametrize("function, expected", [(ct.vdot, np.vdot), (ct.vecdot, np.vecdot)])
def test_scalar_products_conjugate_the_first_operand(function, expected):
    x, y = random((4,), "complex128"), random((4,), "complex128", seed=1)
    assert_allclose(evaluate(function, x, y), expected(x, y), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "name, x_ndim, y_ndim, rest",
    [
        ("gemm", 2, 2, {"same": (((0, -1), (1, -2)),)}),
        ("gemv", 2, 1, {"same": (((0, -1), (1, -1)),), "stored": (0,)}),
        ("gemv", 1, 2, {"same": (((0, -1), (1, -2)),), "stored": (1,)}),
        ("gemm", 3, 2, {"same": (((0, -1), (1, -2)),), "batch": 1, "ranks": (2, 2)}),
    ],
)
def test_products_of_one_float_dtype_are_a_library_call(dtype, name, x_ndim, y_ndim, rest):
    x, y = (ct.tensor(letter, dtype=dtype, ndim=ndim) for letter, ndim in (("x", x_ndim), ("y", y_ndim)))
    node = (x @ y).owner
    assert node.op.library_call(node) == LibraryCall(name, **rest)


def test_other_products_are_not_a_library_call():
    for x, y in ((ct.vector(), ct.vector()), (ct.imatrix(), ct.imatrix()), (ct.matrix(), ct.fmatrix())):
        node = ct.Dot()(x, y).owner
        assert node.op.library_call(node) is None


def test_products_count_their_operations():
    assert ct.Dot().flops([(2, 3), (3, 4)], [(2, 4)]) == 48
    assert ct.MatMul().flops([(5, 2, 3), (3, 4)], [(5, 2, 4)]) == 240


# --- errors --------------------------------------------------------------------------------------------------------


def of(*shape, name="x"):
    return ct.tensor(name, dtype="float64", shape=shape)


@pytest.mark.parametrize(
    "build, text",
    [
        (
            lambda: of(None, 3) @ of(4, 2, name="y"),
            r"Dot cannot multiply x with shape \(\?, 3\) and y with shape \(4, 2\): 3 is not 4\n  y was made at",
        ),
        (
            lambda: of(5, 2, 3) @ of(5, 4, 2, name="y"),
            r"MatMul cannot multiply x with shape \(5, 2, 3\) and y .*: 3 is not 4",
        ),
        (lambda: of(5, 2, 3) @ of(4, 3, 2, name="y"), "MatMul cannot broadcast the leading axes of x with shape"),
        (lambda: of() @ of(3), r"matmul needs ndim >= 1, but x has ndim=0; use \*"),
        (lambda: ct.Dot()(of(2, 2, 2), of(2)), "Dot needs ndim 1 or 2, but x has ndim=3"),
        (lambda: ct.MatMul()(of(2), of(2, 2)), "MatMul needs ndim >= 2, but x has ndim=1"),
        (lambda: ct.tensordot(of(2), of(2), 2), "tensordot needs 0 <= axes <= 1 for x and x, got 2"),
        (lambda: ct.tensordot(of(2), of(2), ([0], [0, 0])), "tensordot needs as many axes of x as of x"),
        (lambda: ct.tensordot(of(2, 2), of(2, 2), ([0, 0], [0, 1])), "tensordot got an axis of x twice"),
        (
            lambda: ct.tensordot(of(2, 3), of(3, 2), 2),
            r"tensordot cannot sum axis 0 of x with shape \(2, 3\) with axis 0",
        ),
        (lambda: ct.batched_dot(of(2), of(2, 2)), "batched_dot needs ndim 2 or 3, but x has ndim=1"),
    ],
)
def test_operands_that_do_not_fit_are_an_error_when_the_graph_is_built(build, text):
    with pytest.raises(ShapeError, match=text):
        build()


def test_tensordot_rejects_an_axis_its_input_lacks():
    with pytest.raises(AxisError, match="tensordot needs -2 <= axis < 2, because x has ndim=2"):
        ct.tensordot(of(2, 3), of(3, 2), (2, 0))


@pytest.mark.parametrize(
    "x_shape, y_shape, text",
    [
        ((2, 3), (4, 2), r"Dot cannot multiply shapes \(2, 3\) and \(4, 2\): 3 is not 4"),
        ((5, 2, 3), (5, 4, 2), r"MatMul cannot multiply shapes \(5, 2, 3\) and \(5, 4, 2\)"),
    ],
)
def test_operands_that_do_not_fit_are_an_error_when_it_runs(x_shape, y_shape, text):
    with pytest.raises(ShapeError, match=text):
        evaluate(ct.matmul, random(x_shape), random(y_shape))


@pytest.mark.parametrize("backend", available_backends())
def test_tensordot_compares_each_pair_of_lengths_when_it_runs(backend):
    with pytest.raises(ShapeError):
        evaluate(lambda x, y: ct.tensordot(x, y, 2), random((2, 3)), random((3, 2)), backend=backend)
