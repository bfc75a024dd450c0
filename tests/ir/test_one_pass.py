"""Few long rows that need one pass: several groups share a row, and do what is elementwise on the way."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core.tensor as ct
from core.compile.function import function
from core.dataclass import replace
from core.ir.check.run import Driver
from core.ir.program import KernelStep
from core.ir.target import Target
from core.ir.work.launches import launches

FINISHES = Target(units=32, lanes=4, piece=2, finishes=True)
TWICE = replace(FINISHES, finishes=False)
PIECES = Target(units=3, lanes=1, piece=2)
TARGETS = pytest.mark.parametrize("target", [FINISHES, TWICE, PIECES], ids=["one launch", "two launches", "pieces"])


def kernels_of(f):
    return [one for s in f.program.steps if isinstance(s, KernelStep) for one in launches(s.kernel)]


def bias_gradient(shape=(6, 3, 5, 4)):
    """What a layer of channels hands on, and its bias after a step."""
    x, g = (ct.tensor(name, dtype="float64", shape=shape) for name in "xg")
    b = ct.tensor("b", dtype="float64", shape=shape[1:2])
    d = ct.where(x + b[:, None, None] > 0, g, 0.0)
    return [x, g, b], [d, b - 0.5 * d.sum(axis=(0, 2, 3))]


def by_numpy(x, g, b):
    d = np.where(x + b[:, None, None] > 0, g, 0.0)
    return d, b - 0.5 * d.sum(axis=(0, 2, 3))


@TARGETS
@pytest.mark.parametrize("n", [6, 1, 0, 40])
@pytest.mark.parametrize("is_static", [False, True], ids=["any number of images", "known lengths"])
def test_gradients_of_a_layer_of_channels_are_those_of_numpy(target, n, is_static):
    inputs, outputs = bias_gradient((n if is_static else None, 3, 5, 4))
    run = function(inputs, outputs, backend=Driver("c", target))
    rng = np.random.default_rng(n)
    arrays = rng.standard_normal((n, 3, 5, 4)), rng.standard_normal((n, 3, 5, 4)), rng.standard_normal(3)
    for got, want in zip(run(*arrays), by_numpy(*arrays), strict=True):
        assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_all_of_it_is_one_launch_over_many_groups():
    f = function(*bias_gradient((40, 3, 5, 4)), backend=Driver("c", FINISHES))
    (kernel,) = kernels_of(f)
    assert kernel.body[0].extent.payload > 3 and kernel.counters


@TARGETS
@pytest.mark.parametrize("n", [1200, 64, 1, 0])
@pytest.mark.parametrize("is_static", [False, True], ids=["any length", "known length"])
def test_numbers_made_of_sums_of_everything_are_those_of_numpy(target, n, is_static):
    x, y = (ct.tensor(name, dtype="float64", shape=(n if is_static else None,)) for name in "xy")
    d = (x - y) ** 2
    run = function([x, y], [ct.sqrt(d.sum()) + 1, d, x.sum() / 2], backend=Driver("c", target))
    a, b = np.random.default_rng(n).standard_normal((2, n))
    for got, want in zip(run(a, b), (np.sqrt(((a - b) ** 2).sum()) + 1, (a - b) ** 2, a.sum() / 2), strict=True):
        assert_allclose(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n, finishes", [(1200, 1), (64, 0)], ids=["long", "short"])
def test_a_sum_of_everything_what_is_beside_it_and_what_is_made_of_it_are_one_launch(n, finishes):
    x = ct.tensor("x", dtype="float64", shape=(n,))
    y = ct.tanh(x)
    f = function([x], [y, ct.sqrt(y.sum() / 2)], backend=Driver("c", FINISHES))
    (kernel,) = kernels_of(f)
    assert len(kernel.reads) == 1 and len(kernel.counters) == finishes


@pytest.mark.parametrize("shape", [(40, 17, 5, 4), (2, 3, 2, 4)], ids=["many rows", "short rows"])
def test_other_rows_have_a_group_each(shape):
    f = function(*bias_gradient(shape), backend=Driver("c", FINISHES))
    assert not any(one.counters for one in kernels_of(f))


def test_what_goes_over_a_row_twice_keeps_its_group():
    x = ct.tensor("x", dtype="float64", shape=(3, 400))
    f = function([x], [ct.softmax(x, axis=1)], backend=Driver("c", FINISHES))
    (kernel,) = kernels_of(f)
    assert kernel.body[0].extent.payload == 3 and not kernel.counters
    a = np.random.default_rng(1).standard_normal((3, 400))
    e = np.exp(a - a.max(axis=1, keepdims=True))
    assert_allclose(f(a)[0], e / e.sum(axis=1, keepdims=True), rtol=1e-12)


def test_a_sum_of_neighbours_is_no_part_of_the_pass():
    x = ct.tensor("x", dtype="float64", shape=(3, 400))
    y = ct.exp(x)
    f = function([x], [y, (y[:, 1:] * y[:, :-1]).sum(axis=1)], backend=Driver("c", FINISHES))
    a = np.random.default_rng(2).standard_normal((3, 400))
    e = np.exp(a)
    assert_allclose(f(a)[0], e, rtol=1e-12)
    assert_allclose(f(a)[1], (e[:, 1:] * e[:, :-1]).sum(axis=1), rtol=1e-12)


def test_a_sum_joins_what_made_its_elements_long_before():
    x = ct.tensor("x", dtype="float64", shape=(3, 400))
    y = ct.exp(x)
    between = [ct.tensor(f"z{k}", dtype="float64", shape=(7 + k, 5)) for k in range(9)]
    f = function([x, *between], [y, *(ct.softmax(z, axis=1) for z in between), y.sum(axis=1)],
                 backend=Driver("c", FINISHES))  # fmt: skip
    assert len(kernels_of(f)) == 10
    arrays = [np.ones(v.type.shape) for v in between]
    a = np.random.default_rng(3).standard_normal((3, 400))
    assert_allclose(f(a, *arrays)[-1], np.exp(a).sum(axis=1), rtol=1e-12)
