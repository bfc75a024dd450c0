"""pprint: graphs as NumPy-like text."""

import numpy as np
import pytest

import core
import core.tensor as ct
from core.errors import ArgumentError

x, y, i = ct.vector("x"), ct.vector("y"), ct.lscalar("i")
m, w = ct.matrix("m"), core.shared(np.zeros((3, 2)), name="w")


@pytest.mark.parametrize(
    "variable, expected",
    [
        (x, "x"),
        (x + y * x, "x + y * x"),
        ((x + y) * x, "(x + y) * x"),
        (x - (y - x), "x - (y - x)"),
        (x - y - x, "x - y - x"),
        (x / (y / x), "x / (y / x)"),
        (-x, "-x"),
        (-(x + y), "-(x + y)"),
        ((-x) ** y, "(-x) ** y"),
        (-(x**y), "-x ** y"),
        (x ** (-y), "x ** -y"),
        ((x**y) ** x, "(x ** y) ** x"),
        (x ** (y**x), "x ** y ** x"),
        (ct.log(1 + x), "log(1.0 + x)"),
        (ct.maximum(x, y), "maximum(x, y)"),
        (x < y + x, "x < y + x"),
        (m.T, "m.T"),
        ((m + m).T, "(m + m).T"),
        (m + x, "m + x"),
        (x[:, None], "x[:, None]"),
        (m.sum(), "sum(m)"),
        (m.sum(axis=0), "sum(m, axis=0)"),
        (m.max(axis=-1), "max(m, axis=1)"),
        (m.astype("float32"), "m.astype(float32)"),
        (x.shape[0] + i, "x.shape[0] + i"),
        (m[1:, i], "m[1:, i]"),
        (m[::-1], "m[::-1, :]"),
        (m[ct.arange(3)], None),
        (ct.exp(m @ w) + 1, "exp(m @ w) + 1.0"),
    ],
)
def test_an_expression_reads_like_numpy(variable, expected):
    got = core.pprint(variable)
    if expected is None:
        assert got.startswith("m[") and got.endswith("]")
    else:
        assert got == expected


def test_several_variables_have_a_line_each():
    assert core.pprint([x + y, x]) == "x + y\nx"


def test_an_unknown_op_is_a_call_with_its_props():
    class Shift(core.Op):
        __props__ = ("by",)
        itypes = otypes = (core.TensorType("float64", 1),)

        def __init__(self, by):
            self.by = by

    assert core.pprint(Shift(3)(x + y)) == "Shift(x + y, by=3)"


def test_outputs_of_an_op_with_several_are_indexed():
    class Two(core.Op):
        __props__ = ()
        itypes = (core.TensorType("float64", 1),)
        otypes = (core.TensorType("float64", 1), core.TensorType("float64", 1))

    assert core.pprint(Two()(x)[1] + x) == "Two(x)[1] + x"


def test_a_long_part_that_is_read_twice_gets_a_line_of_its_own():
    long = ct.exp(x + y) * ct.log(x - y)
    assert core.pprint(long + long, width=40).splitlines() == ["t1 = exp(x + y) * log(x - y)", "t1 + t1"]


def test_a_deep_graph_with_sharing_stays_readable():
    z = x
    for _ in range(5000):
        z = z * z + y
    lines = core.pprint(z).splitlines()
    assert max(map(len, lines)) < 1000


def test_what_is_no_variable_is_refused():
    with pytest.raises(ArgumentError, match="pprint needs variables, got 3 of type int"):
        core.pprint(3)
