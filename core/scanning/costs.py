"""What of a step costs much, so that it is worth keeping, or worth doing for all steps at once."""

from __future__ import annotations

from typing import Any


def costs_much(op: Any) -> bool:
    """Whether an op is no mere arithmetic of elements: products, decompositions, loops, whatever Python computes."""
    return op.defines("library_call") or not op.defines("lower")
