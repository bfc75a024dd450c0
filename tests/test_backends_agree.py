"""Random graphs: every backend, the interpreter and NumPy itself agree, values and gradients."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core import dtypes
from core.compile.function import function
from core.gradient import grad
from core.testing import available_backends
from core.testing.graphs import float_outputs, graphs
from core.testing.values import compiled

agreement = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


COMPLEX = ("complex128", "complex64", "float64", "int64")
COSTLY = {"opencl": 8, "cuda": 8}  # backends whose compiler takes its time, with how many graphs each is tried on here


def agreement_on(backend):
    return settings(agreement, max_examples=COSTLY.get(backend, 60))


def assert_agree(results, expected, graph):
    for position, (got, want) in enumerate(zip(results, expected, strict=True)):
        assert (got.shape, got.dtype) == (want.shape, want.dtype), f"output {position} of {graph}"
        if want.dtype.kind in "fc":
            assert_allclose(got, want, **graph.tolerance(), err_msg=f"output {position} of {graph}")
        else:
            assert_array_equal(got, want, err_msg=f"output {position} of {graph}")


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("mode", ["fast_run", "none"])
def test_random_graphs_give_what_numpy_gives(backend, mode):
    @agreement_on(backend)
    @given(graph=graphs())
    def check(graph):
        run = function(graph.inputs, graph.outputs, backend=backend, mode=mode, on_unused_input="ignore")
        assert_agree(run(*graph.arrays), graph.expected, graph)

    check()


@pytest.mark.parametrize("backend", available_backends())
def test_random_graphs_of_complex_numbers_give_what_numpy_gives(backend):
    @agreement_on(backend)
    @given(graph=graphs(kinds=COMPLEX))
    def check(graph):
        run = function(graph.inputs, graph.outputs, backend=backend, on_unused_input="ignore")
        assert_agree(run(*graph.arrays), graph.expected, graph)

    check()


@pytest.mark.parametrize("backend", available_backends())
def test_gradients_by_complex_variables_do_not_depend_on_the_backend_or_on_rewriting(backend):
    @agreement_on(backend)
    @given(graph=graphs(kinds=("complex128", "float64"), smooth=True, max_steps=5, without=("astype",)))
    def check(graph):
        cost = sum((ct.abs(out) ** 2).sum() for out in graph.outputs if out.dtype in dtypes.CONTINUOUS)
        if isinstance(cost, int):
            return
        gradients = grad(cost, graph.inputs, disconnected_inputs="ignore")
        plain = compiled(graph.inputs, gradients)(*graph.arrays)
        results = function(graph.inputs, gradients, backend=backend, on_unused_input="ignore")(*graph.arrays)
        atol = 1e-10 * max(1.0, graph.scale, *(float(np.max(np.abs(g), initial=0)) for g in plain)) ** 2
        for got, want in zip(results, plain, strict=True):
            assert_allclose(got, want, rtol=1e-10, atol=atol, err_msg=str(graph))

    check()


@pytest.mark.parametrize("backend", available_backends())
def test_gradients_of_random_graphs_do_not_depend_on_the_backend_or_on_rewriting(backend):
    @agreement_on(backend)
    @given(graph=graphs(kinds=("float64",), smooth=True, max_steps=6, without=("astype",)))
    def check(graph):
        cost = sum((out * out).sum() for out in float_outputs(graph))
        if isinstance(cost, int):
            return
        gradients = grad(cost, graph.inputs, disconnected_inputs="ignore")
        plain = compiled(graph.inputs, gradients)(*graph.arrays)
        run = function(graph.inputs, gradients, backend=backend, on_unused_input="ignore")
        results = run(*graph.arrays)
        assert all(g.shape == x.shape for g, x in zip(results, graph.arrays, strict=True)), graph
        atol = 1e-10 * max(1.0, graph.scale, *(float(np.max(np.abs(g), initial=0)) for g in plain)) ** 2
        for got, want in zip(results, plain, strict=True):
            assert_allclose(got, want, rtol=1e-10, atol=atol, err_msg=str(graph))

    check()


def test_gradients_of_random_graphs_are_those_of_differences():  # in graphs without jumps
    @agreement
    @given(graph=graphs(kinds=("float64",), smooth=True, max_steps=5, without=("astype", "compare", "position")))
    def check(graph):
        outputs = float_outputs(graph)
        if not outputs:
            return
        cost = sum(out.sum() for out in outputs)
        gradients = grad(cost, graph.inputs, disconnected_inputs="ignore")
        run = compiled(graph.inputs, [cost, *gradients])
        directions = [np.random.default_rng(k).uniform(-1, 1, x.shape) for k, x in enumerate(graph.arrays)]
        slopes = sum(float((g * d).sum()) for g, d in zip(run(*graph.arrays)[1:], directions, strict=True))

        def at(step):
            return float(run(*(x + step * d for x, d in zip(graph.arrays, directions, strict=True)))[0])

        h = 1e-4
        difference = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        assert_allclose(slopes, difference, rtol=1e-5, atol=1e-5 * max(1.0, graph.scale) ** 2, err_msg=str(graph))

    check()
