"""Scatters that name each element at most once, as elementwise work on devices: which ones are, and what they give."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core.tensor as ct
from core.compile.function import function
from core.errors import IndexOutOfBounds
from core.gradient import grad
from core.ir.check.run import Driver
from core.ir.definitions import Scattering
from core.ir.passes.pulled import pull
from core.ir.program import KernelStep
from core.ir.target import Target
from core.testing import random

TARGET = Target(units=3, lanes=4, piece=2, settles=True, holds_rows=True, atomics=frozenset({"float64"}))
x, z = ct.matrix("x"), ct.tensor("z", dtype="float64", shape=(None, None, None))
i, j, v = ct.lvector("i"), ct.lvector("j"), ct.vector("v")
PLACES, VALUES = np.array([2, -3, 0, 1, -1]), random(5, seed=1)
ROWS = np.arange(5)


def on_device(inputs, outputs):
    return function(inputs, outputs, backend=Driver("c", TARGET), on_unused_input="ignore")


def kernels(f):
    return [step.kernel.name for step in f.program.steps if isinstance(step, KernelStep)]


def launches(f):
    return [loop for step in f.program.steps if isinstance(step, KernelStep) for loop in step.kernel.body]


def zeros_with(shape, at, values):
    out = np.zeros(shape)
    out[at] = values
    return out


def test_an_element_in_each_row_of_zeros_is_one_launch_behind_its_check():
    f = on_device([i, v], ct.set_subtensor(ct.zeros((5, 3))[ct.arange(5), i], v))
    check, *rest = kernels(f)
    assert "bad_index" in check and len(rest) == 1
    assert_array_equal(f(PLACES, VALUES), zeros_with((5, 3), (ROWS, PLACES), VALUES))


@pytest.mark.parametrize("update", [ct.set_subtensor, ct.inc_subtensor])
@pytest.mark.parametrize(
    "shape, key, at, values",
    [
        ((5, 3), lambda: (ct.arange(5), i), (ROWS, PLACES), VALUES),
        ((3, 5), lambda: (i, ct.arange(5)), (PLACES, ROWS), VALUES),
        ((5, 5), lambda: (ct.arange(5), ct.arange(5)), (ROWS, ROWS), VALUES),
        ((5, 3, 5), lambda: (ct.arange(5), i, ct.arange(5)), (ROWS, PLACES, ROWS), VALUES),
        ((7, 3), lambda: (ct.arange(5), i), (ROWS, PLACES), VALUES),
        ((5, 3), lambda: (ct.arange(i.shape[0]), i), (ROWS, PLACES), VALUES),
        ((9, 3), lambda: (ct.arange(5) + 2, i), (ROWS + 2, PLACES), VALUES),
        ((5, 3), lambda: (i % 3, i), (PLACES % 3, PLACES), VALUES),
    ],
    ids=["rows", "columns", "diagonal", "two of three", "fewer than rows", "counted", "shifted", "not apart"],
)
def test_what_zeros_become_is_what_numpy_makes(update, shape, key, at, values):
    f = on_device([i, v], update(ct.zeros(shape)[key()], v))
    wanted = zeros_with(shape, at, values)
    if update is ct.inc_subtensor:
        wanted = np.zeros(shape)
        np.add.at(wanted, at, values)
    assert_array_equal(f(PLACES, values), wanted)


def test_whole_rows_and_what_is_not_zero_are_kept_beside():
    rows = random((5, 4), seed=2)
    f = on_device([i, x], ct.inc_subtensor(ct.full((5, 3, 4), 7.0)[ct.arange(5), i], x))
    wanted = np.full((5, 3, 4), 7.0)
    wanted[ROWS, PLACES] += rows
    assert_array_equal(f(PLACES, rows), wanted)


@pytest.mark.parametrize("bad", [3, -4])
def test_an_index_out_of_range_is_found_although_nothing_is_written_there(bad):
    f = on_device([i, v], ct.set_subtensor(ct.zeros((5, 3))[ct.arange(5), i], v))
    with pytest.raises(IndexOutOfBounds):
        f(np.where(PLACES == 0, bad, PLACES), VALUES)


def test_more_rows_than_there_are_is_an_error():
    f = on_device([i, v], ct.set_subtensor(ct.zeros((5, 3))[ct.arange(i.shape[0]), i], v))
    with pytest.raises(IndexOutOfBounds):
        f(np.zeros(6, "int64"), random(6))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_the_gradient_of_cross_entropy_is_one_launch_of_rows(n):
    y = ct.tensor("y", dtype="int64", shape=(None,))
    loss = -ct.log_softmax(x, axis=1)[ct.arange(y.shape[0]), y].sum()
    f = on_device([x, y], grad(loss, x))
    values, labels = random((n, 3)), PLACES[:n] % 3
    e = np.exp(values - values.max(axis=1, keepdims=True)) if n else values
    wanted = e / e.sum(axis=1, keepdims=True) - zeros_with((n, 3), (ROWS[:n], labels), 1.0)
    np.testing.assert_allclose(f(values, labels), wanted, rtol=1e-12, atol=1e-15)
    assert len([name for name in kernels(f) if "bad_index" not in name]) == 1


@pytest.mark.parametrize("axis", [0, 1, None])
def test_sums_over_what_was_scattered_are_those_of_its_elements(axis):
    f = on_device([i, v], ct.set_subtensor(ct.zeros((5, 3))[ct.arange(5), i], v).sum(axis=axis))
    wanted = zeros_with((5, 3), (ROWS, PLACES), VALUES).sum(axis=axis)
    np.testing.assert_allclose(f(PLACES, VALUES), wanted, rtol=1e-13)


def test_a_sum_along_the_axis_that_is_named_has_no_loop_over_it_and_no_negative_zero():
    f = on_device([i, v], ct.set_subtensor(ct.zeros((5, 3))[ct.arange(5), i], v).sum(axis=1))
    got = f(PLACES, np.array([-0.0, 1.0, np.nan, np.inf, -np.inf]))
    assert_array_equal(got, [0.0, 1.0, np.nan, np.inf, -np.inf])
    assert not np.signbit(got[0])
    assert all("3" not in str(loop.extent) for loop in launches(f))


def test_products_and_sums_over_what_is_not_zero_beside_keep_their_loops():
    wanted = np.full((5, 3), 2.0)
    wanted[ROWS, PLACES] = VALUES
    f = on_device(
        [i, v], [(s := ct.set_subtensor(ct.full((5, 3), 2.0)[ct.arange(5), i], v)).sum(axis=1), s.prod(axis=1)]
    )
    for got, want in zip(f(PLACES, VALUES), [wanted.sum(axis=1), wanted.prod(axis=1)], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13)


@pytest.mark.parametrize(
    "scatter",
    [
        lambda: ct.inc_subtensor(ct.zeros(9)[i], v),
        lambda: ct.set_subtensor(ct.zeros((9, 3))[i, j], v),
        lambda: ct.set_subtensor(x[ct.arange(5), i], v),
        lambda: ct.set_subtensor(ct.zeros((5, 3), dtype="complex128")[ct.arange(5), i], v),
    ],
    ids=["one place for many", "two tables", "into an argument", "of complex numbers"],
)
def test_where_elements_may_be_named_twice_or_lie_in_memory_a_scatter_stays_one(scatter, monkeypatch):
    seen = []
    monkeypatch.setattr("core.ir.passes.pulled.pull", lambda d: seen.append(pull(d)) or seen[-1])
    out = scatter()
    on_device([x, i, j, v], out)
    assert any(isinstance(definition, Scattering) for definition in seen[-1].values())
