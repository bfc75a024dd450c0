"""Mode "debug": every node is computed in every way that its op has, and held to what the op says of itself.

Slow, and meant for whoever writes an op: it finds a ``view_map`` or ``destroy_map`` that does not tell the truth, an
``infer_shape`` that is wrong, and C that computes something else than ``perform``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.compile.alone import Perform, in_c
from core.compile.interpreter import Interpreted, Step
from core.compile.lazy import with_branches
from core.compile.reference import performer
from core.errors import BackendError, CompileError, ContractError
from core.graph import Apply
from core.inner import InnerOp

_TOLERANCES = {"float16": 4e-3, "float32": 2e-5, "complex64": 2e-5}  # all others: 1e-7


class Checked(Interpreted):
    """A graph that runs node by node, each by a CheckedStep.  Errors of a call: ContractError, and those of the ops."""

    def _step(self, node: Apply, reads: Sequence[int], writes: Sequence[int]) -> Step:
        return CheckedStep(node, reads, writes)


class CheckedStep(Step):
    """A node made ready to be performed in each way that its op has."""

    def __init__(self, node: Apply, reads: Sequence[int] = (), writes: Sequence[int] = ()):
        self.ways = _ways(node)
        super().__init__(node, reads, writes, perform=next(iter(self.ways.values())))

    def run(self, inputs: list[Any]) -> list[Any]:
        """The outputs by the first way.  Errors: ContractError, those of ``Step.run``."""
        found: dict[str, list[Any]] = {}
        for way, perform in self.ways.items():
            self.perform = perform
            found[way] = self._watched(way, inputs)
        (first, outputs), *others = found.items()
        for way, results in others:
            for position, (a, b) in enumerate(zip(outputs, results, strict=True)):
                self._compare(position, first, a, way, b)
        return outputs

    def _watched(self, way: str, inputs: list[Any]) -> list[Any]:
        """One way: what happens to its inputs, and what its outputs share with them and each other."""
        given = [x.copy() if isinstance(x, np.ndarray) else x for x in inputs]
        kept = list(given)  # Step.run puts copies into its list for what may be overwritten
        outputs = super().run(list(given))
        for position, (x, now) in enumerate(zip(inputs, kept, strict=True)):
            if isinstance(x, np.ndarray) and position not in self.destroyed and not _same_bytes(x, now):
                self._refuse(way, f"overwrites its input {position}, but destroy_map does not say so")
        for position, out in enumerate(outputs):
            self._check_aliases(way, position, out, kept, outputs)
        self._check_shapes(inputs, outputs)
        return outputs

    def _check_aliases(self, way: str, position: int, out: Any, given: Sequence[Any], outputs: Sequence[Any]) -> None:
        op = self.node.op
        allowed = {*op.view_map.get(position, ()), *op.destroy_map.get(position, ())}
        for k, x in enumerate(given):
            if k not in allowed and _share(out, x):
                self._refuse(way, f"returns memory of its input {k} as output {position}, but view_map does not say so")
        if allowed:
            return
        for k, other in enumerate(outputs[:position]):
            if _share(out, other):
                self._refuse(way, f"returns the same memory as outputs {k} and {position}")

    def _check_shapes(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        op = self.node.op
        if not op.defines("infer_shape"):
            return
        said = op.shapes(None, self.node, [np.shape(x) if isinstance(x, np.ndarray) else None for x in inputs])
        for position, (shape, out) in enumerate(zip(said, outputs, strict=True)):
            known = [n for n in shape or () if isinstance(n, (int, np.integer))]
            if isinstance(out, np.ndarray) and len(known) == out.ndim and tuple(known) != out.shape:
                self._refuse("infer_shape", f"gives {tuple(known)} for output {position}, whose shape is {out.shape}")

    def _compare(self, position: int, first: str, a: Any, way: str, b: Any) -> None:
        if not isinstance(a, np.ndarray):
            return
        both = f"for output {position}, but {first}"
        if a.shape != b.shape:
            self._refuse(way, f"makes shape {b.shape} {both} makes {a.shape}")
        tolerance = _TOLERANCES.get(a.dtype.name, 1e-7)
        exact = a.dtype.name in dtypes.DISCRETE
        same = a == b if exact else np.isclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
        if not np.all(same):
            where = tuple(int(i) for i in np.argwhere(~np.atleast_1d(same))[0])[: a.ndim]
            self._refuse(way, f"makes {b[where]} at {where} {both} makes {a[where]}")

    def _refuse(self, way: str, what: str) -> None:
        raise ContractError(f"{way} of {self.node.op} {what}", blame=self.node)


def _ways(node: Apply) -> dict[str, Perform]:
    """The ways to compute a node: ``perform`` (``debug_perform``), its C, or else whatever the interpreter would do."""
    ways: dict[str, Perform] = {}
    if isinstance(node.op, InnerOp):  # node by node inside, too
        return {"perform": node.op.performer(node, lambda graph: Checked(with_branches(graph)).raw)}
    if node.op.defines("perform"):
        ways["perform"] = node.op.debug_perform
    try:
        c = in_c(node)
    except CompileError:
        raise
    except BackendError:  # no compiler
        c = None
    if c is not None:
        ways["c_code"] = c
    return ways or {"lower" if node.op.defines("lower") else "kernel": performer(node)}


def _same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


def _share(a: Any, b: Any) -> bool:
    both = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    return both and a.size > 0 and b.size > 0 and np.shares_memory(a, b)
