"""Counts: Poisson, binomial, negative binomial and multinomial draws, int64.  Arguments as in distributions.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import core.tensor as ct
from core import dtypes
from core.errors import DTypeError, ShapeError
from core.graph import Apply, Variable
from core.ir.expr import cast, const, maximum, minimum, select
from core.op import Op, disconnected
from core.tensor import TensorType, TensorVariable, as_tensor
from core.tensor.shape import as_lengths, shape_of
from plugin_ops_random.distributions import shape_of_draw
from plugin_ops_random.gammas import standard_gamma
from plugin_ops_random.keys import place, split
from plugin_ops_random.rejection import binomial as binomial_of
from plugin_ops_random.rejection import binomial_draw, poisson_draw

__all__ = ["Multinomial", "binomial", "multinomial", "negative_binomial", "poisson"]


def poisson(key: Any, lam: Any = 1.0, size: Any = None) -> TensorVariable:
    """How often something happens that happens ``lam`` times on average; -1 for a mean that is negative or NaN."""
    lam = as_tensor(lam).astype("float64")
    return poisson_draw(*place(key, shape_of_draw(size, lam)), lam)


def binomial(key: Any, n: Any, p: Any, size: Any = None) -> TensorVariable:
    """How many of ``n`` trials of probability ``p`` succeed; -1 for n < 0 and for what is no probability.

    Errors  DTypeError unless n has an integer dtype.
    """
    n, p = _trials("binomial", n), as_tensor(p).astype("float64")
    return binomial_draw(*place(key, shape_of_draw(size, n, p)), n.astype("float64"), p)


def _trials(who: str, n: Any) -> TensorVariable:
    n = as_tensor(n)
    if n.dtype not in dtypes.INTEGERS:
        raise DTypeError(f"{who} needs a whole number of trials, got {n} of dtype {n.dtype}", blame=n)
    return n


def negative_binomial(key: Any, n: Any, p: Any, size: Any = None) -> TensorVariable:
    """How many trials of probability ``p`` fail before ``n`` > 0 succeed; ``n`` need not be whole."""
    n, p = as_tensor(n).astype("float64"), as_tensor(p).astype("float64")
    size, keys = shape_of_draw(size, n, p), split(key)
    return poisson(keys[1], standard_gamma(keys[0], n, size) * ((1 - p) / p), size)


def multinomial(key: Any, n: Any, pvals: Any, size: Any = None) -> TensorVariable:
    """How often each of k outcomes comes in ``n`` trials; shape (*size, k) for probabilities of shape (..., k).

    size    by default, what n and pvals.shape[:-1] broadcast to
    pvals   up to a factor; n below 0 counts as 0
    Errors  DTypeError unless n has an integer dtype;  ShapeError for ``pvals`` without axes.
    """
    n, pvals = _trials("multinomial", n), as_tensor(pvals).astype("float64")
    if pvals.ndim == 0:
        raise ShapeError(f"multinomial needs probabilities along an axis, got {pvals} of ndim=0", blame=pvals)
    k = shape_of(pvals)[-1]
    size = shape_of_draw(size, n, pvals[..., 0])
    draws: Any = ct.ones([], dtype="int64")
    for length in as_lengths(size):
        draws = draws * length
    flat_n = ct.broadcast_to(n.astype("int64"), size).reshape((draws,))
    flat_p = ct.broadcast_to(pvals, [*size, k]).reshape((draws, k))
    rest = ct.flip(ct.cumsum(ct.flip(flat_p, axis=1), axis=1), axis=1)
    shares = ct.where(flat_p < rest, flat_p / rest, 1.0)
    return Multinomial()(*place(key, [draws, k]), flat_n, shares).reshape([*size, k])


class Multinomial(Op):
    """Counts, outcome by outcome: each is a binomial draw of the trials that are left, with its share of what is left.

    Inputs  two words of a key, () each; two words of a position, (m, k) uint32 each; n (m,) int64; and (m, k) float64,
            how likely each outcome is if none before it comes.
    Output  (m, k) int64.
    Source  Davis (1993), "The computer generation of multinomial random variates".
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        inputs = tuple(map(as_tensor, inputs))
        wanted = [("uint32", 0), ("uint32", 0), ("uint32", 2), ("uint32", 2), ("int64", 1), ("float64", 2)]
        for x, (dtype, ndim) in zip(inputs, wanted, strict=True):
            if (x.dtype, x.ndim) != (dtype, ndim):
                raise DTypeError(f"{self} needs {dtype} of ndim={ndim}, got {x} of {x.type}", blame=x)
        return Apply(self, list(inputs), [TensorType("int64", inputs[5].type.shape)])

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [input_shapes[5]]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        k0, k1, high, low, n, share = inputs
        left, last = np.maximum(n, 0), share.shape[1] - 1
        function = binomial_of.of(*["uint32"] * 4, "float64", "float64")
        out = np.zeros(share.shape, "int64")
        for j in range(last + 1):
            drawn = function.evaluate([k0, k1, high[:, j], low[:, j], left.astype("float64"), share[:, j]])
            out[:, j] = left if j == last else np.clip(drawn, 0, left)
            left = left - out[:, j]
        output_storage[0][0] = out

    def kernel(self, k: Any, k0: Any, k1: Any, high: Any, low: Any, n: Any, share: Any, out: Any) -> None:
        rows, outcomes = share.shape
        with k.grid((rows,)) as (i,):
            left = k.local("int64", maximum(n[i], const(0)), "left")
            with k.loop(outcomes) as j:
                words = (k0[()], k1[()], high[i, j], low[i, j])
                drawn = k.local("int64", binomial_of(*words, cast(left.value, "float64"), share[i, j]), "drawn")
                count = minimum(maximum(drawn.value, const(0)), left.value)
                taken = k.local("int64", select(j + 1 < outcomes, count, left.value), "taken")
                out[i, j] = taken.value
                left.set(left.value - taken.value)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        return [disconnected() for _ in inputs]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Any]) -> list[Any]:
        return [None]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False] for _ in node.inputs]
