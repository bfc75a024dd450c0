"""Ranges: loops are cut where a guard on their variable changes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.gradient import grad
from core.ir.codes import Code
from core.ir.cpu.ranges import cut
from core.ir.definitions import Value
from core.ir.expr import const, guarded, index, length, load
from core.ir.nodes import Kernel, Let, Local, Loop, LoopKind, Store, expressions
from core.ir.walk import walk
from core.testing import random

x, y = ct.matrix("x"), ct.matrix("y")
a, b, i = ct.vector("a"), ct.vector("b"), ct.lvector("i")


def guards(kernel_or_loop):
    return [e for root in expressions(kernel_or_loop.body) for e in walk([root]) if e.code is Code.GUARDED]


def many(body):
    """The innermost loops that are not known to have few elements."""
    inside = [s for s in body if isinstance(s, Loop)]
    inner = [loop for loop in inside if not any(isinstance(s, Loop) for s in loop.body)]
    more = [one for loop in inside if loop not in inner for one in many(loop.body)]
    return [loop for loop in inner if loop.extent.code is not Code.MIN and not loop.extent.is_const] + more


def test_joined_vectors_are_copied_one_after_the_other(compiled, kernels, loops):
    f = compiled([a, b], ct.exp(ct.concatenate([a, b, a])))
    (kernel,) = kernels(f)
    assert not guards(kernel)
    assert [str(loop.extent) for loop in loops(kernel)] == ["a.shape[0]", "b.shape[0]", "a.shape[0]"]
    A, B = random((3,)), random((2,))
    assert_allclose(f(A, B), np.exp(np.concatenate([A, B, A])))


def test_matrices_joined_by_rows_are_two_loops_without_a_gap(compiled, kernels, loops):
    (kernel,) = kernels(compiled([x, y], ct.concatenate([x, y], axis=0)))
    assert not guards(kernel)
    assert len(loops(kernel)) == 2


@pytest.mark.parametrize("n", [0, 1, 2, 3, 6])
@pytest.mark.parametrize("key", [slice(2, 4), slice(1, None), slice(None, -1), slice(-2, None), slice(-3, -1)])
def test_what_is_written_into_a_slice_of_any_length_is_right_at_both_ends(compiled, kernels, n, key):
    value = ct.vector("value")
    f = compiled([a, value], [ct.set_subtensor(a[key], value), ct.inc_subtensor(a[key], value)])
    assert not any(guards(kernel) for kernel in kernels(f))
    A = random((n,))
    V = random((len(A[key]),), seed=1)
    put, added = A.copy(), A.copy()
    put[key] = V
    added[key] += V
    for got, wanted in zip(f(A, V), [put, added], strict=True):
        assert_array_equal(got, wanted)


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (4, 3)])
def test_a_block_of_a_matrix_is_cut_out_of_both_loops(compiled, kernels, shape):
    f = compiled([x, y], ct.set_subtensor(x[1:, :-1], y))
    assert not any(guards(kernel) for kernel in kernels(f))
    X = random(shape)
    Y = random(X[1:, :-1].shape, seed=1)
    wanted = X.copy()
    wanted[1:, :-1] = Y
    assert_array_equal(f(X, Y), wanted)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_the_gradient_of_products_of_neighbours(compiled, n):
    f = compiled([a], grad((a[1:] * a[:-1]).sum(), a))
    A, wanted = random((n,)), np.zeros(n)
    wanted[1:] += A[:-1]
    wanted[:-1] += A[1:]
    assert_allclose(f(A), wanted)


def test_a_sum_over_what_is_joined_takes_both_ranges_into_one_register(compiled, kernels):
    f = compiled([a, b], ct.concatenate([a, b]).sum())
    assert not guards(kernels(f)[0])
    assert_allclose(f([1.0, 2.0], [4.0]), 7)
    assert f(np.zeros(0), np.zeros(0)) == 0


def test_a_step_other_than_one_keeps_its_guard(compiled, kernels):
    f = compiled([a, b], ct.set_subtensor(a[::2], b))
    assert any(guards(kernel) for kernel in kernels(f))
    assert_array_equal(f(np.zeros(5), [1.0, 2.0, 3.0]), [1, 0, 2, 0, 3])


def test_a_body_that_is_long_is_not_written_several_times(compiled, kernels, loops):
    out = ct.concatenate([a, b])
    for _ in range(80):
        out = ct.sin(out) * out + ct.cos(out)
    kernel = kernels(compiled([a, b], out))[0]
    assert len(loops(kernel)) == 1 or not guards(kernel)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
@pytest.mark.parametrize("shift", [0, 1, -1, 3, -8])
def test_a_roll_is_two_copies(compiled, kernels, loops, n, shift):
    f = compiled([a], ct.roll(a, shift))
    (kernel,) = kernels(f)
    assert not guards(kernel) and len(loops(kernel)) == (2 if shift else 1)
    A = random((n,))
    assert_array_equal(f(A), np.roll(A, shift))


def test_neighbours_on_a_ring_are_four_ranges_of_a_matrix_and_their_gradient_too(compiled, kernels):
    energy = (x * (ct.roll(x, 1, 0) + ct.roll(x, 1, 1))).sum()
    f = compiled([x], [energy, grad(energy, x)])
    assert not any(guards(piece) for kernel in kernels(f) for piece in many(kernel.body))
    for shape in [(1, 1), (2, 3), (5, 4)]:
        X = random(shape)
        got = f(X)
        assert_allclose(got[0], (X * (np.roll(X, 1, 0) + np.roll(X, 1, 1))).sum())
        assert_allclose(got[1], sum(np.roll(X, by, axis) for by in (1, -1) for axis in (0, 1)))


@pytest.mark.parametrize("m", [-9, -2, 0, 1, 3, 9])
def test_a_place_that_is_an_argument_cuts_too_and_no_piece_is_stored(compiled, kernels, m):
    place = ct.lscalar("place")
    f = compiled([a, b, place], ct.concatenate([a[:place], b[place:]]) * 2)
    (kernel,) = kernels(f)
    assert not guards(kernel)
    A, B = random((4,)), random((4,), seed=1)
    assert_array_equal(f(A, B, m), np.concatenate([A[:m], B[m:]]) * 2)


def joined_at(place):
    """A row of a matrix out of two vectors, joined at ``place``."""
    j, n = index("j"), const(8)
    row = Value("row", "float64")
    read = guarded(j < place, load(Value("a", "float64"), [j], "float64"), load(Value("b", "float64"), [j], "float64"))
    return Loop(j, n, [Store(row, j, read)]), row


def test_a_place_that_was_read_before_the_loop_cuts_it():
    i, t = index("i"), Local("t", "int64")
    inner, row = joined_at(t.expr)
    places = Value("places", "int64")
    rows = Loop(i, length(places, 0), [Let(t, load(places, [i], "int64")), inner])
    kernel = cut(Kernel("k", [places], [row], [rows]))
    assert not guards(kernel)
    assert [str(loop.extent) for loop in kernel.body[0].body[1:]] == ["min(max(t, 0), 8)", "(8 - min(max(t, 0), 8))"]


def test_a_place_that_changes_cuts_nothing():
    t = Local("t", "int64")
    inner, row = joined_at(t.expr)
    kernel = cut(Kernel("k", [], [row], [Let(t, const(3), constant=False), inner]))
    assert guards(kernel)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("by", [1, -1, 3, -4])
def test_neighbours_on_a_ring_are_those_in_memory_but_at_the_ends(compiled, kernels, n, by):
    here = ct.arange(a.shape[0])
    f = compiled([a], a[(here + by) % a.shape[0]] - a)
    (kernel,) = [kernel for kernel in kernels(f) if kernel.comment.startswith("sub")]
    assert not guards(kernel)
    modulo = [s for s in kernel.body if any(e.code is Code.MOD for e in walk(expressions([s])))]
    assert len(modulo) == 1 and len(kernel.body) == 2  # one loop of two
    A = random((n,))
    assert_array_equal(f(A), np.roll(A, -by) - A)


def test_all_neighbours_of_a_matrix_on_a_torus_take_one_vector_loop_for_each_of_three_ranges_of_rows(
    compiled, kernels, loops
):
    step = sum(ct.roll(x, by, axis) for by in (1, -1) for axis in (0, 1))
    (kernel,) = kernels(compiled([x], step))
    inner = [loop for loop in loops(kernel) if not any(isinstance(s, Loop) for s in loop.body)]
    assert [loop.kind for loop in inner].count(LoopKind.SIMD) == 3 and len(inner) == 9
    assert not any(guards(loop) for loop in inner if loop.kind is LoopKind.SIMD)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (2, 1), (2, 2), (3, 5), (0, 2)])
@pytest.mark.parametrize("by", [1, 2, 3])
def test_neighbours_on_a_torus_of_any_size_and_what_they_get_back(compiled, shape, by):
    step = x * ct.roll(ct.exp(x), by, 0) - ct.roll(ct.roll(x, -by, 1), -1, 0) * ct.roll(x, by, 1)
    f = compiled([x], [step, grad((step**2).sum(), x)])
    X = random(shape)
    wanted = X * np.roll(np.exp(X), by, 0) - np.roll(np.roll(X, -by, 1), -1, 0) * np.roll(X, by, 1)
    got = f(X)
    assert_allclose(got[0], wanted)
    g = 2 * wanted
    back = g * np.roll(np.exp(X), by, 0) + np.roll(g * X, -by, 0) * np.exp(X)
    back -= np.roll(np.roll(g * np.roll(X, by, 1), by, 1), 1, 0)
    back -= np.roll(g * np.roll(np.roll(X, -by, 1), -1, 0), -by, 1)
    assert_allclose(got[1], back, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["wrap", "reflect", "symmetric", "edge"])
@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_what_is_padded_from_the_other_end_is_right_however_often_it_turns(compiled, mode, n):
    f = compiled([x], ct.pad(x, ((2, 3), (4, 1)), mode))
    X = random((n, 3))
    assert_array_equal(f(X), np.pad(X, ((2, 3), (4, 1)), mode))


@pytest.mark.parametrize("m", [-3, -1, 0, 1, 3, 20])
def test_a_number_of_either_sign_may_be_what_places_turn_by(compiled, m):
    turn = ct.lscalar("turn")
    f = compiled([a, turn], a[(ct.arange(9) - 2) % turn])
    A = random((20,))
    with np.errstate(all="ignore"):
        assert_array_equal(f(A, m), A[(np.arange(9) - 2) % m])


def test_a_place_beyond_the_end_of_a_loop_makes_no_empty_one(kernels, compiled, loops):
    f = compiled([a], ct.where(ct.arange(a.shape[0]) < a.shape[0] + 1, a, 0) + ct.concatenate([a, a])[: a.shape[0]])
    assert all(not guards(kernel) for kernel in kernels(f))
    assert_array_equal(f([1.0, 2.0]), [2.0, 4.0])


def heat(u):
    around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
    return u[1:-1, 1:-1] + 0.1 * (around - 4 * u[1:-1, 1:-1])


def within_borders(inner, u):
    new = u.copy()
    new[1:-1, 1:-1] = inner
    return new


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (2, 5), (7, 5)])
@pytest.mark.parametrize(
    "put, wanted",
    [
        (lambda inner: ct.set_subtensor(x[1:-1, 1:-1], inner), within_borders),
        (lambda inner: ct.pad(inner, 1), lambda inner, u: np.pad(inner, 1)),
    ],
    ids=["into what was there", "into zeros"],
)
def test_a_step_within_borders_is_computed_where_it_is_stored(compiled, kernels, shape, put, wanted):
    f = compiled([x], put(heat(x)))
    assert all(kernel.writes[0] in f.program.outputs for kernel in kernels(f))
    assert not any(guards(piece) for kernel in kernels(f) for piece in many(kernel.body))
    X = random(shape)
    assert_allclose(f(X), wanted(heat(X), X))


@pytest.mark.parametrize("n", [0, 1, 4])
def test_costly_vectors_are_computed_where_they_are_joined(compiled, kernels, n):
    out = ct.concatenate([ct.exp(a) * ct.sin(a), ct.tanh(b) * ct.log1p(b * b)])
    f = compiled([a, b], out)
    assert len(kernels(f)) == 1
    A, B = random((n,)), random((3,), seed=1)
    assert_allclose(f(A, B), np.concatenate([np.exp(A) * np.sin(A), np.tanh(B) * np.log1p(B * B)]))


def test_many_costly_vectors_are_stored_before_they_are_joined(compiled, kernels):
    parts = [ct.exp(a) * ct.sin(a + k) for k in range(6)]
    f = compiled([a], ct.concatenate(parts))
    assert len(kernels(f)) > 1
    A = random((3,))
    assert_allclose(f(A), np.concatenate([np.exp(A) * np.sin(A + k) for k in range(6)]))


def test_a_costly_value_that_two_ask_for_under_guards_is_computed_once(compiled, kernels):
    costly = ct.exp(a) * ct.sin(a) + ct.tanh(a)
    f = compiled([a, b], [ct.concatenate([costly, b]), ct.concatenate([b, costly])])
    assert len(kernels(f)) > 1
    A, B = random((3,)), random((2,), seed=1)
    costly = np.exp(A) * np.sin(A) + np.tanh(A)
    for got, parts in zip(f(A, B), [[costly, B], [B, costly]], strict=True):
        assert_allclose(got, np.concatenate(parts))


def test_what_uses_its_parts_again_and_again_is_stored_before_it_is_joined(compiled, kernels):
    """Under a guard parts have no names, so that this would be thousands of operations."""
    short, A, B = a, random((3,)), random((2,), seed=1)
    wanted = A
    for _ in range(10):
        short, wanted = short * short + short, wanted * wanted + wanted
    f = compiled([a, b], ct.concatenate([short, b]))
    assert len(kernels(f)) > 1
    assert_allclose(f(A, B), np.concatenate([wanted, B]))
