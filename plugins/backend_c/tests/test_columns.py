"""Sums and extremes down the columns of matrices: where several rows are taken at once, and that they are right."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core.tensor as ct
from core import function
from core.ir.cpu.lanes import CACHED_BYTES, NEAR_BYTES
from core.testing import random

COLUMNS = [NEAR_BYTES // 64, NEAR_BYTES // 64 + 1, 300, 513, 1027]


def asked(text):
    """The sizes of which a text asks whether a cache holds as much."""
    return re.findall(rf"\(([\w *]+) <= {CACHED_BYTES}\)", text)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
@pytest.mark.parametrize("rows", [1, 8, 19])
def test_columns_of_rows_that_lie_in_a_cache_are_reduced_as_numpy_does(dtype, rows):
    m = ct.matrix("m", dtype=dtype)
    f = function([m], [m.sum(axis=0), m.max(axis=0), m.argmin(axis=0)], backend="c")
    for columns in COLUMNS:
        values = random((rows, columns), dtype)
        if dtype != "int16":
            values[0, :2], values[-1, -1] = (np.nan, -0.0), np.inf
        total, most, least = f(values)
        assert_allclose(total, values.sum(axis=0), rtol=1e-5, atol=1e-6)
        assert_array_equal(most, values.max(axis=0))
        assert_array_equal(least, values.argmin(axis=0))


def test_rows_wait_in_a_cache_where_the_whole_array_fits_and_a_block_of_rows_says_nothing():
    m = ct.matrix("m")
    f = function([m], m.sum(axis=0), backend="c")
    (text,) = f.sources.values()
    assert asked(text)
    few = CACHED_BYTES // 8 // 100 + 1
    tall = random((few, 100))
    assert_allclose(f(tall), tall.sum(axis=0))
    assert any("core_blocks core_b" in text for text in f.sources.values())
    assert not any("block" in size for text in f.sources.values() for size in asked(text))
