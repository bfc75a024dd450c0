"""The same training step in plain NumPy, derivatives worked out by hand: what the compiled one is compared with."""

from __future__ import annotations

import numpy as np

from core.demo.models import Model


class ByHand:
    """The parameters of a model and its momentum step, with the arithmetic of core/demo/models.py."""

    def __init__(self, model: Model, start: list[np.ndarray]):
        self.rate, self.momentum = model.rate, model.momentum
        self.parameters = [value.copy() for value in start]
        self.velocities = [np.zeros_like(value) for value in start]

    def step(self, x: np.ndarray, y: np.ndarray) -> float:
        """The loss before the step; changes the parameters."""
        w, b = self.parameters[::2], self.parameters[1::2]
        inputs = [x]
        for weights, offsets in zip(w[:-1], b[:-1], strict=True):
            inputs.append(np.tanh(inputs[-1] @ weights + offsets))
        logits = inputs[-1] @ w[-1] + b[-1]

        logits -= logits.max(axis=-1, keepdims=True)
        exponentials = np.exp(logits)
        totals = exponentials.sum(axis=-1, keepdims=True)
        at = np.arange(len(y)), y
        loss = -(logits[at] - np.log(totals[:, 0])).mean()

        g = exponentials
        g /= totals
        g[at] -= 1.0  # the gradient of -log_softmax(z)[y] is softmax(z) - one_hot(y)
        g /= len(y)
        gradients: list[np.ndarray] = []
        for layer in reversed(range(len(w))):
            gradients[:0] = [inputs[layer].T @ g, g.sum(axis=0)]
            if layer:
                g = (g @ w[layer].T) * (1.0 - inputs[layer] ** 2)  # tanh' = 1 - tanh**2
        for value, velocity, gradient in zip(self.parameters, self.velocities, gradients, strict=True):
            velocity *= self.momentum
            velocity -= self.rate * gradient
            value += velocity
        return float(loss)
