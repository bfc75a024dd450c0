"""check_op passes honest ops, and of an op that is wrong in one way it says which way, naming op, check and inputs."""

import json

import numpy as np
import pytest

import core
import core.tensor as ct
from core.errors import ArgumentError, CheckError
from core.graph import Apply, DisconnectedType, NullType
from core.ir.view import View
from core.op import Op
from core.tensor.elementwise import elementwise
from core.tensor.type import TensorType
from core.testing import Outcome, check_op, random

X = random((3, 4))


class Line(Op):
    """a x + b: an op with everything that an op can have; the classes below are each wrong in one way."""

    __props__ = ("a", "b")

    def __init__(self, a=2.0, b=1.0):
        self.a, self.b = a, b

    def make_node(self, x):
        x = ct.as_tensor(x)
        return Apply(self, [x], [x.type])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = np.asarray(self.a * inputs[0] + self.b, inputs[0].dtype)

    def lower(self, node, x):
        return View(x.dtype, x.shape, lambda index: x.at(index) * self.a + self.b)

    def infer_shape(self, node, input_shapes):
        return list(input_shapes)

    def grad(self, inputs, output_grads):
        return [self.a * output_grads[0]]

    def R_op(self, inputs, eval_points):
        return [self.a * eval_points[0]]


class WrongShape(Line):
    def infer_shape(self, node, input_shapes):
        return [(input_shapes[0][1], input_shapes[0][0])]


class WrongDtype(Line):
    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = np.asarray(self.a * inputs[0] + self.b, "float32")


class WrongDimensions(Line):
    def make_node(self, x):
        x = ct.as_tensor(x)
        return Apply(self, [x], [TensorType(x.type.dtype, x.type.ndim + 1)])


class WrongLower(Line):
    def lower(self, node, x):
        return View(x.dtype, x.shape, lambda index: x.at(index) * self.a)


class WrongGrad(Line):
    def grad(self, inputs, output_grads):
        return [self.b * output_grads[0]]


class TooFewGradients(Line):
    def grad(self, inputs, output_grads):
        return []


class NoneAsGradient(Line):
    def grad(self, inputs, output_grads):
        return [None]


class GradientOfAnotherShape(Line):
    def grad(self, inputs, output_grads):
        return [(self.a * output_grads[0]).sum()]


class WrongTangent(Line):
    def R_op(self, inputs, eval_points):
        return [self.b * eval_points[0]]


class MutatedInput(Line):
    def perform(self, node, inputs, output_storage):
        inputs[0] *= self.a
        output_storage[0][0] = inputs[0] + self.b


class MissingDestroyMap(Line):
    def perform(self, node, inputs, output_storage):
        inputs[0] *= self.a
        inputs[0] += self.b
        output_storage[0][0] = inputs[0]


class MapOfAnotherInput(MissingDestroyMap):
    destroy_map = {0: [1]}


class MissingViewMap(Line):
    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0][::1]

    def lower(self, node, x):
        return x

    def grad(self, inputs, output_grads):
        return [output_grads[0]]

    def R_op(self, inputs, eval_points):
        return [eval_points[0]]


class UnhashableProps(Line):
    def __init__(self):
        super().__init__(a=[2.0])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = self.a[0] * inputs[0] + self.b


class MissingProp(Line):
    __props__ = ("a",)


class PropThatIsNotThere(Line):
    __props__ = ("a", "b", "c")


class CannotBePickled(Line):
    __props__ = ("a", "b", "function")

    def __init__(self):
        super().__init__()
        self.function = lambda x: x


class PickledAsAnother(Line):
    def __reduce__(self):
        return PickledAsAnother, (self.a + 1, self.b)


class Unrepeatable(Line):
    calls = [0]

    def perform(self, node, inputs, output_storage):
        self.calls[0] += 1
        output_storage[0][0] = inputs[0] + self.calls[0]


