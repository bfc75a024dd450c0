"""An op's ``batch`` against a run for each element of the stack."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, product

import numpy as np

from core.errors import CoreError, GraphError
from core.graph import Apply, Constant
from core.tensor.type import TensorType
from core.testing.on_backends import assert_same
from core.testing.values import compute

_MOST_INPUTS = 3  # whose every choice is tried; of more inputs each alone, and all


def check_batch(node: Apply, given: Sequence[np.ndarray]) -> None:
    """The outputs for stacks of ``given`` against those of each element, for every choice of inputs that are stacks.

    Errors: GraphError naming the op, which inputs were stacks, and the first element that differs.
    """
    names = [f"x{k}" for k in range(len(node.inputs))]
    fresh = [x if isinstance(x, Constant) else x.type(name) for x, name in zip(node.inputs, names, strict=True)]
    own = node.op.make_node(*fresh)
    movable = [k for k, x in enumerate(node.inputs) if isinstance(x.type, TensorType) and not isinstance(x, Constant)]
    for chosen in _choices(movable):
        rows = [[a if k not in chosen else turned(a, turn) for k, a in enumerate(given)] for turn in range(3)]
        alone = [_outputs(own, fresh, row) for row in rows]
        if any(found is None for found in alone):  # e.g. an index that its axis has not: nothing to compare with
            rows = [list(given)] * 3
            alone = [_outputs(own, fresh, row) for row in rows]
        if any(found is None or [a.shape for a in found] != [a.shape for a in alone[0]] for found in alone):
            continue
        _check_one(own, fresh, chosen, rows, alone)


def _choices(movable: Sequence[int]) -> list[list[int]]:
    if len(movable) > _MOST_INPUTS:
        return [[k] for k in movable] + [list(movable)]
    return [list(compress(movable, bits)) for bits in product((True, False), repeat=len(movable)) if any(bits)]


def turned(x: np.ndarray, by: int) -> np.ndarray:
    """The same elements at other places, so that rows of a stack differ and are in no other domain."""
    return np.roll(x.ravel(), by).reshape(x.shape)


def _outputs(node: Apply, inputs: Sequence, values: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    try:
        return _computed(inputs, node.outputs, values)
    except CoreError:
        return None


def _computed(inputs: Sequence, outputs: Sequence, values: Sequence[np.ndarray]) -> list[np.ndarray]:
    free = [k for k, x in enumerate(inputs) if not isinstance(x, Constant)]
    return compute([inputs[k] for k in free], outputs, [values[k] for k in free])


def _check_one(own: Apply, fresh: Sequence, chosen: list[int], rows: list, alone: list) -> None:
    inputs = list(fresh)
    values = list(rows[0])
    for k in chosen:
        inputs[k] = TensorType(fresh[k].type.dtype, (None, *fresh[k].type.shape))(f"x{k}")
        values[k] = np.stack([row[k] for row in rows])
    found = own.op.batch(own, inputs)
    if found is None:
        return
    who = f"batch of {own.op}, with stacks as inputs {chosen},"
    if len(found) != len(own.outputs):
        raise GraphError(f"{who} gives {len(found)} outputs, but the op has {len(own.outputs)}")
    got = _computed(inputs, found, values)
    expected = [np.stack(of_one) for of_one in zip(*alone, strict=True)]
    shared = [x.type.ndim == old.type.ndim for x, old in zip(found, own.outputs, strict=True)]  # of lengths
    wanted = [x[0] if same else x for x, same in zip(expected, shared, strict=True)]
    assert_same(got, wanted, who)
