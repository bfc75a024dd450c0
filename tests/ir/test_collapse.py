"""Collapse: loops that together walk through memory without a gap are one loop."""

import pytest
from numpy.testing import assert_allclose

import core.tensor as ct
from core.ir.expr import const, index, length
from core.ir.nests.strides import linear
from core.testing import random

x, y = ct.matrix("x"), ct.matrix("y")
a = ct.vector("a")
cube, other = ct.tensor3("cube"), ct.tensor3("other")


def depth_of(compiled, kernels, loops, inputs, output):
    (kernel,) = kernels(compiled(inputs, output))
    return len(loops(kernel))


def test_contiguous_arrays_of_any_number_of_axes_have_one_loop(compiled, kernels, loops):
    assert depth_of(compiled, kernels, loops, [x, y], x * y + 1) == 1
    assert depth_of(compiled, kernels, loops, [cube, other], [cube + other, cube * other]) == 1


def test_a_sum_of_everything_has_one_loop_before_it_is_made_wide(compiled, kernels, loops):
    (kernel,) = kernels(compiled([cube], ct.exp(ct.sin(cube)).sum()))
    assert len(loops(kernel)) == 1


def test_an_operand_broadcast_over_the_first_axes_keeps_only_those_apart(compiled, kernels, loops):
    assert depth_of(compiled, kernels, loops, [cube, x], cube + x) == 2
    assert depth_of(compiled, kernels, loops, [cube, a], cube + a) == 2


@pytest.mark.parametrize(
    "output",
    [
        lambda: x.T + 1,
        lambda: x[:, ::2] * 2,
        lambda: x[:, 1:] * 2,
        lambda: x + ct.arange(x.shape[0])[:, None],
        lambda: x + a[:, None],
    ],
)
def test_a_gap_keeps_two_loops(compiled, kernels, loops, output):
    (kernel, *_) = kernels(compiled([x, a], output()))[::-1]
    assert len(loops(kernel)) > 1  # strips.py may make more of them


def test_rows_that_are_cut_off_the_end_leave_no_gap(compiled, kernels, loops):
    f = compiled([x], x[1:] * 2)
    (kernel,) = kernels(f)
    assert len(loops(kernel)) == 1
    values = random((4, 3))
    assert_allclose(f(values), 2 * values[1:])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (5, 7)])
def test_joined_loops_give_the_same_elements(compiled, shape):
    values = random(shape)
    for got, wanted in zip(
        compiled([x], [x * 2, x[1:], x.sum(), x[::-1]])(values),
        [values * 2, values[1:], values.sum(), values[::-1]],
        strict=True,
    ):
        assert_allclose(got, wanted)


def test_a_position_is_a_sum_over_loop_variables_however_it_is_written():
    i, j, rows, columns = index("i"), index("j"), length("x", 0), length("x", 1)
    form = linear((i * rows + 2) * columns + j - 3, (i, j))
    assert form.is_consecutive(j)
    assert form.moves_like(i, j, columns * rows)
    assert not form.moves_like(i, j, columns)
    assert linear(i * j, (i, j)) is None
    assert linear(i - i, (i,)).strides == {}
    assert linear(const(3), (i,)).rest is const(3)
