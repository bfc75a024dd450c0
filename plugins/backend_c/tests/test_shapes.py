"""Lengths that are known only when a function is called: broadcasting, errors, sizes that no machine has."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import ShapeError


def compiled(inputs, outputs, **named):
    return core.function(inputs, outputs, backend="c", **named)


SHAPES = [((3, 4), (3, 4)), ((1, 4), (3, 4)), ((3, 4), (3, 1)), ((1, 1), (3, 4)), ((3, 1), (1, 4)), ((1, 1), (1, 1))]


def test_lengths_that_turn_out_to_be_one_broadcast_in_any_order_of_calls():
    x, y = ct.dmatrix("x"), ct.dmatrix("y")
    f = compiled([x, y], [x + 2 * y, (x * y).sum(axis=0), ct.maximum(x, y).max()])
    for first, second in [
        *itertools.product(SHAPES, [((3, 4), (3, 4)), ((3, 1), (1, 4))]),
        *zip(SHAPES, SHAPES[::-1], strict=True),
    ]:
        for shapes in (first, second):
            a, b = (np.arange(float(np.prod(s))).reshape(s) - 1.5 for s in shapes)
            for got, want in zip(f(a, b), [a + 2 * b, (a * b).sum(axis=0), np.maximum(a, b).max()], strict=True):
                assert got.shape == np.shape(want)
                assert_allclose(got, want)


@pytest.mark.parametrize("shapes", SHAPES)
def test_the_gradient_of_a_broadcast_has_the_shape_of_its_operand(shapes):
    x, y = ct.dmatrix("x"), ct.dmatrix("y")
    f = compiled([x, y], core.grad((x * y * y).sum(), [x, y]))
    a, b = (np.arange(float(np.prod(s))).reshape(s) + 1 for s in shapes)

    def summed(full, shape):
        axes = tuple(axis for axis in range(2) if shape[axis] == 1)
        return full.sum(axis=axes, keepdims=True)

    both = np.broadcast_shapes(*shapes)
    for got, want in zip(
        f(a, b),
        [summed(np.broadcast_to(b * b, both), a.shape), summed(np.broadcast_to(2 * a * b, both), b.shape)],
        strict=True,
    ):
        assert got.shape == want.shape
        assert_allclose(got, want)


class Some(core.Op):
    """The elements that are not negative: how many, only running it tells."""

    __props__ = ()
    itypes, otypes = [core.TensorType("float64", (None,))], [core.TensorType("float64", (None,))]

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0][inputs[0] >= 0]


@pytest.mark.filterwarnings("ignore:.*Python computes it:core.errors.CoreWarning")
def test_a_length_that_python_makes_may_be_one_beside_different_lengths():
    x, y, z = ct.dvector("x"), ct.dvector("y"), ct.dvector("z")
    m = Some()(x)
    f = compiled([x, y, z], [m + y, m + z])
    for got, want in zip(
        f([1.0, -1.0], np.arange(5.0), np.arange(3.0)), [np.arange(5.0) + 1, np.arange(3.0) + 1], strict=True
    ):
        assert_array_equal(got, want)
    with pytest.raises(ShapeError, match="add cannot broadcast"):
        f([1.0, 1.0], np.arange(5.0), np.arange(3.0))


def test_a_length_of_zero_broadcasts_with_one():
    x, y = ct.dvector("x"), ct.dvector("y")
    f = compiled([x, y], [x + y, core.grad((x * y).sum(), y)])
    total, g = f(np.zeros(0), np.ones(1))
    assert total.shape == (0,) and g.shape == (1,) and g[0] == 0


def test_three_operands_broadcast_each_by_its_own():
    x, y, z = ct.dmatrix("x"), ct.dmatrix("y"), ct.dmatrix("z")
    f = compiled([x, y, z], x + y * z)
    lengths = [(3, 2), (1, 2), (1, 1)]
    for shapes in itertools.product(lengths, repeat=3):
        a, b, c = (np.arange(float(np.prod(s))).reshape(s) + k for k, s in enumerate(shapes))
        assert_array_equal(f(a, b, c), a + b * c)


def test_lengths_that_do_not_fit_name_the_op_and_both_lengths():
    x, y = ct.dvector("x"), ct.dvector("y")
    f = compiled([x, y], ct.exp(x) * y)
    with pytest.raises(ShapeError, match=r"multiply cannot broadcast .* = 3 and .* = 2(.|\n)*test_shapes.py:\d+: f = "):
        f(np.ones(3), np.ones(2))
    assert f(np.ones(2), np.ones(2)).shape == (2,)  # an error leaves nothing behind


def test_a_product_of_matrices_needs_equal_inner_lengths():
    x, y = ct.dmatrix("x"), ct.dmatrix("y")
    f = compiled([x, y], x @ y)
    for inner in [(3, 4), (1, 4), (3, 1)]:
        with pytest.raises(ShapeError, match=rf"= {inner[0]} and .* = {inner[1]}"):
            f(np.ones((2, inner[0])), np.ones((inner[1], 2)))


@pytest.mark.parametrize("reduce", [ct.max, ct.min, ct.argmax, ct.argmin])
def test_an_extreme_of_nothing_is_an_error(reduce):
    x = ct.dmatrix("x")
    f = compiled([x], reduce(x, axis=0))
    assert f(np.zeros((2, 0))).shape == (0,)
    with pytest.raises(ShapeError, match="a reduction over .* = 0 elements has no identity"):
        f(np.zeros((0, 2)))


# --- memory -----------------------------------------------------------------------------------------------------------

n, m = ct.lscalar("n"), ct.lscalar("m")


@pytest.mark.parametrize(
    "out, values, bytes_",
    [
        (ct.arange(n), (2**60, 0), 2**63),
        (ct.zeros((n,)), (2**45, 0), 2**48),
        (ct.zeros((n, m)), (2**40, 2**40), 2**83),
        (ct.zeros((n, m)), (2**32, 2**32), 2**67),
        (ct.zeros((n, m), dtype="int8"), (2**62, 2), 2**63),
        (ct.arange(n)[:, None] * ct.arange(m)[None, :], (2**40, 2**40), 2**83),
        (ct.cumsum(ct.zeros((n,)))[-3:], (2**60, 0), 2**63),
        (ct.cumsum(ct.zeros((n, m)), axis=0).sum(), (2**33, 2**33), 2**69),
        (ct.zeros((n, 3)) @ ct.zeros((3, m)), (2**40, 2**40), None),
    ],
    ids=str,
)
def test_more_memory_than_there_is_is_an_error_with_its_size(out, values, bytes_):
    f = compiled([n, m], out, on_unused_input="ignore")
    with pytest.raises(MemoryError, match=rf"needs? {bytes_ or ''}.*more than there are"):
        f(*values)
    assert f(2, 2).ndim == out.ndim  # nothing is left behind


def test_intermediate_values_that_are_each_small_enough_may_be_too_much_together():
    outs = [ct.cumsum(ct.zeros((n,)) + k)[ct.cumsum(ct.zeros((n,), dtype="int64"))[-1]] for k in range(6)]
    f = compiled([n], outs)
    with pytest.raises(MemoryError, match=r"intermediate values need \d+ bytes, more than there are"):
        f(2**44)


@pytest.mark.parametrize("values", [(-1, 3), (3, -1), (-1, -1), (-(2**40), -(2**40)), (-(2**63), 1)])
def test_negative_lengths_are_an_error(values):
    f = compiled([n, m], ct.zeros((n, m)))
    with pytest.raises(ShapeError, match="Alloc needs"):
        f(*values)


def test_empty_arrays_may_be_long_along_other_axes():
    f = compiled([n, m], ct.zeros((n, m)))
    assert f(2**40, 0).shape == (2**40, 0) and f(0, 2**40).shape == (0, 2**40)


# --- products ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, rtol", [("float32", 1e-4), ("float64", 1e-11), ("int64", 0), ("int8", 0)])
@pytest.mark.parametrize("left, right", [(False, False), (False, True), (True, False), (True, True)])
def test_products_of_matrices_in_every_layout_and_size(dtype, rtol, left, right):
    x, y = ct.tensor("m", dtype=dtype, ndim=2), ct.tensor("one", dtype=dtype, ndim=2)
    f = compiled([x, y], (x.T if left else x) @ (y.T if right else y))
    if dtype.startswith("float"):
        assert "core_product core_p" in "".join(f.sources.values())
    rng = np.random.default_rng(0)
    for rows, inner, columns in itertools.product((0, 1, 3, 65), repeat=3):
        a, b = (rng.integers(-9, 9, s).astype(dtype) for s in ((rows, inner), (inner, columns)))
        got = f(a.T if left else a, b.T if right else b)
        assert got.dtype == dtype
        assert_allclose(got, a @ b, rtol=rtol)


def test_a_product_keeps_what_is_not_finite():
    x, y = ct.dmatrix("x"), ct.dmatrix("y")
    a, b = np.array([[np.inf, 1.0], [np.nan, 2.0]]), np.array([[0.0, 1.0], [1.0, 1.0]])
    with np.errstate(invalid="ignore"):
        assert_array_equal(compiled([x, y], x @ y)(a, b), a @ b)
