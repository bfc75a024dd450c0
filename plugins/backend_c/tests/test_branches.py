"""Branches in C: what becomes a step, what a failure on one side leads to, and that nothing of the other one runs."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import CoreWarning, IndexOutOfBounds, ShapeError
from core.ir.program import BranchStep, HostStep, KernelStep

c, x, y, m, w = ct.bscalar("c"), ct.dvector("x"), ct.dvector("y"), ct.dmatrix("m"), ct.dmatrix("w")
A, B = np.array([0.5, -1.0, 2.0]), np.array([3.0, 0.25, -2.0])


def in_c(inputs, outputs, **options):
    return core.function([c, *inputs], outputs, backend="c", strict=True, **options)


def steps(f, kind):
    return [step for step in f.program.steps if isinstance(step, kind)]


def test_branches_are_steps_of_their_own():
    f = in_c([m, w], core.ifelse(c, ct.tanh(m @ w).sum(axis=0), m.max(axis=0)))
    (step,) = steps(f, BranchStep)
    assert [len(body.steps) > 0 for body in step.bodies] == [True, True]
    assert not steps(f, HostStep) and len(steps(f, KernelStep)) == 1  # the condition
    a, b = np.ones((4, 3)), np.eye(3) / 2
    assert_allclose(f(1, a, b), np.tanh(a @ b).sum(axis=0))
    assert_allclose(f(0, a, b), a.max(axis=0))


def test_a_choice_of_what_is_there_is_fused_with_its_reader():
    h = ct.exp(x)
    f = in_c([x], [h, (core.ifelse(c, h, x) * x).sum()])
    assert len(f.program.steps) == len(steps(f, KernelStep))
    assert_allclose(f(0, A)[1], (A * A).sum())
    assert_allclose(f(1, A)[1], (np.exp(A) * A).sum())


def test_a_gradient_takes_what_the_branch_has_left():
    z = core.ifelse(c, ct.tanh(m @ w).sum(), (m * 2).sum()) ** 2
    f = in_c([m, w], [z, *core.grad(z, [m, w])])
    first, second = steps(f, BranchStep)
    handed = set(first.choice.sides[0].outputs) & set(second.choice.sides[0].inputs)
    assert handed and not handed & set(first.choice.sides[1].outputs)
    a, b = np.random.default_rng(0).random((4, 3)), np.eye(3)
    value, gm, gw = f(1, a, b)
    t = np.tanh(a @ b)
    g = 2 * t.sum() * (1 - t * t)
    for got, expected in zip((value, gm, gw), (t.sum() ** 2, g @ b.T, a.T @ g), strict=True):
        assert_allclose(got, expected)
    value, gm, gw = f(0, a, b)
    assert_allclose(gm, np.full((4, 3), 8 * a.sum()))
    assert_array_equal(gw, np.zeros((3, 3)))


def test_lengths_that_differ_are_served_too():
    f = in_c([x, y], core.ifelse(c, x * 2, y + 1))
    assert steps(f, BranchStep)
    assert_array_equal(f(1, A, B), A * 2)
    for flag, expected in ((1, A * 2), (0, B[:2] + 1)):
        assert_array_equal(f(flag, A, B[:2]), expected)


def test_a_length_of_one_on_the_side_that_is_taken_is_a_program_of_its_own():
    f = in_c([x, y], core.ifelse(c, (x + y).sum(), x.sum()))
    assert_allclose(f(1, A, B[:1]), (A + B[:1]).sum())
    assert_allclose(f(0, A, B[:2]), A.sum())
    with pytest.raises(ShapeError, match="add cannot broadcast x.shape"):
        f(1, A, B[:2])


def test_known_and_equal_lengths_are_known_inside():
    f = in_c([x, y], [x + y, core.ifelse(c, ct.exp(x * y).sum(), x.sum())])
    (step,) = steps(f, BranchStep)
    assert not step.guards[0] and not step.bodies[0].guards
    assert_allclose(f(1, A, B)[1], np.exp(A * B).sum())


def test_an_index_that_is_out_of_range_is_an_error_of_its_op_and_leaves_all_as_it_was():
    i, s = ct.lvector("i"), core.shared(np.zeros(3), name="s")
    z = core.ifelse(c, ct.exp(x)[i].sum(), x.sum())
    f = in_c([x, i], z, updates={s: s + z})
    f(0, A, [9])
    before = s.get_value()
    with pytest.raises(IndexOutOfBounds, match="index 9 is out of"):
        f(1, A, [9])
    assert_array_equal(s.get_value(), before)


def test_a_length_that_is_an_argument_may_be_used_inside():
    n = ct.lscalar("n")
    f = in_c([x, n], core.ifelse(c, ct.exp(x[:n]), ct.zeros((n,))))
    assert steps(f, BranchStep)
    assert_allclose(f(1, A, 2), np.exp(A[:2]))
    assert_array_equal(f(0, A, 2), np.zeros(2))
    assert_array_equal(f(0, A, 5), np.zeros(5))


def test_arrays_that_a_side_holds_lie_in_the_program_around():
    table = np.arange(3.0)
    f = in_c([x], core.ifelse(c, ct.exp(x * ct.constant(table)), x))
    assert_allclose(f(1, A), np.exp(A * table))
    assert_array_equal(f(0, A), A)


def test_branches_inside_of_branches():
    d = ct.bscalar("d")
    z = core.ifelse(c, core.ifelse(d, ct.exp(x).sum(), ct.cumsum(x).max()), (x * x).sum())
    f = in_c([d, x], z)
    (step,) = steps(f, BranchStep)
    assert any(isinstance(inner, BranchStep) for inner in step.bodies[0].steps)
    assert_allclose([f(1, 1, A), f(1, 0, A), f(0, 1, A)], [np.exp(A).sum(), np.cumsum(A).max(), (A * A).sum()])


def test_large_arrays_are_computed_by_threads_on_either_side():
    f = in_c([x], core.ifelse(c, ct.exp(x).sum(), ct.tanh(x)[::2].sum()))
    value = np.linspace(-1, 1, 1 << 20)
    with core.num_threads(2):
        two = [f(1, value), f(0, value)]
    with core.num_threads(1):
        assert_array_equal([f(1, value), f(0, value)], two)


def test_an_op_of_python_leaves_both_sides_to_python_and_says_so_once():
    @core.as_op(x.type, x.type)
    def turned(a):
        return a[::-1]

    with pytest.warns(CoreWarning, match="turned") as said:
        f = core.function([c, x], core.ifelse(c, turned(x).sum(), ct.exp(x).max()), backend="c")
    assert len(said) == 1 and len(steps(f, HostStep)) == 1
    assert_allclose([f(1, A), f(0, A)], [A.sum(), np.exp(A).max()])


def test_a_library_is_called_on_the_side_that_is_taken():
    linalg = pytest.importorskip("plugin_ops_linalg")
    f = in_c([m], core.ifelse(c, ct.log(linalg.cholesky(m).diagonal()).sum(), m.sum()))
    assert_allclose(f(1, 4 * np.eye(2)), 2 * np.log(2))
    assert_allclose(f(0, -np.eye(2)), -2)
    with pytest.raises(np.linalg.LinAlgError):
        f(1, -np.eye(2))


PROGRAM = """
import numpy as np
import core, core.tensor as ct
c, x = ct.bscalar("c"), ct.dvector("x")
f = core.function([c, x], core.ifelse(c, ct.exp(x).sum(), ct.cumsum(x)[5]), backend="c")
print(float(f(1, np.zeros(3))), f.compile_times["lower"])
try:
    f(0, np.zeros(3))
except IndexError:
    print("as it should")
"""


def test_another_process_finds_it_ready_made(tmp_path):
    environment = {**os.environ, "CORE_RECALL": "1", "CORE_CACHE_DIR": str(tmp_path)}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True
        ).stdout.split()
        for _ in range(2)
    )
    assert first[0] == second[0] == "3.0" and first[2:] == second[2:] == ["as", "it", "should"]
    assert float(first[1]) > 0 and float(second[1]) == 0
