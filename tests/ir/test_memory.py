"""The memory plan: who has a slot, and when it is given to another."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core.tensor as ct
from core.graph import Apply
from core.ir.passes.memory import plan, size_bytes
from core.ir.rebuild import loads_in
from core.op import Op
from core.testing import random

x, a = ct.matrix("x"), ct.vector("a")
X = random((3, 3))


class Doubled(Op):
    """2 x by Python alone."""

    def make_node(self, x):
        x = ct.as_tensor(x)
        return Apply(self, [x], [x.type])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0] * 2


def alternating(depth):
    """Products of exponentials: each factor has to be stored for the next product."""
    out = x
    for _ in range(depth):
        out = ct.exp(-ct.dot(out, out))
    return out


def test_a_slot_serves_again_once_its_value_is_read_no_more(compiled):
    few, many = (compiled([x], alternating(depth)).program for depth in (3, 12))
    assert len(few.slot_sizes) == len(many.slot_sizes)
    assert len(many.slots) > len(many.slot_sizes)


def test_values_that_share_a_slot_do_not_disturb_each_other(compiled):
    expected = X
    for _ in range(6):
        expected = np.exp(-(expected @ expected))
    assert_allclose(compiled([x], alternating(6))(X), expected)


def test_values_of_different_size_have_slots_of_their_own(compiled):
    program = compiled([x, a], x + ct.exp(a)[::-1] + ct.dot(x, ct.exp(x)).sum(axis=0)).program
    for value, slot in program.slots.items():
        assert program.slot_sizes[slot] is size_bytes(value, program)


def test_inputs_outputs_and_what_python_makes_have_no_slot(compiled):
    program = compiled([x], [ct.exp(x), ct.exp(x).sum(), Doubled()(x)]).program
    outside = {*program.inputs, *program.outputs}
    assert outside.isdisjoint(program.slots)


@pytest.mark.filterwarnings("ignore:Doubled")
def test_what_python_reads_lives_until_it_was_called(compiled):
    f = compiled([x], Doubled()(ct.exp(x)) + Doubled()(ct.exp(2 * x)))
    assert_allclose(f(X), 2 * np.exp(X) + 2 * np.exp(2 * X))


def test_a_value_that_a_length_is_read_from_keeps_its_slot(compiled):
    program = compiled([x, a], [a[x.argmax() :] + 1, ct.exp(a[x.argmin() :]).sum()]).program
    measures = {e.payload for shape in program.shapes.values() for e in loads_in(shape)}
    slots = [program.slots[value] for value in measures if value in program.slots]
    assert slots and len(set(slots)) == len(slots)


def test_the_size_of_a_slot_is_in_bytes(compiled):
    program = compiled([x, a], x + ct.exp(a)).program
    assert [str(size) for size in program.slot_sizes] == ["(x.shape[1] * 8)"]


def test_planning_again_changes_nothing(compiled):
    program = compiled([x], alternating(3)).program
    before = dict(program.slots), list(program.slot_sizes)
    plan(program)
    assert (program.slots, program.slot_sizes) == before
