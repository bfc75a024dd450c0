"""Blocks: a long loop around short ones runs for a block of its iterations at a time, one in each lane."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.compile.function import function
from core.gradient import grad
from core.ir.check.run import Driver
from core.ir.cpu import blocks
from core.ir.cpu.lanes import gains_by_lanes
from core.ir.nodes import If, Loop, LoopKind, statements
from core.testing import random
from core.testing.graphs import graphs

x, points, means = ct.matrix("x"), ct.matrix("points"), ct.matrix("means")
short, f_short = (ct.tensor("short", dtype=dtype, shape=(None, 5)) for dtype in ("float64", "float32"))
BLOCK = 32  # of float64
NUMBERS = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 2]


def is_blocked(kernel):
    """Whether a loop of the kernel asks whether it can run in whole blocks."""
    return any(isinstance(s, If) and str(s.condition).find("_tile") >= 0 for s in statements(kernel.body))


def density(points, means):
    """The log-density of points under a mixture of Gaussians, without its constant, and the gradient by the means."""
    each = -0.5 * ((points[:, None, :] - means[None, :, :]) ** 2).sum(axis=2)
    value = ct.logsumexp(each, axis=1).sum()
    return [value, grad(value, means)]


def density_in_numpy(points, means):
    each = -0.5 * ((points[:, None, :] - means) ** 2).sum(axis=2)
    most = each.max(axis=1, keepdims=True, initial=-np.inf)
    shares = np.exp(each - most)
    total = shares.sum(axis=1, keepdims=True)
    by_means = ((shares / total)[:, :, None] * (points[:, None, :] - means)).sum(axis=0)
    return [(np.log(total) + most).sum(), by_means]


def test_a_mixture_s_gradient_takes_points_in_blocks(compiled, kernels, loops):
    f = compiled([points, means], density(points, means), mode=None)
    (kernel,) = [kernel for kernel in kernels(f) if is_blocked(kernel)]
    lanes = [loop for loop in loops(kernel, "simd") if loop.variable.payload == "i"]
    assert len(lanes) > 4 and all(loop.extent.payload == BLOCK for loop in lanes)


@pytest.mark.parametrize("components, space", [(1, 1), (3, 2), (32, 3), (33, 2), (2, 33)])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_mixture_is_right_for_any_number_of_points_components_and_coordinates(number, components, space):
    f = function([points, means], density(points, means), backend=Driver("ir"))
    where, centres = random((number, space)), random((components, space), seed=1)
    for got, wanted in zip(f(where, centres), density_in_numpy(where, centres), strict=True):
        assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("number", NUMBERS)
def test_rows_known_to_be_short_are_right_for_any_number_of_them(compiled, kernels, number):
    together = ct.exp(short).max(axis=0) if number else ct.exp(short).prod(axis=0)
    outputs = [ct.softmax(short, axis=1), ct.logsumexp(short, axis=1), together, ct.exp(short).sum()]
    f = compiled([short], [*outputs, (short * ct.exp(short)).cumsum(axis=1)])
    assert any(map(is_blocked, kernels(f)))
    values = random((number, 5), seed=number)
    if number > 2:
        values[1, 2], values[2, 3], values[0, :] = np.inf, -np.inf, -0.0
    if number > BLOCK:
        values[BLOCK - 1, 0] = np.nan
    with np.errstate(invalid="ignore"):
        exps = np.exp(values)
        shifted = np.exp(values - values.max(axis=1, keepdims=True, initial=-1e300))
        together = exps.max(axis=0) if number else exps.prod(axis=0)
        expected = [shifted / shifted.sum(axis=1, keepdims=True), np.log(exps.sum(axis=1)), together]
        expected += [exps.sum(), (values * exps).cumsum(axis=1)]
        for got, wanted in zip(f(values), expected, strict=True):
            assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)


def test_sums_of_float32_over_many_blocks_are_as_good_as_numpy_s(compiled, kernels):
    f = compiled([f_short], [ct.exp(f_short).sum(axis=1), ct.exp(f_short).sum(axis=0)])
    assert any(map(is_blocked, kernels(f)))
    values = random((64 * 50 + 3, 5), "float32")
    exact = np.exp(values.astype("float64"))
    for got, axis in zip(f(values), (1, 0), strict=True):
        assert got.dtype == "float32"
        assert_allclose(got, exact.sum(axis=axis), rtol=1e-6)


def test_rows_whose_length_is_unknown_or_long_or_fills_vectors_stay(compiled, kernels):
    for n in (None, 33, 16):
        rows = ct.tensor("rows", dtype="float64", shape=(None, n))
        f = compiled([rows], ct.softmax(rows, axis=1))
        assert not any(map(is_blocked, kernels(f)))


def test_rows_of_which_nothing_is_reduced_stay_where_they_cost_little(compiled, kernels):
    column = ct.vector("column")
    f = compiled([short, column], [short * column[:, None], short + 2 * column[:, None]])
    assert not any(map(is_blocked, kernels(f)))


def nearest(points, means):
    between = ((points[:, None, :] - means[None, :, :]) ** 2).sum(axis=2)
    return [between.argmin(axis=1), between.min(axis=1).sum()]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_nearest_of_a_few_points_is_found_for_a_block_at_a_time(compiled, kernels, number):
    f = compiled([points, means], nearest(points, means))
    assert any(map(is_blocked, kernels(f)))
    where, centres = random((number, 3)), random((4, 3), seed=1)
    if number > BLOCK:
        where[BLOCK - 1, 0], where[3] = np.nan, where[2]
    between = ((where[:, None, :] - centres) ** 2).sum(axis=2)
    got = f(where, centres)
    assert_array_equal(got[0], between.argmin(axis=1))
    assert_allclose(got[1], between.min(axis=1).sum())


@pytest.mark.parametrize("space", [1, 3, 8, 9])
@pytest.mark.parametrize("number", [0, 1, BLOCK + 3])
def test_forces_between_points_take_the_others_in_blocks(compiled, kernels, number, space):
    masses = ct.vector("masses")
    apart = points[None] - points[:, None]
    cubes = ((apart**2).sum(axis=2) + 0.1) ** 1.5
    f = compiled([points, masses], (apart * (masses[None] / cubes)[:, :, None]).sum(axis=1))
    assert any(map(is_blocked, kernels(f)))
    where, weights = random((number, space)), random(number, seed=1)
    between = where[None] - where[:, None]
    cubed = ((between**2).sum(axis=2) + 0.1) ** 1.5
    assert_allclose(f(where, weights), (between * (weights[None] / cubed)[:, :, None]).sum(axis=1), rtol=1e-12)


def test_sums_of_products_in_a_table_stay(compiled, kernels):
    table = ct.square(points[:, None, :] - means[None, :, :]).sum(axis=2)
    assert not any(map(is_blocked, kernels(compiled([points, means], table))))


def test_a_table_of_unknown_size_that_each_iteration_adds_a_row_to_stays(compiled, kernels):
    between = ct.square(points[:, None, :] - means[None, :, :]).sum(axis=2)
    assert not any(map(is_blocked, kernels(compiled([points, means], ct.softmax(-between, axis=1)))))


def test_fewer_iterations_than_a_block_has_stay(compiled, kernels):
    few = ct.tensor("few", dtype="float64", shape=(BLOCK - 1, 5))
    assert not any(map(is_blocked, kernels(compiled([few], ct.softmax(few, axis=1)))))


@pytest.mark.parametrize("kinds", [("float64", "int64", "bool"), ("float32", "int8"), ("complex128", "float64")])
def test_whatever_may_run_in_blocks_gives_the_same(monkeypatch, kinds):
    """With blocks of one, two or four, and wherever they are possible, not only where they gain."""
    fired = []

    def gains(loop, nested, kept):
        inside = any(isinstance(s, Loop) for s in statements(loop.body))
        fired.append(inside and not gains_by_lanes(loop) and loop.kind is not LoopKind.SIMD)
        return fired[-1]

    monkeypatch.setattr(blocks, "BLOCK_BYTES", 16)
    monkeypatch.setattr(blocks, "_gains", gains)

    @settings(max_examples=80, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(graph=graphs(kinds=kinds))
    def check(graph):
        run = function(graph.inputs, graph.outputs, backend=Driver("ir"), on_unused_input="ignore")
        for got, want in zip(run(*graph.arrays), graph.expected, strict=True):
            assert (got.shape, got.dtype) == (want.shape, want.dtype), str(graph)
            assert_allclose(got, want, **graph.tolerance(), err_msg=str(graph))

    check()
    assert sum(fired) > 10
