"""Rules of products: which ops remain, near misses, and the same values."""

import numpy as np
import pytest

from core.graph import graph_inputs
from core.tensor.functions import exp
from core.tensor.products import matmul
from core.tensor.type import TensorType
from core.testing import random

a, b = TensorType("float64", 2)("a"), TensorType("float64", 2)("b")
n, m = TensorType("int64", 2)("n"), TensorType("int64", 2)("m")
v, s = TensorType("float64", 1)("v"), TensorType("float64", 0)("s")
stack = TensorType("float64", 3)("stack")
one = TensorType("float64", (1, 1))("one")
A, B, V = random((3, 4)), random((4, 5), seed=1), random((4,), seed=2)


def known(name, *shape):
    return TensorType("float64", shape)(name)


@pytest.mark.parametrize(
    "out, ops",
    [
        ((-a) @ b, ["Dot", "negative"]),
        (a @ (-b), ["Dot", "negative"]),
        ((-a) @ (-b), ["Dot"]),
        (matmul(-stack, b), ["MatMul", "negative"]),
        ((-n) @ m, ["negative", "Dot"]),
    ],
)
def test_a_sign_goes_outside(rewritten, out, ops):
    result = rewritten(out, a, b, stack, n, m)
    assert result.ops == ops
    whole = np.arange(12).reshape(3, 4)
    result.same_on(A, B, random((2, 3, 4)), whole, whole.T, rtol=1e-12)


def test_a_negated_factor_that_others_read_stays(rewritten):
    result = rewritten([(-a) @ b, exp(-a)], a, b)
    assert result.ops.count("negative") == 1 and result.ops.index("negative") < result.ops.index("Dot")
    result.same_on(A, B)


@pytest.mark.parametrize(
    "out, ops",
    [
        ((2 * a) @ b, ["Dot", "multiply"]),
        (a @ (s * b), ["Dot", "multiply"]),
        ((2 * a) @ (b * 3), ["Dot", "multiply", "multiply"]),
        ((one * a) @ b, ["Dot", "DimShuffle(input_ndim=2, pattern=())", "multiply"]),
        (matmul(s * stack, b), ["MatMul", "multiply"]),
    ],
)
def test_a_scalar_goes_outside(rewritten, out, ops):
    result = rewritten(out, a, b, s, one, stack)
    assert sorted(result.ops) == sorted(ops)
    result.same_on(A, B, np.float64(0.7), np.full((1, 1), 0.3), random((2, 3, 4)), rtol=1e-12)


@pytest.mark.parametrize(
    "out",
    [
        (v[None] * a) @ b,
        (a * a) @ b,
        (2 * n) @ m,
        (2 * known("tall", 3, 1)) @ known("flat", 1, 5),
    ],
)
def test_factors_that_are_no_scalars_integers_and_what_would_grow_stay(rewritten, out):
    names = {"tall": (3, 1), "flat": (1, 5)}
    inputs = [x for x in graph_inputs([out]) if x.name]
    result = rewritten(out, *inputs)
    assert result.ops[-1] == "Dot"
    values = {"a": A, "b": B, "v": V, "n": np.arange(12).reshape(3, 4), "m": np.arange(12).reshape(4, 3)}
    result.same_on(*(values[x.name] if x.name in values else random(names[x.name]) for x in inputs))


def test_a_scaled_factor_that_others_read_stays(rewritten):
    result = rewritten([(2 * a) @ b, exp(2 * a)], a, b)
    assert result.ops.index("multiply") < result.ops.index("Dot")


@pytest.mark.parametrize(
    "shapes, build, inner",
    [
        ([(50, 3), (3, 40), (40,)], lambda x, y, z: (x @ y) @ z, (3,)),
        ([(50, 3), (3, 40), (40, 2)], lambda x, y, z: (x @ y) @ z, (3, 2)),
        ([(2, 40), (40, 3), (3, 50)], lambda x, y, z: x @ (y @ z), (2, 3)),
        ([(40,), (40, 3), (3, 50)], lambda x, y, z: x @ (y @ z), (3,)),
    ],
)
def test_products_are_taken_in_the_cheaper_order(rewritten, shapes, build, inner):
    inputs = [known(name, *shape) for name, shape in zip("xyz", shapes, strict=True)]
    result = rewritten(build(*inputs), *inputs)
    first, second = result.after.toposort()
    assert first.out.type.shape == inner and first.out in second.inputs
    result.same_on(*(random(shape, seed=k) for k, shape in enumerate(shapes)), rtol=1e-10)


def test_an_order_stays_that_is_cheap_unknown_or_read_by_others(rewritten):
    x, y, z = known("x", 2, 40), known("y", 40, 3), known("z", 3, 50)
    (first, _) = rewritten((x @ y) @ z, x, y, z).after.toposort()
    assert first.out.type.shape == (2, 3)
    assert rewritten((a @ b) @ v, a, b, v).after.toposort()[0].out.type.ndim == 2
    x, y, z = known("x", 50, 3), known("y", 3, 40), known("z", 40)
    both = rewritten([(x @ y) @ z, x @ y], x, y, z)
    assert both.ops == ["Dot", "Dot"]
