"""Functions of scalars with loops: what is written, what it computes, and what is no legal one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
from core.errors import DTypeError, VerifyError
from core.ir.check.verify_function import verify_function
from core.ir.clike.cfamily import Dialect
from core.ir.clike.cfunctions import print_function
from core.ir.evaluate import evaluate_scalar
from core.ir.expr import load, select
from core.ir.function import ScalarFunction, scalar_function
from core.ir.nodes import Break, Let, Local
from core.tensor.elementwise import elementwise
from core.testing import available_backends, check_op, evaluate, random


@scalar_function
def newton(f, x):
    """The square root, from above, until it gets no better."""
    y = f.local(x.dtype, select(x > 1, x, 1))
    with f.loop(100):
        better = f.let(0.5 * (y.value + x / y.value))
        f.stop(~(better < y.value))
        y.set(better)
    return y


@scalar_function
def collatz(f, n):
    """How many steps it takes to 1: loops, conditions and what is assigned in both."""
    left, steps = f.local("int64", n), f.local("int64", 0)
    with f.loop(1000):
        f.stop(left.value <= 1)
        odd = f.let(left.value % 2 > 0)
        with f.when(odd):
            left.set(3 * left.value + 1)
        with f.when(~odd):
            left.set(left.value // 2)
        steps += 1
    return steps


@scalar_function
def fourth_root(f, x):
    return newton(newton(x))


@elementwise(derivative=lambda x: [0.5 / root(x)])
def root(x):
    """The square root, by Newton's method."""
    return newton(x)


@elementwise
def steps_to_one(n):
    return collatz(n)


@elementwise(derivative=lambda x: [None])
def fourth(x):
    return fourth_root(x)


def test_an_op_of_a_function_keeps_the_whole_contract_on_every_backend():
    check_op(root, random((3, 4)) ** 2 + 0.1, nan=False)


@pytest.mark.parametrize("backend", available_backends())
def test_each_element_leaves_the_loop_when_it_is_done(backend):
    def count(n):
        steps = 0
        while n > 1:
            n, steps = (3 * n + 1 if n % 2 else n // 2), steps + 1
        return steps

    n = np.arange(1, 40).reshape(3, 13)
    assert_array_equal(evaluate(steps_to_one, n, backend=backend), np.vectorize(count)(n))


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
def test_a_function_is_there_for_each_dtype(backend, dtype):
    x = np.arange(1, 9).astype(dtype)
    got = evaluate(lambda x: root(x if dtype.startswith("f") else x.astype("float64")), x, backend=backend)
    assert_allclose(got, np.sqrt(x), rtol=1e-3 if dtype == "float16" else 1e-6)


@pytest.mark.parametrize("backend", available_backends())
def test_a_function_may_call_another_and_fuses_with_what_is_around_it(backend):
    x, v = ct.matrix("x"), random((4, 5)) ** 2
    f = core.function([x], (2 * fourth(x)).sum(axis=1), backend=backend)
    assert_allclose(f(v), (2 * np.sqrt(np.sqrt(v))).sum(axis=1), rtol=1e-12)


def test_a_function_is_written_once_whatever_calls_it():
    x, y = ct.vector("x"), ct.vector("y")
    f = core.function([x, y], [root(x), root(y).sum(), fourth(x)], backend="c")
    text = "\n".join(dict(f.sources).values())
    assert text.count(f"double {newton.of('float64').c_name}(double x)") == 1


def test_what_is_used_twice_is_computed_once():
    @scalar_function
    def twice(f, x):
        part = (x + 1) * (x + 2)
        return part * part + part

    text = print_function(twice.of("float64"), Dialect("plain"))
    assert text.count("x + 1.0") == 1
    (place,) = [load("x", (), "float64")]
    assert evaluate_scalar(twice(place), {place: np.float64(2)}) == 12 * 13


def test_empty_and_zero_dimensional_operands_have_their_shape():
    assert evaluate(root, np.empty((0, 3))).shape == (0, 3)
    assert evaluate(root, np.array(4.0)).shape == ()


def test_what_is_no_scalar_expression_is_refused():
    with pytest.raises(DTypeError, match="newton needs scalar expressions of real numbers, got 2.0"):
        newton(2.0)
    with pytest.raises(DTypeError, match="newton needs scalar expressions of real numbers"):
        newton(load("x", (), "complex128"))


def test_a_break_outside_a_loop_is_illegal():
    x = Local("x", "float64")
    function = ScalarFunction("here", "broken", [x], [Break(x.expr > 0)], x.expr)
    with pytest.raises(VerifyError, match="only what stands directly in a loop can leave it"):
        verify_function(function)


def test_a_local_of_nowhere_and_memory_are_illegal():
    x, other = Local("x", "float64"), Local("other", "float64")
    with pytest.raises(VerifyError, match="other is not declared here"):
        verify_function(ScalarFunction("here", "broken", [x], [], other.expr))
    with pytest.raises(VerifyError, match="it reads no memory"):
        verify_function(ScalarFunction("here", "broken", [x], [Let(other, load(Memory(), (0,), "float64"))], x.expr))


class Memory:
    dtype = "float64"
