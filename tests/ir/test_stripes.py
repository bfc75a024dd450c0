"""Reductions whose parts the last group takes together: how many launches they are, and that numbers are NumPy's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.compile.function import function
from core.dataclass import replace
from core.errors import BackendError, VerifyError
from core.ir.check.oracle import run_kernel
from core.ir.check.run import Driver, Noting, Run
from core.ir.check.verify_kernel import verify_kernel
from core.ir.clike.cfamily import Dialect, print_kernel
from core.ir.clike.cwork import WorkItems
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import const, index, make
from core.ir.nodes import Arrive, Barrier, If, Kernel, Let, Local, Loop, LoopKind, Store, statements
from core.ir.program import KernelStep, Program
from core.ir.target import Target
from core.testing.devices import numpy_backend

FINISHES = Target(units=12, lanes=8, piece=2, finishes=True)
TWICE = replace(FINISHES, finishes=False)
TARGETS = pytest.mark.parametrize("target", [FINISHES, TWICE], ids=["one launch", "two launches"])
SHAPES = [(300, 3), (0, 3), (1, 3), (5, 0), (65, 4), (64, 5), (200, 1), (17, 40), (2, 700)]


def arrived(kernels):
    return [s for one in kernels for s in statements(one.body) if isinstance(s, Arrive)]


@TARGETS
@pytest.mark.parametrize("is_static", [False, True], ids=["any lengths", "known lengths"])
def test_sums_over_the_first_axis_are_those_of_numpy(target, is_static):
    x = ct.matrix("x")
    run = function([x], [x.sum(axis=0), (x * x).mean(axis=0)], backend=Driver("c", target))
    for shape in SHAPES:
        if is_static:
            x = ct.tensor("x", dtype="float64", shape=shape)
            run = function([x], [x.sum(axis=0), (x * x).mean(axis=0)], backend=Driver("c", target))
        a = np.random.default_rng(shape[0]).standard_normal(shape)
        with np.errstate(all="ignore"):
            sums, means = run(a)
            assert_allclose(sums, a.sum(axis=0), rtol=1e-10, atol=1e-10)
            assert_allclose(means, (a * a).sum(axis=0) / shape[0], rtol=1e-10)


@TARGETS
def test_maxima_of_columns_keep_nan_and_infinities(target):
    x = ct.matrix("x")
    run = function([x], [x.max(axis=0), x.min(axis=0)], backend=Driver("c", target))
    a = np.random.default_rng(0).standard_normal((300, 5))
    a[170, 1], a[3, 2], a[299, 3], a[:, 4] = np.nan, np.inf, -np.inf, -np.inf
    assert_array_equal(run(a)[0], a.max(axis=0))
    assert_array_equal(run(a)[1], a.min(axis=0))


@TARGETS
def test_what_lanes_know_of_results_before_they_take_turns_is_there(target):
    x = ct.matrix("x")
    run = function([x], [ct.softmax(x, axis=0)], backend=Driver("c", target))
    for shape in [(33, 33), (300, 5), (64, 3)]:
        a = np.random.default_rng(1).standard_normal(shape)
        e = np.exp(a - a.max(axis=0))
        assert_allclose(run(a)[0], e / e.sum(axis=0), rtol=1e-12)


@TARGETS
@pytest.mark.parametrize("shape", [(None,), (5000,), (0,), (1,)])
def test_sums_of_everything_are_those_of_numpy(target, shape):
    x = ct.tensor("x", dtype="float64", shape=shape)
    run = function([x], [x.sum(), x.max() if shape != (0,) else x.sum()], backend=Driver("c", target))
    a = np.random.default_rng(2).standard_normal(5000 if shape == (None,) else shape)
    total, largest = run(a)
    assert_allclose(total, a.sum(), rtol=1e-10, atol=1e-10)
    assert largest == (a.max() if a.size else 0)


@TARGETS
def test_rows_of_few_but_long_lines_are_those_of_numpy(target):
    x = ct.tensor("x", dtype="float64", shape=(3, None))
    run = function([x], [x.sum(axis=1), x.argmax(axis=1)], backend=Driver("c", target))
    for n in (1, 100, 2000):
        a = np.random.default_rng(n).standard_normal((3, n))
        assert_allclose(run(a)[0], a.sum(axis=1), rtol=1e-10)
        assert_array_equal(run(a)[1], a.argmax(axis=1))


@pytest.mark.parametrize("shape, axis", [((4000, 6), 0), ((4000, 6), None), ((2, 4000), 1)])
def test_what_has_parts_is_one_launch_where_the_last_group_knows_it(shape, axis):
    for target, count in ((FINISHES, 1), (TWICE, 2)):
        x, noting = ct.tensor("x", dtype="float32", shape=shape), Noting(target)
        function([x], [x.sum(axis=axis)], backend=noting)
        kernels = noting.kernels()
        assert len(kernels) == count
        assert len(arrived(kernels)) == 2 - count
        assert [value for one in kernels for value in one.counters] == [s.counter for s in arrived(kernels)]


def test_all_outer_axes_are_one_where_nothing_must_be_divided():
    x, noting = ct.tensor("x", dtype="float64", shape=(2, 1500, 4)), Noting(FINISHES)
    run = function([x], [(x * x).sum(axis=(0, 1))], backend=noting)
    (kernel,) = noting.kernels()
    (arrive,) = arrived([kernel])
    assert arrive.count.payload > 2, "more heaps than the first axis has rows"
    a = np.random.default_rng(3).standard_normal((2, 1500, 4))
    assert_allclose(run(a)[0], (a * a).sum(axis=(0, 1)), rtol=1e-10)


@TARGETS
def test_axes_that_lie_apart_stay_apart(target):
    x = ct.tensor("x", dtype="float64", shape=(70, 3, 4))
    run = function([x], [(x[:, ::-1] * x).sum(axis=(0, 1))], backend=Driver("c", target))
    a = np.random.default_rng(3).standard_normal((70, 3, 4))
    assert_allclose(run(a)[0], (a[:, ::-1] * a).sum(axis=(0, 1)), rtol=1e-10)


def test_columns_that_one_group_can_take_whole_need_no_last_one():
    x, noting = ct.tensor("x", dtype="float32", shape=(32, 6)), Noting(FINISHES)
    function([x], [x.sum(axis=0)], backend=noting)
    assert len(noting.kernels()) == 1 and not arrived(noting.kernels())


def test_a_device_finds_its_counters_at_zero_in_every_call():
    x = ct.matrix("x")
    f = function([x], [x.sum(axis=0), x.sum()], backend=numpy_backend(FINISHES))
    for n in (300, 300, 1, 299, 0, 300):
        a = np.random.default_rng(n).standard_normal((n, 3))
        for got, want in zip(f(a), (a.sum(axis=0), a.sum()), strict=True):
            assert_allclose(got, want, rtol=1e-10, atol=1e-10)


# --- the statement -------------------------------------------------------------------------------------------------


def counting(count=3, inside=None):
    """A kernel of groups that leave their number; the last one adds them up."""
    y, parts, counter = Value("y", "float64"), Value("parts", "float64"), Value("counter", "uint32")
    g, once, again, last = index("g"), index("once"), index("again"), Local("last", "bool")
    part = make(Code.LOAD, "float64", (const(0),), parts)
    store = Loop(again, const(1), [Store(y, const(0), part)], LoopKind.LANES)
    body = [
        Loop(once, const(1), [Store(parts, g, const(1.0, "float64"))], LoopKind.LANES),
        Arrive(last, counter, const(0), const(count)),
        If(last.expr, [store] if inside is None else inside(y, last)),
    ]
    loops = [Loop(g, const(3), body, LoopKind.GROUPS)]
    return Kernel("k", [], [y, parts, counter], loops, counters=(counter,)), g


def test_the_last_group_to_come_sees_what_the_others_left():
    kernel, _ = counting()
    verify_kernel(kernel)
    arrays = {value: np.zeros(3, value.dtype) for value in kernel.writes}
    run_kernel(kernel, arrays)
    y, _, counter = arrays.values()
    assert y[0] == 1 and not counter.any()


def test_before_all_have_come_nobody_is_the_last():
    kernel, _ = counting(count=4)
    arrays = {value: np.zeros(3, value.dtype) for value in kernel.writes}
    run_kernel(kernel, arrays)
    assert list(arrays[kernel.writes[0]]) == [0, 0, 0] and list(arrays[kernel.counters[0]]) == [3, 0, 0]


def test_the_evaluator_finds_counters_that_are_left():
    kernel, _ = counting(count=4)
    y, parts, counter = kernel.writes
    shapes = {y: (const(1),), parts: (const(3),), counter: (const(1),)}
    program = Program("p", [], [y], {}, [KernelStep(kernel)], [], shapes, slots={parts: 0}, slot_sizes=[const(24)])
    with pytest.raises(VerifyError, match="k leaves counters of groups that did not come"):
        Run(program)([])


def test_groups_that_meet_elsewhere_write_elsewhere():
    kernel, g = counting()
    by_place = Arrive(Local("last", "bool"), kernel.counters[0], g, const(1))
    _, choice = kernel.body[0].body[1:]
    kernel.body[0].body[1:] = [by_place, replace(choice, condition=by_place.last.expr)]
    with pytest.raises(VerifyError, match="every iteration of the groups loop over g writes to the same place"):
        verify_kernel(kernel)


def test_without_the_condition_every_group_would_write():
    kernel, _ = counting()
    kernel.body[0].body[2:] = kernel.body[0].body[2].body
    with pytest.raises(VerifyError, match="every iteration of the groups loop over g writes to the same place"):
        verify_kernel(kernel)


@pytest.mark.parametrize(
    "change, rule",
    [
        (lambda k: replace(k, counters=()), "its counters must be those at which groups arrive"),
        (lambda k: replace(k, writes=k.writes[:2]), "counter is not among what the kernel writes"),
    ],
)
def test_counters_are_declared(change, rule):
    kernel, _ = counting()
    with pytest.raises(VerifyError, match=rule):
        verify_kernel(change(kernel))


def test_nobody_reads_or_stores_to_a_counter():
    kernel, g = counting()
    counter, once = kernel.counters[0], index("more")
    stored = Store(counter, g, const(0, "uint32"))
    kernel.body[0].body.insert(0, Loop(once, const(1), [stored], LoopKind.LANES))
    with pytest.raises(VerifyError, match="counter is a counter, which nobody reads or stores to"):
        verify_kernel(kernel)


def test_lanes_arrive_together():
    kernel, _ = counting()
    body = kernel.body[0].body
    body[1:] = [If(const(True, "bool"), body[1:])]
    with pytest.raises(VerifyError, match="some lanes may never arrive under a condition"):
        verify_kernel(kernel)


def test_all_lanes_of_the_last_group_may_meet_and_only_they():
    def meeting(y, last):
        return [Barrier()]

    kernel, _ = counting(inside=meeting)
    kernel = replace(kernel, writes=kernel.writes[1:])
    verify_kernel(kernel)
    yes = Local("yes", "bool")
    kernel.body[0].body[1:2] = [kernel.body[0].body[1], Let(yes, const(True, "bool"))]
    kernel.body[0].body[-1] = replace(kernel.body[0].body[-1], condition=yes.expr)
    with pytest.raises(VerifyError, match="some lanes may never come to a barrier under a condition"):
        verify_kernel(kernel)


def test_a_language_in_which_groups_cannot_know_it_says_so():
    kernel, _ = counting()
    plain = WorkItems("i", "n", "r", "rs", "l", "ls", "barrier;", "", "")
    with pytest.raises(BackendError, match="the plain dialect cannot tell which group is the last to come"):
        print_kernel(kernel, Dialect("plain", work=plain))


def test_in_print_the_last_group_has_a_name():
    kernel, _ = counting()
    assert "let last = last of 3 at counter[0]" in str(kernel)
