"""Which diagonals comparisons of row and column numbers leave, against the matrices themselves."""

import numpy as np
import pytest

import core.tensor as ct
from plugin_ops_linalg import masks

COMPARISONS = [ct.equal, ct.greater, ct.greater_equal, ct.less, ct.less_equal]


def within(matrix, interval):
    rows, columns = np.nonzero(matrix)
    return all(interval[0] <= apart <= interval[1] for apart in columns - rows)


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("k", [-2, 0, 1])
@pytest.mark.parametrize("form", ["r, c + k", "c - r, k", "k - c, -r", "r - (c - k) + 1, 1"])
def test_intervals_hold_what_is_there_and_are_as_small_as_can_be(compare, k, form):
    r, c = ct.arange(5)[:, None], ct.arange(4)[None, :]
    left, right = eval(f"({form})", {"r": r, "c": c, "k": k})
    mask = compare(left, right)
    value = mask.eval({}, backend="interpreter")
    true, false = masks.where_true(mask), masks.where_false(mask)
    assert within(value, true) and within(~value, false)
    for found, interval in ((value, true), (~value, false)):
        if compare is ct.equal and interval == masks.ALL:
            continue
        ends = [end for end in interval if np.isfinite(end)]
        assert ends and all(np.diagonal(found, int(end)).all() for end in ends)


def test_what_is_no_comparison_of_numbers_of_rows_and_columns_tells_nothing():
    r, c, x = ct.arange(5)[:, None], ct.arange(4)[None, :], ct.matrix("x")
    for mask in (x > 0, r > 2, c < r + r, r + c > 1, r > ct.lscalar(), ct.arange(1, 6)[:, None] > c, x.astype("bool")):
        assert masks.where_true(mask) == masks.where_false(mask) == masks.ALL
    assert masks.where_true(ct.arange(0, 10, 2)[:, None] > c) == masks.ALL
