"""Schedules for devices, run by the slow evaluator: each program is legal and gives what NumPy gives."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose, assert_array_equal

from core.compile.function import function
from core.dataclass import replace
from core.gradient import grad
from core.ir.check.run import Driver
from core.ir.codes import Combine
from core.ir.nodes import Atomic, statements
from core.ir.program import KernelStep
from core.ir.target import Target
from core.tensor import minimum, set_subtensor, tensor, tile
from core.testing.graphs import float_outputs, graphs
from core.testing.values import compiled

PIECES = Target(units=3, lanes=1, piece=2)
GROUPS = Target(units=3, lanes=4, piece=2, settles=True, atomics=frozenset({"float64", "float32", "int64", "int32"}))
HOLDS = Target(units=8, lanes=4, piece=2, holds_rows=True, atomics=GROUPS.atomics)
FINISHES = replace(HOLDS, finishes=True)
TARGETS = pytest.mark.parametrize(
    "target", [PIECES, GROUPS, HOLDS, FINISHES], ids=["pieces", "groups", "groups that hold rows", "groups that finish"]
)
SETTLING = pytest.mark.parametrize("target", [replace(PIECES, settles=True), GROUPS], ids=["pieces", "groups"])


@TARGETS
def test_random_graphs_give_what_numpy_gives(target):
    @settings(
        max_examples=60,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(graph=graphs())
    def check(graph):
        run = function(graph.inputs, graph.outputs, backend=Driver("c", target), on_unused_input="ignore")
        for got, want in zip(run(*graph.arrays), graph.expected, strict=True):
            assert (got.shape, got.dtype) == (want.shape, want.dtype), graph
            if want.dtype.kind == "f":
                assert_allclose(got, want, **graph.tolerance(), err_msg=str(graph))
            else:
                assert_array_equal(got, want, err_msg=str(graph))

    check()


@TARGETS
def test_gradients_of_random_graphs_are_those_of_the_interpreter(target):
    @settings(
        max_examples=40,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(graph=graphs(kinds=("float64",), smooth=True, max_steps=6, without=("astype",)))
    def check(graph):
        outputs = float_outputs(graph)
        if not outputs:
            return
        gradients = grad(sum((out * out).sum() for out in outputs), graph.inputs, disconnected_inputs="ignore")
        plain = compiled(graph.inputs, gradients)(*graph.arrays)
        run = function(graph.inputs, gradients, backend=Driver("c", target), on_unused_input="ignore")
        atol = 1e-10 * max(1.0, graph.scale, *(float(np.max(np.abs(g), initial=0)) for g in plain)) ** 2
        for got, want in zip(run(*graph.arrays), plain, strict=True):
            assert_allclose(got, want, rtol=1e-10, atol=atol, err_msg=str(graph))

    check()


@TARGETS
def test_what_has_no_elements_is_written_by_nobody(target):
    x = tensor("x", dtype="float64", shape=(None, 5))
    y = tile(minimum(x, 1), 0)
    run = function([x], [y.astype("float32")[-4], y], backend=Driver("c", target))
    got = run(np.ones((5, 5)))
    assert [one.shape for one in got] == [(0,), (5, 0)]


# --- elements that are set several times -----------------------------------------------------------------------------


def setting(target, at, x, v, *indices):
    """What ``x[at(*indices)] = v`` gives on a target and in NumPy, and the kernel that does it."""
    names = [tensor(f"i{k}", dtype="int64", ndim=i.ndim) for k, i in enumerate(indices)]
    base, new = (tensor(name, dtype=a.dtype, ndim=a.ndim) for name, a in (("x", x), ("v", v)))
    run = function([base, new, *names], set_subtensor(base[at(*names)], new), backend=Driver("c", target))
    want = x.copy()
    want[at(*indices)] = v
    *_, last = [step.kernel for step in run.program.steps if isinstance(step, KernelStep)]
    return run(x, v, *indices), want, last


ROWS, COLUMNS, MATRIX = np.array([3, 1, 3, -1, 0, 3, 1]), np.array([2, 0, 2, 1, 1, 0, 0]), np.zeros((4, 3))
REPEATED = {
    "a vector": (lambda i: (i,), np.zeros(4), np.arange(1.0, 8), ROWS),
    "rows": (lambda i: (i,), MATRIX, np.arange(1.0, 22).reshape(7, 3), ROWS),
    "columns": (lambda i: (slice(None), i), MATRIX, np.arange(1.0, 29).reshape(4, 7), COLUMNS),
    "single elements": (lambda i, j: (i, j), MATRIX, np.arange(1.0, 8), ROWS, COLUMNS),
    "a row's elements": (lambda j: (1, j), MATRIX, np.arange(1.0, 8), COLUMNS),
    "one number for all": (lambda i: (i,), np.zeros(4), np.array(5.0), ROWS),
    "indices of two axes": (lambda i: (i,), np.zeros((4, 2)), np.arange(1.0, 15).reshape(7, 1, 2), ROWS[:, None]),
    "none of them": (lambda i: (i,), np.ones(4), np.zeros(0), ROWS[:0]),
    "nothing to set": (lambda i: (i,), np.zeros((4, 0)), np.zeros((7, 0)), ROWS),
}


@SETTLING
@pytest.mark.parametrize("case", REPEATED.values(), ids=REPEATED)
def test_the_last_of_several_writers_wins_though_all_write_at_once(target, case):
    at, x, v, *indices = case
    got, want, kernel = setting(target, at, x, v, *indices)
    assert_array_equal(got, want)
    assert any(isinstance(s, Atomic) and s.combine is Combine.MAX for s in statements(kernel.body))
    assert all(s.extent.payload != 1 for s in kernel.body if s.extent.is_const), "nothing is done by one work-item"


@TARGETS
def test_writers_that_never_meet_have_nothing_to_settle(target):
    x, v = tensor("x", dtype="float64", ndim=2), tensor("v", dtype="float64", ndim=2)
    run = function([x, v], set_subtensor(x[1:3], v), backend=Driver("c", target))
    assert not any(isinstance(s, Atomic) for step in run.program.steps for s in statements(step.kernel.body))
    assert_array_equal(run(np.zeros((4, 2)), np.ones((2, 2))), [[0, 0], [1, 1], [1, 1], [0, 0]])
