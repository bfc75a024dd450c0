"""Rules of functions, softmax and logsumexp: which ops remain, near misses, and answers that the plain form loses."""

import numpy as np
import pytest

from core.gradient import grad
from core.tensor.functions import exp, expm1, log, log1p, sigmoid
from core.tensor.reduce import max, sum
from core.tensor.special import log_softmax, logsumexp, softmax
from core.tensor.type import TensorType

x, y = TensorType("float64", 1)("x"), TensorType("float64", 1)("y")
a, g = TensorType("float64", 2)("a"), TensorType("float64", 2)("g")
n = TensorType("int64", 1)("n")
ORDINARY = np.array([-3.0, -0.5, -1e-3, 1e-3, 0.25, 0.75])
ROWS = np.array([[0.5, -1.0, 2.0], [3.0, 3.0, -7.0]])

STABLE = {
    "log(1 + x)": (lambda x: log(1 + x), ["log1p"]),
    "log(x + 1)": (lambda x: log(x + 1), ["log1p"]),
    "log(1 - x)": (lambda x: log(1 - x), ["negative", "log1p"]),
    "exp(x) - 1": (lambda x: exp(x) - 1, ["expm1"]),
    "exp(x) + -1": (lambda x: exp(x) + -1, ["expm1"]),
    "1 - exp(x)": (lambda x: 1 - exp(x), ["expm1", "negative"]),
    "log(exp(x))": (lambda x: log(exp(x)), []),
    "log(1 - exp(x))": (lambda x: log(1 - exp(x)), ["log1mexp"]),
    "log1p(-exp(x))": (lambda x: log1p(-exp(x)), ["log1mexp"]),
    "log(-expm1(x))": (lambda x: log(-expm1(x)), ["log1mexp"]),
    "log(1 + exp(x))": (lambda x: log(1 + exp(x)), ["softplus"]),
    "1 / (1 + exp(-x))": (lambda x: 1 / (1 + exp(-x)), ["sigmoid"]),
    "exp(x) / (1 + exp(x))": (lambda x: exp(x) / (1 + exp(x)), ["sigmoid"]),
    "1 - sigmoid(x)": (lambda x: 1 - sigmoid(x), ["negative", "sigmoid"]),
    "log(sigmoid(x))": (lambda x: log(sigmoid(x)), ["negative", "softplus", "negative"]),
    "log(1 - sigmoid(x))": (lambda x: log(1 - sigmoid(x)), ["softplus", "negative"]),
    "log(sigmoid(-x))": (lambda x: log(sigmoid(-x)), ["softplus", "negative"]),
}


@pytest.mark.parametrize("name", STABLE)
def test_a_composition_becomes_the_stable_function(rewritten, name):
    build, ops = STABLE[name]
    result = rewritten(build(x), x)
    assert result.ops == ops
    assert result.same_on(ORDINARY, rtol=1e-12)
    assert result.same_on(np.array([np.nan]), rtol=1e-12)


