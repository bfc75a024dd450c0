"""Devices that few long rows would leave idle, and results that read few elements: what is spread out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.compile.function import function
from core.ir.axes import reduce
from core.ir.check.run import Driver
from core.ir.codes import Combine
from core.ir.nodes import LoopKind, statements
from core.ir.passes import fuse
from core.ir.program import KernelStep
from core.ir.target import Target
from core.ir.view import View
from core.testing import random

CROWDED = Target(units=64, lanes=4, piece=2)


def loops_of(f):
    """The launches of a function: each is a loop."""
    return [loop for step in f.program.steps if isinstance(step, KernelStep) for loop in step.kernel.body]


def softmax_of(shape):
    return function(
        [x := ct.tensor("x", dtype="float64", shape=shape)], ct.softmax(x, axis=1), backend=Driver("c", CROWDED)
    )


# --- few long rows ----------------------------------------------------------------------------------------------------


def test_few_rows_with_much_to_do_are_spread_out(monkeypatch):
    monkeypatch.setattr(fuse, "LONG", 64)
    f = softmax_of((2, 64))
    assert len(loops_of(f)) > 1
    x = random((2, 64))
    e = np.exp(x - x.max(axis=1, keepdims=True))
    assert_allclose(f(x), e / e.sum(axis=1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize(
    "shape", [(33, 64), (2, 63), (2, None), (None, 64)], ids=["many", "short", "of any length", "any"]
)
def test_other_rows_are_one_launch(monkeypatch, shape):
    monkeypatch.setattr(fuse, "LONG", 64)
    assert len(loops_of(softmax_of(shape))) == 1


def test_sums_of_columns_stay_with_the_rows_that_they_are_of(monkeypatch):
    def step():
        x, g = ct.tensor("x", dtype="float64", shape=(40, 8)), ct.tensor("g", dtype="float64", shape=(40, 8))
        h = g * ct.tanh(x)
        return len(loops_of(function([x, g], [h, h.sum(axis=0)], backend=Driver("c", CROWDED))))

    together = step()
    monkeypatch.setattr(fuse, "LONG", 1)
    assert step() == together


# --- windows ----------------------------------------------------------------------------------------------------------


class Windows(core.Op):
    """Sums of ``taps`` elements beside each other, of rows."""

    __props__ = ("taps",)

    def __init__(self, taps):
        self.taps = taps

    def make_node(self, x):
        x = ct.as_tensor(x)
        return core.Apply(self, [x], [ct.TensorType(x.dtype, (None, None))])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = np.lib.stride_tricks.sliding_window_view(inputs[0], self.taps, axis=1).sum(axis=2)

    def infer_shape(self, fgraph, node, input_shapes):
        ((rows, n),) = input_shapes
        return [(rows, n - (self.taps - 1))]

    def lower(self, node, x):
        rows, n = x.shape
        shape = (rows, n - (self.taps - 1))
        return View(x.dtype, shape, lambda at: reduce(Combine.ADD, [self.taps], lambda t: x.at((at[0], at[1] + t))))


@pytest.mark.parametrize("taps, kind", [(3, LoopKind.ITEMS), (2000, LoopKind.GROUPS)])
def test_a_work_item_takes_a_window_of_few_elements_and_a_group_one_of_many(taps, kind):
    x = ct.matrix("x")
    f = function([x], Windows(taps)(x), backend=Driver("c", CROWDED))
    assert loops_of(f)[0].kind is kind
    lanes = [s for s in statements(loops_of(f)) if getattr(s, "kind", None) is LoopKind.LANES]
    assert bool(lanes) == (kind is LoopKind.GROUPS)


@pytest.mark.parametrize("n", [3, 4, 9])
def test_windows_are_what_numpy_sums(n):
    x, a = ct.matrix("x"), random((5, n))
    f = function([x], Windows(3)(x), backend=Driver("c", CROWDED))
    assert_allclose(f(a), np.lib.stride_tricks.sliding_window_view(a, 3, axis=1).sum(axis=2))
