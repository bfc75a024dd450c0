"""Training a compiled model and its NumPy twin side by side, epoch by epoch, with both clocks."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from core.demo.by_hand import ByHand
from core.demo.data import Examples
from core.demo.models import Model, build

BATCH = 64
LARGEST_DIFFERENCE = 1e-8


@dataclass
class Result:
    """What a training came to.  Losses are means over an epoch; times are seconds, one per epoch of ``steps`` steps."""

    model: Model
    backend: str
    provider: str  # the distribution that the backend comes from
    compile_s: float
    steps: int = 0
    train_losses: list[float] = field(default_factory=list)
    test_losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    difference: float = 0.0  # the largest between a loss and NumPy's, over all steps
    compiled_s: list[float] = field(default_factory=list)
    numpy_s: list[float] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        return self.accuracies[-1]

    @property
    def agrees(self) -> bool:
        return self.difference <= LARGEST_DIFFERENCE  # False for nan

    @property
    def step_s(self) -> float:
        return statistics.median(self.compiled_s) / self.steps

    @property
    def numpy_step_s(self) -> float:
        return statistics.median(self.numpy_s) / self.steps


def train(
    model: Model,
    examples: Examples,
    *,
    epochs: int,
    seed: int,
    backend: Any = None,
    each_epoch: Callable[[Result], None] = lambda result: None,
) -> Result:
    """Compile ``model``, train it and its NumPy twin on the same batches, and call ``each_epoch`` after every epoch."""
    start = model.start(examples.train_x.shape[1], examples.classes, seed)
    begin = perf_counter()
    compiled = build(model, start, backend)
    seconds = perf_counter() - begin
    choice = compiled.step.choice
    result = Result(model, choice.name, str(choice.source or "an object"), seconds)
    by_hand = ByHand(model, start)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        batches = list(examples.batches(BATCH, rng))
        losses, seconds = _run(compiled.step, batches)
        numpy_losses, numpy_seconds = _run(by_hand.step, batches)
        result.steps = len(batches)
        result.compiled_s.append(seconds)
        result.numpy_s.append(numpy_seconds)
        difference = float(np.max(np.abs(losses - numpy_losses)))
        result.difference = float(np.maximum(result.difference, difference))  # keeps nan, as max() would not
        loss, accuracy = compiled.evaluate(examples.test_x, examples.test_y)
        result.train_losses.append(float(losses.mean()))
        result.test_losses.append(float(loss))
        result.accuracies.append(float(accuracy))
        each_epoch(result)
    return result


def _run(step: Callable[..., Any], batches: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, float]:
    """The losses of one pass over ``batches`` and the seconds it took."""
    begin = perf_counter()
    losses = [step(x, y) for x, y in batches]
    seconds = perf_counter() - begin
    return np.array([float(loss) for loss in losses]), seconds