NEAR_MISSES = {
    "log(2 + x)": (lambda x: log(2 + x), ["add", "log"]),
    "exp(log(x))": (lambda x: exp(log(x)), ["log", "exp"]),
    "exp(x) - 2": (lambda x: exp(x) - 2, ["exp", "subtract"]),
    "x - 1": (lambda x: log(x - 1), ["subtract", "log"]),
    "1 / (2 + exp(-x))": (lambda x: 1 / (2 + exp(-x)), ["negative", "exp", "add", "true_divide"]),
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_a_near_miss_stays(rewritten, name):
    build, ops = NEAR_MISSES[name]
    assert rewritten(build(x), x).ops == ops


def test_integers_are_left_alone(rewritten):
    assert rewritten(log(1 + n), n).ops == ["add", "log"]


def test_another_dtype_than_that_of_the_constant_is_left_alone(rewritten):
    single = TensorType("float32", 1)("single")
    assert rewritten(log(np.float64(1) + single), single).ops == ["add", "log"]


@pytest.mark.parametrize(
    "build, value, expected",
    [
        (lambda x: log(1 + x), 1e-20, 1e-20),
        (lambda x: exp(x) - 1, 1e-20, 1e-20),
        (lambda x: log(1 + exp(x)), 1000.0, 1000.0),
        (lambda x: log(sigmoid(x)), -1000.0, -1000.0),
        (lambda x: log(1 - sigmoid(x)), 1000.0, -1000.0),
        (lambda x: log(exp(x)), 1000.0, 1000.0),
        (lambda x: exp(x) / (1 + exp(x)), 1000.0, 1.0),
        (lambda x: grad(sum(log(1 + exp(x))), x), 1000.0, 1.0),
        (lambda x: grad(sum(log(sigmoid(x))), x), -1000.0, 1.0),
    ],
)
def test_the_stable_form_is_right_where_the_plain_one_is_not(rewritten, build, value, expected):
    assert rewritten(build(x), x).value([value]) == pytest.approx([expected], rel=1e-14)


def test_log_of_a_sum_of_two_exponentials_is_logaddexp(rewritten):
    result = rewritten(log(exp(x) + exp(y)), x, y)
    assert result.ops == ["logaddexp"]
    assert result.same_on(ORDINARY, ORDINARY[::-1].copy(), rtol=1e-14)
    np.testing.assert_array_equal(result.value([1000.0, -np.inf], [-1000.0, -np.inf]), [1000.0, -np.inf])


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 1), None])
@pytest.mark.parametrize("keepdims", [False, True])
def test_log_of_a_sum_of_exponentials_is_logsumexp(rewritten, axis, keepdims):
    result = rewritten(log(sum(exp(a), axis=axis, keepdims=keepdims)), a)
    assert result.ops[0].startswith("LogSumExp")
    assert "exp" not in result.ops
    assert result.same_on(ROWS, rtol=1e-14)
    assert np.isfinite(result.value(ROWS * 1000)).all()


def test_log_of_a_sum_of_something_else_stays(rewritten):
    assert rewritten(log(sum(a, axis=1)), a).ops == ["sum(axis=(1,))", "log"]


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
@pytest.mark.parametrize("shifted", [False, True])
def test_a_softmax_written_out_is_softmax(rewritten, axis, shifted):
    e = exp(a - max(a, axis=axis, keepdims=True)) if shifted else exp(a)
    result = rewritten(e / sum(e, axis=axis, keepdims=True), a)
    assert len(result.ops) == 1
    assert result.ops[0].startswith("Softmax")
    assert result.same_on(ROWS, rtol=1e-14)
    assert np.isfinite(result.value(ROWS * 1000)).all()


def test_a_quotient_along_another_axis_is_no_softmax(rewritten):
    square = np.arange(9.0).reshape(3, 3)
    result = rewritten(exp(a) / sum(exp(a), axis=1), a)
    assert "exp" in result.ops
    assert result.same_on(square, rtol=1e-15)


def test_log_of_softmax_is_log_softmax(rewritten):
    result = rewritten(log(softmax(a)), a)
    assert result.ops == ["LogSoftmax(axis=(1,))"]
    assert result.same_on(ROWS, rtol=1e-13)
    assert np.isfinite(result.value(ROWS * 1000)).all()


@pytest.mark.parametrize("key", [(0,), (slice(None), 1), (np.array([0, 1]), np.array([2, 0]))])
def test_log_of_some_of_softmax_is_some_of_log_softmax(rewritten, key):
    result = rewritten(log(softmax(a)[key]), a)
    assert "log" not in result.ops
    assert result.same_on(ROWS, rtol=1e-13)


def test_minus_logsumexp_is_log_softmax(rewritten):
    result = rewritten(a - logsumexp(a, axis=1, keepdims=True), a)
    assert result.ops == ["LogSoftmax(axis=(1,))"]
    assert result.same_on(ROWS, rtol=1e-13)
    assert "subtract" in rewritten(a - logsumexp(a, axis=1), a).ops


def test_the_gradient_of_log_of_softmax_does_not_divide_by_what_underflows(rewritten):
    loss = sum(log(softmax(a)) * g)
    result = rewritten(grad(loss, a), a, g)
    assert "true_divide" not in result.ops
    assert result.same_on(ROWS, ROWS, rtol=1e-12)
    assert np.isfinite(result.value(ROWS * 1000, ROWS)).all()


def test_a_quotient_of_exponentials_times_its_divisor_is_the_dividend(rewritten):
    assert rewritten((y / exp(x)) * exp(x), x, y).ops == ["second"]
    assert rewritten((x / y) * y, x, y).ops == ["true_divide", "multiply"]


def test_a_stable_log_softmax_stays(rewritten):
    assert rewritten(log_softmax(a), a).ops == ["LogSoftmax(axis=(1,))"]
