"""Arrays with the same elements that lie in memory in other ways: transposed, with gaps, backwards, between others."""

from __future__ import annotations

from random import Random

import numpy as np

LAYINGS = ("rows", "columns", "any order", "gaps", "backwards", "all of these", "not aligned")


def lying(array: np.ndarray, how: str, rng: Random) -> np.ndarray:
    """An array equal to ``array`` that lies in one of the ways of ``LAYINGS``."""
    if not array.ndim:
        return array.copy()
    order = list(range(array.ndim))
    if how == "columns":
        order.reverse()
    elif how in ("any order", "all of these"):
        rng.shuffle(order)
    if how == "not aligned":
        memory = np.zeros(array.nbytes + 1, "uint8")[1:].view(array.dtype).reshape(array.shape)
        memory[...] = array
        return memory
    steps = [rng.choice((1, 2, 3)) if how in ("gaps", "all of these") else 1 for _ in order]
    signs = [rng.choice((1, -1)) if how in ("backwards", "all of these") else 1 for _ in order]
    more = [rng.choice((0, 1)) if step > 1 else 0 for step in steps]
    memory = np.zeros([array.shape[axis] * steps[axis] + more[axis] for axis in order], array.dtype)
    view = memory.transpose(np.argsort(order))
    view = view[tuple(slice(None, n * step, step) for n, step in zip(array.shape, steps, strict=True))]
    view = view[tuple(slice(None, None, sign) for sign in signs)]
    view[...] = array
    return view
