"""The random graphs: varied, tame, and what they say they are."""

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

from core.testing.graphs import STEPS, build, float_outputs, graphs
from core.testing.values import compiled

quick = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def sample(**options):
    found = []

    @quick
    @given(graph=graphs(**options))
    def collect(graph):
        found.append(graph)

    collect()
    return found


def test_random_graphs_reach_every_kind_of_step():
    text = " ".join(step for graph in sample(max_steps=10) for step in graph.steps)
    for mark in (
        "sin",
        "//",
        "%",
        "<",
        "where",
        ".sum",
        ".mean",
        ".argm",
        "sort(",
        "transpose",
        "slice",
        "concatenate",
        "array",
        "@",
    ):
        assert mark in text, mark


def test_random_graphs_have_empty_and_broadcasting_and_strided_arrays():
    arrays = [array for graph in sample() for array in graph.arrays]
    assert any(array.size == 0 for array in arrays)
    assert any(1 in array.shape for array in arrays)
    assert any(array.ndim == 0 for array in arrays)
    assert any(not array.flags.c_contiguous for array in arrays)
    assert {array.dtype.name for array in arrays} == {"float32", "float64", "int32", "int64"}


def test_types_of_random_graphs_admit_their_arrays_and_results():
    for graph in sample():
        for x, array in zip([*graph.inputs, *graph.outputs], [*graph.arrays, *graph.expected], strict=True):
            assert (x.dtype, x.ndim) == (array.dtype.name, array.ndim), graph
            assert all(known in (None, n) for known, n in zip(x.type.shape, array.shape, strict=True)), graph


def test_lengths_of_random_graphs_are_partly_known():
    lengths = [n for graph in sample() for x in graph.inputs for n in x.type.shape]
    assert None in lengths and any(n is not None for n in lengths)


def test_values_of_random_graphs_are_small_and_finite():
    for graph in sample():
        for value in graph.expected:
            assert value.dtype.kind != "f" or np.all(np.abs(value) <= graph.scale)


def test_smooth_graphs_have_no_kinks():
    text = " ".join(step for graph in sample(smooth=True) for step in graph.steps)
    assert not any(mark in text for mark in ("abs(", "maximum", "minimum", ".max", ".min("))


def test_kinds_of_steps_can_be_left_out():
    text = " ".join(
        step for graph in sample(without=[name for name in STEPS if name != "transpose"]) for step in graph.steps
    )
    assert "transpose" in text and "sin" not in text


def test_some_graphs_have_several_outputs_and_shared_parts():
    found = sample()
    assert any(len(graph.outputs) > 1 for graph in found)
    assert any(len(set(graph.outputs)) < len(graph.outputs) for graph in found)


def test_float_outputs_are_those_that_can_be_differentiated():
    for graph in sample():
        assert all(out.dtype.startswith("float") for out in float_outputs(graph))


def test_the_tolerance_follows_the_coarsest_float():
    for graph in sample():
        coarse = any(array.dtype == "float32" for array in [*graph.arrays, *graph.expected])
        assert graph.tolerance()["rtol"] >= (1e-4 if coarse else 0)


def test_a_graph_shows_how_it_was_made():
    graph = sample()[0]
    assert repr(graph).startswith("Graph(x0 = ") and "return" in repr(graph)


def test_the_expected_values_are_what_the_graph_computes():
    for graph in sample()[:20]:
        for got, expected in zip(compiled(graph.inputs, graph.outputs)(*graph.arrays), graph.expected, strict=True):
            np.testing.assert_allclose(got, expected, **graph.tolerance())


def test_the_same_numbers_build_the_same_graph():
    first, second = (build(7, [1, 2, 3, 4, 5], ("float64", "int64")) for _ in range(2))
    assert first.steps == second.steps
    assert all(np.array_equal(a, b) for a, b in zip(first.expected, second.expected, strict=True))
