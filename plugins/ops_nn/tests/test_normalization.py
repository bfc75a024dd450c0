"""Normalisation against NumPy's formulas, on every backend; dropout; errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
import plugin_ops_nn as nn
from core.errors import ArgumentError, DTypeError, ShapeError
from core.testing import available_backends, check_op, evaluate, random

X = random((3, 4, 5, 6), low=-2, high=3)
WEIGHT, BIAS, EPS = random(4, seed=1, low=0.5), random(4, seed=2), 1e-3
COLUMN = (slice(None), None, None)


def normalised(x, axes):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + EPS)


@pytest.mark.parametrize("backend", available_backends())
def test_batch_norm_in_training_uses_the_statistics_of_the_batch(backend):
    y, mean, var = evaluate(lambda x, w, b: nn.batch_norm_train(x, w, b, EPS), X, WEIGHT, BIAS, backend=backend)
    assert_allclose(y, normalised(X, (0, 2, 3)) * WEIGHT[COLUMN] + BIAS[COLUMN], rtol=1e-10, atol=1e-12)
    assert_allclose(mean, X.mean((0, 2, 3)), rtol=1e-12)
    assert_allclose(var, X.var((0, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("backend", available_backends())
def test_batch_norm_uses_the_statistics_that_it_is_given(backend):
    mean, var = random(4, seed=3), random(4, seed=4, low=0.5)
    got = evaluate(lambda *given: nn.batch_norm(*given, eps=EPS), X, mean, var, WEIGHT, BIAS, backend=backend)
    expected = (X - mean[COLUMN]) / np.sqrt(var[COLUMN] + EPS) * WEIGHT[COLUMN] + BIAS[COLUMN]
    assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", available_backends())
def test_group_and_instance_norm_use_the_statistics_of_an_image(backend):
    group, instance = evaluate(
        lambda x, w, b: [nn.group_norm(x, 2, w, b, EPS), nn.instance_norm(x, w, b, EPS)],
        *(X, WEIGHT, BIAS),
        backend=backend,
    )
    halves = normalised(X.reshape(3, 2, 2, 5, 6), (2, 3, 4)).reshape(X.shape)
    assert_allclose(group, halves * WEIGHT[COLUMN] + BIAS[COLUMN], rtol=1e-10, atol=1e-12)
    assert_allclose(instance, normalised(X, (2, 3)) * WEIGHT[COLUMN] + BIAS[COLUMN], rtol=1e-10, atol=1e-12)


def test_batch_norm_serves_matrices_too():
    y, _, _ = evaluate(lambda x: nn.batch_norm_train(x, eps=EPS), X[:, :, 0, 0])
    assert_allclose(y, normalised(X[:, :, 0, 0], (0,)), rtol=1e-10)


@pytest.mark.parametrize(
    "norm",
    [lambda x, w: nn.batch_norm_train(x, w)[0], lambda x, w: nn.group_norm(x, 2, w)],
    ids=["batch", "group"],
)
def test_derivatives_go_through_the_statistics(norm):
    check_op(norm, X[:, :, :2, :3], WEIGHT, derivatives=True, variants=(), backends=("interpreter",))


def test_dropout_keeps_the_mean_and_draws_anew():
    random = pytest.importorskip("plugin_ops_random")
    x = ct.matrix("x")
    f = core.function([x], nn.dropout(x, 0.25, random.RandomStream(seed=1)))
    ones = np.ones((100, 100))
    first, second = f(ones), f(ones)
    assert set(np.unique(first)) == {0.0, 1 / 0.75} and not np.array_equal(first, second)
    assert abs(first.mean() - 1) < 0.03


def test_dropout_of_whole_channels_keeps_them_together():
    random = pytest.importorskip("plugin_ops_random")
    x = ct.tensor("x", dtype="float32", ndim=4)
    y = core.function([x], nn.dropout(x, 0.5, random.RandomStream(seed=1), whole_channels=True))(
        np.ones((9, 8, 3, 4), "float32")
    )
    assert y.dtype == "float32"
    assert set(np.unique(y.sum((2, 3)))) == {0.0, 24.0}


class EveryOther:
    """A stream that keeps every second element."""

    def bernoulli(self, p, size):
        return ct.equal(ct.arange(size[-1]) % 2, 0)


def test_dropout_takes_any_stream_of_bits():
    got = evaluate(lambda x: nn.dropout(x, 0.5, EveryOther()), np.ones((2, 4)))
    assert_allclose(got, [[2, 0, 2, 0]] * 2)


def test_what_does_not_fit_is_refused():
    x = ct.tensor("x", dtype="float64", shape=(2, 4, 5, 5))
    with pytest.raises(ShapeError, match="batch_norm needs mean for each of 4 channels, got 3"):
        nn.batch_norm(x, np.ones(3), np.ones(4))
    with pytest.raises(ShapeError, match="batch_norm_train needs weight with ndim=1, one for each channel, got ndim=2"):
        nn.batch_norm_train(x, np.ones((4, 1)))
    with pytest.raises(ShapeError, match="group_norm needs channels that groups=3 divides, got 4"):
        nn.group_norm(x, 3)
    with pytest.raises(ShapeError, match="instance_norm needs ndim >= 3, but m has ndim=2"):
        nn.instance_norm(ct.matrix("m"))
    with pytest.raises(DTypeError, match="batch_norm_train needs floats, got i of dtype int64; cast it"):
        nn.batch_norm_train(ct.tensor("i", dtype="int64", ndim=4))


def test_groups_that_do_not_divide_are_refused_when_it_runs():
    x = ct.tensor("x", dtype="float64", ndim=4)
    with pytest.raises(ShapeError):
        core.function([x], nn.group_norm(x, 3), backend="interpreter")(np.ones((2, 4, 3, 3)))


def test_what_is_no_rate_or_stream_is_refused():
    with pytest.raises(ArgumentError, match="dropout needs 0 <= rate < 1, got 1"):
        nn.dropout(ct.matrix("x"), 1, EveryOther())
    with pytest.raises(ArgumentError, match="dropout needs a RandomStream of core.ops.random, got 3"):
        nn.dropout(ct.matrix("x"), 0.5, 3)
