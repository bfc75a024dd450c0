"""A compiled graph that serves every shape: one program for the common case, more for other shapes and layouts.

Another one is made for lengths that turn out to be 1, and for arguments that do not lie row by row, once it would have
taken longer to copy those that came so far.  How programs are made is in making.py.

With the option ``first_tier``, and a driver that can ``prepare`` a program, nobody waits for a compiler, nor for what
comes before it: the interpreter runs the graph, after rewriting, until the program is there.  A driver may also keep
programs: then those for the common case and for tall matrices are found ready made, if an earlier process had the same
graph.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from core import plugins
from core.errors import CoreWarning, IndexOutOfBounds
from core.ir.guards import GuardFailed, StepFailed, Unserved
from core.options import config

if TYPE_CHECKING:
    from core.compile.compilation import Compilation
    from core.compile.making import Making
    from core.ir.expr import Expr
    from core.ir.layouts import Layout

SMALL = 1 << 14  # bytes: arrays up to this size are copied, which takes no longer than reading them in another order
WORTH_A_PROGRAM = 1 << 27  # bytes: to copy so many takes about as long as to compile another program,
COPIED_PER_S = 2e9  # and so many more for each second that lowering took, which says how large it is
MOST_LAYOUTS = 8  # combinations of layouts that have programs
MOST_AT_HAND = 4  # programs that a call tries before it looks for another one

Layouts: TypeAlias = "tuple[Layout | None, ...]"  # one for each argument; none at all where all lie row by row
Key: TypeAlias = "tuple[Layouts, frozenset[Expr], bool]"  # what for: layouts, lengths that are 1, tall matrices
_COMMON: Key = ((), frozenset(), False)
_TALL: Key = ((), frozenset(), True)
_KEPT = {_COMMON: "", _TALL: "-tall"}  # what a driver keeps, and how the names of the rest differ


class Dispatcher:
    """Runs the program that fits the arrays; makes it when it is needed for the first time.

    making   gives what makes programs of the graph, asked when there is one to make
    key      under which the driver keeps programs; None: it keeps none
    sources  generated code: file name -> text, once what is at work is done
    program  the one for the common case
    times    seconds of "lower"; of "compile" for what was compiled beside calls
    """

    def __init__(self, making: Callable[[], Making], driver: Any, device: Any = None, key: str | None = None):
        driver = driver.open(device) if hasattr(driver, "open") else driver
        self._making, self._driver, self._device, self._key = making, driver, device, key
        self._options = dict(config.affecting_code())  # programs that are made later are of the same kind
        self._lowered: set[Layouts] = {()}  # layouts for which there are programs, or soon will be
        self._copied: Counter[Layouts] = Counter()  # bytes, of arguments that lay like that
        self._variants: dict[Key, Any] = {}
        self._made_for: dict[Any, Layouts] = {}
        can_wait = config.first_tier and not config.strict  # strict: what cannot be compiled is said at once
        self._prepare = getattr(driver, "prepare", None) if can_wait else None
        self._compilations: dict[Key, Compilation] = {}
        self._to_tell: list[Callable[[], None]] = []
        self._sources: dict[str, str] = {}
        self._program: Any = None
        self._first_tier: Any = None
        self.times = {"lower": 0.0}
        self._main: Any = None
        self._current: list[Any] = []  # those used last; bound calls hold it too
        self._kept: dict[Key, Any] = {}  # those that earlier processes have left, which do not say why they fail
        if not self._recall(_COMMON):
            self._variant(*_COMMON)

    @property
    def program(self) -> Any:
        if self._program is None:
            self._program = self._making().program(self._driver)
            self.times["lower"] = self._making().times["lower"]
        return self._program

    def _variant(self, layouts: Layouts, ones: frozenset[Expr], tall: bool) -> Any:
        """The executable for some layouts and lengths; None while it is compiled beside calls, or where that failed."""
        key = layouts, ones, tall
        if key in self._variants:
            return self._variants[key]
        if key in self._compilations:
            self._look_at(self._compilations[key])
            return self._variants.get(key)
        self._making()  # which rewrites the graph: the first tier needs that too
        with config.override(self._options):
            if self._prepare is None:
                self._put(key, self._driver.compile(self._program_for(key), self._device))
            else:
                from core.compile.compilation import Compilation  # who waits for the compiler need not wait for that

                self._compilations[key] = Compilation(partial(self._prepared, key), partial(self._put, key))
        return self._variants.get(key)

    def _program_for(self, key: Key) -> Any:
        return self.program if key == _COMMON else self._making().program(self._driver, *key)

    def _prepared(self, key: Key) -> Callable[[], Any]:
        """All but the compiler's part, which is returned."""
        assert self._prepare is not None
        return self._prepare(self._program_for(key), self._device).finish

    def _recall(self, key: Key) -> bool:
        """Whether an earlier process has left a program, which is there from then on."""
        if key not in self._variants and self._key is not None:
            run = self._driver.kept(self._key + _KEPT[key], partial(_routine, self._driver.dialect))
            if run is not None:
                self._kept[key] = run
                self._put(key, run)
        return key in self._kept

    def _make_anew(self) -> None:
        """Put the graph's own program in the place of the one that was kept, which does not say what is wrong."""
        kept, self._kept = self._kept, {}
        if not kept:  # another thread was quicker
            return
        with config.override(self._options):
            run = self._driver.compile(self.program, self._device)
        for key in kept:
            self._variants.pop(key, None)
        self._current[:] = [other for other in self._current if other not in kept.values()]
        self._put(_COMMON, run)

    def _put(self, key: Key, run: Any) -> None:
        """Keep an executable; the one for the common case is what calls run from now on."""
        self._made_for[run] = key[0]
        self._variants[key] = run
        if run is not self._kept.get(key):
            self._sources.update(run.sources)
            if key in _KEPT and self._key is not None:
                self._driver.keep(self._key + _KEPT[key], run)
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
            aside = sum(compilation.done_s or 0.0 for compilation in self._compilations.values())
            self.times["compile"] = aside - self.times["lower"]
        return True

    @property
    def sources(self) -> dict[str, str]:
        self.wait()
        self._make_anew()
        return self._sources

    # --- calls ------------------------------------------------------------------------------------------------------

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        layouts, run = self._layouts(arrays), self._current[0] if self._current else None
        if run is not None and self._made_for[run] == layouts:
            try:
                return run(arrays)
            except (GuardFailed, StepFailed, Unserved):
                pass
            except IndexOutOfBounds as error:
                raise self._making().seen_again(arrays, error) from None
        return self._other(layouts, arrays, lambda run: run(arrays))

    @cached_property
    def _takes_layouts(self) -> bool:
        """Whether programs may be made for arguments that do not lie row by row."""
        return getattr(getattr(self._driver, "target", None), "layouts", False)

    def _layouts(self, arrays: Sequence[np.ndarray]) -> Layouts:
        """The layouts for which the program is to be made that runs; arrays of another one are copied."""
        if all(array.flags.c_contiguous for array in arrays) or not self._takes_layouts:
            return ()
        from core.ir.layouts import layout_of  # who has no such arrays need not wait for it

        layouts = tuple(layout_of(array) if array.nbytes > SMALL else None for array in arrays)
        if layouts not in self._lowered and any(layouts):
            copied = sum(array.nbytes for array, layout in zip(arrays, layouts, strict=True) if layout is not None)
            self._copied[layouts] += copied
            if self._copied[layouts] >= self._worth() and len(self._lowered) <= MOST_LAYOUTS:
                self._lowered.add(layouts)
        return layouts if layouts in self._lowered else ()

    def _worth(self) -> float:
        """How many bytes are copied in the time that another program takes, as far as is known."""
        return WORTH_A_PROGRAM + COPIED_PER_S * self.times["lower"]

    @property
    def on_device(self) -> Any:
        """What a Caller uses of a program on a device; None where programs run on the host."""
        return self if hasattr(self._main, "place") else None

    def run(self, arrays: Sequence[Any], fetched: tuple[bool, ...]) -> list[Any]:
        """On a device: the results, as NumPy arrays where ``fetched`` says so."""
        try:
            return self._current[0].run(arrays, fetched)
        except (GuardFailed, StepFailed):
            return self._other((), arrays, lambda run: run.run(arrays, fetched))
        except IndexOutOfBounds as error:
            raise self._making().seen_again(arrays, error) from None

    def place(self, array: np.ndarray) -> Any:
        return self._main.place(array)

    @property
    def holds(self) -> Callable[[Any], bool]:
        """Whether a value is an array of the device."""
        return self._main.holds

    def _other(self, layouts: Layouts, arrays: Sequence[Any], start: Callable[[Any], list[Any]]) -> list[Any]:
        """Start from the common case and take each length for 1, and matrices for tall, that a guard found to be so.

        Errors: ShapeError.
        """
        ones: frozenset[Expr] = frozenset()
        tall = False
        while True:
            run = self._variant(layouts, ones, tall)
            if run is None:
                return self._interpreted(arrays)
            try:
                results = start(run)
            except Unserved:
                tall = not (layouts or ones or tall) and self._recall(_TALL)
                if not tall:
                    self._make_anew()
            except StepFailed:
                return self._interpreted(arrays)
            except GuardFailed as failed:
                if failed.guard.kind == "alike":
                    return self._interpreted(arrays)
                if failed.guard.kind in ("short", "tall"):
                    tall = failed.guard.kind == "short"
                    continue
                one = _length_that_is_one(failed)
                if one is None or one in ones:
                    making = self._making()
                    return making.results_or(arrays, making.said(arrays, failed))
                ones |= {one}
            except IndexOutOfBounds as error:
                raise self._making().seen_again(arrays, error) from None
            else:
                others = [other for other in self._current if other is not run]
                self._current[:] = [run, *others[: MOST_AT_HAND - 1]]
                return results

    def _interpreted(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """Results of the first tier."""
        if self._first_tier is None:
            self._first_tier = self._making().interpreter()
        return self._first_tier(arrays)

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


def _routine(dialect: str, name: str) -> Any:
    """What a plugin gives to bind a routine.  Errors: PluginError, PluginConflict."""
    return plugins.registries().libraries.routine(name, dialect)


def _length_that_is_one(failed: GuardFailed) -> Expr | None:
    """The length that broadcasts after all."""
    guard = failed.guard
    if guard.kind == "join":
        for n, value in zip(guard.symbols or (guard.a, guard.b), (failed.a, failed.b), strict=True):
            if value == 1 and not n.is_const:
                return n
    return None
