"""core.vmap against a loop over the slices."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.errors import ArgumentError, AxisError, ShapeError
from core.testing import available_backends, evaluate, random


@pytest.mark.parametrize("backend", available_backends())
def test_the_gradient_of_each_example(backend):
    x, w = random((5, 3)), random((3,))
    slopes = core.vmap(lambda x, w: core.grad(ct.tanh(x @ w) ** 2, w), in_axes=(0, None))
    t = np.tanh(x @ w)
    assert_allclose(evaluate(slopes, x, w, backend=backend), (2 * t * (1 - t**2))[:, None] * x, rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("out", [0, 1, -1])
def test_axes_go_in_and_come_out_where_they_are_asked_for(axis, out):
    x = random((3, 4, 2))
    got = evaluate(core.vmap(lambda x: ct.cumsum(x, axis=1), axis, out), x)
    expected = np.stack([np.cumsum(one, axis=1) for one in np.moveaxis(x, axis, 0)], axis=out)
    assert_allclose(got, expected, rtol=1e-12)


def test_vmap_of_vmap_is_a_table_of_all_pairs():
    x, y = random((4, 3)), random((5, 3))
    pairs = core.vmap(core.vmap(lambda a, b: ct.abs(a - b).max(), (None, 0)), (0, None))
    assert_allclose(evaluate(pairs, x, y), np.abs(x[:, None] - y).max(-1), rtol=1e-12)


def test_several_results_keep_their_kind_and_constants_are_repeated():
    x = random((4, 3))
    made = core.vmap(lambda x: (x.sum(), ct.constant([1.0, 2.0])), out_axes=(0, 1))(ct.constant(x))
    assert isinstance(made, tuple)
    total, same = core.function([], list(made))()
    assert_allclose(total, x.sum(1))
    assert_allclose(same, np.repeat([[1.0], [2.0]], 4, axis=1))


def test_no_slices_give_no_results():
    assert evaluate(core.vmap(lambda x: x * 2), random((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("backend", available_backends())
def test_a_stack_of_one_is_not_repeated_for_a_longer_one(backend):
    for lengths in ((3, 1), (1, 3), (3, 2)):
        with pytest.raises(ShapeError, match="SpecifyShape.* needs"):
            evaluate(core.vmap(lambda a, b: a + b), *(random((n, 2)) for n in lengths), backend=backend)


def test_vmap_says_what_it_cannot_take():
    x = ct.matrix("x")
    with pytest.raises(ArgumentError, match=r"an axis for each of 2 arguments, got \(0,\)"):
        core.vmap(lambda a, b: a + b, in_axes=(0,))(x, x)
    with pytest.raises(ArgumentError, match=r"an axis for each of 1 results, got \(0, 0\)"):
        core.vmap(lambda a: a, out_axes=(0, 0))(x)
    with pytest.raises(ArgumentError, match="at least one argument with an axis, got None for all"):
        core.vmap(lambda a: a, in_axes=None)(x)
    with pytest.raises(AxisError, match="vmap needs -2 <= axis < 2, because x has ndim=2"):
        core.vmap(lambda a: a, in_axes=2)(x)
    with pytest.raises(ShapeError, match="vmap needs stacks of one length, got 3 and 4"):
        core.vmap(lambda a, b: a)(ct.tensor("a", shape=(3,)), ct.tensor("b", shape=(4,)))
