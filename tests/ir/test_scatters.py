"""Scatters and gathers that share an index array: what they do together, and what they must not."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import core.ir.cpu.parallel
import core.tensor as ct
from core.compile.function import function
from core.errors import IndexOutOfBounds
from core.gradient import grad
from core.ir.check.run import Driver
from core.ir.nodes import Let, statements
from core.ir.program import CheckStep
from core.ir.target import Target
from core.testing import random

a, b, u, v = (ct.vector(name) for name in "abuv")
x, y = ct.matrix("x"), ct.matrix("y")
i, j = ct.lvector("i"), ct.lvector("j")
A, B, U, V = random(4), random(4, seed=1), random(6, seed=2), random(6, seed=3)
X, Y = random((4, 2)), random((4, 2), seed=1)
HERE, THERE = np.array([0, 3, -4, 1, 3, -1]), np.array([2, 2, -1, 0, 1, 2])


def added(base, places, values):
    out = base.copy()
    np.add.at(out, places, values)
    return out


def put(base, places, values):
    out = base.copy()
    for place, value in zip(places, values, strict=True):
        out[place] = value
    return out


def checks_of(f):
    return [step for step in f.program.steps if isinstance(step, CheckStep)]


def scatters_of(kernels, loops, f):
    """For each kernel that scatters, which values it writes."""
    ordered = [kernel.writes for kernel in kernels(f) if loops(kernel, "for")]
    return [written for written in ordered if str(written[0].node.op).startswith("Advanced")]


# --- checks -----------------------------------------------------------------------------------------------------------


def test_gathers_and_scatters_at_one_index_array_share_one_check_for_each_length(compiled):
    f = compiled([a, b, u, i], grad((a[i] * b[i] * u).sum(), [a, b]))
    assert len(checks_of(f)) == 2
    for got, wanted in zip(f(A, B, U, HERE), [B[HERE] * U, A[HERE] * U], strict=True):
        assert_allclose(got, added(np.zeros(4), HERE, wanted))


def test_gathers_from_vectors_of_equal_length_share_one_check(compiled):
    f = compiled([a, b, i], [(a + b)[i], a[i], b[i]])
    assert len(checks_of(f)) == 1
    for got, wanted in zip(f(A, B, HERE), [(A + B)[HERE], A[HERE], B[HERE]], strict=True):
        assert_array_equal(got, wanted)


def test_an_index_that_is_computed_twice_in_the_same_way_is_checked_once(compiled):
    f = compiled([a, i], [ct.exp(a[i + 1]), ct.tanh(a[i + 1])])
    assert len(checks_of(f)) == 1
    with pytest.raises(IndexOutOfBounds, match="AdvancedSubtensor"):
        f(A, [0, 3])


@pytest.mark.parametrize("other", [lambda: a[j], lambda: u[i], lambda: a[i * 2], lambda: a[i[1:] + i[:-1]]])
def test_other_places_and_other_lengths_have_checks_of_their_own(compiled, other):
    assert len(checks_of(compiled([a, u, i, j], [a[i], other()]))) == 2


@pytest.mark.parametrize("which", [0, 1])
def test_each_length_is_checked_where_they_differ(compiled, which):
    f = compiled([a, u, i], [a[i] + u[i], ct.inc_subtensor(u[i], 1.0)])
    lengths = (5, 6) if which == 0 else (6, 5)
    with pytest.raises(IndexOutOfBounds, match="AdvancedSubtensor.*index .* is out of bounds"):
        f(np.zeros(lengths[0]), np.zeros(lengths[1]), [5])


def test_a_shared_check_is_named_after_an_op_that_is_computed(compiled):
    f = compiled([a, i], [a[i].shape[0], ct.inc_subtensor(a[i], 1.0)])
    (check,) = checks_of(f)
    assert "AdvancedIncSubtensor" in check.message
    with pytest.raises(IndexOutOfBounds, match=r"index 4 is out of bounds(?s:.)*test_scatters\.py"):
        f(A, [4])


# --- loops ------------------------------------------------------------------------------------------------------------


def test_gradients_at_one_index_array_grow_in_one_loop(compiled, kernels, loops):
    f = compiled([a, b, u, i], grad((a[i] * b[i] * u).sum(), [a, b]))
    (written,) = scatters_of(kernels, loops, f)
    assert len(written) == 2


def test_gradients_of_rows_grow_in_one_nest(compiled, kernels, loops):
    f = compiled([x, y, i], grad((x[i] * y[i]).sum(), [x, y]))
    (written,) = scatters_of(kernels, loops, f)
    assert len(written) == 2
    for got, wanted in zip(f(X, Y, HERE), [Y[HERE], X[HERE]], strict=True):
        assert_allclose(got, added(np.zeros((4, 2)), HERE, wanted))


def test_one_that_sets_and_one_that_adds_keep_their_meaning_in_one_loop(compiled, kernels, loops):
    f = compiled([a, b, u, i], [ct.set_subtensor(a[i], u), ct.inc_subtensor(b[i], u)])
    (written,) = scatters_of(kernels, loops, f)
    assert len(written) == 2
    got = f(A, B, U, HERE)
    assert_array_equal(got[0], put(A, HERE, U))
    assert_allclose(got[1], added(B, HERE, U))


NOT_TOGETHER = {
    "what one writes is the base of the other": lambda: [
        first := ct.inc_subtensor(a[i], u),
        ct.inc_subtensor(first[i], u),
    ],
    "what one writes is scattered by the other": lambda: [
        first := ct.inc_subtensor(a[i], u),
        ct.inc_subtensor(b[i], u * first[i]),
    ],
    "a sum of what one writes is scattered by the other": lambda: [
        first := ct.inc_subtensor(a[i], u),
        ct.inc_subtensor(b[i], u * first.sum()),
    ],
    "they share no memory": lambda: [ct.inc_subtensor(a[i], u), ct.inc_subtensor(b[j], v)],
    "one runs over half": lambda: [ct.inc_subtensor(a[i], u), ct.inc_subtensor(b[i[::2]], u[::2])],
}


@pytest.mark.parametrize("name", NOT_TOGETHER)
def test_scatters_stay_apart_where(compiled, kernels, loops, name):
    f = compiled([a, b, u, v, i, j], NOT_TOGETHER[name]())
    assert [len(written) for written in scatters_of(kernels, loops, f)] == [1, 1]
    first = added(A, HERE, U)
    second = {
        "what one writes is the base of the other": added(first, HERE, U),
        "what one writes is scattered by the other": added(B, HERE, U * first[HERE]),
        "a sum of what one writes is scattered by the other": added(B, HERE, U * first.sum()),
        "they share no memory": added(B, THERE, V),
        "one runs over half": added(B, HERE[::2], U[::2]),
    }[name]
    for got, wanted in zip(f(A, B, U, V, HERE, THERE), [first, second], strict=True):
        assert_allclose(got, wanted)


def test_a_number_that_bases_and_what_is_added_need_has_one_name(compiled, kernels):
    f = compiled([a, b, u, v, i], [ct.inc_subtensor((s * ct.exp(v[0]))[i], u * ct.exp(v[0])) for s in (a, b)])
    scatter = kernels(f)[-1]
    names = [s.local.name for s in statements(scatter.body) if isinstance(s, Let)]
    assert len(set(names)) == len(names)
    for got, base in zip(f(A, B, U, V, HERE), (A, B), strict=True):
        assert_allclose(got, added(base * np.exp(V[0]), HERE, U * np.exp(V[0])))


def test_scatters_of_nothing_are_their_bases(compiled):
    f = compiled([a, b, u, i], [ct.inc_subtensor(a[i], u), ct.inc_subtensor(b[i], 2 * u)])
    for got, wanted in zip(f(A, B, [], []), (A, B), strict=True):
        assert_array_equal(got, wanted)


# --- random programs --------------------------------------------------------------------------------------------------


@st.composite
def programs(draw):
    """Vectors of 4 and of 6 that gathers and scatters make of others: symbolic, and by NumPy."""
    short, long = [(a, A), (b, B)], [(u, U), (v, V)]
    made = []
    for _ in range(draw(st.integers(2, 7))):
        places, here = draw(st.sampled_from([(i, HERE), (j, THERE)]))
        base, known = draw(st.sampled_from(short))
        term, values = draw(st.sampled_from(long))
        what = draw(st.sampled_from(["gather", "add", "set", "scale"]))
        if what == "gather":
            long.append((base[places] * term, known[here] * values))
        elif what == "scale":
            short.append((base * 0.5 + short[0][0], known * 0.5 + short[0][1]))
        elif what == "add":
            short.append((ct.inc_subtensor(base[places], term), added(known, here, values)))
        else:
            short.append((ct.set_subtensor(base[places], term), put(known, here, values)))
        made.append((long if what == "gather" else short)[-1])
    kept = [pair for pair in made[:-1] if draw(st.booleans())]
    return [*kept, made[-1]]


@pytest.mark.parametrize("threads", [False, True])
def test_random_gathers_and_scatters_give_what_numpy_gives(threads, monkeypatch):
    monkeypatch.setattr(core.ir.cpu.parallel, "GRAIN", 1)
    backend = Driver("ir", Target(threads=True), 2) if threads else Driver("ir")

    @given(pairs=programs())
    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def check(pairs):
        f = function(
            [a, b, u, v, i, j], [symbol for symbol, _ in pairs], backend=backend, mode="none", on_unused_input="ignore"
        )
        for got, (_, wanted) in zip(f(A, B, U, V, HERE, THERE), pairs, strict=True):
            assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)

    check()


# --- in the loop that makes what is added -----------------------------------------------------------------------------


def residuals(a, b, u, v, i):
    return v - a[i] - b[i] * u


def test_what_gathers_and_sums_adds_to_its_gradient_in_the_same_loop(compiled, kernels):
    cost = (residuals(a, b, u, v, i) ** 2).sum()
    f = compiled([a, b, u, v, i], [cost, *grad(cost, [a, b])], mode=None)
    (kernel,) = [kernel for kernel in kernels(f) if f.program.inputs[3] in kernel.reads]
    assert set(f.program.outputs) - set(kernel.writes) == set() and kernel.scratch == []
    left = residuals(A, B, U, V, HERE)
    expected = [(left**2).sum(), added(np.zeros(4), HERE, -2 * left), added(np.zeros(4), HERE, -2 * left * U)]
    for got, wanted in zip(f(A, B, U, V, HERE), expected, strict=True):
        assert_allclose(got, wanted)
    empty = np.zeros(0)
    for got in f(A, B, empty, empty, empty.astype("int64")):
        assert_array_equal(got, np.zeros_like(got))
    with pytest.raises(IndexOutOfBounds):
        f(A, B, U, V, HERE + 1)


def test_functions_are_computed_by_several_threads_and_in_lanes_before_a_scatter(compiled, kernels, loops):
    cost = ct.exp(a[i] * u).sum()
    f = compiled([a, u, i], [cost, grad(cost, a)], mode=None)
    ordered = [kernel for kernel in kernels(f) if loops(kernel, "for")]
    assert not any(f.program.outputs[0] in kernel.writes for kernel in ordered)
    assert_allclose(f(A, U, HERE)[1], added(np.zeros(4), HERE, np.exp(A[HERE] * U) * U))


def test_what_is_added_after_a_sum_over_the_same_loop_waits_for_that(compiled):
    shares = (a[i] * u) / (a[i] * u).sum()
    f = compiled([a, b, u, i], [shares.sum(), ct.inc_subtensor(b[i], shares)], mode=None)
    products = A[HERE] * U
    assert_allclose(f(A, B, U, HERE)[1], added(B, HERE, products / products.sum()))


def test_a_scatter_whose_base_is_made_in_the_loop_waits_for_that(compiled):
    same = u * v
    f = compiled([u, v, i], [same, ct.inc_subtensor(same[i], same)], mode=None)
    got = f(U, V, np.arange(6)[::-1].copy())
    assert_allclose(got[1], U * V + (U * V)[::-1])
