"""Library calls as ops ask for them: a named routine, and what planning must know of it."""

from __future__ import annotations

from typing import Any

from core.dataclass import dataclass

PRODUCTS = frozenset({"gemm", "gemv", "complex_gemm", "complex_gemv"})


@dataclass(frozen=True)
class LibraryCall:
    """A named routine that a library plugin binds, and what must be known of it to plan a call.

    ``gemm``: operands (m, k) and (k, n), output (m, n); ``gemv``: (m, k) and (k,), or (k,) and (k, n); all float32 or
    all float64.  ``complex_gemm`` and ``complex_gemv``: the same of complex64 or of complex128.

    batch       so many leading axes of the outputs stack calls; those of the operands broadcast to them
    ranks       how many axes of each operand lie behind such leading ones; (): each operand has all of them
    same        pairs of (operand, axis) whose lengths must be equal, checked when the function runs; axes count from
                the end, -1 is the last
    overwrites  pairs of (output, operand): the routine finds that operand's elements in the memory of that output
    replaces    pairs of (output, operand): the output may lie where that operand does, or elsewhere
    stored      operands so large that to write them costs as much as the call: where one is not in memory, but computed
                element by element, loops that compute it as they go serve better, if the op has a ``lower``
    """

    name: str
    attributes: tuple[tuple[str, Any], ...] = ()
    batch: int = 0
    ranks: tuple[int, ...] = ()
    same: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    overwrites: tuple[tuple[int, int], ...] = ()
    replaces: tuple[tuple[int, int], ...] = ()
    stored: tuple[int, ...] = ()