class WrongConnection(Line):
    def connection_pattern(self, node):
        return [[False]]


class ConnectionOfAnotherForm(Line):
    def connection_pattern(self, node):
        return [[True, True]]


class WrongWhenStrided(Line):
    """As C code that takes every array for a contiguous one: it reads what lies between the elements."""

    def perform(self, node, inputs, output_storage):
        (x,) = inputs
        contiguous = np.lib.stride_tricks.as_strided(
            x, x.shape, tuple(np.sign(s) * t for s, t in zip(x.strides, np.empty(x.shape).strides, strict=True))
        )
        output_storage[0][0] = self.a * contiguous + self.b


class NothingComputed(Line):
    def perform(self, node, inputs, output_storage):
        pass


class RaisesWhenSpecial(Line):
    def perform(self, node, inputs, output_storage):
        assert np.isfinite(inputs[0]).all(), "NaN met"
        output_storage[0][0] = self.a * inputs[0] + self.b


WRONG = {
    WrongShape: ("shapes", r"infer_shape of WrongShape\(.*\) gives \(4, 3\), but the output has shape \(3, 4\)"),
    WrongDtype: ("run", r"the output of WrongDtype.* must have dtype float64, but perform made float32"),
    WrongDimensions: ("run", r"must have ndim=3, but perform made shape \(3, 4\)"),
    WrongLower: ("lower", r"lower of WrongLower\(.*\) gives .* at \(0, 0\) of output 0, but perform gives"),
    WrongGrad: ("grad by input 0", r"<u, grad\(v\)> of WrongGrad\(.*\) for input 0 is .*, but <central difference"),
    TooFewGradients: ("connection", r"grad of .* must return a list of 1 variables, one for each input, got 0 of them"),
    NoneAsGradient: ("connection", r"gives None for input 0; it must be a variable: core.op.disconnected\(\)"),
    GradientOfAnotherShape: ("connection", r"gives a gradient with ndim=0 for input 0, which has ndim=2"),
    WrongTangent: ("R_op by input 0", r"R_op of output 0 of WrongTangent\(.*\) for input 0 is .* central difference"),
    MutatedInput: ("memory", r"perform of MutatedInput\(.*\) overwrites its input 0, and others may still need it"),
    MissingDestroyMap: ("memory", r"overwrites its input 0.* say destroy_map = \{0: \[0\]\}"),
    MapOfAnotherInput: ("run", r"list index out of range"),
    MissingViewMap: (
        "memory",
        r"output 0 of MissingViewMap\(.*\) lies in the memory of input 0.*view_map = \{0: \[0\]\}",
    ),
    UnhashableProps: (
        "props",
        r"hash of UnhashableProps fails \(unhashable type: 'list'\) because of a=\[2.0\]; make it",
    ),
    MissingProp: ("props", r"MissingProp has attributes that __props__ = \('a',\) does not settle: 'b'; two ops that"),
    PropThatIsNotThere: ("props", r"__props__ of PropThatIsNotThere names 'c', but there is no such attribute"),
    CannotBePickled: ("pickle", r"CannotBePickled cannot be pickled \(.*\), so functions that use it cannot be saved"),
    PickledAsAnother: ("pickle", r"PickledAsAnother\(.*\) is not equal to itself when copied"),
    Unrepeatable: ("repeat", r"perform of Unrepeatable.* gives something else when it is called again"),
    WrongConnection: ("connection", r"says that output 0 does not depend on input 0, but it changes with it"),
    ConnectionOfAnotherForm: ("connection", r"must have 1 rows, one for each input, of 1 booleans.* it is \[\[True, T"),
    NothingComputed: ("run", r"perform of NothingComputed\(.*\) left output 0 empty"),
}


