"""Rules for reading and writing ``x[key]`` with integers and slices."""

from __future__ import annotations

from collections.abc import Sequence

from core.graph import Apply, Constant, FunctionGraph, Variable
from core.rewriting import canonicalize
from core.rewriting.pattern import same_value
from core.tensor.indexing import IncSubtensor, SetSubtensor, Subtensor
from core.tensor.keys import Key, Part, Slice


def _is_whole(key: Key, x: Variable, parts: Sequence[Variable]) -> bool:
    """Whether ``x[key]`` is all of x, in order."""
    values = [part.data.item() if isinstance(part, Constant) else part for part in parts]
    return all(
        isinstance(entry, Slice)
        and entry.start in (None, 0)
        and (entry.stop is None or (n is not None and isinstance(entry.stop, int) and entry.stop >= n))
        and entry.step in (None, 1)
        for entry, n in zip(key.filled(values), x.type.shape, strict=True)  # type: ignore[attr-defined]
    )


@canonicalize.node_rule(Subtensor)
def reading_everything_is_itself(graph: FunctionGraph, node: Apply) -> Variable | None:
    """x[:] -> x.  Exact."""
    x, *parts = node.inputs
    return x if _is_whole(node.op.key, x, parts) else None


@canonicalize.node_rule(SetSubtensor)
def setting_everything_is_the_value(graph: FunctionGraph, node: Apply) -> Variable | None:
    """set(x[:], y) -> y.  Exact."""
    x, y, *parts = node.inputs
    return y if _is_whole(node.op.key, x, parts) else None


@canonicalize.node_rule(IncSubtensor)
def adding_to_everything_is_a_sum(graph: FunctionGraph, node: Apply) -> Variable | None:
    """inc(x[:], y) -> x + y.  Exact."""
    x, y, *parts = node.inputs
    return x + y if _is_whole(node.op.key, x, parts) else None  # type: ignore[operator]


@canonicalize.node_rule(Subtensor)
def reading_what_was_set_is_the_value(graph: FunctionGraph, node: Apply) -> Variable | None:
    """set(x[key], y)[key] -> y, for the same key.  Exact where the key is in bounds."""
    written = node.inputs[0].owner
    if written is None or written.op != SetSubtensor(node.op.key):
        return None
    same = all(same_value(a, b) for a, b in zip(written.inputs[2:], node.inputs[1:], strict=True))
    return written.inputs[1] if same else None


@canonicalize.node_rule(Subtensor)
def constant_indices_are_part_of_the_key(graph: FunctionGraph, node: Apply) -> Variable | None:
    """x[i] with a constant i -> the same with i in the key, so that more is known of the result.  Exact."""
    x, *parts = node.inputs
    if not any(isinstance(part, Constant) for part in parts):
        return None
    values = [int(part.data) if isinstance(part, Constant) else Part.SCALAR for part in parts]
    return Subtensor(Key(tuple(node.op.key.filled(values))))(x, *(p for p in parts if not isinstance(p, Constant)))
