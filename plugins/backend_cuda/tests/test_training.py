"""A classifier's training step: how many launches it is, and that nobody waits for it."""

from itertools import pairwise

import numpy as np
import pytest

import core
import core.tensor as ct
from core import plugins
from core.errors import IndexOutOfBounds
from core.records import Probe
from plugin_backend_cuda import cublas
from plugin_backend_cuda.backend import Driver
from plugin_backend_cuda.shim.blas import HostBlas
from plugin_backend_cuda.shim.driver import HostCompiler, HostDriver
from plugin_backend_cuda.shim.recorder import Recorder

BATCH, WIDTHS = 64, (20, 18, 17, 3)


@pytest.fixture
def calls():
    return Recorder(HostDriver())


@pytest.fixture
def step(calls, monkeypatch):
    """Plain gradient descent on all parameters of three layers, with data and labels on the device."""
    driver = Driver(
        lambda: calls, lambda: (HostCompiler(), ""),
        lambda stream, number, workspace: HostBlas(stream, calls._driver._do, workspace),
    )  # fmt: skip
    monkeypatch.setattr(cublas, "probe", lambda: Probe(devices=("NumPy",)))
    plugins.reset()
    rng = np.random.default_rng(0)
    x = core.shared(rng.standard_normal((BATCH, WIDTHS[0])).astype("float32"), "x", shape=(BATCH, WIDTHS[0]))
    labels = core.shared(rng.integers(0, WIDTHS[-1], BATCH), "labels", shape=(BATCH,))
    pairs = list(pairwise(WIDTHS))
    ws = [core.shared(0.1 * rng.standard_normal(p).astype("float32"), f"w{k}", shape=p) for k, p in enumerate(pairs)]
    bs = [core.shared(np.zeros(n, "float32"), f"b{k}", shape=(n,)) for k, (_, n) in enumerate(pairs)]
    h = x
    for k, (w, b) in enumerate(zip(ws, bs, strict=True)):
        h = h @ w + b if k == 0 else ct.tanh(h) @ w + b
    loss = -ct.log_softmax(h, axis=1)[ct.arange(BATCH), labels].mean()
    updates = [(p, p - np.float32(0.5) * g) for p, g in zip([*ws, *bs], core.grad(loss, [*ws, *bs]), strict=True)]
    yield core.function([], [], updates=updates, backend=driver), loss, labels, ws
    plugins.reset()


def since(calls, act):
    before = len(calls.calls)
    act()
    return calls.names()[before:]


def test_a_step_is_seven_launches_beside_its_products_and_waits_for_nothing(step, calls):
    f, *_ = step
    for _ in range(2):
        f()
    names = since(calls, f)
    # the check of the labels, tanh twice, the loss back to the last layer, the sums for its bias, and for each layer
    # before it the gradient of what goes into it, with the sums for its bias
    assert names.count("launch") == 7
    assert not {"finish", "wait_event", "copy_out"} & set(names)


def test_the_step_learns_and_bad_labels_change_nothing(step):
    f, loss, labels, ws = step
    value = core.function([], loss, backend="interpreter")
    first = value()
    for _ in range(20):
        f()
    assert value() < 0.9 * first
    kept = [w.get_value() for w in ws]
    labels.set_value(np.full(BATCH, WIDTHS[-1]))
    with pytest.raises(IndexOutOfBounds):
        f()
    assert all((w.get_value() == k).all() for w, k in zip(ws, kept, strict=True))
