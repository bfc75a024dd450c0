"""Sums over leading axes and what becomes of them, on a CPU: by rows where there is little, else in order of memory."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import core
import core.tensor as ct


@pytest.fixture(scope="module")
def f():
    v, m, b = ct.vector("v"), ct.matrix("m"), ct.vector("b")
    outputs = [ct.tanh(v @ m + b), ct.exp(m.max(axis=0) - m.sum(axis=0) / 1000)]
    with core.config.override({"opencl.schedule": "pieces"}):
        return core.function([v, m, b], outputs, backend="opencl", strict=True)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (200, 81), (200, 82), (1000, 1030), (3, 20000)])
def test_they_are_numpys_on_both_sides_of_the_length_that_decides(f, shape):
    rng = np.random.default_rng(0)
    v, m, b = rng.normal(size=shape[0]) / 10, rng.normal(size=shape), rng.normal(size=shape[1])
    for _ in range(2):
        found = f(v, m, b)
        assert_allclose(found[0], np.tanh(v @ m + b), rtol=1e-11, atol=1e-13)
        assert_allclose(found[1], np.exp(m.max(axis=0) - m.sum(axis=0) / 1000), rtol=1e-11)
