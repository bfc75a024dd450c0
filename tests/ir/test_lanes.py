"""Lanes: loops over elements that lie side by side go inside the loops that they contain, tile by tile."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.ir.cpu.lanes import LONG_TILE, LONGEST_TILE, TILE
from core.ir.nodes import Let, LoopKind, expressions, statements
from core.ir.rebuild import loads_in
from core.testing import random

x, y, f32 = ct.matrix("x"), ct.matrix("y"), ct.fmatrix("f32")
a = ct.vector("a")
cube = ct.tensor3("cube")
WIDTHS = [0, 1, 5, TILE - 1, TILE, TILE + 1, LONG_TILE + 3]


def is_laned(loops, kernel):
    """Whether the kernel is a grid of tiles with vectorised loops inside loops over rows."""
    first = loops(kernel)[0]
    return first.kind is LoopKind.GRID and first.variable.payload.endswith("_tile")


def test_the_softmax_of_columns_is_one_kernel_that_goes_down_the_rows_in_tiles(compiled, kernels, loops):
    (kernel,) = kernels(compiled([x], ct.softmax(x, axis=0)))
    assert is_laned(loops, kernel)
    assert all("lanes" in str(loop.extent) for loop in loops(kernel, "simd"))


def test_the_softmax_of_rows_has_no_lanes(compiled, kernels, loops):
    (kernel,) = kernels(compiled([x], ct.softmax(x, axis=1)))
    assert not is_laned(loops, kernel)


def test_rows_that_are_met_once_stay_whole_where_a_vector_is_broadcast_over_them(compiled, kernels, loops):
    first, second = kernels(compiled([x, a], [x + ct.exp(a), x * a]))
    assert not is_laned(loops, first) and not is_laned(loops, second)


def test_sums_of_rows_and_columns_of_one_matrix_share_one_pass_over_it(compiled, kernels, loops):
    (kernel,) = kernels(compiled([x], [x.sum(axis=0), x.sum(axis=1)]))
    assert not is_laned(loops, kernel)


@pytest.mark.parametrize("rows", [1, 2, 9])
@pytest.mark.parametrize("columns", WIDTHS)
def test_reductions_of_columns_are_right_at_the_ends_of_tiles(compiled, rows, columns):
    f = compiled([x], [x.sum(axis=0), x.max(axis=0), x.argmin(axis=0), ct.softmax(x, axis=0), x.prod(axis=0)])
    values = random((rows, columns), seed=rows)
    if rows > 1 and columns > 1:
        values[1, 0], values[0, -1] = np.nan, -np.inf
    exps = np.exp(values - values.max(axis=0))
    expected = [values.sum(0), values.max(0), values.argmin(0), exps / exps.sum(axis=0), values.prod(0)]
    for got, wanted in zip(f(values), expected, strict=True):
        assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)


def test_a_sum_of_columns_of_float32_is_as_good_as_one_in_float64(compiled):
    values = np.full((5000, 3), 0.1, "float32")
    got = compiled([f32], f32.sum(axis=0))(values)
    assert got.dtype == "float32"
    assert_array_equal(got, values.astype("float64").sum(axis=0).astype("float32"))


@pytest.mark.parametrize("dtype, tile", [("float32", LONGEST_TILE), ("float64", LONG_TILE), ("int64", LONG_TILE)])
def test_a_tile_of_rows_that_are_met_once_is_a_page_of_each(compiled, kernels, loops, dtype, tile):
    m = ct.matrix("m", dtype=dtype)
    f = compiled([m], m.sum(axis=0))
    assert f"// {tile}" in str(loops(kernels(f)[0])[0].extent)
    values = random((2, tile + 3), dtype)
    assert_allclose(f(values), values.sum(axis=0), rtol=1e-6)


def met(kernel):
    """The loads that a kernel makes only to bring memory nearer."""
    return [s for s in statements(kernel.body) if isinstance(s, Let) and s.nearer]


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8"])
@pytest.mark.parametrize("columns", [7, 8, 16, 17, 33, 64, 65, 130])
def test_columns_of_every_width_are_reduced_within_their_memory(compiled, dtype, columns):
    m = ct.matrix("m", dtype=dtype)
    f = compiled([m], [m.max(axis=0), m.sum(axis=0)])
    values = random((19, columns), dtype)
    assert_array_equal(f(values)[0], values.max(axis=0))
    assert_allclose(f(values)[1], values.sum(axis=0), rtol=1e-5, atol=1e-5)


def test_several_short_rows_at_once_are_first_met_in_order(compiled, kernels):
    (kernel,) = kernels(compiled([x, f32], (x * f32).sum(axis=0)))
    assert [str(s.value.payload) for s in met(kernel)] == ["x", "f32"]


@pytest.mark.parametrize("columns, loads", [(7, 0), (8, 1), (64, 1), (65, 0), (LONG_TILE + 1, 0)])
def test_very_short_and_long_rows_are_not_met_before(compiled, kernels, columns, loads):
    m = ct.matrix("m", shape=(None, columns))
    (kernel,) = kernels(compiled([m], m.sum(axis=0)))
    assert len(met(kernel)) == loads


def test_rows_with_gaps_or_of_a_vector_are_not_met_before(compiled, kernels):
    for out in (x[:, 1:].sum(axis=0), x[:, ::-1].max(axis=0), (x * a[:, None])[:, :-1].sum(axis=0)):
        assert not any(met(kernel) for kernel in kernels(compiled([x, a], out)))


def test_a_middle_axis_is_reduced_in_lanes_over_the_last_one(compiled, kernels, loops):
    f = compiled([cube], ct.logsumexp(cube, axis=1))
    (kernel,) = kernels(f)
    outer, tiles = loops(kernel)[:2]
    assert (outer.kind, tiles.variable.payload.endswith("_tile")) == (LoopKind.GRID, True)
    values = random((3, 4, 70))
    assert_allclose(f(values), np.log(np.exp(values).sum(axis=1)))


def test_running_sums_down_the_rows_have_lanes_too(compiled, kernels, loops):
    f = compiled([x], x.cumsum(axis=0))
    assert is_laned(loops, kernels(f)[0])
    values = random((4, 70))
    assert_allclose(f(values), values.cumsum(axis=0))


def test_what_all_lanes_have_in_common_is_computed_once_for_all(compiled, kernels, loops):
    weights = ct.vector("weights")
    f = compiled([x, weights], (x * ct.exp(weights)[:, None]).sum(axis=0))
    values, w = random((4, 70)), random((4,))
    assert_allclose(f(values, w), (values * np.exp(w)[:, None]).sum(axis=0))


at = ct.tensor("at", dtype="int64", shape=(None, None))


def test_rows_that_indices_name_are_added_up_row_by_row(compiled, kernels, loops):
    *_, kernel = kernels(compiled([x, at], x[at].sum(axis=1)))
    tile = next(loop for loop in loops(kernel) if loop.variable.payload.endswith("_tile"))
    assert all(
        "lanes" in str(loop.extent) for loop in statements(tile.body) if getattr(loop, "kind", "") is LoopKind.SIMD
    )


def test_elements_that_indices_name_are_added_up_as_they_come(compiled, kernels, loops):
    *_, kernel = kernels(compiled([a, at], a[at].sum(axis=1)))
    assert not any(loop.variable.payload.endswith("_tile") for loop in loops(kernel))


@pytest.mark.parametrize(
    ("named", "columns"), [*product([0, 1, 7, 8, 9, 17], [0, 1, TILE]), (1, LONG_TILE + 3), (9, LONG_TILE + 3)]
)
def test_sums_of_rows_that_indices_name_are_those_of_numpy(compiled, named, columns):
    f = compiled([x, f32, at], [x[at].sum(axis=1), f32[at].max(axis=1), (x[at] * x[0]).sum(axis=1)])
    values, places = random((5, columns), seed=named), np.arange(4 * named).reshape(4, named) * 7 % 10 - 5
    narrow = values.astype("float32")
    if not named:
        with pytest.raises(core.errors.ShapeError):
            f(values, narrow, places)
        return
    expected = [values[places].sum(1), narrow[places].max(1), (values[places] * values[0]).sum(1)]
    for got, wanted in zip(f(values, narrow, places), expected, strict=True):
        assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)


def test_what_all_lanes_have_in_common_is_read_outside_of_them_though_some_lanes_alone_ask_for_it(
    compiled, kernels, loops
):
    y = ct.softmax(x, axis=0)
    f = compiled([x, a], ct.where(x > 0, y, a[:, None]) * ct.exp(a)[:, None])
    kernel = next(kernel for kernel in kernels(f) if is_laned(loops, kernel))
    inside = [e for loop in loops(kernel, "simd") for e in loads_in(expressions(loop.body))]
    assert "a" not in {str(e.payload) for e in inside}
    for shape in [(3, 4), (2, TILE + 3), (2, 0)]:
        X, A = random(shape), random(shape[:1], seed=1)
        e = np.exp(X - X.max(0))
        assert_allclose(f(X, A), np.where(X > 0, e / e.sum(0), A[:, None]) * np.exp(A)[:, None])


def test_what_is_asked_of_one_side_of_a_guard_stays_under_it(compiled):
    y = ct.softmax(x, axis=0)
    f = compiled([x, a], ct.concatenate([y, ct.broadcast_to(a[:, None], (a.shape[0], x.shape[1]))]) - y.sum(0))
    for rows in [0, 1, 3]:
        X, A = random((3, 4)), random((rows,), seed=1)
        e = np.exp(X - X.max(0))
        assert_allclose(f(X, A), np.concatenate([e / e.sum(0), np.repeat(A[:, None], 4, 1)]) - 1.0)


def test_what_is_stored_in_the_loop_is_not_read_before_it(compiled):
    total = ct.cumsum(ct.softmax(x, axis=0), axis=0)
    f = compiled([x], [total, total * total.sum(axis=0)])
    X = random((3, TILE + 1))
    e = np.exp(X - X.max(0))
    wanted = np.cumsum(e / e.sum(0), axis=0)
    for got, right in zip(f(X), [wanted, wanted * wanted.sum(0)], strict=True):
        assert_allclose(got, right)
