"""Mode "debug": an op that does something else than it says is found."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.compile.modes import DEBUG
from core.errors import ContractError

X = ct.dvector("x")


class Says(core.Op):
    """An op whose ways to compute are given."""

    __props__ = ("name",)

    def __init__(self, compute, outputs=1, name="says", **said):
        self.compute, self.outputs, self.name = compute, outputs, name
        self.__dict__.update(said)

    def make_node(self, x):
        return core.Apply(self, [x], [x.type() for _ in range(self.outputs)])

    def perform(self, node, inputs, output_storage):
        made = self.compute(inputs[0])
        for cell, value in zip(output_storage, made if self.outputs > 1 else [made], strict=True):
            cell[0] = value


def added(x):
    x += 1
    return x


def run(op, x=(1.0, 2.0, 3.0)):
    return core.function([X], op(X), mode="debug", backend="interpreter")(np.array(x))


def test_an_honest_op_computes_what_it_does_elsewhere():
    assert_array_equal(run(Says(lambda x: 2 * x)), [2, 4, 6])


def test_an_honest_view_is_admitted():
    assert_array_equal(run(Says(lambda x: x[::-1], view_map={0: [0]})), [3, 2, 1])


def test_an_honest_op_that_overwrites_is_admitted():
    assert_array_equal(run(Says(added, destroy_map={0: [0]})), [2, 3, 4])


def test_a_view_that_view_map_does_not_name_is_found():
    with pytest.raises(
        ContractError, match=r"perform of Says.* returns memory of its input 0 as output 0, but view_map"
    ):
        run(Says(lambda x: x[::-1]))


def test_overwriting_that_destroy_map_does_not_name_is_found():
    with pytest.raises(
        ContractError, match=r"overwrites its input 0, but destroy_map does not say so\n(.|\n)*test_debug"
    ):
        run(Says(lambda x: added(x).copy()))


def test_overwriting_with_a_nan_is_found():
    def spoil(x):
        y = x.copy()
        x[0] = np.nan
        return y

    with pytest.raises(ContractError, match="overwrites its input 0"):
        run(Says(spoil))


def test_a_nan_that_stays_is_no_overwriting():
    assert_array_equal(run(Says(lambda x: 2 * x), [np.nan, -0.0]), [np.nan, 0])


def test_two_outputs_in_the_same_memory_are_found():
    def twice(x):
        y = x + 1
        return y, y[:]

    with pytest.raises(ContractError, match="returns the same memory as outputs 0 and 1"):
        first, second = Says(twice, outputs=2)(X)
        core.function([X], [first, second], mode="debug", backend="interpreter")([1.0])


def test_a_wrong_infer_shape_is_found():
    class Wrong(Says):
        def infer_shape(self, node, input_shapes):
            return [(input_shapes[0][0] + 1,)]

    with pytest.raises(ContractError, match=r"infer_shape of Wrong.* gives \(4,\) for output 0, whose shape is \(3,\)"):
        run(Wrong(lambda x: 2 * x))


def test_what_the_caller_gave_stays_what_it_was():
    x = np.arange(3.0)
    run(Says(added, destroy_map={0: [0]}), x)
    assert_array_equal(x, [0, 1, 2])


def test_debug_perform_is_used():
    class Strict(Says):
        def debug_perform(self, node, inputs, output_storage):
            raise ZeroDivisionError("stricter")

    with pytest.raises(ZeroDivisionError, match="stricter"):
        run(Strict(lambda x: x.copy()))


def test_ops_without_perform_and_ops_of_core_run():
    y = ct.log(1 + ct.exp(X)).sum() + X[::-1].reshape((1, -1)).T[0, 0]
    f = core.function([X], [y, core.grad(y, X)], mode="debug", backend="interpreter")
    value, slope = f([0.0, 1.0])
    assert value == pytest.approx(np.log1p(np.exp([0.0, 1.0])).sum() + 1)
    assert slope.shape == (2,)


def test_rules_can_be_left_out_of_it():
    assert DEBUG.excluding("constant_folding").debug
