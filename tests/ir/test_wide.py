"""Wide reductions: registers side by side, blocks, sums that lose nothing, searches that end early."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.ir.cpu.wide import BLOCK, FEW, SEARCHED, SHORT
from core.ir.nodes import If, LoopKind, statements
from core.testing import random

x, a, f32 = ct.matrix("x"), ct.vector("a"), ct.fvector("f32")
fmatrix, whole = ct.fmatrix("fmatrix"), ct.lvector("whole")
LENGTHS = [0, 1, FEW - 1, FEW, SHORT - 1, SHORT + 33]  # longer ones: plugins/backend_c/tests/test_reductions.py
SPECIAL = [np.nan, np.inf, -np.inf, -0.0]


@pytest.mark.parametrize("n", LENGTHS)
def test_reductions_of_every_length_are_those_of_numpy(compiled, n):
    f = compiled([a], [a.sum(), a.prod(), (a > 3).any(), (a > -3).all(), (a * a).sum()])
    values = 1 + 0.01 * random((n,), seed=n)
    expected = [values.sum(), values.prod(), (values > 3).any(), (values > -3).all(), (values * values).sum()]
    for got, wanted in zip(f(values), expected, strict=True):
        assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("n", LENGTHS[1:])
@pytest.mark.parametrize("special", SPECIAL)
def test_extremes_of_every_length_keep_nan_wherever_it_stands(compiled, n, special):
    f = compiled([a], [a.max(), a.min(), a.argmax(), a.argmin(), a.sum()])
    for at in {0, n // 2, n - 1}:
        values = random((n,), seed=n)
        values[at] = special
        expected = [values.max(), values.min(), values.argmax(), values.argmin(), values.sum()]
        for got, wanted in zip(f(values), expected, strict=True):
            assert_allclose(got, wanted, rtol=1e-11, atol=1e-12)


def test_a_float32_sum_grows_in_float32_within_a_block_and_in_float64_over_blocks(compiled, kernels, loops):
    f = compiled([f32], f32.sum())
    (kernel,) = kernels(f)
    (over_blocks,) = loops(kernel, "grid")
    assert [local.dtype for _, local in over_blocks.reductions] == ["float64"]
    assert {local.dtype for loop in loops(kernel, "simd") for _, local in loop.reductions} == {"float32"}


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16"])
def test_a_sum_of_small_integers_grows_in_int32_within_a_block_and_never_overflows(compiled, kernels, loops, dtype):
    small = ct.tensor("small", dtype=dtype, shape=(None,))
    f = compiled([small], small.sum())
    (kernel,) = kernels(f)
    assert {local.dtype for loop in loops(kernel, "simd") for _, local in loop.reductions} == {"int32"}
    largest = True if dtype == "bool" else np.iinfo(dtype).max
    for n in (0, 1, SHORT + 33, 2 * BLOCK + 1):
        values = np.full(n, largest, dtype)
        assert f(values) == values.sum() and f(values).dtype == values.sum().dtype


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64"])
def test_a_sum_of_integers_of_which_few_overflow_an_int32_has_none(compiled, kernels, loops, dtype):
    wide = ct.tensor("wide", dtype=dtype, shape=(None,))
    (kernel,) = kernels(compiled([wide], wide.sum()))
    assert {local.dtype for loop in loops(kernel) for _, local in loop.reductions} <= {"int64", "uint64"}


def test_a_float32_product_runs_in_float64(compiled):
    values = np.array([1e30, 1e30, 1e-30, 1e-30], "float32")
    assert_allclose(compiled([f32], f32.prod())(values), 1, rtol=1e-5)


def test_a_row_that_has_much_to_do_keeps_its_one_register(compiled, kernels, loops):
    (kernel,) = kernels(compiled([x], ct.exp(ct.sin(x)).sum(axis=1)))
    assert len(loops(kernel)) == 2


def test_few_elements_of_a_cheap_row_are_taken_one_by_one(compiled, kernels):
    (kernel,) = kernels(compiled([x], (x * x).sum(axis=1)))
    (choice,) = [s for s in statements(kernel.body) if isinstance(s, If) and s.orelse]
    (one_by_one,), (in_lanes,) = choice.body, choice.orelse
    assert (one_by_one.kind, one_by_one.reductions) == (LoopKind.ORDER, [])
    assert in_lanes.kind is LoopKind.SIMD and len(in_lanes.reductions) == 1
    (kernel,) = kernels(compiled([x], ct.exp(x).sum(axis=1)))
    assert not any(isinstance(s, If) for s in statements(kernel.body))


def test_a_cheap_row_that_is_known_to_have_few_elements_is_a_plain_loop(compiled, kernels, loops):
    few = ct.matrix("few", shape=(3, FEW - 1))  # so few rows fill no block either
    f = compiled([few], [few.sum(axis=1), few.max(axis=1)])
    (kernel,) = kernels(f)
    assert [loop.kind for loop in loops(kernel)] == [LoopKind.GRID, LoopKind.ORDER]
    values = random((3, FEW - 1))
    values[1, 2] = np.nan
    assert_allclose(f(values)[0], values.sum(axis=1))
    assert_array_equal(f(values)[1], values.max(axis=1))


def test_a_length_that_is_known_to_be_short_is_left_alone(compiled, kernels, loops):
    short = ct.matrix("short", shape=(None, 100))
    (kernel,) = kernels(compiled([short], short.sum(axis=1)))
    assert len(loops(kernel)) == 2


def test_any_and_all_end_with_the_block_that_decides(compiled, kernels):
    for reduction in ((x > 0).any(), (x > 0).all()):
        (kernel,) = kernels(compiled([x], reduction))
        assert any(isinstance(s, If) for s in statements(kernel.body))


@pytest.mark.parametrize("n", [1, SEARCHED, SEARCHED + 1, 3 * SEARCHED - 1])
def test_the_first_of_equal_extremes_is_found_in_whichever_block_it_is(compiled, n):
    f = compiled([a], [a.argmax(), a.argmin()])
    for at in {0, n // 2, n - 1}:
        values = np.zeros(n)
        values[at] = values[-1] = 1
        assert_array_equal(f(values), [values.argmax(), values.argmin()])


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 255, 256, 257, 600])
def test_the_first_extreme_of_a_row_of_any_length_is_found(compiled, n):
    values = random((3, n), seed=n).round(1)
    values[1, n // 2] = np.nan
    for rows in (values, values.astype("float32"), (np.nan_to_num(values) * 10).astype("int16")):
        m = ct.tensor("m", dtype=str(rows.dtype), shape=(None, None))
        assert_array_equal(compiled([m], m.argmax(axis=1))(rows), rows.argmax(axis=1))
        assert_array_equal(compiled([m], m.argmin(axis=1))(rows), rows.argmin(axis=1))


def test_extremes_of_integers_have_one_register(compiled, kernels, loops):
    m = ct.imatrix("m")
    (kernel,) = kernels(compiled([m], m.max(axis=1)))
    assert not kernel.arrays and len(loops(kernel)) == 2


@pytest.mark.parametrize("axes", [(0, 1), None])
def test_positions_in_two_axes_are_those_in_row_major_order(compiled, axes):
    values = np.zeros((3, 2 * SEARCHED))
    values[1, 5] = values[0, SEARCHED + 1] = 1
    assert compiled([x], x.argmax())(values) == values.argmax()
    assert compiled([x], x.T.argmax())(values) == values.T.argmax()


def test_integers_wrap_around_in_whatever_order_they_are_added(compiled):
    values = np.full(BLOCK + SHORT, 2**62, "int64")
    assert compiled([whole], whole.sum())(values) == values.sum()


def test_blocks_are_independent_but_for_what_they_add_to(compiled, kernels, loops):
    (kernel,) = kernels(compiled([a], a.sum()))
    (blocks,) = [loop for loop in loops(kernel) if loop.kind is LoopKind.GRID]
    assert [combine.value for combine, _ in blocks.reductions] == ["sum", "sum"]


@pytest.mark.parametrize("n", [3, SHORT + 9])
def test_softmax_of_float32_rows(compiled, n):
    values = random((3, n), "float32")
    exps = np.exp(values.astype("float64") - values.max(axis=1, keepdims=True))
    got = compiled([fmatrix], ct.softmax(fmatrix, axis=1))(values)
    assert_allclose(got, exps / exps.sum(axis=1, keepdims=True), rtol=1e-5)
