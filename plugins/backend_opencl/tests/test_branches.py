"""Choices on a device: the condition is fetched, and the program of the side that is taken queued on its arrays."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.device.array import DeviceArray
from core.errors import IndexOutOfBounds, ShapeError
from core.ir.program import BranchStep, HostStep

c, x, y, m = ct.bscalar("c"), ct.fvector("x"), ct.fvector("y"), ct.fmatrix("m")
A, B = np.array([0.5, -1.0, 2.0], "float32"), np.array([3.0, 0.25, -2.0], "float32")


def on_device(inputs, outputs, **options):
    return core.function([c, *inputs], outputs, backend="opencl", strict=True, **options)


def steps(f, kind=BranchStep):
    return sum(isinstance(step, kind) for step in f.program.steps)


def test_each_side_is_a_program_of_the_device():
    f = on_device([x, m], [core.ifelse(c, ct.tanh(m @ x).sum(), ct.exp(x).max()) * 2])
    assert steps(f) == 1 and not steps(f, HostStep)
    M = np.eye(3, dtype="float32")
    for _ in range(3):
        assert_allclose(f(1, A, M)[0], 2 * np.tanh(A).sum(), rtol=1e-5)
        assert_allclose(f(0, A, M)[0], 2 * np.exp(A).max(), rtol=1e-5)


def test_what_is_there_already_is_chosen_by_a_kernel():
    h = ct.exp(x)
    f = on_device([x], [h, core.ifelse(c, h, x) * 2])
    assert steps(f) == 0 and not steps(f, HostStep)
    assert_allclose(f(1, A)[1], 2 * np.exp(A), rtol=1e-6)
    assert_array_equal(f(0, A)[1], 2 * A)


def test_arrays_stay_on_the_device():
    w = core.shared(np.zeros(3, "float32"), name="w")
    step = on_device([x], [], updates={w: core.ifelse(c, w + ct.tanh(x), w - x)})
    step(1, A)
    step(0, A)
    assert isinstance(w.cell[0], DeviceArray)
    assert_allclose(w.get_value(), np.tanh(A) - A, rtol=1e-6)


def test_a_value_that_a_side_passes_on_is_not_written_over():
    """Its memory is used again by steps behind the choice, which reads it last."""
    h = ct.cumsum(x) + 1
    z = core.ifelse(c, h, h[::-1])
    f = on_device([x], [ct.cumsum(ct.cumsum(z) * 2) * 3 - z])
    expected = np.cumsum(A) + 1
    assert_allclose(f(1, A)[0], np.cumsum(np.cumsum(expected) * 2) * 3 - expected, rtol=1e-5)


def test_errors_are_those_of_the_side_that_is_taken():
    i = ct.lvector("i")
    f = on_device([x, y, i], core.ifelse(c, x[i].sum(), (x + y).sum()))
    assert_allclose(f(1, A, B[:2], [0, 1]), A[:2].sum())
    assert_allclose(f(0, A, B, [9]), (A + B).sum())
    assert_allclose(f(0, A, B[:1], [9]), (A + B[:1]).sum())
    with pytest.raises(IndexOutOfBounds):
        f(1, A, B, [9])
    with pytest.raises(ShapeError):
        f(0, A, B[:2], [0])


def test_gradients_are_handed_on_from_one_choice_to_the_next():
    z = core.ifelse(c, ct.tanh(m @ x).sum(), (m * 2).sum()) ** 2
    f = on_device([x, m], [z, *core.grad(z, [x, m])])
    M = np.full((2, 3), 0.1, "float32")
    t = np.tanh(M @ A)
    g = 2 * t.sum() * (1 - t * t)
    for got, expected in zip(f(1, A, M), (t.sum() ** 2, M.T @ g, np.outer(g, A)), strict=True):
        assert_allclose(got, expected, rtol=1e-5)
    assert_array_equal(f(0, A, M)[1], np.zeros(3))


def test_a_side_that_needs_python_is_left_to_it():
    class Halved(core.Op):
        __props__ = ()
        itypes, otypes = [x.type], [x.type]

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = inputs[0] / 2

    with pytest.warns(UserWarning, match="Halved"):
        f = core.function([c, x], [core.ifelse(c, Halved()(x).sum(), ct.exp(x).sum())], backend="opencl")
    assert steps(f, HostStep) == 1
    assert_allclose(f(1, A)[0], A.sum() / 2, rtol=1e-6)
    assert_allclose(f(0, A)[0], np.exp(A).sum(), rtol=1e-6)
