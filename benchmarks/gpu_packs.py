"""What packs and loops compute on a GPU, against the interpreter: convolutions, transforms, scans, training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def steps(small: bool = False) -> dict[str, Callable[[], None]]:
    """Checks by their names; ``small``: of sizes for a GPU that is a CPU."""
    found: dict[str, Callable[[], None]] = {}
    for dtype in ("float32", "float64"):
        for name, case in _convolutions(small).items():
            found[f"convolution, {name}, {dtype}"] = lambda case=case, dtype=dtype: _convolution(*case, dtype)
        found[f"Fourier transforms, {dtype}"] = lambda dtype=dtype: _transforms(dtype, 64 if small else 4096)
    sizes = (5, 3, 26) if small else (200, 64, 256)
    found["recurrent net, training"] = lambda: _recurrent(*sizes)
    found["loop that asks whether to go on"] = _until
    return found


def _arrays(shapes: Sequence[tuple[int, ...]], dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]


def _same(build: Callable[..., Any], arrays: Sequence[np.ndarray], dtype: str) -> None:
    """The first, a repeated and a replayed call give what the interpreter gives."""
    import core
    import core.tensor as ct

    inputs = [ct.tensor(f"x{k}", dtype=a.dtype.name, shape=a.shape) for k, a in enumerate(arrays)]
    outputs = list(build(*inputs))
    want = core.function(inputs, outputs, backend="interpreter")(*arrays)
    f = core.function(inputs, outputs, backend="cuda")
    assert not f.program.host_nodes, "Python computes a part of it"
    for _ in range(4):
        for got, expected in zip(f(*arrays), want, strict=True):
            scale = max(float(np.abs(expected).max(initial=0)), 1.0)
            tolerance = 2e-4 if dtype == "float32" else 1e-10
            np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * scale)


def _convolutions(small: bool) -> dict[str, tuple]:
    n = 2 if small else 70  # more images than have room for their patches at once
    side = 9 if small else 40
    return {
        "3 x 3": ((n, 16, side, side), (24, 16, 3, 3), {"padding": 1}),
        "strides and dilation": ((n, 16, side, side), (8, 16, 3, 2), {"stride": 2, "dilation": 2, "padding": "same"}),
        "1 x 1": ((n, 32, side, side), (8, 32, 1, 1), {}),
        "groups": ((n, 32, side, side), (16, 16, 3, 3), {"groups": 2}),
        "a filter for each channel": ((n, 4, side, side), (4, 1, 3, 3), {"groups": 4}),
    }


def _convolution(x: tuple[int, ...], w: tuple[int, ...], options: dict[str, Any], dtype: str) -> None:
    import core
    import plugin_ops_nn as nn

    def build(x: Any, w: Any) -> list[Any]:
        y = nn.conv2d(x, w, **options)
        return [y, *core.grad((y * y).sum() / 2, [x, w])]

    _same(build, _arrays([x, w], dtype), dtype)


def _transforms(dtype: str, n: int) -> None:
    import core
    import plugin_ops_fft as fft

    def build(x: Any) -> list[Any]:
        y = fft.irfft2(fft.rfft2(x) * 2)
        return [y, *core.grad((y * y).sum(), [x])]

    _same(build, _arrays([(3, n // 16, n // 32)], dtype), dtype)


def _recurrent(n: int, batch: int, width: int) -> None:
    """Steps of gradient descent through a loop: as on the interpreter, queued by C and replayed from some step on."""
    import core
    import core.tensor as ct

    x, w = _arrays([(n, batch, width), (width, width)], "float64")

    def trained(backend: str) -> np.ndarray:
        data, weights = core.shared(x), core.shared(w / width, name="w")
        out = core.scan(
            lambda row, h: ct.tanh(row + h @ weights), sequences=data, outputs_info=ct.zeros((batch, width))
        )
        loss = (out**2).mean()
        step = core.function([], updates={weights: weights - 0.1 * core.grad(loss, weights)}, backend=backend)
        for _ in range(12):
            step()
        return np.asarray(weights.get_value())

    np.testing.assert_allclose(trained("cuda"), trained("interpreter"), rtol=1e-9, atol=1e-12)


def _until() -> None:
    import core

    def build(x: Any) -> list[Any]:
        return [core.scan(lambda h: (h / 2, core.until((h < 1).all())), outputs_info=x, n_steps=50)]

    _same(build, [np.array([16.0, 3.0])], "float64")
