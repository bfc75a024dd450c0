"""Running sums and products, against NumPy; their loops, run by the oracle of the IR."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.errors import AxisError, DTypeError, ShapeError
from core.graph import toposort
from core.ir.builder import Buffer, KernelBuilder
from core.ir.check.oracle import run_kernel
from core.ir.expr import const
from core.ir.nodes import Kernel
from core.testing import available_backends, check_derivatives, check_op, evaluate, random
from core.testing.values import as_list, symbolic

SHAPES = [((5,), 0), ((3, 4), -1), ((3, 4), 0), ((2, 3, 4), 1), ((0, 4), 1), ((4, 0), 1), ((1,), 0)]
BOTH = [(ct.cumsum, np.cumsum), (ct.cumprod, np.cumprod)]


def from_end(function, x, axis, reverse):
    return np.flip(function(np.flip(x, axis), axis), axis) if reverse else function(x, axis)


def np_recurrence(a, b, axis, reverse):
    a, b = (np.moveaxis(np.flip(z, axis) if reverse else z, axis, 0) for z in (a, b))
    out = b.copy()
    for i in range(1, len(out)):
        out[i] += a[i] * out[i - 1]
    out = np.moveaxis(out, 0, axis)
    return np.flip(out, axis) if reverse else out


def run_loops(op, *arrays):
    """What the op's own loops compute."""
    node = op.make_node(*symbolic([np.asarray(array) for array in arrays]))
    shape = node.op.shapes(None, node, [array.shape for array in arrays])[0]
    values = {f"x{k}": np.ascontiguousarray(array) for k, array in enumerate(arrays)}
    values["y"] = np.zeros(shape, node.out.dtype)
    k = KernelBuilder()
    buffers = [Buffer(k, n, v.dtype.name, [const(m) for m in v.shape], written=n == "y") for n, v in values.items()]
    node.op.kernel(k, *buffers)
    run_kernel(Kernel("k", [n for n in values if n != "y"], ["y"], k.body), values)
    return values["y"]


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("function, expected", BOTH)
@pytest.mark.parametrize("shape, axis", SHAPES)
def test_running_sums_and_products_match_numpy(backend, function, expected, shape, axis, reverse):
    x = random(shape)
    got = evaluate(lambda x: function(x, axis, reverse=reverse), x, backend=backend)
    assert_allclose(got, from_end(expected, x, axis, reverse), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("function", [ct.cumsum, ct.cumprod])
@pytest.mark.parametrize("shape, axis", SHAPES)
def test_running_sums_and_products_keep_the_contract(function, shape, axis, reverse):
    check_op(lambda x: function(x, axis, reverse=reverse), random(shape), backends=())


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("op, expected", [(ct.CumSum, np.cumsum), (ct.CumProd, np.cumprod)])
@pytest.mark.parametrize("shape, axis", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "int8"])
def test_the_loops_agree_with_numpy(op, expected, shape, axis, reverse, dtype):
    x = random(shape, dtype, low=-100, high=100)
    got = run_loops(op(axis, reverse), x)
    assert_allclose(got, from_end(expected, x, axis, reverse), rtol=1e-12, atol=1e-12, strict=True)


@pytest.mark.parametrize("function, expected", BOTH)
def test_without_an_axis_the_elements_are_flattened(function, expected):
    x = random((3, 4))
    assert_allclose(evaluate(function, x), expected(x), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32", "complex64"])
@pytest.mark.parametrize("function, expected", BOTH)
def test_the_dtype_is_that_of_numpy(function, expected, dtype):
    x = random((4,), dtype, low=-50, high=50)
    assert_allclose(evaluate(lambda x: function(x, 0), x), expected(x, 0), rtol=1e-5, strict=True)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("zeros", [[0], [3], [0, 3], [4]])
def test_the_gradient_of_a_running_product_is_right_where_factors_are_0(zeros, reverse):
    x = random((5,))
    x[zeros] = 0
    check_derivatives(lambda x: ct.cumprod(x, 0, reverse=reverse), x)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_running_product_has_second_derivatives(reverse):
    x = random((4,))
    x[1] = 0
    check_derivatives(lambda x: ct.CumProd(0, reverse).grad([x], [x * x]), x)


# --- Recurrence ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shape, axis", SHAPES)
def test_a_recurrence_matches_its_definition(shape, axis, reverse):
    a, b = random(shape), random(shape, seed=1)
    expected = np_recurrence(a, b, axis, reverse)
    assert_allclose(evaluate(ct.Recurrence(axis, reverse), a, b), expected, rtol=1e-12, atol=1e-12)
    assert_allclose(run_loops(ct.Recurrence(axis, reverse), a, b), expected, rtol=1e-12, atol=1e-12)
    check_op(ct.Recurrence(axis, reverse), a, b, backends=())


def test_a_recurrence_never_reads_its_first_factor():
    a, b = np.array([np.inf, 2.0]), np.array([1.0, 1.0])
    assert_array_equal(evaluate(ct.Recurrence(0), a, b), [1, 3])
    assert_array_equal(run_loops(ct.Recurrence(0), a, b), [1, 3])


def test_the_gradient_of_a_running_sum_is_one_op():
    x, g = ct.matrix("x"), ct.matrix("g")
    (gradient,) = ct.CumSum(1).grad([x], [g])
    assert [node.op for node in toposort(as_list(gradient))] == [ct.CumSum(1, True)]


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [ct.CumSum, ct.CumProd])
def test_cumulative_ops_reject_an_axis_their_input_lacks(op):
    with pytest.raises(AxisError, match=r"\(axis=2, reverse=False\) needs -2 <= axis < 2, because x has ndim=2"):
        op(2)(ct.matrix("x"))


def test_a_recurrence_rejects_operands_that_differ():
    with pytest.raises(DTypeError, match="needs operands of one dtype, got a of float64 and b of float32"):
        ct.Recurrence(0)(ct.vector("a"), ct.fvector("b"))
    with pytest.raises(ShapeError, match=r"needs operands of one shape, got a of .* and b of"):
        ct.Recurrence(0)(ct.vector("a"), ct.matrix("b"))
    with pytest.raises(ShapeError, match=r"needs operands of one shape, got \(2,\) and \(3,\)"):
        evaluate(ct.Recurrence(0), random((2,)), random((3,)))
    with pytest.raises(AxisError, match="needs -1 <= axis < 1"):
        ct.Recurrence(1)(ct.vector("a"), ct.vector("b"))
