"""What a user does wrong, when a function is made and when it is called: the class and the text of each error."""

import numpy as np
import pytest

import core
import core.tensor as ct
from core.errors import (
    ArgumentError,
    BackendError,
    CoreError,
    DTypeError,
    IndexOutOfBounds,
    MissingInputError,
    NullGradientError,
    ShapeError,
    UnusedInputError,
)
from core.testing import available_backends

HERE = "test_bad_input.py"
x, y, i = ct.vector("x"), ct.vector("y"), ct.iscalar("i")
unnamed = ct.vector()
fixed = ct.tensor("fixed", dtype="float64", shape=(2, None))
w = core.shared(np.zeros(2), name="w")


def compiled(inputs, outputs, **options):
    return core.function(inputs, outputs, backend="interpreter", name="f", **options)


# --- calls -----------------------------------------------------------------------------------------------------------

two = compiled([x, y], x + y)
CALLS = {
    "too few": (
        lambda: two([1.0]),
        ArgumentError,
        r"function 'f' takes 2 arguments \(x, y\), got 1: argument y \(position 1\) is missing",
    ),
    "too many": (lambda: two(1, 2, 3), ArgumentError, r"function 'f' takes 2 arguments \(x, y\), got 3"),
    "unknown name": (
        lambda: two([1.0], yy=[1.0]),
        ArgumentError,
        "function 'f' has no argument 'yy'; it takes x, y. Did you mean 'y'?",
    ),
    "twice": (
        lambda: two([1.0], x=[1.0]),
        ArgumentError,
        r"function 'f' got its argument x \(position 0\) twice: by position and by name",
    ),
    "no names": (
        lambda: compiled([unnamed], unnamed + 1)(z=1),
        ArgumentError,
        "has no argument 'z'; it takes none by name",
    ),
    "shared name": (
        lambda: compiled([x, core.In(y, name="x")], x + y)(x=1),
        ArgumentError,
        "function 'f' has several arguments called 'x'; give them by position",
    ),
    "dtype": (
        lambda: two(np.zeros(2, "complex128"), [1.0]),
        DTypeError,
        r"function 'f', argument x \(position 0\): expected dtype float64, got an array of dtype complex128",
    ),
    "lossy": (
        lambda: compiled([i], i)(1.5),
        DTypeError,
        r"argument i \(position 0\): expected dtype int32, got 1.5 of type float",
    ),
    "strict": (
        lambda: compiled([core.In(x, strict=True)], x)([1.0]),
        DTypeError,
        r"argument x \(position 0\): expected a NumPy array of dtype float64, got \[1.0\] of type list",
    ),
    "string": (
        lambda: two("abc", [1.0]),
        DTypeError,
        r"argument x \(position 0\): expected dtype float64, got 'abc' of type str",
    ),
    "symbolic": (lambda: two(x, [1.0]), DTypeError, "expected a value of .*, got the symbolic variable x"),
    "ndim": (
        lambda: two([[1.0]], [1.0]),
        ShapeError,
        r"argument x \(position 0\): expected ndim=1, got ndim=2 \(shape \(1, 1\)\)",
    ),
    "unnamed": (
        lambda: compiled([unnamed], unnamed)(1.0),
        ShapeError,
        r"function 'f', argument at position 0: expected ndim=1",
    ),
    "length": (
        lambda: compiled([fixed], fixed)(np.zeros((3, 2))),
        ShapeError,
        r"argument fixed \(position 0\): expected length 2 along axis 0, got 3 \(shape \(3, 2\)\)",
    ),
    "nameless function": (
        lambda: core.function([x], x, backend="interpreter")(1.0),
        ShapeError,
        r"the function, argument x \(position 0\): expected ndim=1, got ndim=0",
    ),
    "no arguments": (lambda: compiled([], w + 1)(1), ArgumentError, "function 'f' takes 0 arguments, got 1"),
    "shapes that do not fit": (lambda: two(np.zeros(2), np.zeros(3)), ShapeError, r"(?s)add.*\(2,\).*\(3,\)"),
    "index": (lambda: compiled([x, i], x[i])([1.0], 5), IndexOutOfBounds, "(?s)5"),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_wrong_call_names_function_argument_and_what_came(case):
    call, kind, text = CALLS[case]
    with pytest.raises(kind, match=text) as caught:
        call()
    assert isinstance(caught.value, CoreError)


def test_a_wrong_argument_is_told_with_the_line_that_made_the_variable():
    with pytest.raises(ShapeError, match=rf"x was made at .*{HERE}:\d+: x, y, i = ct.vector"):
        two([[1.0]], [1.0])


def test_shapes_that_do_not_fit_are_told_with_op_dtypes_strides_and_line():
    with pytest.raises(ShapeError) as caught:
        two(np.zeros(4)[::2], np.zeros(3))
    text = str(caught.value)
    assert "input 0 (x): float64, shape (2,), strides (16,) bytes" in text
    assert "input 1 (y): float64, shape (3,), strides (8,) bytes" in text
    assert "two = compiled([x, y], x + y)" in text


# --- making a function -----------------------------------------------------------------------------------------------

MAKING = {
    "missing input": (lambda: compiled([x], x + y), MissingInputError, "y is needed to compute add but was not given"),
    "missing output": (
        lambda: compiled([], x),
        MissingInputError,
        "x is needed to compute an output but was not given",
    ),
    "unused": (lambda: compiled([x, y], x), UnusedInputError, r"function 'f' does not use its input y \(position 1\)"),
    "duplicate": (lambda: compiled([x, y, x], x + y), ArgumentError, "function 'f' got its input x twice, at 0 and 2"),
    "constant": (
        lambda: compiled([ct.constant(1.0)], x),
        ArgumentError,
        "function 'f' cannot take the constant 1.0 as an input",
    ),
    "shared input": (
        lambda: compiled([w], w),
        ArgumentError,
        "function 'f' cannot take the shared variable w as an input",
    ),
    "no variable": (
        lambda: compiled([3], x),
        ArgumentError,
        r"needs variables or In\(...\) as inputs, but input 0 is 3 of type int",
    ),
    "In of no variable": (lambda: core.In(3), ArgumentError, "In needs a variable, got 3 of type int"),
    "wrong default": (lambda: core.In(x, value=1.0), ShapeError, r"In\(x\): expected ndim=1, got ndim=0"),
    "inputs no list": (
        lambda: compiled("x", x),
        ArgumentError,
        "function 'f' needs a list of inputs, got 'x' of type str",
    ),
    "output no variable": (
        lambda: compiled([x], "x"),
        ArgumentError,
        "function 'f' needs variables as outputs, got 'x' of type str",
    ),
    "nested outputs": (
        lambda: compiled([x], [[x]]),
        ArgumentError,
        r"needs variables as outputs, got \[x\] of type list",
    ),
    "key": (
        lambda: compiled([x], {1: x}),
        ArgumentError,
        "needs strings as keys of a dict of outputs, got 1 of type int",
    ),
    "update of no shared": (
        lambda: compiled([x], x, updates={x: x}),
        ArgumentError,
        "can update only shared variables, got x in updates",
    ),
    "update twice": (
        lambda: compiled([], updates=[(w, w), (w, w)], outputs=w),
        ArgumentError,
        "function 'f' got w twice in updates",
    ),
    "update no pair": (
        lambda: compiled([], w, updates=[w]),
        ArgumentError,
        "needs updates as a dict or as pairs, got w among them",
    ),
    "updates no list": (
        lambda: compiled([], w, updates=3),
        ArgumentError,
        "needs a list of updates, got 3 of type int",
    ),
    "update key": (
        lambda: compiled([], w, updates={"w": w}),
        ArgumentError,
        "needs variables to the left in updates, got 'w' of type str",
    ),
    "update dtype": (
        lambda: compiled([], w, updates={w: w.astype("float32")}),
        DTypeError,
        r"the update of w needs dtype float64, got Cast.* of dtype float32; convert it with .astype\('float64'\)",
    ),
    "update ndim": (
        lambda: compiled([], w, updates={w: w.sum()}),
        ShapeError,
        "the update of w needs ndim=1, got sum.* with ndim=0",
    ),
    "given input": (
        lambda: compiled([x], x, givens={x: y}),
        ArgumentError,
        "cannot replace x with givens: it is an input of this function",
    ),
    "given type": (
        lambda: compiled([], x, givens={x: i}),
        DTypeError,
        "function 'f', givens for x: expected TensorType.*, got i of type",
    ),
    "unused policy": (
        lambda: compiled([x], x, on_unused_input="never"),
        ArgumentError,
        "needs 'raise', 'warn' or 'ignore' as on_unused_input, got 'never'",
    ),
    "default updates": (
        lambda: compiled([x], x, no_default_updates=3),
        ArgumentError,
        "needs a bool or a list of shared variables as no_default_updates, got 3",
    ),
    "name": (
        lambda: core.function([x], x, name=3),
        ArgumentError,
        "a function's name must be a string, got 3 of type int",
    ),
    "backend": (
        lambda: core.function([x], x, backend="interpeter"),
        BackendError,
        "there is no backend 'interpeter'.*Did you mean 'interpreter'?",
    ),
}


@pytest.mark.parametrize("case", MAKING)
def test_a_wrong_argument_of_function_is_refused(case):
    make, kind, text = MAKING[case]
    with pytest.raises(kind, match=text):
        make()


def test_a_missing_input_is_told_with_the_line_that_made_it():
    with pytest.raises(MissingInputError, match=rf"y was made at .*{HERE}:\d+: x, y, i"):
        compiled([x], x + y)


def test_an_op_without_gradient_is_named():
    class Opaque(core.Op):
        __props__ = ()
        itypes = otypes = (ct.dvector,) if isinstance(ct.dvector, core.Type) else (core.TensorType("float64", 1),)

    with pytest.raises(NullGradientError, match="Opaque"):
        core.grad(Opaque()(x).sum(), x)


def test_dtypes_are_checked_when_the_graph_is_built():
    with pytest.raises(DTypeError, match="float64"):
        ct.bitwise_and(x, y)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("out", [lambda x, i: x[i].sum(), lambda x, i: ct.set_subtensor(x[i], 0)], ids=["get", "set"])
def test_an_index_array_that_leads_outside_is_said_with_the_index_and_the_line(backend, out):
    i = ct.lvector("i")
    f = core.function([x, i], out(x, i), backend=backend)
    with pytest.raises(IndexOutOfBounds, match="index -4 is out of bounds for axis 0 with size 3") as caught:
        f([1.0, 2.0, 3.0], [0, -4])
    assert HERE in str(caught.value)