def test_an_honest_op_passes_everything_on_every_backend():
    result = check_op(Line(), X, nan=True)
    assert result.ok and result.counts["passed"] > 40
    names = {check.name for check in result.checks}
    assert {"props", "pickle", "memory", "repeat", "connection", "shapes", "lower", "grad and R_op together"} <= names
    assert {"backend interpreter, lengths unknown", "backend interpreter, lengths known"} <= names


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_check_op_catches(kind):
    name, text = WRONG[kind]
    with pytest.raises(CheckError, match=text) as error:
        check_op(kind(), X, backends=())
    said = str(error.value)
    assert kind.__name__ in said and repr(name) in said and "float64(3, 4)" in said
    assert name in {check.name for check in error.value.result.failures}


def test_an_op_that_misreads_strides_is_caught_by_the_strided_inputs():
    with pytest.raises(CheckError, match="for strided inputs"):
        check_op(WrongWhenStrided(), X, derivatives=False)
    check_op(WrongWhenStrided(), X, derivatives=False, variants=("empty",), backends=("interpreter",))


def test_nan_and_infinities_are_tried_where_they_are_asked_for():
    check_op(RaisesWhenSpecial(), X)
    with pytest.raises(CheckError, match="fails 'run' for special inputs .*NaN met"):
        check_op(RaisesWhenSpecial(), X, nan=True)


def test_an_op_may_refuse_shapes_that_it_was_not_given_and_the_result_says_so():
    class Fussy(Line):
        def perform(self, node, inputs, output_storage):
            if 0 in inputs[0].shape:
                raise ValueError("needs an element")
            super().perform(node, inputs, output_storage)

    result = check_op(Fussy(), X, backends=("interpreter",))
    refused = [check for check in result.checks if check.outcome is Outcome.REFUSED]
    assert {check.case for check in refused} == {"empty inputs float64(0, 4)", "empty inputs float64(3, 0)"}
    assert all("needs an element" in check.detail for check in refused)
    with pytest.raises(CheckError, match="needs an element"):
        check_op(Fussy(), random((0, 4)))


def test_a_declared_view_and_a_declared_overwriting_are_right():
    class View(MissingViewMap):
        view_map = {0: [0]}

    class InPlace(MissingDestroyMap):
        destroy_map = {0: [0]}

    check_op(View(), X)
    check_op(InPlace(), X)


def test_a_map_that_names_an_output_or_input_that_is_not_there_is_wrong():
    class Odd(Line):
        view_map = {1: [0]}

    with pytest.raises(
        CheckError, match=r"view_map of Odd\(.*\) is \{1: \[0\]\}, but the op has 1 inputs and 1 outputs"
    ):
        check_op(Odd(), X, backends=())


def test_an_op_without_derivatives_passes_and_with_derivatives_asked_for_does_not():
    class Plain(Op):
        __props__ = ()

        def make_node(self, x):
            return Apply(self, [ct.as_tensor(x)], [ct.as_tensor(x).type])

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = np.sort(inputs[0])

    result = check_op(Plain(), random(5))
    refused = {check.name: check.detail for check in result.checks if check.outcome is Outcome.REFUSED}
    assert "Plain has no gradient yet" in refused["grad by input 0"]
    assert "Plain has no R_op" in refused["R_op by input 0"]
    with pytest.raises(CheckError, match="Plain has no gradient yet"):
        check_op(Plain(), random(5), derivatives=True)


