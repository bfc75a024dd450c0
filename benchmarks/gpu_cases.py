"""What is timed on a GPU: each case on core, and written by hand for CuPy, PyTorch (plain and compiled) and JAX.

A case gives functions without arguments whose data lie on the device, with a stopwatch: ``(run, stopwatch)``, where
``stopwatch(run, count)`` is the seconds of one of ``count`` runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Timed = tuple[Callable[[], Any], Callable[[Callable[[], Any], int], float]]


@dataclass(frozen=True)
class Case:
    """``moved``: the bytes that must move; 0 where arithmetic is the limit.  ``important``: part of every sample.

    ``fused``: PyTorch with a kernel that somebody wrote for this very computation.
    """

    moved: int
    core: Callable[[], Timed]
    cupy: Callable[[], Timed] | None = None
    torch: Callable[[], Timed] | None = None
    compile: Callable[[], Timed] | None = None
    jax: Callable[[], Timed] | None = None
    important: bool = False
    fused: Callable[[], Timed] | None = None


# --- stopwatches ------------------------------------------------------------------------------------------------------


def core_watch(run: Callable[[], Any], count: int) -> float:
    from plugin_backend_cuda.backend import driver

    watch = driver.open().space.device.stopwatch()
    watch.start()
    for _ in range(count):
        run()
    watch.stop()
    return watch.milliseconds() / 1e3 / count


def cupy_watch(run: Callable[[], Any], count: int) -> float:
    import cupy

    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    for _ in range(count):
        run()
    end.record()
    end.synchronize()
    return cupy.cuda.get_elapsed_time(start, end) / 1e3 / count


def torch_watch(run: Callable[[], Any], count: int) -> float:
    import torch

    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(count):
        run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / count


def jax_watch(run: Callable[[], Any], count: int) -> float:
    """JAX shows no events: the host's clock, over runs that queue."""
    import jax

    jax.block_until_ready(run())
    start = time.perf_counter()
    for _ in range(count):
        out = run()
    jax.block_until_ready(out)
    return (time.perf_counter() - start) / count


