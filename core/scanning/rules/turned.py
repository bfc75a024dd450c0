"""Rows of what a scan of stacks made are read of it as it lies, steps first, and turned afterwards.

A scan of stacks hands out each stack of rows with its axes of steps and of elements exchanged (stacks.py).  What is
read of these would hide from other rules which rows are wanted, and all would be kept.
"""

from __future__ import annotations

from core.graph import Apply, FunctionGraph, Variable
from core.scanning.op import Scan
from core.scanning.rules.taken import canonicalize
from core.tensor.dimshuffle import DimShuffle
from core.tensor.indexing import Subtensor
from core.tensor.keys import Key, Slice


@canonicalize.node_rule(Subtensor)
def what_is_read_of_turned_rows_is_read_and_then_turned(graph: FunctionGraph, node: Apply) -> Variable | None:
    """x.transpose(p)[key] -> x[key in the order of x].transpose(q), where x are rows of a scan.  Exact."""
    turned = node.inputs[0].owner
    if turned is None or not isinstance(turned.op, DimShuffle) or not _is_of_scan(turned.inputs[0]):
        return None
    order, ndim = turned.op.pattern, turned.op.input_ndim
    if "x" in order or turned.op.dropped:
        return None
    parts = iter(node.inputs[1:])
    entries = {
        axis: (entry, [next(parts) for _ in range(Key((entry,)).count)])
        for axis, entry in zip(order, node.op.key.entries, strict=True)
    }
    in_order = [entries[axis] for axis in range(ndim)]
    read = Subtensor(Key(tuple(entry for entry, _ in in_order)))
    found = read(turned.inputs[0], *(part for _, of_one in in_order for part in of_one))
    left = [axis for axis in range(ndim) if isinstance(entries[axis][0], Slice)]
    pattern = [left.index(axis) for axis in order if axis in left]
    return found if pattern == sorted(pattern) else DimShuffle(len(left), pattern)(found)


def _is_of_scan(x: Variable) -> bool:
    """Whether ``x`` is what a scan made, or a part of it."""
    while x.owner is not None and isinstance(x.owner.op, Subtensor):
        x = x.owner.inputs[0]
    return x.owner is not None and isinstance(x.owner.op, Scan)