def test_an_op_of_several_outputs_with_a_disconnected_and_an_undefined_gradient_passes():
    class Both(Op):
        """x y and x, by a number n of steps that is no smooth input."""

        __props__ = ()

        def make_node(self, x, y, n):
            x, y, n = map(ct.as_tensor, (x, y, n))
            return Apply(self, [x, y, n], [x.type, x.type])

        def perform(self, node, inputs, output_storage):
            x, y, n = inputs
            output_storage[0][0], output_storage[1][0] = x * y * n, 2 * x

        def connection_pattern(self, node):
            return [[True, True], [True, False], [True, False]]

        def grad(self, inputs, output_grads):
            x, y, n = inputs
            g, h = output_grads
            of_x = 0.0 if isinstance(g.type, DisconnectedType) else g * y * n
            of_x = of_x if isinstance(h.type, DisconnectedType) else of_x + 2 * h
            of_y = DisconnectedType()() if isinstance(g.type, DisconnectedType) else g * x * n
            return [of_x, of_y, NullType("a number of steps")()]

        def R_op(self, inputs, eval_points):
            x, y, n = inputs
            dx, dy, _ = eval_points
            first = [
                t for t in (None if dx is None else dx * y * n, None if dy is None else x * dy * n) if t is not None
            ]
            return [sum(first) if first else None, None if dx is None else 2 * dx]

    result = check_op(Both(), random(4), random(4, seed=1), np.int64(3))
    assert result.ok and "grad and R_op together" in {check.name for check in result.checks}


def test_elementwise_and_loop_ops_and_functions_of_several_ops_are_checked_alike():
    @elementwise
    def bump(x, y):
        return x * x + y

    check_op(bump, random((3, 4)), random(4, seed=1), nan=True)
    check_op(ct.cumsum, random((3, 4)))
    check_op(lambda x, y: (x * y).sum(axis=1), X, random((1, 4)))
    check_op(ct.floor, X)


def test_an_op_made_inside_a_function_cannot_be_pickled_and_that_is_no_failure():
    class Inner(Line):
        pass

    result = check_op(Inner(), X, backends=())
    (check,) = [check for check in result.checks if check.name == "pickle"]
    assert check.outcome is Outcome.SKIPPED and "not at the top of a module" in check.detail


def test_integers_and_both_float_widths_are_compared_with_tolerances_of_their_own():
    for dtype in ("int32", "uint8", "float32", "float16"):
        assert check_op(lambda x, y: x * y + x, random((3, 2), dtype, high=3), random(2, dtype, 1, high=3)).ok


def test_the_result_is_data():
    result = check_op(WrongGrad(), X, backends=(), raising=False)
    data = json.loads(result.to_json())
    assert data["format"] == "core.testing/1" and data["subject"] == "WrongGrad(a=2.0, b=1.0)" and data["ok"] is False
    assert data["counts"]["failed"] == len(result.failures) == 1
    assert data["facts"] == {"inputs": ["float64[3, 4]"]}
    (failed,) = [check for check in data["checks"] if check["outcome"] == "failed"]
    assert failed["name"] == "grad by input 0" and failed["case"] == "given inputs float64(3, 4)"
    assert str(result).startswith("WrongGrad(a=2.0, b=1.0): ") and "1 failed" in str(result)


def test_an_op_that_cannot_be_applied_is_one_failure():
    result = check_op(lambda x: ct.cumsum(x, axis=5), X, raising=False)
    assert [check.name for check in result.failures] == ["build"] == [check.name for check in result.checks]


def test_an_unknown_variant_is_an_error():
    with pytest.raises(ArgumentError, match="no variant 'empyt' of inputs. Did you mean 'empty'"):
        check_op(Line(), X, variants=("empyt",))


def test_an_op_that_a_backend_gets_wrong_is_caught():
    class Lowered(Op):
        """Its loops, which compiled backends run, are not what perform computes; ``lower`` alone tells."""

        __props__ = ()

        def make_node(self, x):
            return Apply(self, [ct.as_tensor(x)], [ct.as_tensor(x).type])

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = inputs[0] + 1

        def infer_shape(self, node, input_shapes):
            return list(input_shapes)

        def kernel(self, k, x, y):
            with k.grid(x.shape) as at:
                y[at] = x[at] + 2.0

    compiled = [name for name in core.testing.available_backends() if name != "interpreter"]
    for name in compiled:
        with pytest.raises(CheckError, match=f"Lowered on {name} gives .* but the reference gives"):
            check_op(Lowered(), X, backends=(name,))
