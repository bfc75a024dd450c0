"""A compiled graph that serves every shape: one program for the common case, more for other shapes and layouts.

Another one is made for lengths that turn out to be 1, and for arguments that do not lie row by row, once it would have
taken longer to copy those that came so far.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from core import plugins
from core.compile.interpreter import Interpreted, host_call
from core.compile.lower import c_for_python_of, lower
from core.device.array import on_host
from core.errors import CoreError, IndexOutOfBounds, PluginError, ShapeError
from core.graph import Apply, FunctionGraph
from core.ir.build import build
from core.ir.expr import Expr
from core.ir.layouts import Layout, layout_of
from core.ir.program import Guard, GuardFailed, LibraryStep, Lowered, Program
from core.ir.target import HOST
from core.options import config
from core.records import Backend

SMALL = 1 << 14  # bytes: arrays up to this size are copied, which takes no longer than reading them in another order
WORTH_A_PROGRAM = 1 << 27  # bytes: to copy so many takes about as long as to compile another program,
COPIED_PER_S = 2e9  # and so many more for each second that lowering took, which says how large it is
MOST_LAYOUTS = 8  # combinations of layouts that have programs
MOST_AT_HAND = 4  # programs that a call tries before it looks for another one

Layouts: TypeAlias = tuple[Layout | None, ...]  # one for each argument; none at all where all lie row by row


class Dispatcher:
    """Runs the program that fits the arrays; makes it when it is needed for the first time.

    sources  generated code: file name -> text;  program  the one for the common case;  times  seconds of "lower"
    """

    def __init__(self, graph: FunctionGraph, driver: Any, device: Any, updates: Mapping[int, int]):
        start = time.perf_counter()
        driver = driver.open(device) if hasattr(driver, "open") else driver
        self._graph, self._driver, self._device, self._updates = graph, driver, device, updates
        self._options = dict(config.affecting_code())  # programs that are made later are of the same kind
        self._target = getattr(driver, "target", HOST)
        self._lowered: dict[Layouts, Lowered] = {(): lower(graph, driver.dialect_table)}
        self._copied: Counter[Layouts] = Counter()  # bytes, of arguments that lay like that
        self._variants: dict[tuple[Layouts, frozenset[Expr]], Any] = {}
        self._made_for: dict[Any, Layouts] = {}
        self._hosts: dict[Apply, Callable[[Sequence[Any]], list[Any]]] = {}
        self.sources: dict[str, str] = {}
        self.times = {"lower": 0.0}
        self.program = self._build((), frozenset())
        self.times["lower"] = time.perf_counter() - start
        self._main = self._compiled((), frozenset(), self.program)
        self._current = [self._main]  # those used last; bound calls hold it too

    def _host(self, node: Apply) -> Callable[[Sequence[Any]], list[Any]]:
        """What computes a node outside of the program: its C that needs Python's lock, or Python."""
        if node not in self._hosts:
            code = c_for_python_of(node, self._driver.dialect_table)
            self._hosts[node] = host_call(node, None if code is None else self._driver.c_op(node, code))
        return self._hosts[node]

    def _build(self, layouts: Layouts, ones: frozenset[Expr]) -> Program:
        lowered = self._lowered[layouts]
        program = build(lowered, ones, self._target, self._updates)
        program.host_calls = [self._host(node) for node, _, _ in lowered.host_nodes]
        program.routines = _routines(program, self._driver.dialect)
        return program

    def _compiled(self, layouts: Layouts, ones: frozenset[Expr], program: Program) -> Any:
        with config.override(self._options):
            run = self._variants[layouts, ones] = self._driver.compile(program, self._device)
        self._made_for[run] = layouts
        for name, text in run.sources.items():
            self.sources[name] = text
        return run

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        layouts, run = self._layouts(arrays), self._current[0]
        if self._made_for[run] == layouts:
            try:
                return run(arrays)
            except GuardFailed:
                pass
            except IndexOutOfBounds as error:
                raise self._seen_again(arrays, error) from None
        return self._other(layouts, arrays, lambda run: run(arrays))

    def _layouts(self, arrays: Sequence[np.ndarray]) -> Layouts:
        """The layouts for which the program is to be made that runs; arrays of another one are copied."""
        if not self._target.layouts or all(array.flags.c_contiguous for array in arrays):
            return ()
        layouts = tuple(layout_of(array) if array.nbytes > SMALL else None for array in arrays)
        if layouts not in self._lowered and any(layouts):
            copied = sum(array.nbytes for array, layout in zip(arrays, layouts, strict=True) if layout is not None)
            self._copied[layouts] += copied
            worth = WORTH_A_PROGRAM + COPIED_PER_S * self.times["lower"]
            if self._copied[layouts] >= worth and len(self._lowered) <= MOST_LAYOUTS:
                self._lowered[layouts] = lower(self._graph, self._driver.dialect_table, layouts=layouts)
        return layouts if layouts in self._lowered else ()

    @property
    def on_device(self) -> Any:
        """What a Caller uses of a program on a device; None where programs run on the host."""
        return self if hasattr(self._main, "place") else None

    def run(self, arrays: Sequence[Any], fetched: tuple[bool, ...]) -> list[Any]:
        """On a device: the results, as NumPy arrays where ``fetched`` says so."""
        try:
            return self._current[0].run(arrays, fetched)
        except GuardFailed:
            return self._other((), arrays, lambda run: run.run(arrays, fetched))
        except IndexOutOfBounds as error:
            raise self._seen_again(arrays, error) from None

    def place(self, array: np.ndarray) -> Any:
        return self._main.place(array)

    @property
    def holds(self) -> Callable[[Any], bool]:
        """Whether a value is an array of the device."""
        return self._main.holds

    def _other(self, layouts: Layouts, arrays: Sequence[Any], start: Callable[[Any], list[Any]]) -> list[Any]:
        """Start from the common case and take each length for 1 that a guard found to be 1.  Errors: ShapeError."""
        ones: frozenset[Expr] = frozenset()
        while True:
            run = self._variants.get((layouts, ones)) or self._compiled(layouts, ones, self._build(layouts, ones))
            try:
                results = start(run)
            except GuardFailed as failed:
                one = _length_that_is_one(failed)
                if one is None or one in ones:
                    error = _explained(failed.guard, failed.a, failed.b)
                    return self._interpreted(arrays, self._said_by_its_op(arrays, failed.guard, error))
                ones |= {one}
            except IndexOutOfBounds as error:
                raise self._seen_again(arrays, error) from None
            else:
                others = [other for other in self._current if other is not run]
                self._current[:] = [run, *others[: MOST_AT_HAND - 1]]
                return results

    def _interpreted(self, arrays: Sequence[Any], error: Exception) -> list[np.ndarray]:
        """Raise ``error``, unless it is premature: a length that Python makes may be 1, which guards cannot see."""
        if not self.program.host_nodes:
            raise error from None
        try:
            return Interpreted(self._graph)([on_host(array) for array in arrays])
        except CoreError:
            raise error from None

    def _said_by_its_op(self, arrays: Sequence[Any], guard: Guard, error: Exception) -> Exception:
        """``error``, or what the op of a library routine says of these lengths: that a matrix is not square."""
        if hasattr(getattr(guard.node, "op", None), "library_error") and not self.program.host_nodes:
            try:
                Interpreted(self._graph)([on_host(array) for array in arrays])
            except np.linalg.LinAlgError as again:
                return again
            except (CoreError, MemoryError):
                pass
        return error

    def _seen_again(self, arrays: Sequence[Any], error: IndexOutOfBounds) -> IndexOutOfBounds:
        """``error`` as NumPy says it, with the index: loops check all indices of an array at once and keep none."""
        if not self.program.host_nodes:  # whose ops would run twice
            try:
                Interpreted(self._graph)([on_host(array) for array in arrays])
            except IndexOutOfBounds as again:
                return again
            except (CoreError, MemoryError):
                pass
        return error

    def bind(
        self,
        reads: Sequence[list[Any]],
        writes: Sequence[list[Any]],
        layout: str | tuple[str, ...],
        lengths: Sequence[Sequence[int | None]],
        slow_path: Callable[..., Any],
    ) -> Callable[..., Any] | None:
        """A quicker way to call, where the backend has one: see Caller.fastest.

        An executable of a backend may have a ``bind`` that takes one more argument before these: a list of the
        executables to try, which changes after arguments were met for which none of them was made.
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


def compile_for(
    graph: FunctionGraph,
    record: Backend,
    driver: Any,
    device: Any = None,
    updates: Mapping[int, int] = MappingProxyType({}),
) -> Dispatcher:
    """Lower a graph for a backend's dialect and compile it.  Errors: CompileError, BackendError, ShapeError.

    updates  number of an output -> number of the input that it replaces
    """
    return Dispatcher(graph, driver, device, updates)
