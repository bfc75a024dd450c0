"""Lengths: what is known, what is guarded, and what happens when a length turns out to be 1."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.errors import IndexOutOfBounds, ShapeError
from core.gradient import grad
from core.graph import Apply
from core.ir.build import build
from core.ir.codes import Code
from core.ir.expr import length
from core.ir.rebuild import rules_in
from core.op import Op
from core.testing import random

x, y = ct.matrix("x"), ct.matrix("y")
a, b, c = ct.vector("a"), ct.vector("b"), ct.vector("c")
n, m = ct.lscalar("n"), ct.matrix("m", dtype="int64")
X, A = random((3, 4)), random(4, seed=1)


class Doubled(Op):
    """2 x by Python alone, so that nobody knows the length of its output before it ran."""

    def make_node(self, x):
        x = ct.as_tensor(x)
        return Apply(self, [x], [ct.TensorType(x.dtype, x.ndim)])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0] * 2


doubled = pytest.mark.filterwarnings("ignore:Doubled")


def static(*shape, name="s"):
    return ct.TensorType("float64", shape)(name)


def guards(f):
    return [str(guard) for guard in f.program.guards]


def test_two_unknown_lengths_are_taken_for_equal_under_one_guard(compiled):
    f = compiled([a, b], [a + b, a * b])
    assert guards(f) == ["a.shape[0] == b.shape[0] for add"]


@pytest.mark.parametrize("lengths", [(4, 4), (1, 4), (4, 1), (1, 1), (0, 1), (0, 0)])
def test_either_of_two_lengths_may_be_1(compiled, lengths):
    f = compiled([a, b], a - 2 * b)
    values = [random(k, seed=k) for k in lengths]
    assert_array_equal(f(*values), values[0] - 2 * values[1])
    assert_array_equal(f(values[0], values[0]), -values[0])


def test_lengths_that_do_not_broadcast_are_refused_with_the_op_that_needs_it(compiled):
    f = compiled([a, b], a + b)
    with pytest.raises(ShapeError, match=r"add cannot broadcast a.shape\[0\] = 3 and b.shape\[0\] = 2"):
        f(random(3), random(2))


def test_three_lengths_of_which_any_may_be_1(compiled):
    f = compiled([a, b, c], a + b * c)
    for lengths in np.ndindex(2, 2, 2):
        values = [random(1 if one else 3, seed=k) for k, one in enumerate(lengths)]
        assert_allclose(f(*values), values[0] + values[1] * values[2])


def test_the_gradient_of_a_broadcast_follows_the_lengths(compiled):
    f = compiled([x, y], list(grad((x * y).sum(), [x, y])))
    for shape in [(3, 4), (1, 4), (3, 1), (1, 1)]:
        Y = random(shape, seed=2)
        over = tuple(k for k in range(2) if shape[k] == 1 and X.shape[k] != 1)
        dx, dy = f(X, Y)
        assert_allclose(dx, np.broadcast_to(Y, X.shape))
        assert_allclose(dy, X.sum(axis=over, keepdims=True).reshape(shape))


def test_a_known_length_needs_no_guard_against_itself(compiled):
    s, t = static(4), static(4, name="t")
    assert guards(compiled([s, t], s + t)) == []
    t = static(1, name="t")
    assert guards(compiled([s, t], s + t)) == []


def test_a_known_length_is_a_constant_in_every_loop(compiled, kernels, loops):
    s = static(4)
    f = compiled([s, a], ct.tanh(s) + a)
    assert {str(loop.extent) for kernel in kernels(f) for loop in loops(kernel)} == {"4"}
    assert guards(f) == ["4 == a.shape[0] for add"] or guards(f) == ["a.shape[0] == 4 for add"]


def test_an_axis_of_length_1_has_no_loop(compiled, kernels, loops):
    s = static(1, None)
    f = compiled([s], s * 2)
    assert len(loops(kernels(f)[0])) == 1


def test_lengths_that_can_never_agree_are_refused_when_the_function_is_called(compiled):
    s, t = static(5, name="s"), static(0, name="t")
    f = compiled([a, s, t], [a + s, a * t])  # right for a of length 1, and for no other
    one = random(1)
    assert_array_equal(f(one, random(5), [])[0], one + random(5))
    assert f(one, random(5), [])[1].shape == (0,)
    with pytest.raises(ShapeError, match=r"multiply cannot broadcast .* = 5 and .* = 0"):
        f(random(5), random(5), [])


def test_a_maximum_of_nothing_that_only_an_assumption_makes_empty_is_no_error(compiled):
    s = static(1, 0)
    f = compiled([x, s], [x + s, x.max(axis=1)])
    assert_array_equal(f([[2.0]], np.zeros((1, 0)))[1], [2])
    with pytest.raises(ShapeError, match="no identity"):
        f(np.zeros((1, 0)), np.zeros((1, 0)))


def test_a_maximum_over_an_axis_that_is_empty_is_refused(compiled):
    f = compiled([x], x.max(axis=0))
    assert guards(f) == ["x.shape[0] > 0 for max(axis=(0,))"]
    with pytest.raises(ShapeError, match="a reduction over .* = 0 elements has no identity"):
        f(np.zeros((0, 3)))
    s = static(0)
    with pytest.raises(ShapeError, match="empty axis has no identity"):
        compiled([s], s.max())


def test_an_index_known_at_entry_is_checked_before_anything_runs(compiled):
    f = compiled([a, n], a[n])
    assert guards(f) == ["n[0] indexes a.shape[0] for Subtensor(key=[i])"]
    assert (f(A, -4), f(A, 3)) == (A[0], A[3])
    for index in (4, -5):
        with pytest.raises(IndexOutOfBounds, match=f"index {index} is out of range for an axis of length 4"):
            f(A, index)


def test_a_check_that_only_compares_lengths_becomes_a_guard(compiled):
    p = ct.lvector("p")
    f = compiled([x, p], x[ct.arange(p.shape[0]), 0 * p])
    assert any("<=" in guard for guard in guards(f))
    with pytest.raises(IndexOutOfBounds, match="index 3 is out of range for an axis of length 3"):
        f(X, [0, 0, 0, 0])


@pytest.mark.parametrize(
    "build, expected",
    [
        (lambda k: a[k:], lambda k: A[k:]),
        (lambda k: a[k:].sum(), lambda k: A[k:].sum()),
        (lambda k: a[k:].argmax(), lambda k: A[k:].argmax()),
        (lambda k: a[k:].cumsum(), lambda k: A[k:].cumsum()),
        (lambda k: ct.exp(a[k:])[:, None] @ a[k:][None], lambda k: np.exp(A[k:])[:, None] @ A[k:][None]),
        (lambda k: ct.zeros(k), np.zeros),
        (lambda k: a[k], lambda k: A[k]),
    ],
)
@pytest.mark.parametrize("products", [True, False])
def test_a_length_may_be_an_element_of_an_input(compiled, request, products, build, expected):
    if products:
        request.getfixturevalue("gemm")
    f = compiled([a, m], build(m[0, 1]))
    for k in (0, 2, 3):
        assert_allclose(f(A, [[100, k], [5, 6]]), expected(k))


def test_a_length_that_is_computed_is_guarded_after_it_is_known(compiled):
    f = compiled([a, b, x], b + x[0, a.argmax() :])
    assert_allclose(f([0.0, 1.0], random(3), X), random(3) + X[0, 1:])
    with pytest.raises(ShapeError, match="cannot broadcast"):
        f([0.0, 1.0], random(4), X)


@doubled
def test_lengths_known_at_entry_stand_for_those_that_python_makes(compiled, kernels):
    f = compiled([a, b], [ct.exp(a), Doubled()(a * b) + b])
    assert not any("doubled.shape" in str(kernel) for kernel in kernels(f))
    assert_allclose(f(A, A)[1], 2 * A * A + A)
    assert_allclose(f(A, [2.0])[1], 4 * A + 2)
    with pytest.raises(ShapeError, match="cannot broadcast"):
        f(A, random(3))


@doubled
def test_what_is_certain_is_decided_before_what_is_assumed(compiled):
    late = Doubled()(x)
    f = compiled([x, y], [late + y, late.squeeze(0)])  # squeeze: the length is 1, and not that of y
    one = random((1, 4))
    assert_allclose(f(one, X)[0], 2 * one + X)


def test_no_rule_about_lengths_is_left_in_a_program(compiled, kernels):
    f = compiled([x, a], grad(ct.softmax(x * a + ct.concatenate([a, a])[: a.shape[0]]).sum(), [x, a]))
    program = f.program
    rest = [e for shape in program.shapes.values() for e in shape] + [g.a for g in program.guards]
    assert [e for e in rules_in(rest) if e.code is not Code.UNRAVEL] == []


def test_a_program_is_made_once_for_each_case(compiled, monkeypatch):
    made = []
    monkeypatch.setattr("core.ir.build.build", lambda *of: made.append(of[1]) or build(*of))
    f = compiled([a, b], a + b)
    for lengths in [(4, 4), (4, 1), (3, 1), (4, 4), (2, 1)]:
        f(*(random(k) for k in lengths))
    assert [len(ones) for ones in made] == [0, 1]


@pytest.mark.parametrize("times", [2, 40])
def test_a_vector_cut_and_joined_again_and_again_keeps_its_length(compiled, times):
    x, m = ct.vector("x"), ct.lscalar("m")
    y = x
    for _ in range(times):
        y = ct.concatenate([y[:m] * 2, ct.exp(-y[m:])])
    f = compiled([x, m], y)
    (output,), given = f.program.outputs, f.program.inputs[0]
    assert f.program.shapes[output] == (length(given, 0),)
    assert len({f.program.shapes[value] for step in f.program.steps for value in step.writes}) <= 3  # whole, two parts
    for place in (-7, -2, 0, 3, 9):
        a = want = np.linspace(-1, 1, 5)
        for _ in range(times):
            want = np.concatenate([want[:place] * 2, np.exp(-want[place:])])
        assert_allclose(f(a, place), want, rtol=1e-12)
