"""Derivatives by complex variables: transposes for Re sum(g dz), checked against differences, op by op."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.ir.expr import Call
from core.tensor.elementwise import elementwise
from core.testing import check_derivatives, random, verify_grad

Z, W = random((3, 4), "complex128", 1, -2, 2), random(4, "complex128", 2, -2, 2)
R, S = random((3, 4), seed=3), random((4, 4), "complex128", 5)

FUNCTIONS = """negative abs sign square sqrt reciprocal conj real imag angle exp exp2 expm1 log log2 log10 log1p sin cos
tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh""".split()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_complex_numbers(name):
    check_derivatives(getattr(ct, name), Z)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "true_divide", "power", "maximum"])
@pytest.mark.parametrize("operands", [(Z, W), (Z, R), (R, Z)], ids=["both", "a real right", "a real left"])
def test_functions_of_two_numbers(name, operands):
    check_derivatives(getattr(ct, name), *operands)


CASES = {
    "where": (lambda a, b: ct.where(a.real > 0, a, b), Z, W),
    "sum": (lambda a: a.sum(axis=0), Z),
    "prod": (lambda a: a.prod(axis=0), Z),
    "mean": (lambda a: a.mean(), Z),
    "var": (lambda a: ct.var(a, axis=0), Z),
    "cumsum": (lambda a: ct.cumsum(a, axis=0), Z),
    "cumprod": (lambda a: ct.cumprod(a, axis=0), Z),
    "matrix by vector": (lambda a, b: a @ b, Z, W),
    "matrix by matrix": (lambda a, b: a @ b, Z, S),
    "a real matrix by a complex one": (lambda a, b: a @ b, R, S),
    "vdot": (ct.vdot, W, 2 * W),
    "gather": (lambda a: a[np.array([0, 2, 0])], Z),
    "set_subtensor": (lambda a, b: ct.set_subtensor(a[0], b), Z, W),
    "inc_subtensor": (lambda a, b: ct.inc_subtensor(a[0], b), Z, W),
    "concatenate": (lambda a, b: ct.concatenate([a, b]), Z, R),
    "a cast to complex": (lambda a: a.astype("complex128"), R),
    "a cast to real": (lambda a: ct.cast(a, "float64"), Z),
    "a norm": (lambda a: (ct.abs(a) ** 2).sum(), Z),
}


@pytest.mark.parametrize("case", CASES)
def test_ops_of_complex_tensors(case):
    op, *arrays = CASES[case]
    check_derivatives(op, *arrays)


@elementwise
def mixed(x):
    return Call("exp", Call("conj", x)) * x + Call("cabs", x) * x


@elementwise
def size(x):
    return Call("cabs", Call("exp", x) * x)


@elementwise
def turned(x):
    return Call("exp", x * 1j) * x


@pytest.mark.parametrize("op, x", [(mixed, Z), (size, Z), (turned, R)], ids=["complex", "to real", "of real"])
def test_a_rule_without_a_derivative_is_differentiated_both_ways(op, x):
    check_derivatives(op, x)


@pytest.mark.parametrize("name", ["abs", "sign", "angle"])
def test_derivatives_at_zero_are_zero_or_finite(name):
    z = ct.tensor("z", dtype="complex128", shape=())
    out = getattr(ct, name)(z)
    cost = out.real if out.dtype == "complex128" else out
    assert np.isfinite(core.function([z], core.grad(cost, z))(0j))


def test_the_gradient_of_a_real_cost_is_not_conjugated():
    z = ct.tensor("z", dtype="complex128", shape=())
    g = core.function([z], core.grad((z * z).real, z))
    assert_allclose(g(1 + 2j), 2 + 4j)  # the derivative of z**2
    g = core.function([z], core.grad((z * ct.conj(z)).real, z))
    assert_allclose(g(1 + 2j), 2 - 4j)  # 2 x - i 2 y


def test_descent_along_the_conjugate_finds_the_minimum():
    z = core.shared(np.array([3.0 + 1j, -2j]), name="z")
    target = np.array([1 + 1j, 2 - 3j])
    cost = (ct.abs(z * 1j - target) ** 2).sum()
    step = core.function([], cost, updates={z: z - 0.25 * ct.conj(core.grad(cost, z))})
    for _ in range(60):
        step()
    assert_allclose(z.get_value(), target / 1j, rtol=1e-9)


def test_verify_grad_takes_complex_points_and_finds_what_is_wrong():
    verify_grad(lambda z: (ct.abs(z) ** 2).sum(axis=1), [Z])
    bad = elementwise(derivative=lambda x: [x * 0 + 1j])(_identity)
    with pytest.raises(core.errors.GradientError, match="the gradient of input 0"):
        verify_grad(lambda z: bad(z).real, [Z])


def _identity(x):
    return x + 0


def test_a_complex_cost_is_refused():
    z = ct.tensor("z", dtype="complex128", shape=())
    with pytest.raises(
        core.errors.GradientError, match="needs a real floating-point scalar as cost, got .* complex128"
    ):
        core.grad(z * z, z)
