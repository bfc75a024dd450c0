"""Convolutions as products of patches: chunks of every kind, operands that lie anywhere, graphs, loops."""

import itertools
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import core
import core.tensor as ct
import plugin_ops_nn as nn
from core import plugins
from core.ir.program import KernelStep
from core.ir.work.launches import launches
from core.records import Probe
from plugin_backend_cuda import convolutions, cublas
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.shim.blas import HostBlas
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.recorder import Recorder

CASES = {
    "plain": ((3, 2, 7, 8), (4, 2, 3, 2), {}),
    "one tap": ((3, 4, 5, 6), (2, 4, 1, 1), {}),
    "one tap, strided": ((3, 4, 5, 6), (2, 4, 1, 1), {"stride": 2}),
    "uneven padding, strides": ((2, 3, 6, 5), (4, 3, 3, 2), {"padding": ((0, 2), (1, 0)), "stride": (2, 1)}),
    "dilation": ((2, 3, 9, 9), (4, 3, 3, 2), {"dilation": (2, 3), "padding": 2}),
    "groups": ((2, 16, 4, 5), (6, 8, 3, 2), {"groups": 2, "padding": 1}),
    "1d": ((3, 2, 11), (4, 2, 3), {"stride": 2, "padding": 1}),
    "3d": ((2, 2, 4, 5, 6), (3, 2, 2, 3, 2), {"stride": (1, 2, 1), "padding": 1}),
}
FUNCTIONS = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}


@pytest.fixture
def calls():
    return Recorder(HostDriver())


@pytest.fixture
def driver(calls, monkeypatch):
    monkeypatch.setattr(cublas, "probe", lambda: Probe(devices=("NumPy",)))
    plugins.reset()
    yield Driver(
        lambda: calls, lambda: (HostCompiler(), ""),
        lambda stream, number, workspace: HostBlas(stream, calls._driver._do, workspace),
    )  # fmt: skip
    plugins.reset()


def has_loops(f):
    """Whether a generated kernel computes a convolution."""
    return re.search(r"k\d+_convolution", "".join(f.sources.values())) is not None


def random(shape, seed, dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def all_three(x, w, options, backend, dtype="float64", turned=False):
    """The convolution, and both derivatives of a sum of it with weights; ``turned``: of operands that lie otherwise."""
    axes = [None] * x.ndim
    axes[0 if turned else 1] = x.shape[1]
    a = ct.tensor("a", dtype=dtype, shape=tuple(axes))
    b = ct.tensor("b", dtype=dtype, shape=(None, w.shape[1], *(None,) * (w.ndim - 2)))
    p, q = (a.swapaxes(0, 1), b[:, :, ::-1]) if turned else (a, b)
    y = FUNCTIONS[x.ndim - 2](p, q, **options)
    v = ct.tensor("v", dtype=dtype, shape=(None,) * x.ndim)
    weights = v.swapaxes(2, -1) if turned else v
    f = core.function([a, b, v], [y, *core.grad((y * weights).sum(), [a, b])], backend=backend)
    shape = core.function([a, b], y.shape, backend="interpreter")
    given = (x.swapaxes(0, 1).copy(), w) if turned else (x, w)
    out = tuple(int(n) for n in shape(*given))
    weight = random((*out[:2], *out[:1:-1]) if turned else out, 5, dtype)
    return f(*given, weight), f


@pytest.mark.parametrize("room", [32 << 20, 2048, 300, 1], ids=["all at once", "some images", "parts of one", "one"])
@pytest.mark.parametrize("name", CASES)
def test_chunks_of_every_size_give_the_same(driver, monkeypatch, name, room):
    monkeypatch.setattr(convolutions, "ROOM", room)
    x_shape, w_shape, options = CASES[name]
    x, w = random(x_shape, 1), random(w_shape, 2)
    found, f = all_three(x, w, options, driver)
    assert not has_loops(f)
    want, _ = all_three(x, w, options, "interpreter")
    for got, expected in zip(found, want, strict=True):
        assert_allclose(got, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-4), ("float64", 1e-11)])
@pytest.mark.parametrize("name", ["plain", "one tap", "uneven padding, strides"])
def test_operands_may_lie_anywhere(driver, name, dtype, tolerance):
    x_shape, w_shape, options = CASES[name]
    x, w = random(x_shape, 1, dtype), random(w_shape, 2, dtype)
    found, _ = all_three(x, w, options, driver, dtype, turned=True)
    want, _ = all_three(x, w, options, "interpreter", dtype, turned=True)
    for got, expected in zip(found, want, strict=True):
        assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shapes", list(itertools.product([0, 2], [0, 3], [0, 4])), ids=str)
