"""Activations of neural networks against their formulas in NumPy, at both ends of the line, with derivatives."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core.errors import DTypeError, ShapeError
from core.testing import available_backends, check_derivatives, check_op, evaluate, random

A, S = 1.6732632423543772, 1.0507009873554805
FORMULAS = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: S * np.where(x > 0, x, A * np.expm1(np.minimum(x, 0))),
    "celu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "swish": lambda x: x / (1 + np.exp(-x)),
}
LIMITS = {  # at minus infinity, at infinity; where the limit is a product of 0 and infinity it is not asked for
    "elu": (-1, np.inf),
    "selu": (-S * A, np.inf),
    "celu": (-1, np.inf),
    "leaky_relu": (-np.inf, np.inf),
    "relu6": (0, 6),
    "hard_sigmoid": (0, 1),
    "softsign": (-1, 1),
}


@pytest.mark.parametrize("backend", available_backends())
def test_activations_are_what_their_formulas_say(backend):
    x = np.array([[-7.0, -2.6, -1.0, -1e-3], [0.0, 0.5, 2.7, 8.0]])
    got = evaluate(lambda x: [getattr(ct, name)(x) for name in FORMULAS], x, backend=backend)
    for name, out in zip(FORMULAS, got, strict=True):
        assert_allclose(out, FORMULAS[name](x), rtol=1e-12, atol=1e-16, err_msg=name)


@pytest.mark.parametrize("name", FORMULAS)
def test_activations_keep_their_dtype_and_nan_and_take_integers(name):
    f = getattr(ct, name)
    assert evaluate(f, np.float32([0.5])).dtype == "float32"
    assert np.isnan(evaluate(f, np.array([np.nan]))).all()
    assert_allclose(evaluate(f, np.array([-3, 2])), FORMULAS[name](np.array([-3.0, 2.0])), rtol=1e-12)
    with pytest.raises(DTypeError, match="real"):
        f(ct.zvector("z"))


@pytest.mark.parametrize("name", LIMITS)
def test_activations_have_their_limits(name):
    assert_allclose(evaluate(getattr(ct, name), np.array([-np.inf, np.inf])), LIMITS[name], rtol=1e-15)


@pytest.mark.parametrize("name", FORMULAS)
def test_derivatives_of_activations(name):
    check_derivatives(getattr(ct, name), np.array([-4.0, -1.3, -0.2, 0.3, 1.7, 3.5]))


@pytest.mark.parametrize("name", ["elu", "celu", "leaky_relu"])
def test_a_parameter_of_an_activation_can_be_learnt(name):
    check_derivatives(getattr(ct, name), np.array([[-1.3, -0.2, 0.3], [1.7, -0.4, -2.0]]), np.array([[0.5], [1.5]]))


def test_the_contract_of_an_activation():
    check_op(ct.softsign, random((3, 4), low=-3, high=3), nan=True)


def test_glu_gates_the_first_half_with_the_second():
    x = random((4, 6), low=-3, high=3)
    assert_allclose(evaluate(ct.glu, x), x[:, :3] / (1 + np.exp(-x[:, 3:])), rtol=1e-12)
    assert_allclose(evaluate(lambda x: ct.glu(x, axis=0), x), x[:2] / (1 + np.exp(-x[2:])), rtol=1e-12)
    check_derivatives(ct.glu, x)
    assert_array_equal(evaluate(ct.glu, np.zeros((2, 0))), np.zeros((2, 0)))
    with pytest.raises(ShapeError):
        ct.glu(ct.tensor("x", shape=(2, 3)))
