"""Training steps for gpu.py: a classifier of vectors, and one of images, in core, PyTorch and JAX.

All parameters are updated in each step; data and labels lie on the device, and nothing comes back to the host.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from gpu_cases import Case, Timed, core_watch, jax_watch, torch_watch

# --- vectors ----------------------------------------------------------------------------------------------------------

BATCH, WIDTHS = 4096, (784, 1024, 1024, 10)


def _weights() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [(rng.standard_normal(p) / np.sqrt(p[0])).astype("float32") for p in pairwise(WIDTHS)]


def _mlp_data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.standard_normal((BATCH, WIDTHS[0])).astype("float32"), rng.integers(0, WIDTHS[-1], BATCH)


def _mlp_core() -> Timed:
    import core
    import core.tensor as ct

    x, y = _mlp_data()
    xs, ys = core.shared(x, "x", shape=x.shape), core.shared(y, "y", shape=y.shape)
    ws = [core.shared(w, f"w{k}", shape=w.shape) for k, w in enumerate(_weights())]
    bs = [core.shared(np.zeros(w.shape[1], "float32"), shape=(w.shape[1],)) for w in _weights()]
    h = xs
    for k, (w, b) in enumerate(zip(ws, bs, strict=True)):
        h = h @ w + b
        if k < len(ws) - 1:
            h = ct.tanh(h)
    loss = -ct.log_softmax(h, axis=1)[ct.arange(BATCH), ys].mean()
    grads = core.grad(loss, [*ws, *bs])
    updates = [(p, p - np.float32(0.01) * g) for p, g in zip([*ws, *bs], grads, strict=True)]
    return core.function([], [], updates=updates, backend="cuda"), core_watch


def _mlp_torch(compiled: bool) -> Timed:
    import torch

    x, y = (torch.from_numpy(a).cuda() for a in _mlp_data())
    ws = [torch.from_numpy(w).cuda().requires_grad_() for w in _weights()]
    bs = [torch.zeros(w.shape[1], device="cuda", requires_grad=True) for w in ws]

    def loss(ws: Any, bs: Any) -> Any:
        h = x
        for k, (w, b) in enumerate(zip(ws, bs, strict=True)):
            h = torch.addmm(b, h, w)
            if k < len(ws) - 1:
                h = torch.tanh(h)
        return torch.nn.functional.cross_entropy(h, y)

    f = torch.compile(loss) if compiled else loss

    def step() -> None:
        grads = torch.autograd.grad(f(ws, bs), [*ws, *bs])
        with torch.no_grad():
            torch._foreach_add_([*ws, *bs], grads, alpha=-0.01)

    return step, torch_watch


def _mlp_jax() -> Timed:
    import jax
    import jax.numpy as jnp

    x, y = (jax.device_put(a) for a in _mlp_data())
    params = [(jax.device_put(w), jnp.zeros(w.shape[1], "float32")) for w in _weights()]

    def loss(params: Any) -> Any:
        h = x
        for k, (w, b) in enumerate(params):
            h = jnp.dot(h, w, precision="highest") + b
            if k < len(params) - 1:
                h = jnp.tanh(h)
        return -jax.nn.log_softmax(h)[jnp.arange(BATCH), y].mean()

    @jax.jit
    def step(params: Any) -> Any:
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, jax.grad(loss)(params))

    state = [params]

    def run() -> Any:
        state[0] = step(state[0])
        return state[0]

    return run, jax_watch


# --- images -----------------------------------------------------------------------------------------------------------

IMAGES, SIDE, FILTERS, TAPS, CLASSES = 256, 32, (3, 32, 64), 3, 10


def _images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((IMAGES, FILTERS[0], SIDE, SIDE)).astype("float32")
    return x, rng.integers(0, CLASSES, IMAGES)


def _filters() -> list[np.ndarray]:
    """Those of each layer, (out, in, 3, 3), then the weights of the last layer."""
    rng = np.random.default_rng(1)
    shapes = [(b, a, TAPS, TAPS) for a, b in pairwise(FILTERS)]
    found = [rng.standard_normal(s) / np.sqrt(s[1] * TAPS**2) for s in shapes]
    n = FILTERS[-1] * (SIDE >> len(shapes)) ** 2
    return [w.astype("float32") for w in (*found, rng.standard_normal((n, CLASSES)) / np.sqrt(n))]


def _convolution_core() -> Timed:
    import core
    import core.tensor as ct
    import plugin_ops_nn as nn

    x, y = _images()
    xs, ys = core.shared(x, "x", shape=x.shape), core.shared(y, "y", shape=y.shape)
    *ws, last = [core.shared(w, f"w{k}", shape=w.shape) for k, w in enumerate(_filters())]
    bs = [
        core.shared(np.zeros(len(w.get_value()), "float32"), f"b{k}", shape=w.type.shape[:1]) for k, w in enumerate(ws)
    ]
    h = xs
    for w, b in zip(ws, bs, strict=True):
        h = nn.max_pool2d(ct.relu(nn.conv2d(h, w, b, padding="same")), 2)
    scores = h.reshape((IMAGES, -1)) @ last
    loss = -ct.log_softmax(scores, axis=1)[ct.arange(IMAGES), ys].mean()
    parameters = [*ws, *bs, last]
    updates = [(p, p - np.float32(0.01) * g) for p, g in zip(parameters, core.grad(loss, parameters), strict=True)]
    return core.function([], [], updates=updates, backend="cuda"), core_watch


def _convolution_torch(compiled: bool) -> Timed:
    import torch
    from torch.nn import functional

    torch.backends.cudnn.allow_tf32 = False
    x, y = (torch.from_numpy(a).cuda() for a in _images())
    *ws, last = [torch.from_numpy(w).cuda().requires_grad_() for w in _filters()]
    bs = [torch.zeros(len(w), device="cuda", requires_grad=True) for w in ws]

    def loss(ws: Any, bs: Any, last: Any) -> Any:
        h = x
        for w, b in zip(ws, bs, strict=True):
            h = functional.max_pool2d(torch.relu(functional.conv2d(h, w, b, padding="same")), 2)
        return functional.cross_entropy(h.reshape(IMAGES, -1) @ last, y)

    f, parameters = (torch.compile(loss) if compiled else loss), [*ws, *bs, last]

    def step() -> None:
        grads = torch.autograd.grad(f(ws, bs, last), parameters)
        with torch.no_grad():
            torch._foreach_add_(parameters, grads, alpha=-0.01)

    return step, torch_watch


def _convolution_jax() -> Timed:
    import jax
    import jax.numpy as jnp

    x, y = (jax.device_put(a) for a in _images())
    *ws, last = [jax.device_put(w) for w in _filters()]

    def loss(parameters: Any) -> Any:
        layers, last = parameters
        h = x
        for w, b in layers:
            h = jax.lax.conv_general_dilated(
                h, w, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"), precision="highest"
            )
            h = jax.nn.relu(h + b[:, None, None])
            h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        scores = jnp.dot(h.reshape(IMAGES, -1), last, precision="highest")
        return -jax.nn.log_softmax(scores)[jnp.arange(IMAGES), y].mean()

    @jax.jit
    def step(parameters: Any) -> Any:
        return jax.tree.map(lambda p, g: p - 0.01 * g, parameters, jax.grad(loss)(parameters))

    state = [([(w, jnp.zeros(len(w), "float32")) for w in ws], last)]

    def run() -> Any:
        state[0] = step(state[0])
        return state[0]

    return run, jax_watch


CASES: dict[str, Case] = {
    "MLP training step, 4096 x 784": Case(
        0, _mlp_core, torch=lambda: _mlp_torch(False), compile=lambda: _mlp_torch(True), jax=_mlp_jax, important=True
    ),
    "convolution training step, 256 x 3 x 32 x 32": Case(
        0,
        _convolution_core,
        torch=lambda: _convolution_torch(False),
        compile=lambda: _convolution_torch(True),
        jax=_convolution_jax,
        important=True,
    ),
}
