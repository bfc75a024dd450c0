"""All rules together: random expressions keep their values, and rewriting twice is rewriting once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import core.tensor.rules  # noqa: F401 - fills the stages
from core.compile.interpreter import Interpreted
from core.gradient import grad
from core.graph import FunctionGraph
from core.rewriting import STAGES, rewrite
from core.tensor.arithmetic import abs, maximum, square
from core.tensor.elementwise import second
from core.tensor.functions import exp, log, log1p, sigmoid, sin
from core.tensor.logic import where
from core.tensor.reduce import max, sum
from core.tensor.special import softmax
from core.tensor.type import TensorType

x, y = TensorType("float64", 2)("x"), TensorType("float64", (None, 1))("y")
ONE = [
    lambda v: -v,
    lambda v: exp(sin(v)),
    lambda v: log1p(abs(v)),
    lambda v: sigmoid(v),
    lambda v: 1 - sigmoid(v),
    lambda v: log(1 + exp(sin(v))),
    lambda v: square(v),
    lambda v: v.T.T,
    lambda v: softmax(v),
    lambda v: v - max(v, axis=1, keepdims=True),
    lambda v: sum(v, axis=0, keepdims=True),
    lambda v: second(v, 1.0),
    lambda v: v * 1,
    lambda v: abs(v) ** 0.5,
    lambda v: v / 2,
]
TWO = [
    lambda v, w: v + w,
    lambda v, w: v - w,
    lambda v, w: v * w,
    lambda v, w: maximum(v, w),
    lambda v, w: where(v > w, v, w),
    lambda v, w: second(v, w),
]


@st.composite
def expressions(draw):
    parts = [x, y]
    for _ in range(draw(st.integers(1, 7))):
        if draw(st.booleans()):
            parts.append(draw(st.sampled_from(ONE))(draw(st.sampled_from(parts))))
        else:
            parts.append(draw(st.sampled_from(TWO))(draw(st.sampled_from(parts)), draw(st.sampled_from(parts))))
    return parts[-1]


def values_of(graph, *arrays):
    return Interpreted(graph)(list(arrays))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(expressions(), st.sampled_from([(3, 4), (1, 4), (3, 1), (1, 1)]))
def test_random_expressions_and_their_gradients_keep_their_values(out, shape):
    outputs = [out, *grad(sum(out), [x, y], disconnected_inputs="ignore")]
    before, after = FunctionGraph([x, y], outputs), FunctionGraph([x, y], outputs)
    rewrite(after, STAGES)
    after.check()
    rng = np.random.default_rng(0)
    arrays = rng.uniform(-2, 2, shape), rng.uniform(-2, 2, (3, 1))
    for old, new in zip(values_of(before, *arrays), values_of(after, *arrays), strict=True):
        assert old.shape == new.shape
        np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(expressions())
def test_rewriting_again_changes_nothing(out):
    graph = FunctionGraph([x, y], [out])
    rewrite(graph, STAGES)
    again = graph.clone()
    assert len(rewrite(again, STAGES)) == 0
