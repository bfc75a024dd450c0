"""``checkpoint``: what a function computes is computed again for its gradient, rather than kept until then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.composed import OpFromGraph
from core.traced import Traced

__all__ = ["Checkpoint", "checkpoint"]


class Checkpoint(OpFromGraph):
    """An OpFromGraph that is opened among its neighbours, while its derivatives stay ops by themselves.

    Whatever these need of the values inside they compute from the inputs: nothing in them is merged with the op itself.
    """

    inline_derivatives = False


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of variables, with a gradient that computes again what is inside of it, as ``jax.checkpoint``.

    The gradient of a long chain needs all that the chain computes.  With a checkpoint around each part of it, only what
    lies between the parts is kept, and one part is computed again at a time: less memory, for up to as much work as the
    chain takes once more.  Values are the same, bit for bit.

    Variables and arrays among the arguments are its inputs; other arguments, and those given by name, are passed on as
    they are.  Gradients reach variables that ``function`` finds around it, too.

    >>> import core, core.tensor as ct
    >>> x = ct.vector("x")
    >>> y = core.checkpoint(lambda x: ct.exp(ct.sin(x)))(x)
    >>> core.function([x], core.grad(y.sum(), x))([0.0])
    array([1.])
    """
    return Traced(function, Checkpoint, {"inline": True})
