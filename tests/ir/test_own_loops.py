"""An op's own loops compute what they ask for once, instead of reading it from memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.ir.check.run import Driver
from core.ir.expr import const
from core.testing import available_backends, evaluate, random

x, y, a, z = ct.matrix("x"), ct.matrix("y"), ct.vector("a"), ct.zmatrix("z")
half = ct.tensor("half", dtype="float16", shape=(None, None))
at = ct.lvector("at")


def test_what_is_cheap_is_computed_in_a_running_sum(compiled, kernels):
    f = compiled([x, y], ct.cumsum(x * y + 1, axis=1))
    assert len(kernels(f)) == 1
    values, others = random((3, 5)), random((3, 5), seed=1)
    assert_allclose(f(values, others), np.cumsum(values * others + 1, axis=1))


def test_both_operands_of_a_recurrence_are_computed_in_it(compiled, kernels):
    assert len(kernels(compiled([x, y], ct.Recurrence(1)(x * 2, y - x)))) == 1


def test_what_is_costly_or_has_branches_has_loops_of_its_own(compiled, kernels):
    assert len(kernels(compiled([x], ct.cumsum(ct.exp(x), axis=1)))) == 2
    assert len(kernels(compiled([x, a], ct.cumsum(ct.concatenate([x[0], a]), axis=0)))) == 2


def test_what_is_wanted_too_is_read_from_memory(compiled, kernels):
    f = compiled([x], [ct.cumsum(x * x, axis=1), x * x])
    assert len(kernels(f)) == 2
    values = random((3, 4))
    assert_allclose(f(values)[0], np.cumsum(values**2, axis=1))


def test_an_index_that_is_out_of_range_is_found_before_the_loops(compiled):
    f = compiled([a, at], ct.cumsum(a[at] * 2))
    assert_allclose(f([1.0, 2.0], [1, -2, 1]), [4, 6, 10])
    with pytest.raises(core.errors.IndexOutOfBounds):
        f([1.0, 2.0], [0, 2])


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("shape", [(3, 5), (1, 5), (3, 1), (1, 1), (0, 4), (4, 0)])
@pytest.mark.parametrize("axis", [0, 1])
def test_running_sums_and_products_of_computed_elements_are_those_of_numpy(backend, shape, axis):
    def both(x, row):
        shifted = x - x.mean(axis=1, keepdims=True) if shape[1] else x - row
        return [
            ct.cumsum(shifted * 2, axis),
            ct.cumprod((x * row).T, axis),
            ct.CumSum(axis, True)(x > row),
            ct.cumsum(ct.ones_like(x), axis),
            ct.cumsum(ct.flip(x, axis), axis),
        ]

    values, row = random(shape), random(shape[1:], seed=1)
    mean = values.mean(axis=1, keepdims=True) if shape[1] else row
    expected = [
        np.cumsum((values - mean) * 2, axis),
        np.cumprod((values * row).T, axis),
        np.flip(np.cumsum(np.flip(values > row, axis), axis), axis),
        np.cumsum(np.ones_like(values), axis),
        np.cumsum(np.flip(values, axis), axis),
    ]
    for got, wanted in zip(evaluate(both, values, row, backend=backend), expected, strict=True):
        assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


def test_complex_numbers_and_halves_are_computed_before(compiled):
    values, small = random((3, 4)) + 1j * random((3, 4), seed=1), random((3, 4), "float16")
    assert_allclose(compiled([z], ct.cumsum(z * z, axis=1))(values), np.cumsum(values**2, axis=1))
    assert_allclose(compiled([z], ct.cumsum(ct.real(z * z), axis=1))(values), np.cumsum((values**2).real, axis=1))
    assert_array_equal(compiled([half], ct.cumprod(half * half, axis=1))(small), np.cumprod(small * small, axis=1))


class Reversed(core.Op):
    """One more than what stands as far from the other end."""

    __props__ = ()

    def make_node(self, x):
        return core.Apply(self, [x], [x.type()])

    def infer_shape(self, node, input_shapes):
        return input_shapes

    def kernel(self, k, x, y):
        (n,) = x.shape
        with k.grid([n]) as (i,):
            y[i] = x[n - 1 - i] + const(1.0, x.dtype)


class ReversedAtOnce(Reversed):
    reads_once = (0,)


@pytest.mark.parametrize("op, count", [(Reversed, 2), (ReversedAtOnce, 1)])
def test_an_op_says_what_its_kernel_asks_for_once_at_any_place(compiled, kernels, op, count):
    f = compiled([a], op()(a * a))
    assert len(kernels(f)) == count
    assert_allclose(f([1.0, 2.0, 3.0]), [10, 5, 2])


steps = st.sampled_from(["add", "multiply", "flip", "transpose", "cumsum", "cumprod", "row", "center", "gather"])


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(steps, min_size=1, max_size=7), st.integers(1, 4), st.integers(1, 4), st.integers(0, 9))
def test_chains_of_running_sums_and_elementwise_work_are_those_of_numpy(chain, rows, columns, seed):
    start = random((rows, columns), seed=seed)

    def follow(value, lib):
        kept = []
        for k, step in enumerate(chain):
            if step == "add":
                value = value + k
            elif step == "multiply":
                value = value * value * 0.5
            elif step == "flip":
                value = value[:, ::-1]
            elif step == "transpose":
                value = value.T
            elif step == "row":
                value = value - value[:1]
            elif step == "center":
                value = value - value.mean(axis=1, keepdims=True)
            elif step == "gather":
                value = value[lib.arange(value.shape[0]) // 2]
            else:
                value = getattr(lib, step)(value, axis=k % 2)
                kept.append(value)
        return [*kept, value]

    got = evaluate(lambda x: follow(x, ct), start, backend=Driver("ir"))
    for mine, wanted in zip(got, follow(start, np), strict=True):
        assert_allclose(mine, wanted, rtol=1e-9, atol=1e-9)
