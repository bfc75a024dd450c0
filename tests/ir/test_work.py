"""Schedules for devices, run by the slow evaluator: each program is legal and gives what NumPy gives."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose, assert_array_equal

from core.compile.function import function
from core.gradient import grad
from core.ir.check.run import Driver
from core.ir.target import Target
from core.testing.graphs import float_outputs, graphs
from core.testing.values import compiled

PIECES = Target(units=3, lanes=1, piece=2)
GROUPS = Target(units=3, lanes=4, piece=2, atomics=frozenset({"float64", "float32", "int64", "int32"}))
TARGETS = pytest.mark.parametrize("target", [PIECES, GROUPS], ids=["pieces", "groups"])


@TARGETS
def test_random_graphs_give_what_numpy_gives(target):
    @settings(
        max_examples=60,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(graph=graphs())
    def check(graph):
        run = function(graph.inputs, graph.outputs, backend=Driver("c", target), on_unused_input="ignore")
        for got, want in zip(run(*graph.arrays), graph.expected, strict=True):
            assert (got.shape, got.dtype) == (want.shape, want.dtype), graph
            if want.dtype.kind == "f":
                assert_allclose(got, want, **graph.tolerance(), err_msg=str(graph))
            else:
                assert_array_equal(got, want, err_msg=str(graph))

    check()


@TARGETS
def test_gradients_of_random_graphs_are_those_of_the_interpreter(target):
    @settings(
        max_examples=40,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(graph=graphs(kinds=("float64",), smooth=True, max_steps=6, without=("astype",)))
    def check(graph):
        outputs = float_outputs(graph)
        if not outputs:
            return
        gradients = grad(sum((out * out).sum() for out in outputs), graph.inputs, disconnected_inputs="ignore")
        plain = compiled(graph.inputs, gradients)(*graph.arrays)
        run = function(graph.inputs, gradients, backend=Driver("c", target), on_unused_input="ignore")
        atol = 1e-10 * max(1.0, graph.scale, *(float(np.max(np.abs(g), initial=0)) for g in plain)) ** 2
        for got, want in zip(run(*graph.arrays), plain, strict=True):
            assert_allclose(got, want, rtol=1e-10, atol=atol, err_msg=str(graph))

    check()
