"""float16, computed with in float32 and rounded after each operation: what is left, and that it is NumPy's."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core.tensor as ct
from core.compile.function import function
from core.errors import VerifyError
from core.ir.check.run import Driver
from core.ir.check.verify_expr import check_types
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.evaluate import evaluate_scalar
from core.ir.expr import Call, arith, cast, compare, load, select
from core.ir.halves import Halves, lacking
from core.ir.nodes import expressions
from core.ir.program import HostStep, KernelStep
from core.ir.walk import walk
from core.testing import random
from core.testing.values import symbolic

X, Y = load("x", (), "float16"), load("y", (), "float16")
A, B = random(500, "float16", 1, -4, 4), random(500, "float16", 2, -4, 4)
EXPRESSIONS = {
    "a sum": X + Y,
    "several operations": X * Y - X / Y + 3,
    "functions": Call("exp", X) * Call("sin", Y) + Call("floor", X),
    "a choice": select(compare(Code.LT, X, Y), X * 2, -Y),
    "a power": arith(Code.POW, Call("fabs", X), Y),
    "to other dtypes": cast(X * Y, "float64") + 1,
    "from other dtypes": cast(cast(X, "float64") * 1.0001, "float16") + Y,
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_each_operation_is_rounded_as_numpy_rounds_it(name):
    root = EXPRESSIONS[name]
    kept = Halves().kept(root)
    with np.errstate(all="ignore"):
        assert_array_equal(evaluate_scalar(kept, {X: A, Y: B}), evaluate_scalar(root, {X: A, Y: B}))
    assert kept.dtype == root.dtype
    left = [e.code for e in walk([kept]) if e.dtype == "float16"]
    assert set(left) <= {Code.LOAD, Code.CAST}


def test_what_is_only_read_or_chosen_is_not_converted_for_nothing():
    assert Halves().kept(X) is X
    assert Halves().kept(cast(cast(X, "float32"), "float16")) is X


def test_a_function_that_float32_cannot_stand_in_for_is_named():
    assert lacking(X + Call("nextafter", X, Y)) == "nextafter"
    assert lacking(Call("exp", X)) == "" and lacking(Call("nextafter", cast(X, "float32"), 1.0)) == ""


def test_verification_refuses_computation_in_float16():
    with pytest.raises(VerifyError, match="float16 must be computed with in float32 by now"):
        check_types(load(Value("x", "float16"), (0,), "float16") + 1, "here")


OPS = {
    "elementwise": lambda a, b: [ct.exp(a) * b - a / b, ct.maximum(a, b), a < b],
    "sums and products": lambda a, b: [a.sum(), a.mean(), a[:9].prod(), a.max(), a.argmax(), a @ b],
    "running sums": lambda a, b: ct.cumsum(a[:60]),
    "scatters": lambda a, b: [ct.inc_subtensor(a[np.array([1, 1, 3])], b[:3]), ct.set_subtensor(a[:2], b[2:4])],
    "softmax": lambda a, b: ct.softmax(a.reshape((20, 25)), axis=1),
}


@pytest.mark.parametrize("name", OPS)
def test_programs_give_what_the_interpreter_gives(name):
    inputs = symbolic([A, B])
    outputs = OPS[name](*inputs)
    f, plain = (function(inputs, outputs, backend=b, on_unused_input="ignore") for b in (Driver(), "interpreter"))
    assert not any(isinstance(step, HostStep) for step in f.program.steps)
    got, expected = (g(A, B) if isinstance(g(A, B), list) else [g(A, B)] for g in (f, plain))
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == theirs.dtype
        assert_array_equal(mine, theirs)
    kernels = [kernel for step in f.program.steps if isinstance(step, KernelStep) for kernel in step.kernels]
    found = {e.code for kernel in kernels for e in walk(expressions(kernel.body)) if e.dtype == "float16"}
    assert found <= {Code.LOAD, Code.LOCAL, Code.CAST}
