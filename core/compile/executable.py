"""A compiled graph that serves every shape: one program for the common case, more for other shapes and layouts.

Another one is made for lengths that turn out to be 1, and for arguments that do not lie row by row, once it would have
taken longer to copy those that came so far.

With the option ``first_tier``, and a driver that can ``prepare`` a program, nobody waits for a compiler: the
interpreter runs the graph until the program is there.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from core import plugins
from core.compile.compilation import Compilation
from core.compile.interpreter import Interpreted, host_call
from core.compile.lower import c_for_python_of, lower
from core.device.array import on_host
from core.errors import CoreError, CoreWarning, IndexOutOfBounds, PluginError, ShapeError
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
Key: TypeAlias = tuple[Layouts, frozenset[Expr]]  # what a program is made for: layouts, and lengths that are 1
_COMMON: Key = ((), frozenset())


class Dispatcher:
    """Runs the program that fits the arrays; makes it when it is needed for the first time.

    sources  generated code: file name -> text, once what is at work is done
    program  the one for the common case
    times    seconds of "lower"; of "compile" for what was compiled beside calls
    """

    def __init__(self, graph: FunctionGraph, driver: Any, device: Any, updates: Mapping[int, int]):
        start = time.perf_counter()
        driver = driver.open(device) if hasattr(driver, "open") else driver
        self._graph, self._driver, self._device, self._updates = graph, driver, device, updates
        self._options = dict(config.affecting_code())  # programs that are made later are of the same kind
        self._target = getattr(driver, "target", HOST)
        self._lowered: dict[Layouts, Lowered] = {(): lower(graph, driver.dialect_table)}
        self._copied: Counter[Layouts] = Counter()  # bytes, of arguments that lay like that
        self._variants: dict[Key, Any] = {}
        self._made_for: dict[Any, Layouts] = {}
        self._hosts: dict[Apply, Callable[[Sequence[Any]], list[Any]]] = {}
        self._prepare = getattr(driver, "prepare", None) if config.first_tier else None
        self._compilations: dict[Key, Compilation] = {}
        self._to_tell: list[Callable[[], None]] = []
        self._sources: dict[str, str] = {}
        self.times = {"lower": 0.0}
        self.program = self._build(*_COMMON)
        self.times["lower"] = time.perf_counter() - start
        self._main: Any = None
        self._current: list[Any] = []  # those used last; bound calls hold it too
        self._variant(*_COMMON)

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

    def _variant(self, layouts: Layouts, ones: frozenset[Expr]) -> Any:
        """The executable for some layouts and lengths; None while it is compiled beside calls, or where that failed."""
        key = layouts, ones
        if key in self._variants:
            return self._variants[key]
        if key in self._compilations:
            self._look_at(self._compilations[key])
            return self._variants.get(key)
        program = self.program if key == _COMMON else self._build(layouts, ones)
        with config.override(self._options):
            if self._prepare is None:
                self._put(key, self._driver.compile(program, self._device))
            else:
                prepared = self._prepare(program, self._device)
                if prepared.at_hand:
                    self._put(key, prepared.finish())
                else:
                    self._compilations[key] = Compilation(prepared.finish, partial(self._put, key))
        return self._variants.get(key)

    def _put(self, key: Key, run: Any) -> None:
        """Keep an executable; the one for the common case is what calls run from now on."""
        self._made_for[run] = key[0]
        self._sources.update(run.sources)
        self._variants[key] = run
        if key == _COMMON:
            self._main = run
            self._current.append(run)
            self._tell()

    # --- what is compiled beside calls ------------------------------------------------------------------------------

    @property
    def is_pending(self) -> bool:
        """Whether the program for the common case is not there yet."""
        return self._main is None

    def when_compiled(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` once the program for the common case is there, in whichever thread knows first."""
        self._to_tell.append(tell)
        if not self.is_pending:
            self._tell()

    def _tell(self) -> None:
        while True:
            try:
                tell = self._to_tell.pop()
            except IndexError:  # also where another thread was quicker
                return
            tell()

    def _look_at(self, compilation: Compilation) -> None:
        """Warn, once, of a compilation that failed."""
        compilation.go_on()
        if compilation.error is not None and not compilation.is_reported:
            compilation.is_reported = True
            message = f"not compiled, so that it stays with the interpreter: {compilation.error}"
            warnings.warn(message, CoreWarning, stacklevel=6)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until what is compiled beside calls is there.  Whether it is.  Errors: what compiling raised."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        for compilation in list(self._compilations.values()):
            if not compilation.wait(None if deadline is None else max(deadline - time.monotonic(), 0)):
                return False
            if compilation.error is not None:
                compilation.is_reported = True
                raise compilation.error
        if self._compilations:
            self.times["compile"] = sum(compilation.done_s or 0.0 for compilation in self._compilations.values())
        return True

    @property
    def sources(self) -> dict[str, str]:
        self.wait()
        return self._sources

    @cached_property
    def _first_tier(self) -> Interpreted:
        return Interpreted(self._graph)

    # --- calls ------------------------------------------------------------------------------------------------------

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        layouts, run = self._layouts(arrays), self._current[0] if self._current else None
        if run is not None and self._made_for[run] == layouts:
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
            run = self._variant(layouts, ones)
            if run is None:
                return self._first_tier(arrays)
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
        fetched: tuple[bool, ...],
        slow_path: Callable[..., Any],
    ) -> Callable[..., Any] | None:
        """A quicker way to call, where the backend has one: see Caller.fastest.

        An executable of a backend may have a ``bind`` that takes one more argument before these: a list of the
        executables to try, which changes after arguments were met for which none of them was made.
        """
        bind = getattr(self._main, "bind", None)
        return None if bind is None else bind(self._current, reads, writes, layout, lengths, fetched, slow_path)

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
