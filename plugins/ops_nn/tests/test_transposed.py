"""Transposed convolution: it is the transpose, its shapes and errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core.tensor as ct
import plugin_ops_nn as nn
from core.errors import ArgumentError, DTypeError, ShapeError
from core.testing import available_backends, check_op, evaluate, random
from plugin_ops_nn.convolution import ConvolutionFilters, ConvolutionTransposed
from plugin_ops_nn.geometry import geometry

FUNCTIONS = {1: nn.conv_transpose1d, 2: nn.conv_transpose2d, 3: nn.conv_transpose3d}
CASES = {  # shapes of x and w, options, and the output's lengths
    "plain": ((2, 4, 5, 6), (4, 3, 3, 2), {}, (7, 7)),
    "strides": ((2, 4, 3, 4), (4, 3, 3, 2), {"stride": (2, 3)}, (7, 11)),
    "padding": ((2, 4, 5, 6), (4, 3, 3, 3), {"padding": (1, 2)}, (5, 4)),
    "more behind": ((2, 4, 3, 4), (4, 3, 3, 2), {"stride": 3, "padding": 1, "output_padding": (2, 1)}, (9, 10)),
    "dilation": ((2, 4, 3, 4), (4, 3, 3, 2), {"stride": 2, "dilation": (2, 3)}, (9, 10)),
    "groups": ((2, 4, 3, 4), (4, 3, 3, 2), {"groups": 2, "stride": 2}, (7, 8)),
    "same": ((2, 4, 3, 4), (4, 3, 3, 5), {"padding": "same", "stride": 2}, (6, 8)),
    "1d": ((2, 3, 5), (3, 2, 4), {"stride": 2, "padding": 1}, (10,)),
    "3d": ((1, 2, 2, 3, 2), (2, 3, 2, 2, 3), {"stride": 2}, (4, 6, 5)),
}


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", CASES)
def test_it_is_the_transpose_of_convolution(name, backend, by_loops):
    """<T(x), v> is <x, C(v)> for all v."""
    x, w, options, lengths = CASES[name]
    x, w = random(x, seed=1), random(w, seed=2)
    got = evaluate(lambda x, w: FUNCTIONS[x.ndim - 2](x, w, **options), x, w, backend=backend)
    assert got.shape == (len(x), w.shape[1] * options.get("groups", 1), *lengths)
    v = random(got.shape, seed=3)
    forward = {key: value for key, value in options.items() if key != "output_padding"}
    assert_allclose((got * v).sum(), (x * by_loops.convolution(v, w, **forward)).sum(), rtol=1e-10)


def test_each_element_adds_a_filter():
    x, w = random((1, 1, 2, 3), seed=1), random((1, 2, 3, 2), seed=2)
    expected = np.zeros((1, 2, 5, 6))
    for i in range(2):
        for j in range(3):
            expected[0, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2] += x[0, 0, i, j] * w[0]
    assert_allclose(evaluate(lambda x, w: nn.conv_transpose2d(x, w, stride=2), x, w), expected, rtol=1e-12)


def test_its_derivatives_are_right():
    x, w = random((2, 4, 3, 4), seed=1), random((4, 3, 3, 2), seed=2)
    check_op(
        lambda x, w, b: nn.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1),
        *(x, w, random(3)),
        derivatives=True,
        variants=("strided",),
        backends=("interpreter",),
    )


def test_what_does_not_fit_is_refused():
    x, w = ct.tensor("x", dtype="float64", shape=(2, 4, 3, 3)), ct.tensor("w", dtype="float64", shape=(4, 2, 3, 3))
    with pytest.raises(ArgumentError, match=r"conv_transpose2d needs output_padding < stride=\(2, 2\), got 2"):
        nn.conv_transpose2d(x, w, stride=2, output_padding=2)
    with pytest.raises(ShapeError, match="conv_transpose2d needs padding that leaves something"):
        nn.conv_transpose2d(x, w, padding=3)
    with pytest.raises(ShapeError, match="conv_transpose2d needs ndim=4, but m has ndim=2"):
        nn.conv_transpose2d(ct.matrix("m"), w)
    with pytest.raises(ShapeError, match="needs the channels of x and the filters of .* to agree, got 4 and 3"):
        nn.conv_transpose2d(x, w[:3])
    with pytest.raises(DTypeError, match="needs floats, got x of dtype int64; cast it"):
        nn.conv_transpose2d(ct.tensor("x", dtype="int64", shape=(2, 4, 3, 3)), w)


@pytest.mark.parametrize("backend", available_backends())
def test_another_number_of_windows_is_refused_when_it_runs(backend):
    found = geometry("test", 2, 1, 0)
    y, w = random((2, 4, 3, 3)), random((4, 2, 3, 3))
    with pytest.raises(ShapeError, match="ConvolutionTransposed"):
        evaluate(ConvolutionTransposed(found, 1, (6, 5)), y, w, backend=backend)
    with pytest.raises(ShapeError, match="ConvolutionFilters"):
        evaluate(ConvolutionFilters(found, 1, (3, 3)), random((2, 2, 5, 6)), y, backend=backend)