COPIED = 1 << 30  # bytes


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of a copy within the device: what bounds everything that only moves data."""
    from plugin_backend_cuda.backend import driver

    device = driver.open().space.device
    size = COPIED
    source, target = device.allocate(size), device.allocate(size)
    for _ in range(3):
        device.copy(source, target, size)
    device.synchronize()
    best = min(core_watch(lambda: device.copy(source, target, size), 10) for _ in range(5))
    device.release(source)
    device.release(target)
    return 2 * size / best


IN_A_ROW = 10  # so that the time of the host does not count


def launches(run: Any, repeats: int = 9) -> list[tuple[str, float]]:
    """What a function of core queues, and how many microseconds each takes: several in a row, replayed as a graph."""
    from plugin_backend_cuda.backend import driver

    device = driver.open().space.device
    (found,) = [s.prepared for s in run._run._current[0].stretches if s.prepared]
    prepared = list(found.values())[-1]
    out = []
    for command in prepared.commands:
        command()
        act, count = command, 1
        if not hasattr(command, "check"):  # one that fails tells the host, and is no part of a graph
            device.begin_recording()
            for _ in range(IN_A_ROW):
                command()
            act, count = device.end_recording(), IN_A_ROW
        us = sorted(1e6 * core_watch(act, 2) / count for _ in range(repeats))[repeats // 2]
        called = (
            f"{command._name} {command._grid} {command._block}" if hasattr(command, "_grid") else command.step.call.name
        )
        out.append((called, us))
    return out


# --- the same computation in each language ----------------------------------------------------------------------------


def arrays(*shapes: tuple[int, ...], dtype: str = "float32", low: float = 0.5, high: float = 1.5) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(low, high, shape).astype(dtype) for shape in shapes]


def on_core(formula: Callable[..., Any], data: list[np.ndarray]) -> Timed:
    """``formula`` of shared variables; its results are the new values of others, so that nothing leaves the device."""
    import core
    import core.tensor as ct

    inputs = [core.shared(a, name=f"x{k}", shape=a.shape) for k, a in enumerate(data)]
    made = formula(ct, *inputs)
    made = list(made) if isinstance(made, (list, tuple)) else [made]
    results = [core.shared(np.zeros((1,) * out.type.ndim, out.type.dtype), name=f"y{k}") for k, out in enumerate(made)]
    run = core.function([], [], updates=list(zip(results, made, strict=True)), backend="cuda")
    return run, core_watch


def on_cupy(formula: Callable[..., Any], data: list[np.ndarray]) -> Timed:
    import cupy

    inputs = [cupy.asarray(a) for a in data]
    return lambda: formula(cupy, *inputs), cupy_watch


def on_torch(formula: Callable[..., Any], data: list[np.ndarray], compiled: bool = False) -> Timed:
    import torch

    inputs = [torch.from_numpy(a).cuda() for a in data]
    f = (lambda *xs: formula(torch, *xs)) if not compiled else torch.compile(lambda *xs: formula(torch, *xs))
    return lambda: f(*inputs), torch_watch


def on_jax(formula: Callable[..., Any], data: list[np.ndarray]) -> Timed:
    import os

    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax
    import jax.numpy as jnp

    inputs = [jax.device_put(a) for a in data]
    f = jax.jit(lambda *xs: formula(jnp, *xs))
    return lambda: f(*inputs), jax_watch


def everywhere(
    moved: int,
    formula: Callable[..., Any],
    data: Callable[[], list[np.ndarray]],
    torch: Callable[..., Any] | None = None,
    important: bool = False,
) -> Case:
    """A formula in words that all four share; ``torch`` where PyTorch has other ones."""
    in_torch = torch or formula
    data = cache(data)
    return Case(
        moved,
        lambda: on_core(formula, data()),
        lambda: on_cupy(formula, data()),
        lambda: on_torch(in_torch, data()),
        lambda: on_torch(in_torch, data(), compiled=True),
        lambda: on_jax(formula, data()),
        important,
    )


# --- formulas ---------------------------------------------------------------------------------------------------------


def chain(m: Any, x: Any, y: Any) -> Any:
    return m.exp(-x * x) * m.tanh(y) + m.sqrt(x * x + y * y) - 2.0 * x * y


def softmax(m: Any, x: Any) -> Any:
    e = m.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_torch(m: Any, x: Any) -> Any:
    return m.softmax(x, 1)


def layer_norm(m: Any, x: Any, w: Any, b: Any) -> Any:
    d = x - x.mean(axis=1, keepdims=True)
    return d / m.sqrt((d * d).mean(axis=1, keepdims=True) + 1e-5) * w + b


def layer_norm_torch(m: Any, x: Any, w: Any, b: Any) -> Any:
    return m.nn.functional.layer_norm(x, (x.shape[1],), w, b)


def black_scholes(m: Any, s: Any, k: Any, t: Any) -> Any:
    def cdf(z: Any) -> Any:
        return 0.5 * (1.0 + m.tanh(0.7978845608 * (z + 0.044715 * z * z * z)))

    vol, rate = 0.3, 0.02
    root = vol * m.sqrt(t)
    d1 = (m.log(s / k) + (rate + vol * vol / 2) * t) / root
    d2 = d1 - root
    return s * cdf(d1) - k * m.exp(-rate * t) * cdf(d2)


def layer_norm_gradients(m: Any, x: Any, w: Any, b: Any, g: Any) -> Any:
    """Forward and backward; here core derives, by hand for the others see below."""
    import core

    loss = (layer_norm(m, x, w, b) * g).sum()
    return core.grad(loss, [x, w, b])


def layer_norm_gradients_jax(x: Any, w: Any, b: Any, g: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.grad(lambda x, w, b: (layer_norm(jnp, x, w, b) * g).sum(), (0, 1, 2))(x, w, b)


def layer_norm_gradients_torch(m: Any, x: Any, w: Any, b: Any, g: Any) -> Any:
    xs = [one.detach().requires_grad_() for one in (x, w, b)]
    return m.autograd.grad((layer_norm_torch(m, *xs) * g).sum(), xs)


# --- attention -------------------------------------------------------------------------------------------------------

HEADS, LENGTH, DEPTH = 64, 1024, 64  # heads of all sentences of a batch


def attention(m: Any, q: Any, k: Any, v: Any) -> Any:
    """softmax(q k^T / sqrt(d)) v, written out; (heads, length, depth)."""
    scores = m.matmul(q, k.swapaxes(1, 2)) * float(1 / np.sqrt(DEPTH))
    e = m.exp(scores - scores.max(axis=2, keepdims=True))
    return m.matmul(e / e.sum(axis=2, keepdims=True), v)


def attention_torch(m: Any, q: Any, k: Any, v: Any) -> Any:
    return m.softmax(m.matmul(q, k.transpose(1, 2)) * float(1 / np.sqrt(DEPTH)), 2) @ v


def attention_torch_fused(m: Any, q: Any, k: Any, v: Any) -> Any:
    return m.nn.functional.scaled_dot_product_attention(q, k, v)


def attention_gradients(m: Any, q: Any, k: Any, v: Any, g: Any) -> Any:
    import core

    return core.grad((attention(m, q, k, v) * g).sum(), [q, k, v])


def attention_gradients_torch(formula: Callable[..., Any]) -> Callable[..., Any]:
    def gradients(m: Any, q: Any, k: Any, v: Any, g: Any) -> Any:
        xs = [one.detach().requires_grad_() for one in (q, k, v)]
        return m.autograd.grad((formula(m, *xs) * g).sum(), xs)

    return gradients


def attention_gradients_jax(q: Any, k: Any, v: Any, g: Any) -> Any:
    import jax
    import jax.numpy as jnp

    with jax.default_matmul_precision("highest"):
        return jax.grad(lambda q, k, v: (attention(jnp, q, k, v) * g).sum(), (0, 1, 2))(q, k, v)


def attention_jax(m: Any, q: Any, k: Any, v: Any) -> Any:
    import jax

    with jax.default_matmul_precision("highest"):
        return attention(m, q, k, v)


def _heads(count: int) -> Callable[[], list[np.ndarray]]:
    return lambda: arrays(*[(HEADS, LENGTH, DEPTH)] * count, low=-1, high=1)


# --- linear algebra ---------------------------------------------------------------------------------------------------


def _on_linalg(name: str, *shapes: tuple[int, ...]) -> Timed:
    """A function of plugin_ops_linalg; the first matrix is positive definite."""
    import plugin_ops_linalg as linalg

    return on_core(lambda m, *xs: getattr(linalg, name)(*xs), _systems(*shapes))


def _systems(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    first, *more = arrays(*shapes, low=-1, high=1)
    n = first.shape[-1]
    return [(first @ first.swapaxes(-1, -2) / n + np.eye(n)).astype("float32"), *more]


def _linalg(
    name: str, *shapes: tuple[int, ...], torch: Callable[..., Any], cupy: Callable[..., Any] | None = None
) -> Case:
    """A function of linear algebra, in CuPy of the same name unless ``cupy(module, *arrays)`` says another."""
    return Case(
        0,
        lambda: _on_linalg(name, *shapes),
        lambda: on_cupy(cupy or (lambda m, *xs: getattr(m.linalg, name)(*xs)), _systems(*shapes)),
        lambda: on_torch(lambda m, *xs: torch(m, *xs), _systems(*shapes)),
    )


N = 1 << 26  # elements of a flat case: 256 MiB each, well past the cache
ROWS, COLUMNS = 16384, 4096
M = ROWS * COLUMNS


def _matrix() -> list[np.ndarray]:
    return arrays((ROWS, COLUMNS), low=-3, high=3)


def _normed() -> list[np.ndarray]:
    return arrays((ROWS, COLUMNS), (COLUMNS,), (COLUMNS,), low=-3, high=3)


def _normed_back() -> list[np.ndarray]:
    return arrays((ROWS, COLUMNS), (COLUMNS,), (COLUMNS,), (ROWS, COLUMNS), low=-3, high=3)


CASES: dict[str, Case] = {
    "add, 3 x 64M": everywhere(12 * N, lambda m, x, y: x + y, lambda: arrays((N,), (N,))),
    "elementwise chain, 3 x 64M": everywhere(12 * N, chain, lambda: arrays((N,), (N,)), important=True),
    "Black-Scholes, 4 x 64M": everywhere(16 * N, black_scholes, lambda: arrays((N,), (N,), (N,))),
    "sum of all, 64M": everywhere(4 * M, lambda m, x: x.sum(), _matrix),
    "sum of rows, 16384 x 4096": everywhere(4 * M, lambda m, x: x.sum(1), _matrix),
    "sum of columns, 16384 x 4096": everywhere(4 * M, lambda m, x: x.sum(0), _matrix),
    "max of rows, 16384 x 4096": everywhere(4 * M, lambda m, x: x.max(1), _matrix, lambda m, x: x.amax(1)),
    "bias + tanh, 16384 x 4096": everywhere(
        8 * M, lambda m, x, b: m.tanh(x + b), lambda: arrays((ROWS, COLUMNS), (COLUMNS,))
    ),
    "transposed sum x + x.T, 8192": everywhere(12 * 8192**2, lambda m, x: x + x.T, lambda: arrays((8192, 8192))),
    "softmax, 16384 x 4096": everywhere(8 * M, softmax, _matrix, softmax_torch, important=True),
    "layer norm, 16384 x 4096": everywhere(8 * M, layer_norm, _normed, layer_norm_torch),
    "layer norm + gradients": Case(
        12 * M,
        lambda: on_core(layer_norm_gradients, _normed_back()),
        torch=lambda: on_torch(layer_norm_gradients_torch, _normed_back()),
        compile=lambda: on_torch(layer_norm_gradients_torch, _normed_back(), compiled=True),
        jax=lambda: on_jax(lambda m, *xs: layer_norm_gradients_jax(*xs), _normed_back()),
        important=True,
    ),
    "product float32, 4096": everywhere(0, lambda m, x, y: x @ y, lambda: arrays((4096, 4096), (4096, 4096))),
    "attention, 64 x 1024 x 64": Case(
        0,
        lambda: on_core(attention, _heads(3)()),
        lambda: on_cupy(attention, _heads(3)()),
        lambda: on_torch(attention_torch, _heads(3)()),
        lambda: on_torch(attention_torch, _heads(3)(), compiled=True),
        lambda: on_jax(attention_jax, _heads(3)()),
        important=True,
        fused=lambda: on_torch(attention_torch_fused, _heads(3)()),
    ),
    "attention + gradients": Case(
        0,
        lambda: on_core(attention_gradients, _heads(4)()),
        torch=lambda: on_torch(attention_gradients_torch(attention_torch), _heads(4)()),
        compile=lambda: on_torch(attention_gradients_torch(attention_torch), _heads(4)(), compiled=True),
        jax=lambda: on_jax(lambda m, *xs: attention_gradients_jax(*xs), _heads(4)()),
        fused=lambda: on_torch(attention_gradients_torch(attention_torch_fused), _heads(4)()),
    ),
    "cholesky, 2048": _linalg("cholesky", (2048, 2048), torch=lambda m, a: m.linalg.cholesky(a)),
    "cholesky, 1000 x 32": _linalg("cholesky", (1000, 32, 32), torch=lambda m, a: m.linalg.cholesky(a)),
    "solve, 2048 with 64": _linalg("solve", (2048, 2048), (2048, 64), torch=lambda m, a, b: m.linalg.solve(a, b)),
    "svd values, 512": _linalg(
        "svdvals",
        (512, 512),
        torch=lambda m, a: m.linalg.svdvals(a),
        cupy=lambda m, a: m.linalg.svd(a, compute_uv=False),
    ),
    "small chain, 3 x 1024": everywhere(0, chain, lambda: arrays((1024,), (1024,))),
}
