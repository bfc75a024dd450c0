"""Schedules: the order of loops, what is kept in registers or rows, what is marked as vectorisable."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.ir.codes import Combine
from core.ir.nodes import Let, LoopKind, statements
from core.testing import random

x, y, w = ct.matrix("x"), ct.matrix("y"), ct.matrix("w")
a = ct.vector("a")
cube = ct.tensor3("cube")
rows_of_40 = ct.matrix("rows_of_40", shape=(None, 40))  # known: too few for registers side by side, too many for blocks
X = random((3, 4))


def test_the_innermost_loop_runs_over_elements_that_lie_side_by_side(compiled, kernels, loops):
    (kernel,) = kernels(compiled([x, y], x[:, 1:] + y[:, 1:]))
    (outer, inner) = loops(kernel)
    assert (outer.kind, inner.kind) == (LoopKind.GRID, LoopKind.SIMD)
    assert str(kernel.body[-1].body[-1].body[-1].offset).endswith(f"+ {inner.variable})")


def test_the_sum_of_rows_stays_in_a_register(compiled, kernels, loops):
    (kernel,) = kernels(compiled([rows_of_40], rows_of_40.sum(axis=1)))
    (inner,) = loops(kernel, "simd")
    ((combine, local),) = inner.reductions
    assert (combine, local.dtype) == (Combine.ADD, "float64")


def test_the_sum_of_columns_grows_in_memory_where_it_shares_a_pass_by_rows(compiled, kernels, loops):
    (kernel,) = kernels(compiled([x], [x.sum(axis=0), 2 * x]))
    assert [loop.kind.value for loop in loops(kernel)] == ["simd", "combine", "simd"]
    assert all(loop.reductions == [] for loop in loops(kernel))


def test_sums_of_float32_run_in_float64(compiled, kernels, loops):
    x = ct.matrix("x", dtype="float32", shape=(4, 5))
    f = compiled([x], x.sum())
    assert [local.dtype for loop in loops(kernels(f)[0]) for _, local in loop.reductions] == ["float64"]
    assert f(np.full((4, 5), 0.1, "float32")).dtype == "float32"


def test_a_maximum_keeps_nan_by_a_flag_that_vectorises(compiled, kernels, loops):
    f = compiled([rows_of_40], rows_of_40.max(axis=1))
    (inner,) = loops(kernels(f)[0], "simd")
    assert [combine for combine, _ in inner.reductions] == [Combine.MAX, Combine.OR]
    assert_array_equal(f([[1.0, np.nan] + [2.0] * 38, [-np.inf] * 40]), [np.nan, -np.inf])


def test_the_first_of_equal_elements_and_the_first_nan_is_the_position_of_an_extreme(compiled):
    f = compiled([x], [x.argmax(axis=1), x.argmin(axis=0), x.argmax()])
    for values in ([[1.0, 3.0, 3.0], [0.0, 0.0, 0.0]], [[np.nan, 1.0], [5.0, np.nan]], [[-np.inf], [-np.inf]]):
        values = np.array(values)
        for got, expected in zip(f(values), [values.argmax(1), values.argmin(0), values.argmax()], strict=True):
            assert_array_equal(got, expected)


def test_a_costly_row_is_kept_between_stages_and_a_cheap_one_is_computed_again(compiled, kernels):
    (kernel,) = kernels(compiled([x], ct.softmax(x, axis=1).sum(axis=0)))
    assert sum("row" in str(value) for value in kernel.writes) == 1
    (kernel,) = kernels(compiled([x], (2 * x) / (2 * x).sum(axis=1, keepdims=True)))
    assert not any("row" in str(value) for value in kernel.writes)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_costly_row_waits_in_the_result_that_is_made_of_it_last(compiled, kernels, axis):
    f = compiled([x], ct.softmax(x, axis=axis))
    (kernel,) = kernels(f)
    assert [str(value) for value in kernel.writes if not str(value).endswith("k0_softmax")] == ["softmax"]
    assert_allclose(f(X), np.exp(X) / np.exp(X).sum(axis=axis, keepdims=True))


def test_a_costly_row_does_not_wait_in_a_result_of_another_dtype_or_shape(compiled, kernels):
    narrow = ct.cast(ct.softmax(x, axis=1), "float32")
    turned = (ct.softmax(x, axis=1)[:, :, None] * cube).sum(axis=2)
    for out in (narrow, turned):
        (kernel,) = kernels(compiled([x, cube], out))
        assert sum("row" in str(value) for value in kernel.writes) == 1


def test_what_is_cheaply_made_of_a_kept_row_is_made_again(compiled, kernels, calls):
    shares = ct.softmax(x, axis=1)
    f = compiled([x, y], shares * (y - (shares * y).sum(axis=1, keepdims=True)))
    (kernel,) = kernels(f)
    assert (calls(kernel, "exp"), sum("row" in str(value) for value in kernel.writes)) == (1, 0)
    Y, share = random((3, 4), seed=1), np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
    assert_allclose(f(X, Y), share * (Y - (share * Y).sum(axis=1, keepdims=True)))


def test_several_results_of_one_costly_row_are_each_right(compiled, kernels):
    e = ct.exp(x)
    total, larger = e.sum(axis=1, keepdims=True), (e * e).sum(axis=1, keepdims=True)
    outs = [e / total, e - larger, (e / total).sum(axis=1), ct.exp(e / total) + 1]
    f = compiled([x], outs)
    assert len(kernels(f)) == 1
    E = np.exp(X)
    share, rest = E / E.sum(axis=1, keepdims=True), E - (E * E).sum(axis=1, keepdims=True)
    for got, expected in zip(f(X), [share, rest, share.sum(axis=1), np.exp(share) + 1], strict=True):
        assert_allclose(got, expected)


def test_a_costly_row_of_complex_numbers_is_kept(compiled):
    z = ct.matrix("z", dtype="complex128")
    f = compiled([z], ct.exp(z) / ct.exp(z).sum(axis=1, keepdims=True))
    Z = X + 1j * random((3, 4), seed=1)
    assert_allclose(f(Z), np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True))


def test_a_kept_row_serves_loops_inside_the_one_along_it(compiled, kernels, calls):
    weighted = ct.softmax(x, axis=1)[:, :, None] * (cube - 1)
    f = compiled([x, cube], [ct.softmax(x, axis=1).sum(axis=0), weighted.sum(axis=0)])
    (kernel,) = kernels(f)
    assert calls(kernel, "exp") == 2  # rows in blocks, and one by one
    points = random((3, 4, 2))
    shares = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
    for got, expected in zip(f(X, points), [shares.sum(0), (shares[:, :, None] * (points - 1)).sum(0)], strict=True):
        assert_allclose(got, expected)


@pytest.mark.parametrize("shape", [(0, 4, 2), (3, 0, 2), (3, 4, 0), (1, 1, 1)])
def test_a_kept_row_serves_inner_loops_of_any_length(compiled, shape):
    f = compiled([x, cube], (ct.exp(x - ct.exp(x).sum(axis=1, keepdims=True))[:, :, None] * cube).sum(axis=0))
    points, rows = random(shape), random(shape[:2], seed=1)
    scaled = np.exp(rows - np.exp(rows).sum(axis=1, keepdims=True))
    assert_allclose(f(rows, points), (scaled[:, :, None] * points).sum(axis=0))


def test_a_kept_row_reads_what_its_stage_stored_before(compiled):
    x = ct.matrix("x", dtype="uint8")
    first = x // x
    second = first // (x // first)
    f = compiled([x], [first, second.argmin(axis=1), second])
    values = random((4, 5), "uint8", low=0, high=3)
    with np.errstate(divide="ignore"):
        np_first = values // values
        np_second = np_first // (values // np_first)
    for got, expected in zip(f(values), [np_first, np_second.argmin(axis=1), np_second], strict=True):
        assert_array_equal(got, expected)


def test_stages_of_one_level_run_from_few_loops_to_many(compiled):
    CUBE = random((3, 4, 2))
    doubled = x * 2
    f = compiled([cube, x], [cube + x[:, :, None], doubled, cube * doubled[:, :, None], doubled.sum(axis=1)])
    got = f(CUBE, X)
    assert_allclose(got[2], CUBE * (2 * X)[:, :, None])
    assert_allclose(got[3], (2 * X).sum(axis=1))


def test_a_product_by_loops_has_its_columns_innermost(compiled, kernels, loops):
    f = compiled([x, w], ct.dot(x, w))
    (kernel,) = kernels(f)
    assert all("lanes" in str(loop.extent) for loop in loops(kernel, "simd"))
    W = random((4, 2), seed=1)
    assert_allclose(f(X, W), X @ W)


def test_what_does_not_change_in_a_loop_is_computed_outside(compiled, kernels):
    (kernel,) = kernels(compiled([x, a], x * ct.exp(a[0])))
    assert [str(s.value) for s in kernel.body if isinstance(s, Let)] == ["exp(a[0])"]
    (kernel,) = kernels(compiled([x, a], x * ct.exp(a)[:, None]))
    assert [str(s.value) for s in kernel.body[0].body if isinstance(s, Let)] == ["exp(a[i])"]


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0), (1, 1)])
def test_reductions_of_empty_and_single_arrays(compiled, shape):
    f = compiled([x], [x.sum(), x.sum(axis=0), x.prod(axis=1), (x > 0).any(axis=0), (x > 0).all()])
    values = random(shape)
    expected = [values.sum(), values.sum(0), values.prod(1), (values > 0).any(0), (values > 0).all()]
    for got, wanted in zip(f(values), expected, strict=True):
        assert_array_equal(got, wanted)


def test_a_scatter_runs_in_order_so_that_the_last_writer_wins(compiled, kernels, loops):
    i = ct.lvector("i")
    f = compiled([a, i, x], ct.set_subtensor(a[i], x[0]))
    scatter = kernels(f)[-1]
    assert [loop.kind.value for loop in loops(scatter)] == ["simd", "for"]
    assert_array_equal(f([0.0, 0.0], [1, 0, 1], [[1.0, 2.0, 3.0]]), [2, 3])


def test_every_local_of_a_kernel_has_a_name_of_its_own(compiled, kernels):
    (kernel,) = kernels(compiled([rows_of_40], ct.softmax(rows_of_40, axis=1)))
    locals_ = [s.local for s in statements(kernel.body) if isinstance(s, Let)]
    assert len({local.name for local in locals_}) == len(locals_)


def test_what_only_one_iteration_of_the_shared_loops_needs_has_memory_for_one(compiled, kernels):
    between = ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2)
    f = compiled([x, y], [ct.logsumexp(between, axis=1), between.min(axis=1)])
    (kernel,) = kernels(f)
    (row,) = [value for value in kernel.scratch if value.name.endswith("_row")]
    assert f.program.shapes[row] == (f.program.shapes[f.program.inputs[1]][0],)
    others = random((5, 4), seed=1)
    squares = ((X[:, None, :] - others) ** 2).sum(axis=2)
    for got, wanted in zip(f(X, others), [np.log(np.exp(squares).sum(axis=1)), squares.min(axis=1)], strict=True):
        assert_allclose(got, wanted)
