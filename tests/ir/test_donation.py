"""Donation: which new values of shared variables may lie where the old ones do, and which may not."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.dataclass import replace
from core.errors import VerifyError
from core.ir.check.run import Driver
from core.ir.check.verify import verify
from core.ir.program import CheckStep, LibraryStep
from core.testing.graphs import graphs

x, i = ct.dmatrix("x"), ct.lvector("i")
M = np.arange(12.0).reshape(3, 4) / 7


@pytest.fixture
def w():
    return core.shared(M + 1, name="w")


@pytest.fixture
def m():
    return core.shared(M + 2, name="m")


def step(inputs, outputs, updates, backend=None):
    """A function on the oracle, where every value is given away that may be."""
    backend = backend or Driver("ir")
    return core.function(inputs, outputs, updates=updates, backend=backend, mode="none", on_unused_input="ignore")


def pairs(f):
    """The values that may be written over by the program that ran last."""
    return {str(given) for given in f._run._current[0].program.donors.values()}


def follows(inputs, outputs, updates, *arrays):
    """That a function does what the interpreter does, values of shared variables included; the function."""
    shared = list(updates)
    start = [s.get_value() for s in shared]
    f = step(inputs, outputs, updates)
    got = [f(*arrays), *(s.get_value() for s in shared)]
    for s, value in zip(shared, start, strict=True):
        s.set_value(value)
    want = [step(inputs, outputs, updates, "interpreter")(*arrays), *(s.get_value() for s in shared)]
    for one, other in zip(_flat(got), _flat(want), strict=True):
        assert_allclose(one, other, rtol=1e-10, atol=1e-10)
    return f


def _flat(results):
    first, *rest = results
    return [*(first if isinstance(first, list) else [first]), *rest]


def test_an_elementwise_update_may_be_made_in_place(w):
    f = follows([x], w.sum(), {w: w - 0.1 * ct.exp(x)}, M)
    assert pairs(f) == {"w"}


def test_updates_of_one_loop_may_all_be_made_in_place(w, m):
    moment = 0.9 * m + x
    f = follows([x], moment.sum(), {w: w - moment, m: moment}, M)
    assert pairs(f) == {"w", "m"}


def test_a_product_may_be_added_in_place(w, gemm):
    f = follows([x], w.sum(), {w: w - 0.5 * (x.T @ (x @ w))}, M.T @ M[:, :3] @ M[:3, :3])
    assert pairs(f) == {"w"}


def test_a_sum_of_products_may_be_added_in_place(w, gemm):
    f = follows([x], w.sum(), {w: w - 0.5 * (x @ (x.T @ x)) - 0.25 * ((x @ w.T) @ x)}, M)
    assert len([one for one in f.program.steps if isinstance(one, LibraryStep)]) > 2


def test_the_first_of_a_chain_of_products_may_start_in_place(w, m, gemm):
    f = follows([x], m.sum(), {m: m - 0.5 * (x @ (x.T @ x)) - 0.25 * (w @ (w.T @ x))}, M)
    assert pairs(f) == {"m"} and f.program.kept_in


def test_a_value_that_is_replaced_by_another_needs_no_place_of_its_own(w):
    assert pairs(follows([x], w.sum(), {w: ct.zeros_like(w) + ct.exp(x).sum()}, M)) == {"w"}


def test_a_value_that_is_read_later_is_kept(w, m):
    f = follows([x], [], {w: w - ct.cumsum(w * x, axis=0), m: m + ct.cumsum(w, axis=1)}, M)
    assert "w" not in pairs(f)


def test_values_that_change_places_are_not_both_written_over(w, m):
    f = follows([], [], {w: m * 1, m: w * 1})
    assert len(pairs(f)) < 2


@pytest.mark.parametrize("other", [lambda w: w[::-1], lambda w: w[:, ::-1], lambda w: w[:1], lambda w: w - w[1:2]])
def test_a_value_that_is_read_elsewhere_than_it_is_written_is_kept(w, other):
    f = follows([], w.sum(), {w: w * 0.5 + other(w)})
    assert not pairs(f)


def test_a_value_that_is_an_output_is_kept(w):
    assert not pairs(follows([x], w, {w: w + x}, M))


def test_a_new_value_of_another_shape_has_a_place_of_its_own(w):
    assert not pairs(follows([x], [], {w: ct.concatenate([w, x], axis=0)}, M))


def test_nothing_is_written_over_while_an_index_may_still_be_out_of_range(w, m):
    f = follows([x, i], x[i].sum(), {w: w - 0.1 * x}, M, np.array([2, 0]))
    checks = [k for k, one in enumerate(f.program.steps) if isinstance(one, CheckStep)]
    makers = [k for k, one in enumerate(f.program.steps) if f.program.outputs[1] in one.writes]
    assert checks and (not pairs(f) or makers[0] > checks[-1])
    before = w.get_value()
    with pytest.raises(IndexError):
        f(M, np.array([7, 0]))
    assert_allclose(w.get_value(), before)


def test_nothing_is_written_over_while_python_has_something_to_compute(w):
    class Square(core.Op):
        __props__ = ()

        def make_node(self, x):
            return core.Apply(self, [x], [x.type])

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = inputs[0] ** 2

    with pytest.warns(core.errors.CoreWarning, match="Python computes it"):
        f = follows([x], Square()(w + x), {w: w - x}, M)
    assert not pairs(f)


def test_a_device_keeps_all_values():
    from core.ir.target import Target

    w = core.shared(M, name="w")
    driver = Driver("ir", Target(units=4, lanes=8))
    assert not pairs(step([x], [], {w: w - x}, driver))


@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(graphs(kinds=("float64", "int64"), without=("astype",)))
def test_random_updates_are_those_of_the_interpreter(graph):
    states = [
        core.shared(array.copy(), name=f"s{k}", shape=symbol.type.shape)
        for k, (array, symbol) in enumerate(zip(graph.arrays, graph.inputs, strict=True))
    ]
    replaced = dict(zip(graph.inputs, states, strict=True))
    outputs = core.clone_replace(graph.outputs, replaced)
    updates = {}
    for state, array in zip(states, graph.arrays, strict=True):
        for out, expected in zip(outputs, graph.expected, strict=True):
            if (out.dtype, expected.shape) == (state.dtype, array.shape):
                updates[state] = state - out
    if updates:
        follows([], outputs, updates)


# --- the verifier -----------------------------------------------------------------------------------------------------


def test_the_verifier_knows_what_may_be_written_over(w, m):
    f = step([x], w.sum(), {w: w - x, m: m + ct.cumsum(w, axis=0)})
    program, (_, new_w, new_m) = f.program, f.program.outputs
    values = {str(value): value for value in program.inputs}
    verify(program)
    with pytest.raises(VerifyError, match="read after"):
        verify(replace(program, donors={new_w: values["w"]}))
    with pytest.raises(VerifyError, match="of an input that is no output"):
        verify(replace(program, donors={new_w: new_m}))
    program = step([x], [], {w: w - x}).program
    (last,) = program.steps
    last.kernel = replace(last.kernel, shared=frozenset())
    with pytest.raises(VerifyError, match="takes them for two places in memory"):
        verify(program)
