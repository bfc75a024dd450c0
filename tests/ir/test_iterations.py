"""Iterations: what a body knows of lengths around it, which loops are kernels, and what the verifier refuses."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.dataclass import replace
from core.errors import VerifyError
from core.ir.check.run import Driver
from core.ir.check.verify import verify
from core.ir.expr import const
from core.ir.iteration import Carried
from core.ir.nodes import Break, If, Loop, Store, statements
from core.ir.program import KernelStep, LoopStep


def compiled(inputs, outputs):
    return core.function(inputs, outputs, backend=Driver())


def loop(f):
    (step,) = [step for step in f.program.steps if isinstance(step, LoopStep)]
    return step


def network():
    x, h, w = ct.matrix("x"), ct.vector("h"), ct.matrix("w")
    return compiled([x, h, w], core.scan(lambda x, h: ct.tanh(x + h @ w), sequences=x, outputs_info=h))


def changed(f, **parts):
    """The program with other parts of its iteration."""
    step = loop(f)
    step.iteration = replace(step.iteration, **parts)
    return f.program


def test_lengths_that_are_equal_around_a_body_have_one_name_in_it():
    f = network()
    body = loop(f).body
    weights = body.inputs[-1]
    assert body.shapes[weights][0] is body.shapes[weights][1]
    assert not body.guards  # all is asked before the first step
    assert len({guard.kind for guard in f.program.guards}) >= 1


def test_lengths_that_are_known_around_a_body_are_known_in_it():
    x = ct.tensor("x", dtype="float64", shape=(None, 40))
    f = compiled([x], core.scan(lambda x, h: ct.tanh(x + h), sequences=x, outputs_info=ct.zeros(40)))
    assert all(shape == (const(40),) for shape in loop(f).body.shapes.values() if shape)


def test_a_length_that_turns_out_to_be_one_broadcasts_in_a_step():
    x, h = ct.matrix("x"), ct.vector("h")
    f = compiled([x, h], core.scan(lambda x, h: ct.tanh(x + h), sequences=x, outputs_info=h))
    values = np.random.default_rng(0).standard_normal((3, 1)), np.random.default_rng(1).standard_normal(40)
    state, expected = values[1], []
    for row in values[0]:
        state = np.tanh(row + state)
        expected.append(state)
    assert_allclose(f(*values), expected)


def test_steps_of_scalars_and_of_few_elements_are_kernels():
    x = ct.vector("x")
    few = ct.tensor("few", dtype="float64", shape=(3,))
    for inputs, outputs in (
        ([x], core.scan(lambda x, h: ct.tanh(x + h), sequences=x, outputs_info=0.0)),
        ([few], core.scan(lambda h: ct.sin(h) + h.sum(), outputs_info=few, n_steps=4)),
    ):
        assert all(isinstance(step, KernelStep) for step in compiled(inputs, outputs).program.steps)


def test_steps_that_check_an_index_or_of_many_elements_are_no_kernels():
    table, at = ct.vector("table"), ct.lvector("at")
    many = ct.tensor("many", dtype="float64", shape=(30,))
    for inputs, outputs in (
        ([table, at], core.scan(lambda i, h: h + table[i], sequences=at, outputs_info=0.0)),
        ([many], core.scan(lambda h: ct.sin(h), outputs_info=many, n_steps=4)),
    ):
        assert loop(compiled(inputs, outputs))


def test_a_kernel_of_steps_keeps_rows_in_memory_only_where_they_are_asked_for():
    x = ct.vector("x")
    h = core.scan(lambda x, h: ct.tanh(x + h), sequences=x, outputs_info=0.0)
    for out, stores in ((h, 1), (h[-1], 0)):
        (kernel,) = [step.kernel for step in compiled([x], out).program.steps if "steps" in step.kernel.name]
        (steps,) = [statement for statement in kernel.body if isinstance(statement, Loop)]
        assert sum(isinstance(statement, Store) for statement in steps.body) == stores


def test_the_verifier_refuses_a_body_without_an_array_around_it():
    f = network()
    with pytest.raises(VerifyError, match="needs an array around it for each of its own"):
        verify(changed(f, wholes=()))


def test_the_verifier_refuses_a_state_that_is_read_where_it_is_written():
    f = network()
    (state,) = loop(f).iteration.states
    with pytest.raises(VerifyError, match="cannot start as"):
        verify(changed(f, states=(Carried(state.initial, (0,), state.kept, state.room),)))


def test_the_verifier_refuses_arrays_of_another_rank():
    f = network()
    (sequence,) = loop(f).iteration.sequences
    vector = f.program.inputs[1]
    with pytest.raises(VerifyError, match="cannot lie in"):
        verify(changed(f, sequences=(replace(sequence, value=vector),)))


def test_the_verifier_refuses_a_length_that_nobody_knows():
    f = network()
    with pytest.raises(VerifyError, match="nobody knows the length"):
        verify(changed(f, lengths={}))


def newton(a):
    return core.scan(
        lambda x: (x_new := (x + a / x) / 2, core.until(ct.abs(x_new - x) < 1e-12)), outputs_info=a, n_steps=50
    )


def test_a_loop_of_few_elements_that_may_end_early_is_a_kernel_that_leaves_its_loop():
    a = ct.scalar("a")
    roots = newton(a)
    f = compiled([a], [roots, roots.shape[0], core.grad(roots[-1], a)])
    assert all(isinstance(step, KernelStep) for step in f.program.steps)
    leaving = [s for step in f.program.steps for s in statements(step.kernel.body) if isinstance(s, Break)]
    assert len(leaving) == 1
    for value in (2.0, 1.0, 1e6):
        x, before, expected = value, np.inf, []
        while abs(x - before) >= 1e-12:
            x, before = (x + value / x) / 2, x
            expected.append(x)
        made, count, slope = f(value)
        assert_allclose(made, expected)
        assert count == len(expected)
        assert_allclose(slope, 0.5 / np.sqrt(value), rtol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_loop_that_may_end_early_does_no_more_steps_than_it_is_given(n):
    count = ct.lscalar("count")
    powers = core.scan(lambda p: (2 * p, core.until(p > 1e300)), outputs_info=1.0, n_steps=count)
    assert_allclose(compiled([count], powers)(n), 2.0 ** np.arange(1, n + 1))


def test_a_loop_is_left_from_its_own_body_alone():
    a = ct.scalar("a")
    program = compiled([a], newton(a)).program
    (kernel,) = [s.kernel for s in program.steps if any(isinstance(x, Break) for x in statements(s.kernel.body))]
    (loop,) = [s for s in kernel.body if isinstance(s, Loop)]
    left = next(s for s in loop.body if isinstance(s, Break))
    loop.body[loop.body.index(left)] = If(const(True, "bool"), [left])
    with pytest.raises(VerifyError, match="only a loop in order is left, from its own body"):
        verify(program)