def test_sums_of_nothing_are_0(driver, shapes):
    n, c, f = shapes
    x, w = np.ones((n, c, 3, 3)), np.ones((f, c, 2, 2))
    a, b = ct.tensor4("a"), ct.tensor4("b")
    y = nn.conv2d(a, b)
    found = core.function([a, b], [y, *core.grad(y.sum(), [a, b])], backend=driver)(x, w)
    want = core.function([a, b], [y, *core.grad(y.sum(), [a, b])], backend="interpreter")(x, w)
    for got, expected in zip(found, want, strict=True):
        assert_array_equal(got, expected)


def test_padding_is_zeros_like_any_others(driver):
    x, w = np.ones((1, 1, 3, 3)), np.array([[[[np.inf, 1.0], [1.0, 1.0]]]])
    a, b = ct.tensor4("a"), ct.tensor4("b")
    with np.errstate(all="ignore"):
        got = core.function([a, b], nn.conv2d(a, b, padding=1), backend=driver)(x, w)
        want = core.function([a, b], nn.conv2d(a, b, padding=1), backend="interpreter")(x, w)
    assert_array_equal(np.isnan(got), np.isnan(want))


def test_a_training_step_is_one_graph(driver, calls):
    x, w = core.shared(random((4, 3, 8, 8), 1, "float32")), core.shared(random((5, 3, 3, 3), 2, "float32"))
    loss = (ct.maximum(nn.conv2d(x, w, padding=1), 0) ** 2).mean()
    step = core.function([], updates={w: w - np.float32(0.1) * core.grad(loss, w)}, backend=driver)
    value = core.function([], loss, backend="interpreter")
    first = value()
    for _ in range(8):
        step()
    before = len(calls.calls)
    step()
    names = set(calls.names()[before:])
    assert "replay" in names and not names & {"launch", "allocate", "fill", "finish"}
    assert value() < first


def test_memory_for_patches_is_asked_for_once(driver, calls):
    a, b = ct.tensor4("a"), ct.tensor4("b")
    f = core.function([a, b], nn.conv2d(a, b), backend=driver)
    f(random((2, 3, 8, 8), 1), random((4, 3, 3, 3), 2))
    before = [arguments for name, arguments in calls.calls if name == "allocate"]
    f(random((3, 3, 9, 8), 1), random((4, 3, 2, 3), 2))
    after = [arguments for name, arguments in calls.calls[len(before) :] if name == "allocate"]
    assert (convolutions.ROOM,) in before and after.count((convolutions.ROOM,)) <= before.count((convolutions.ROOM,))


def test_filters_for_each_channel_are_loops(driver):
    a, b = ct.tensor4("a"), ct.tensor("b", shape=(None, 1, None, None))
    f = core.function([a, b], nn.conv2d(a, b, groups=3), backend=driver)
    assert has_loops(f)
    x, w = random((2, 3, 5, 5), 1), random((3, 1, 2, 2), 2)
    want = core.function([a, b], nn.conv2d(a, b, groups=3), backend="interpreter")(x, w)
    assert_allclose(f(x, w), want, rtol=1e-12)


def test_what_is_around_the_products_of_a_layer_is_one_launch_each_way(driver):
    """There bias, activation and pooling; back all of these, and the step of the bias."""
    x = core.shared(random((8, 8, 24, 24), 1, "float32"), shape=(8, 8, 24, 24))
    w = core.shared(random((8, 8, 3, 3), 2, "float32"), shape=(8, 8, 3, 3))
    b = core.shared(random(8, 3, "float32"), shape=(8,))
    v = core.shared(random((1152, 3), 4, "float32") / 100, shape=(1152, 3))
    h = nn.max_pool2d(ct.relu(nn.conv2d(x, w, b, padding="same")), 2)
    gw, gb = core.grad(ct.tanh(h.reshape((8, -1)) @ v).sum(), [w, b])
    new = [w - gw, b - gb]
    want = core.function([], new, backend="interpreter")()
    step = core.function([], updates=dict(zip((w, b), new, strict=True)), backend=driver)
    kernels = [one for s in step.program.steps if isinstance(s, KernelStep) for one in launches(s.kernel)]
    there, back = (one for one in kernels if any(value.name == "convolution" for value in one.reads))
    assert not there.counters and len(back.counters) == 1, "the last block adds up what the bias gets"
    assert not any(set(one.reads) & set(back.writes) for one in kernels)
    step()
    for got, expected in zip((w.get_value(), b.get_value()), want, strict=True):
        assert_allclose(got, expected, rtol=1e-3, atol=1e-3)
