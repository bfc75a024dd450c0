"""From the graph of a function to programs for a backend: rewritten, lowered, built for lengths and layouts.

Nothing of that is imported, or done, for what an earlier process has compiled: see compiled.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core import plugins
from core.compile.lazy import opened, with_branches
from core.compile.stages import stages_for
from core.device.array import on_host
from core.errors import ComputeError, CoreError, IndexOutOfBounds, ShapeError
from core.graph import Apply, FunctionGraph
from core.inner import InnerOp
from core.ir.definitions import Lowered
from core.ir.expr import Expr
from core.ir.guards import Guard, GuardFailed
from core.ir.layouts import Layout
from core.ir.program import LibraryStep, Program
from core.ir.target import HOST
from core.records import Backend
from core.rewriting import rewrite

if TYPE_CHECKING:
    from core.compile.interpreter import Interpreted


class Making:
    """A graph after rewriting, and programs of it.

    graph     after rewriting;  rewrites  which rules fired
    original  the graph before;  updates  number of an output -> number of the input that it replaces
    compiled  makes an executable of a graph inside of this one, for a driver
    times     seconds of "rewrite" and "lower"
    """

    def __init__(
        self,
        original: FunctionGraph,
        mode: Any,
        record: Backend,
        updates: Mapping[int, int],
        compiled: Callable[[FunctionGraph, Any], Any],
    ):
        start = time.perf_counter()
        self.graph = original.clone()
        self.rewrites = rewrite(self.graph, stages_for(mode, record))
        self.graph = with_branches(self.graph)
        self.times = {"rewrite": time.perf_counter() - start, "lower": 0.0}
        self._opened = opened(self.graph)
        self._updates, self._compiled = updates, compiled
        self._lowered: dict[tuple[Layout | None, ...], Lowered] = {}
        self._hosts: dict[Apply, Callable[[Sequence[Any]], list[Any]]] = {}

    # --- programs ---------------------------------------------------------------------------------------------------

    def program(
        self,
        driver: Any,
        layouts: tuple[Layout | None, ...] = (),
        ones: frozenset[Expr] = frozenset(),
        tall: bool = False,
    ) -> Any:
        """The program for arguments that lie like that, for lengths of which those in ``ones`` are 1, or for ``tall``
        matrices: see core/ir/passes/rows.py."""
        from core.compile.lower import lower  # the first tier need not wait for that
        from core.ir.build import build

        start = time.perf_counter()
        if layouts not in self._lowered:
            self._lowered[layouts] = lower(self._opened, driver.dialect_table, layouts=layouts)
        lowered = self._lowered[layouts]
        program = build(lowered, ones, getattr(driver, "target", HOST), self._updates, tall)
        program.host_calls = [self._host(node, driver) for node, _, _ in lowered.host_nodes]
        for one in program.all:
            one.routines = _routines(program, driver.dialect)
        if not (layouts or ones or tall):
            self.times["lower"] = time.perf_counter() - start
        return program

    def _host(self, node: Apply, driver: Any) -> Callable[[Sequence[Any]], list[Any]]:
        """What computes a node outside of the program: its C that needs Python's lock, or Python."""
        if node not in self._hosts:
            self._hosts[node] = self._made_for(node, driver)
        return self._hosts[node]

    def _made_for(self, node: Apply, driver: Any) -> Callable[[Sequence[Any]], list[Any]]:
        if isinstance(node.op, InnerOp) and node.op.branches:
            from core.compile.sides import Sides  # who has nothing to choose need not wait for it

            return Sides(node, lambda graph: self._compiled(graph, driver))
        from core.compile.interpreter import host_call  # as above
        from core.compile.means import c_for_python_of

        code = c_for_python_of(node, driver.dialect_table)
        return host_call(node, None if code is None else driver.c_op(node, code))

    # --- without a program ------------------------------------------------------------------------------------------

    def interpreter(self) -> Interpreted:
        """What computes results node by node."""
        from core.compile.interpreter import Interpreted  # as above

        return Interpreted(self.graph)

    def _interpreted(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """Errors: as the ops say them."""
        return self.interpreter()([on_host(array) for array in arrays])

    def said(self, arrays: Sequence[Any], failed: GuardFailed) -> Exception:
        """The error that lengths which do not fit come to, if it is not for an op to say."""
        error = _explained(failed.guard, failed.a, failed.b)
        if isinstance(error, IndexOutOfBounds):
            again = self.seen_again(arrays, error)
            return again if isinstance(again, ComputeError) else error
        return self._by_its_op(arrays, failed.guard, error)

    def _by_its_op(self, arrays: Sequence[Any], guard: Guard, error: Exception) -> Exception:
        """``error``, or what an op says of these lengths: a matrix is not square, a window or a mask does not fit."""
        if hasattr(getattr(guard.node, "op", None), "library_error") and not self._calls_python:
            try:
                self._interpreted(arrays)
            except np.linalg.LinAlgError as again:
                return again
            except (ShapeError, IndexOutOfBounds) as again:
                return again if guard.node.op.explains_lengths else error
            except (CoreError, MemoryError):
                pass
        return error

    def results_or(self, arrays: Sequence[Any], error: Exception) -> list[np.ndarray]:
        """Raise ``error``, unless it is premature: a length that Python makes may be 1, which guards cannot see."""
        if not self._calls_python:
            raise error from None
        try:
            return self._interpreted(arrays)
        except CoreError:
            raise error from None

    def seen_again(self, arrays: Sequence[Any], error: IndexOutOfBounds) -> CoreError:
        """``error`` as NumPy says it, with the index: loops check all indices of an array at once and keep none.

        Or what else it was that is checked as indices are: a ComputeError of an op.
        """
        if not self._calls_python:  # their ops would run twice
            try:
                self._interpreted(arrays)
            except (IndexOutOfBounds, ComputeError) as again:
                return again
            except (CoreError, MemoryError):
                pass
        return error

    @property
    def _calls_python(self) -> bool:
        return any(lowered.host_nodes for lowered in self._lowered.values())


def _routines(program: Program, dialect: str) -> dict[str, Any]:
    """What plugins gave to bind the routines that a program calls."""
    libraries = plugins.registries().libraries
    steps = [step for one in program.all for step in one.steps if isinstance(step, LibraryStep)]
    names = dict.fromkeys(step.call.name for step in steps)
    return {name: libraries.routine(name, dialect) for name in names}


def _explained(guard: Guard, a: int, b: int) -> Exception:
    if guard.kind == "range":
        return IndexOutOfBounds(f"{guard.who}: index {a} is out of range for an axis of length {b}", blame=guard.node)
    if guard.kind == "within":
        return IndexOutOfBounds(
            f"{guard.who}: index {a - 1} is out of range for an axis of length {b}", blame=guard.node
        )
    if guard.kind == "positive":
        return ShapeError(f"{guard.who}: a reduction over {guard.a} = {a} elements has no identity", blame=guard.node)
    verb = "cannot broadcast" if guard.kind == "join" else "needs equal lengths, got"
    return ShapeError(f"{guard.who} {verb} {guard.a} = {a} and {guard.b} = {b}", blame=guard.node)
