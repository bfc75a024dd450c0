"""Steps of which one of two programs runs: what they look like, and what the verifier refuses."""

import numpy as np
import pytest

import core
import core.tensor as ct
from core.dataclass import replace
from core.errors import VerifyError
from core.ir.check.run import Driver
from core.ir.check.verify import verify
from core.ir.guards import Guard
from core.ir.program import BranchStep, HostStep
from core.testing import available_backends

c, x, y = ct.bscalar("c"), ct.dvector("x"), ct.dvector("y")


def program():
    """A fresh program, its step with branches, and the number of that."""
    f = core.function([c, x, y], core.ifelse(c, ct.exp(x).sum(), (x * y).sum()), backend=Driver(), name="f")
    found = f.program
    (number,) = (k for k, step in enumerate(found.steps) if isinstance(step, BranchStep))
    return found, found.steps[number], number


def test_both_programs_are_shown_below_their_condition():
    found, step, _ = program()
    text = str(found)
    assert f"{step.writes[0]} = {step.bodies[0].name} if {step.choice.condition} else {step.bodies[1].name}" in text
    assert all(f"program {body.name}(" in text for body in step.bodies)


def test_only_the_side_that_needs_lengths_to_fit_asks_for_that():
    found, step, _ = program()
    assert [len(guards) for guards in step.guards] == [0, 1] and not found.guards
    (guard,) = step.guards[1]
    assert (str(guard.a), str(guard.b)) == (str(guard.symbols[0]), str(guard.symbols[1]))


def without_lengths(step):
    first, second = step.choice.sides
    return replace(step, choice=replace(step.choice, sides=(replace(first, lengths={}), second)))


def with_a_condition_of_numbers(step):
    return replace(step, choice=replace(step.choice, condition=step.choice.sides[0].inputs[0]))


def with_an_output_less(step):
    first, second = step.choice.sides
    return replace(step, choice=replace(step.choice, sides=(first, replace(second, outputs=()))))


def with_an_array_of_another_kind(step):
    first, second = step.choice.sides
    inputs = (step.choice.condition, *first.inputs[1:])
    return replace(step, choice=replace(step.choice, sides=(replace(first, inputs=inputs), second)))


def with_python_inside(step):
    step.bodies[0].steps.append(HostStep(0, (), ()))
    return step


def with_constants_inside(step):
    body = step.bodies[1]
    body.constants[body.inputs[0]] = np.zeros(3)
    return step


def with_a_guard_that_nobody_knows(step):
    n = step.bodies[0].shapes[step.bodies[0].inputs[0]][0]
    step.bodies[0].guards.append(Guard("same", n, n, "nobody"))
    return step


@pytest.mark.parametrize(
    "changed, said",
    [
        (without_lengths, "nobody knows the length of axis 0 of x"),
        (with_a_condition_of_numbers, "a choice needs a 0-d bool, got x of float64"),
        (with_an_output_less, "needs an array around it for each of its own"),
        (with_an_array_of_another_kind, "cannot lie in"),
        (with_python_inside, "needs Python"),
        (with_constants_inside, "may need nothing but its arrays"),
        (with_a_guard_that_nobody_knows, "may need nothing but its arrays"),
    ],
)
def test_what_cannot_run_is_refused(changed, said):
    found, step, number = program()
    verify(found)
    found.steps[number] = changed(step)
    with pytest.raises(VerifyError, match=said):
        verify(found)


@pytest.mark.parametrize("backend", [name for name in available_backends() if name != "interpreter"])
def test_lengths_that_differ_are_left_to_the_interpreter_and_are_right(backend):
    f = core.function([c, x, y], core.ifelse(c, ct.exp(x), y), backend=backend)
    for flag, a, b in ((1, 3, 3), (0, 3, 3), (1, 3, 2), (0, 3, 2), (1, 0, 2), (0, 1, 4)):
        u, v = np.arange(float(a)), np.arange(float(b))
        np.testing.assert_allclose(f(flag, u, v), np.exp(u) if flag else v)
