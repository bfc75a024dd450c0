"""PyTorch on the CPU: eager, with autograd; and ``torch.compile`` of the formula with its gradient (``torch.func``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.peers.base import Run, Unsupported
from benchmarks.workloads.base import FORWARD, GRADIENT, LEARNING_RATE, STEP, Case


class Functions:
    """The functions that formulas use."""

    exp, log, sqrt, abs, tanh, erf = torch.exp, torch.log, torch.sqrt, torch.abs, torch.tanh, torch.erf
    maximum, minimum, dot, concatenate = torch.maximum, torch.minimum, torch.matmul, torch.cat
    sigmoid, softmax, logsumexp = torch.sigmoid, torch.softmax, torch.logsumexp
    softplus, mean = torch.nn.functional.softplus, torch.mean

    @staticmethod
    def sum(x: Any, axis: int | None = None) -> Any:
        return torch.sum(x) if axis is None else torch.sum(x, axis)

    @staticmethod
    def max(x: Any, axis: int | None = None) -> Any:
        return torch.max(x) if axis is None else torch.amax(x, axis)

    @staticmethod
    def log_softmax(x: Any) -> Any:
        return torch.log_softmax(x, -1)

    @staticmethod
    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        return torch.nn.functional.layer_norm(x, x.shape[-1:], weight, bias, 1e-5)

    cholesky, diagonal = torch.linalg.cholesky, torch.diagonal

    @staticmethod
    def cholesky_solve(factor: Any, b: Any) -> Any:
        return torch.cholesky_solve(b[:, None], factor)[:, 0]

    @staticmethod
    def eye_like(x: Any) -> Any:
        return torch.eye(len(x), dtype=x.dtype)

    relu, conv2d = torch.relu, torch.nn.functional.conv2d
    fft, rfft, fft2, irfft = torch.fft.fft, torch.fft.rfft, torch.fft.fft2, torch.fft.irfft

    @staticmethod
    def max_pool(x: Any) -> Any:
        return torch.nn.functional.max_pool2d(x, 2)

    @staticmethod
    def flat(x: Any) -> Any:
        return x.flatten(1)

    @staticmethod
    def scan(step: Any, rows: Any, start: Any) -> Any:
        if len(rows) > 1000:
            raise Unsupported("a loop of so many steps is one of Python, or unrolled")
        states = [start]
        for row in rows:
            states.append(step(states[-1], row))
        return torch.stack(states[1:])

    @staticmethod
    def pick(x: Any, column: Any) -> Any:
        return torch.gather(x, 1, column[:, None])[:, 0]


def version(variant: str = "") -> str:
    return torch.__version__


def _results(out: Any) -> list[np.ndarray]:
    return [one.detach().numpy().copy() for one in (out if isinstance(out, (tuple, list)) else (out,))]


def build(case: Case, arrays: Sequence[np.ndarray], variant: str = "eager", threads: int = 1) -> Run:
    torch.set_num_threads(threads)
    inputs = [torch.from_numpy(a.copy()) for a in arrays]
    function = (_compiled if variant == "compile" else _eager)(case, inputs)
    if case.kind == STEP:
        return Run(function, inputs, lambda loss: [*_results(loss), *_results([inputs[k] for k in case.family.wrt])])
    return Run(function, inputs, _results)


def _eager(case: Case, inputs: list[Any]) -> Any:
    formula, wrt = case.family.formula, case.family.wrt
    if case.kind == FORWARD:
        return lambda *args: formula(Functions, *args)
    for k in wrt:
        inputs[k].requires_grad_(True)
    if case.kind == GRADIENT:

        def gradient(*args: Any) -> Any:
            *args, g = args
            return torch.autograd.grad(formula(Functions, *args), [args[k] for k in wrt], g)

        return gradient
    if case.kind == STEP:

        def step(*args: Any) -> Any:
            loss = formula(Functions, *args)
            parameters = [args[k] for k in wrt]
            slopes = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                torch._foreach_add_(parameters, slopes, alpha=-LEARNING_RATE)
            return loss

        return step

    def value_and_gradient(*args: Any) -> Any:
        value = formula(Functions, *args)
        return (value, *torch.autograd.grad(value, [args[k] for k in wrt]))

    return value_and_gradient


def _compiled(case: Case, inputs: list[Any]) -> Any:
    """One graph, with the gradient in it: the compiler sees everything."""
    torch._dynamo.reset()  # each workload is a new function to it: no recompilation for "dynamic" shapes
    formula, wrt = case.family.formula, case.family.wrt
    if case.kind == FORWARD:
        return torch.compile(lambda *args: formula(Functions, *args), dynamic=False)
    if case.kind == GRADIENT:

        def gradient(*args: Any) -> Any:
            *args, g = args
            _, pullback = torch.func.vjp(lambda *args: formula(Functions, *args), *args)
            slopes = pullback(g)
            return [slopes[k] for k in wrt]

        return torch.compile(gradient, dynamic=False)
    value_and_slopes = torch.func.grad_and_value(lambda *args: formula(Functions, *args), argnums=wrt)
    if case.kind == STEP:

        def step(*args: Any) -> Any:
            slopes, loss = value_and_slopes(*args)
            for k, slope in zip(wrt, slopes, strict=True):
                # torch 2.13 leaves a 0-d tensor as it was when compiled code updates it in place, a view of it not
                parameter = args[k] if args[k].ndim else args[k].view(1)
                parameter.sub_(LEARNING_RATE * slope)
            return loss

        return torch.compile(step, dynamic=False)

    def value_and_gradient(*args: Any) -> Any:
        slopes, value = value_and_slopes(*args)
        return (value, *slopes)

    return torch.compile(value_and_gradient, dynamic=False)
