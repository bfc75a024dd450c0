"""The demo's two models as a user of core writes them: a loss, its gradient, momentum updates of shared variables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import core
import core.tensor as ct


@dataclass(frozen=True)
class Model:
    """Layers of tanh units between inputs and classes (none: a logistic regression), and how they are trained."""

    name: str
    hidden: tuple[int, ...]
    rate: float
    goal: float  # test accuracy on the digits
    momentum: float = 0.9

    def start(self, inputs: int, classes: int, seed: int) -> list[np.ndarray]:
        """Weights (m, n) and offsets (n,), layer by layer: variance 1/m (LeCun et al. 1998, section 4.6), offsets 0."""
        rng = np.random.default_rng(seed)
        sizes = (inputs, *self.hidden, classes)
        return [part for m, n in pairwise(sizes) for part in (rng.normal(0.0, m**-0.5, (m, n)), np.zeros(n))]


LOGISTIC_REGRESSION = Model("logistic regression", hidden=(), rate=0.1, goal=0.94)
MLP = Model("MLP with 128 tanh units", hidden=(128,), rate=0.3, goal=0.96)
MODELS = (LOGISTIC_REGRESSION, MLP)


@dataclass(frozen=True)
class Compiled:
    """step(x, y) -> loss before the step, which changes the parameters; evaluate(x, y) -> loss, accuracy."""

    step: Any
    evaluate: Any
    parameters: list[Any]


def build(model: Model, start: list[np.ndarray], backend: Any = None) -> Compiled:
    """Compile the training step and the evaluation of ``model``, whose parameters begin at ``start``.

    Errors  BackendError when ``backend`` is unknown or does not work here.
    """
    x, y = ct.dmatrix("x"), ct.lvector("y")
    parameters = [core.shared(value, name=f"{'wb'[i % 2]}{i // 2}") for i, value in enumerate(start)]

    *hidden, (w, b) = zip(parameters[::2], parameters[1::2], strict=True)
    h = x
    for weights, offsets in hidden:
        h = ct.tanh(h @ weights + offsets)
    logits = h @ w + b
    loss = -ct.log_softmax(logits, axis=-1)[ct.arange(y.shape[0]), y].mean()
    accuracy = ct.eq(ct.argmax(logits, axis=-1), y).mean()

    updates = {}
    for parameter, g in zip(parameters, core.grad(loss, parameters), strict=True):
        velocity = core.shared(np.zeros_like(parameter.get_value()), name=f"velocity of {parameter.name}")
        updates[velocity] = model.momentum * velocity - model.rate * g
        updates[parameter] = parameter + updates[velocity]

    step = core.function([x, y], loss, updates=updates, backend=backend, name=f"step of {model.name}")
    evaluate = core.function([x, y], [loss, accuracy], backend=backend, name=f"evaluation of {model.name}")
    return Compiled(step, evaluate, parameters)
