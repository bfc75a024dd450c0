"""A compiled graph that serves every shape: one program for the common case, more where lengths turn out to be 1."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core import plugins
from core.compile.interpreter import Interpreted, perform_node
from core.compile.lower import host_calls, lower
from core.device.array import on_host
from core.errors import CoreError, IndexOutOfBounds, PluginError, ShapeError
from core.graph import FunctionGraph
from core.ir.build import build
from core.ir.expr import Expr
from core.ir.program import Guard, GuardFailed, LibraryStep, Program
from core.ir.target import HOST
from core.options import config
from core.records import Backend


class Dispatcher:
    """Runs the program that fits the arrays; makes it when it is needed for the first time.

    sources  generated code: file name -> text;  program  the one for the common case;  times  seconds of "lower"
    """

    def __init__(self, graph: FunctionGraph, driver: Any, device: Any):
        start = time.perf_counter()
        driver = driver.open(device) if hasattr(driver, "open") else driver
        self._graph, self._driver, self._device = graph, driver, device
        self._options = dict(config.affecting_code())  # programs that are made later are of the same kind
        self._lowered = lower(graph, driver.dialect_table)
        self._hosts = host_calls(self._lowered, perform_node)
        self._variants: dict[frozenset[Expr], Any] = {}
        self.sources: dict[str, str] = {}
        self.times = {"lower": 0.0}
        self.program = self._build(frozenset())
        self.times["lower"] = time.perf_counter() - start
        self._main = self._compiled(frozenset(), self.program)
        self._current = [self._main]  # a cell: bound calls hold it too

    def _build(self, ones: frozenset[Expr]) -> Program:
        program = build(self._lowered, ones, getattr(self._driver, "target", HOST))
        program.host_calls = self._hosts
        program.routines = _routines(program, self._driver.dialect)
        return program

    def _compiled(self, ones: frozenset[Expr], program: Program) -> Any:
        with config.override(self._options):
            run = self._variants[ones] = self._driver.compile(program, self._device)
        for name, text in run.sources.items():
            self.sources[name] = text
        return run

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        try:
            return self._current[0](arrays)
        except GuardFailed:
            return self._other(arrays, lambda run: run(arrays))

    @property
    def on_device(self) -> Any:
        """What a Caller uses of a program on a device; None where programs run on the host."""
        return self if hasattr(self._main, "place") else None

    def run(self, arrays: Sequence[Any], fetched: tuple[bool, ...]) -> list[Any]:
        """On a device: the results, as NumPy arrays where ``fetched`` says so."""
        try:
            return self._current[0].run(arrays, fetched)
        except GuardFailed:
            return self._other(arrays, lambda run: run.run(arrays, fetched))

    def place(self, array: np.ndarray) -> Any:
        return self._main.place(array)

    def holds(self, value: Any) -> bool:
        return self._main.holds(value)

    def _other(self, arrays: Sequence[Any], start: Callable[[Any], list[Any]]) -> list[Any]:
        """Start from the common case and take each length for 1 that a guard found to be 1.  Errors: ShapeError."""
        ones: frozenset[Expr] = frozenset()
        while True:
            run = self._variants.get(ones) or self._compiled(ones, self._build(ones))
            try:
                results = start(run)
            except GuardFailed as failed:
                one = _length_that_is_one(failed)
                if one is None or one in ones:
                    return self._interpreted(arrays, _explained(failed.guard, failed.a, failed.b))
                ones |= {one}
            else:
                self._current[0] = run
                return results

    def _interpreted(self, arrays: Sequence[Any], error: Exception) -> list[np.ndarray]:
        """Raise ``error``, unless it is premature: a length that Python makes may be 1, which guards cannot see."""
        if not self._lowered.host_nodes:
            raise error from None
        try:
            return Interpreted(self._graph)([on_host(array) for array in arrays])
        except CoreError:
            raise error from None

    def bind(
        self,
        reads: Sequence[list[Any]],
        writes: Sequence[list[Any]],
        layout: str | tuple[str, ...],
        lengths: Sequence[Sequence[int | None]],
        slow_path: Callable[..., Any],
    ) -> Callable[..., Any] | None:
        """A quicker way to call, where the backend has one: see Caller.fastest.

        An executable of a backend may have a ``bind`` that takes one more argument before these: the cell of the
        executable to run, which is another one after lengths were met for which this one was not made.
        """
        bind = getattr(self._main, "bind", None)
        return None if bind is None else bind(self._current, reads, writes, layout, lengths, slow_path)

    def free(self) -> None:
        """Give memory back that is kept between calls."""
        for run in list(self._variants.values()):
            release = getattr(run, "free", None)
            if release is not None:
                release()


def _routines(program: Program, dialect: str) -> dict[str, Any]:
    """What plugins gave to bind the routines that a program calls."""
    libraries, found = plugins.registries().libraries, {}
    for name in dict.fromkeys(step.call.name for step in program.steps if isinstance(step, LibraryStep)):
        entry = libraries.get((name, dialect))
        assert entry is not None  # lowering asked before
        given = entry.load()
        if name not in given:
            raise PluginError(
                f"{entry.source} says that {entry.record.name!r} provides {name!r}, but gives no such routine"
            )
        found[name] = given[name]
    return found


def _length_that_is_one(failed: GuardFailed) -> Expr | None:
    """The length that broadcasts after all."""
    guard = failed.guard
    if guard.kind == "join":
        for n, value in zip(guard.symbols or (guard.a, guard.b), (failed.a, failed.b), strict=True):
            if value == 1 and not n.is_const:
                return n
    return None


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


def compile_for(graph: FunctionGraph, record: Backend, driver: Any, device: Any = None) -> Dispatcher:
    """Lower a graph for a backend's dialect and compile it.  Errors: CompileError, BackendError, ShapeError."""
    return Dispatcher(graph, driver, device)
