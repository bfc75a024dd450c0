"""Random loops: what they compute, and their gradients, are the same on every backend and without any rule."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import core
import core.tensor as ct
from core.ir.check.run import Driver
from core.testing import available_backends

pytestmark = pytest.mark.filterwarnings("ignore::core.errors.CoreWarning")

UNARY = [ct.tanh, ct.sin, lambda v: v * 0.5, lambda v: ct.exp(-(v**2)), lambda v: v]
BINARY = [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: ct.where(a > b, a, 0.5 * b), lambda a, b: a - b]


@st.composite
def loops(draw):
    """A function from (sequences, initials, weights) to the outputs of a scan, and the numbers and shapes of these."""
    width = draw(st.sampled_from([None, 1, 3]))  # None: scalars
    taps = draw(st.lists(st.sampled_from([(-1,), (-2,), (-2, -1), (-3, -1)]), min_size=1, max_size=3))
    sequences, results = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    choices = draw(st.lists(st.integers(0, 1000), min_size=30, max_size=30))
    product = width is not None and draw(st.booleans())
    options = {"go_backwards": draw(st.booleans()), "truncate_gradient": draw(st.sampled_from([-1, -1, 2]))}
    used = draw(st.sampled_from(["all", "last", "some"]))

    def build(xs, starts, w):
        def step(*given):
            left = iter(choices)
            pool = list(given)
            if product:
                pool.append(pool[-1] @ w)

            def pick():
                return pool[next(left) % len(pool)]

            for _ in range(4):
                pool.append(UNARY[next(left) % len(UNARY)](BINARY[next(left) % len(BINARY)](pick(), pick())))
            return [ct.tanh(pool[-1 - next(left) % 5]) for _ in range(len(taps) + results)]

        infos = [
            {"initial": start, "taps": list(tap)} if tap != (-1,) else start[0]
            for start, tap in zip(starts, taps, strict=True)
        ]
        n = {} if xs else {"n_steps": 4}
        outputs = core.scan(step, sequences=xs, outputs_info=infos + [None] * results, return_list=True, **options, **n)
        if used == "last":
            return [out[-1] for out in outputs]
        return outputs if used == "all" else outputs[:1]

    shape = () if width is None else (width,)
    return build, sequences, [(-min(tap), *shape) for tap in taps], shape


@pytest.mark.parametrize("backend", [*(name for name in available_backends() if name != "interpreter"), "ir"])
def test_random_loops_and_their_gradients_agree(backend):
    @settings(
        max_examples=5 if backend == "opencl" else 25,  # PoCL builds each for seconds
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(loop=loops(), n=st.sampled_from([1, 2, 5]), seed=st.integers(0, 100))
    def check(loop, n, seed):
        agrees(backend, loop, n, seed)

    check()


def agrees(backend, loop, n, seed):
    build, sequences, starts, shape = loop
    data = np.random.default_rng(seed)
    arrays = [data.standard_normal((n, *shape)) for _ in range(sequences)]
    arrays += [data.standard_normal(start) for start in starts] + [data.standard_normal((*shape, *shape) or ())]
    inputs = [ct.tensor(f"v{k}", dtype="float64", shape=(None,) * a.ndim) for k, a in enumerate(arrays)]
    outputs = build(inputs[:sequences], inputs[sequences:-1], inputs[-1])
    cost = sum(ct.sin(out).sum() for out in outputs)
    wanted = [*outputs, *core.grad(cost, inputs, disconnected_inputs="ignore")]
    plain = core.function(inputs, wanted, backend="interpreter", mode="none", on_unused_input="ignore")(*arrays)
    target = Driver() if backend == "ir" else backend
    found = core.function(inputs, wanted, backend=target, on_unused_input="ignore")(*arrays)
    for got, expected in zip(found, plain, strict=True):
        assert got.shape == expected.shape
        assert_allclose(got, expected, rtol=1e-8, atol=1e-10)
