"""Streams: draws that differ from call to call, because each has a key in a shared variable, with its next value."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from inspect import Parameter, signature
from typing import Any

import numpy as np

import core
from core.errors import ArgumentError, did_you_mean
from core.tensor import TensorVariable
from plugin_ops_random import distributions
from plugin_ops_random.keys import fold_in, split
from plugin_ops_random.later import LATER


def _drawn(function: Callable[..., TensorVariable]) -> Callable[..., TensorVariable]:
    """The method of a stream that is ``function`` with a key of its own."""

    @wraps(function)
    def method(self: RandomStream, *arguments: Any, **named: Any) -> TensorVariable:
        return function(self.next_key(), *arguments, **named)

    _, *parameters = signature(function).parameters.values()
    own = [Parameter("self", Parameter.POSITIONAL_ONLY), *parameters]
    method.__signature__ = signature(function).replace(parameters=own)  # type: ignore[attr-defined]
    return method


class RandomStream:
    """Random draws for functions: ``RandomStream(seed).normal(0, 1, (3,))`` gives other numbers in each call.

    Every draw has a shared variable with its key; a function that uses the draw updates it, as ``default_update`` says.
    Functions that use the same draw share its key.  The numbers follow from the seed and the order in which draws were
    made, whatever the backend.

    seed    an int; left out, one from the operating system
    Errors  ArgumentError for a seed that is no int.
    """

    def __init__(self, seed: int | None = None):
        self._states: list[Any] = []
        self.seed(seed)

    def seed(self, seed: int | None = None) -> None:
        """Set the keys of all draws to what they are in a new stream of this seed."""
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
            raise ArgumentError(f"a stream needs an int as seed, got {seed!r} of type {type(seed).__name__}")
        self.initial_seed = secrets.randbits(63) if seed is None else int(seed)
        for number, state in enumerate(self._states):
            state.set_value(self._first(number))

    def updates(self) -> dict[Any, Any]:
        """The next key of each draw; functions take them by themselves, unless ``no_default_updates`` forbids it."""
        return {state: state.default_update for state in self._states}

    def next_key(self) -> TensorVariable:
        """The key of one more draw, another one in each call."""
        number = len(self._states)
        state = core.shared(self._first(number), name=f"key_{number}")
        keys = split(state)
        state.default_update = keys[0]
        self._states.append(state)
        return keys[1]

    def _first(self, number: int) -> np.ndarray:
        words = [self.initial_seed >> 32 & 0xFFFFFFFF, self.initial_seed & 0xFFFFFFFF]
        return fold_in(np.array(words, "uint32"), np.int64(number)).eval()

    def __getattr__(self, name: str) -> Any:
        """Draws whose files are imported when they are used."""
        if name not in LATER:
            raise AttributeError(
                f"a RandomStream has no draw {name!r}.{did_you_mean(name, [*LATER, *dir(type(self))])}"
            )
        setattr(RandomStream, name, _drawn(getattr(import_module(LATER[name]), name)))
        return getattr(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *LATER})

    bernoulli = _drawn(distributions.bernoulli)
    categorical = _drawn(distributions.categorical)
    cauchy = _drawn(distributions.cauchy)
    choice = _drawn(distributions.choice)
    exponential = _drawn(distributions.exponential)
    geometric = _drawn(distributions.geometric)
    gumbel = _drawn(distributions.gumbel)
    halfnormal = _drawn(distributions.halfnormal)
    integers = _drawn(distributions.integers)
    laplace = _drawn(distributions.laplace)
    logistic = _drawn(distributions.logistic)
    lognormal = _drawn(distributions.lognormal)
    multivariate_normal = _drawn(distributions.multivariate_normal)
    normal = _drawn(distributions.normal)
    pareto = _drawn(distributions.pareto)
    permutation = _drawn(distributions.permutation)
    power = _drawn(distributions.power)
    random = _drawn(distributions.random)
    rayleigh = _drawn(distributions.rayleigh)
    standard_cauchy = _drawn(distributions.standard_cauchy)
    standard_exponential = _drawn(distributions.standard_exponential)
    standard_normal = _drawn(distributions.standard_normal)
    triangular = _drawn(distributions.triangular)
    truncated_normal = _drawn(distributions.truncated_normal)
    uniform = _drawn(distributions.uniform)
    weibull = _drawn(distributions.weibull)
