"""Print, CheckAndRaise and Assert: values go through, and what is looked at is seen when the function runs."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import ArgumentError
from core.testing import available_backends, check_derivatives, check_op, evaluate, random


@pytest.mark.parametrize("backend", available_backends())
def test_a_print_shows_its_value_each_time_and_warns_of_nothing(backend, capsys):
    x = ct.dvector("x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f = core.function([x], ct.Print("twice")(x * 2) + 1, backend=backend)
    capsys.readouterr()
    assert_array_equal(f([1.0, 2.0]), [3.0, 5.0])
    assert capsys.readouterr().out == "twice = [2. 4.]\n"
    f([0.0])
    assert capsys.readouterr().out == "twice = [0.]\n"


def test_a_print_shows_attributes_or_calls_a_function(capsys):
    seen = []
    x = random((2, 3))
    evaluate(lambda x: ct.Print("x", attrs=("shape", "max"))(x), x)
    evaluate(lambda x: ct.Print(global_fn=lambda op, value: seen.append(value.sum()))(x), x)
    evaluate(lambda x: ct.Print()(x), np.float64(3.0))
    assert capsys.readouterr().out == f"x shape = (2, 3)\nx max = {x.max()}\nx0 = 3.0\n"
    assert seen == [x.sum()]


def test_a_printed_constant_is_printed_when_the_function_runs(capsys):
    f = core.function([], ct.Print("c")(ct.constant(2.0)) * 3, backend="interpreter")
    assert capsys.readouterr().out == ""
    assert f() == 6.0
    assert capsys.readouterr().out == "c = 2.0\n"


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("message", ["x must be positive", 'a "quoted" 50 % \\ of \u00e4', ""])
def test_a_check_lets_through_what_holds_and_raises_where_something_does_not(message, backend):
    x, n = ct.dvector("x"), ct.lscalar("n")
    checked = ct.CheckAndRaise(ValueError, message)(x * 2, x > 0, n > 3)
    f = core.function([x, n], [checked.sum(), x], backend=backend)
    assert f([1.0, 2.0], 4)[0] == 6.0
    assert f([], 4)[0] == 0.0
    for arguments in (([1.0, 0.0], 4), ([1.0, 2.0], 3)):
        with pytest.raises(ValueError) as raised:
            f(*arguments)
        assert message in str(raised.value) and "CheckAndRaise" in str(raised.value)
    assert f([1.0, 2.0], 4)[0] == 6.0


@pytest.mark.parametrize("backend", available_backends())
def test_an_assertion_does_not_change_what_others_read(backend):
    x = ct.dvector("x")
    y = ct.exp(x)
    f = core.function([x], [ct.Assert("finite")(y, ct.isfinite(y)) + 1, y, x], backend=backend)
    value = np.array([0.0, 1.0])
    plus_one, same, unchanged = f(value)
    assert_allclose(plus_one, np.exp(value) + 1)
    assert_allclose(same, np.exp(value))
    assert_array_equal(unchanged, value)
    with pytest.raises(AssertionError, match="finite"):
        f([1e9])
    assert_array_equal(core.function([x], ct.Assert()(x, x > 0), backend=backend)(value + 1), value + 1)


def looked_at(op, value):
    """Something that happens, and shows nothing."""


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_they_keep_the_contract_of_ops(dtype):
    differentiable = dtype == "float64"
    check_op(ct.Print("", global_fn=looked_at), random(4, dtype), backends=(), derivatives=differentiable)
    check_op(ct.Assert("never"), random((3, 4), dtype), np.array(True), wrt=[0] if differentiable else [])


def test_the_gradient_goes_through():
    check_derivatives(lambda x: ct.Assert("never")(x**2, x < 10), random(3))


def test_in_a_stack_every_condition_is_asked():
    x = ct.dmatrix("x")
    f = core.function([x], core.vmap(lambda row: ct.Assert("positive")(row, row.sum() > 0))(x))
    assert_array_equal(f([[1.0, 2.0]]), [[1.0, 2.0]])
    with pytest.raises(AssertionError, match="positive"):
        f([[1.0, 2.0], [-1.0, 0.0]])


def test_only_exceptions_of_python_itself_can_be_raised():
    class Mine(ValueError):
        pass

    for wrong in (Mine, "ValueError", KeyboardInterrupt):
        with pytest.raises(ArgumentError, match="needs one of Python's own exceptions"):
            ct.CheckAndRaise(wrong, "no")
