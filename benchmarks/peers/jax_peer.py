"""JAX on the CPU: ``jit`` of the formula, ``vjp`` and ``value_and_grad``; a step gives its parameters away (donation).

Arrays are JAX's from the start and stay so; a call is over when its result is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.base import Run, arrays_of
from benchmarks.workloads.base import FORWARD, GRADIENT, LEARNING_RATE, STEP, Case

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")


class Functions:
    """The functions that formulas use."""

    exp, log, sqrt, abs, tanh, erf = jnp.exp, jnp.log, jnp.sqrt, jnp.abs, jnp.tanh, jax.scipy.special.erf
    maximum, minimum, dot, concatenate = jnp.maximum, jnp.minimum, jnp.dot, jnp.concatenate
    sum, max, mean = jnp.sum, jnp.max, jnp.mean
    sigmoid, softplus, softmax, log_softmax = jax.nn.sigmoid, jax.nn.softplus, jax.nn.softmax, jax.nn.log_softmax
    logsumexp = jax.nn.logsumexp

    @staticmethod
    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * weight + bias

    cholesky, diagonal = jnp.linalg.cholesky, jnp.diagonal

    @staticmethod
    def cholesky_solve(factor: Any, b: Any) -> Any:
        return jax.scipy.linalg.cho_solve((factor, True), b)

    @staticmethod
    def eye_like(x: Any) -> Any:
        return jnp.eye(len(x), dtype=x.dtype)

    relu = jax.nn.relu
    fft, rfft, fft2, irfft = jnp.fft.fft, jnp.fft.rfft, jnp.fft.fft2, jnp.fft.irfft

    @staticmethod
    def conv2d(x: Any, w: Any) -> Any:
        return jax.lax.conv_general_dilated(x, w, (1, 1), "VALID")

    @staticmethod
    def max_pool(x: Any) -> Any:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    @staticmethod
    def flat(x: Any) -> Any:
        return x.reshape(len(x), -1)

    @staticmethod
    def scan(step: Any, rows: Any, start: Any) -> Any:
        return jax.lax.scan(lambda state, row: (step(state, row),) * 2, start, rows)[1]

    @staticmethod
    def pick(x: Any, column: Any) -> Any:
        return jnp.take_along_axis(x, column[:, None], axis=1)[:, 0]


def version(variant: str = "") -> str:
    return jax.__version__


def compiled(case: Case) -> Any:
    """The function that a workload without state asks for."""
    formula, wrt = case.family.formula, case.family.wrt
    if case.kind == FORWARD:
        return jax.jit(lambda *args: formula(Functions, *args))
    if case.kind == GRADIENT:

        @jax.jit
        def gradient(*args: Any) -> Any:
            *args, g = args
            _, pullback = jax.vjp(lambda *args: formula(Functions, *args), *args)
            slopes = pullback(g)
            return [slopes[k] for k in wrt]

        return gradient

    @jax.jit
    def value_and_gradient(*args: Any) -> Any:
        value, slopes = jax.value_and_grad(lambda *args: formula(Functions, *args), wrt)(*args)
        return [value, *slopes]

    return value_and_gradient


def build(case: Case, arrays: Sequence[np.ndarray], variant: str = "", threads: int = 1) -> Run:
    inputs = [jnp.array(a) for a in arrays]
    if case.kind != STEP:
        return Run(compiled(case), inputs, arrays_of, wait=jax.block_until_ready)
    wrt = case.family.wrt
    first = len(wrt)
    assert wrt == tuple(range(first)), "parameters come first"

    def step(parameters: Any, *data: Any) -> Any:
        loss, slopes = jax.value_and_grad(lambda p: case.family.formula(Functions, *p, *data))(parameters)
        return loss, [p - LEARNING_RATE * slope for p, slope in zip(parameters, slopes, strict=True)]

    fast, state = jax.jit(step, donate_argnums=0), inputs[:first]

    def run(*data: Any) -> Any:
        nonlocal state
        loss, state = fast(state, *data)
        return loss, state

    return Run(
        run, inputs[first:], lambda out: [np.asarray(out[0]), *map(np.array, out[1])], wait=jax.block_until_ready
    )
