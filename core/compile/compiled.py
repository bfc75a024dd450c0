"""What a function runs: its graph rewritten, lowered and compiled, or found as an earlier process has left it."""

from __future__ import annotations

import time
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from core import plugins
from core.backend import Choice
from core.compile.executable import Dispatcher
from core.compile.instrument import instrumented
from core.compile.modes import NO_REWRITES
from core.compile.recipe import Recipe
from core.graph import FunctionGraph
from core.options import config
from core.records import Backend

if TYPE_CHECKING:
    from core.compile.making import Making
    from core.rewriting import RewriteLog

_NOT_OF_CODE = {"cache_dir", "num_threads", "first_tier"}  # options on which no program depends


class Compiled:
    """The executable of a recipe on a backend.

    run       a callable from arrays to arrays, with ``sources``
    graph     after rewriting;  rewrites  which rules fired: both on demand, where the executable was found ready made
    times     seconds of "rewrite", "lower" and "compile"
    """

    def __init__(self, recipe: Recipe, choice: Choice):
        self._recipe, self._choice = recipe, choice
        self._options = {"strict": recipe.options["strict"] or config.strict}
        self._lazily = _Lazily(recipe, choice, self._options)
        start = time.perf_counter()
        with config.override(self._options):
            self.run = instrumented(self._executable())
        made = vars(self._lazily).get("making")
        before = {"rewrite": 0.0, "lower": 0.0} if made is None else made.times
        self.times = {**before, "compile": time.perf_counter() - start - sum(before.values())}

    @property
    def making(self) -> Making:
        return self._lazily.making

    @property
    def graph(self) -> FunctionGraph:
        return self.making.graph

    @property
    def rewrites(self) -> RewriteLog:
        return self.making.rewrites

    def _executable(self) -> Any:
        driver = self._choice.driver
        if self._recipe.options["mode"].debug:
            from core.compile.debug import Checked  # no other mode need wait for that

            return Checked(self.graph)
        if self._choice.record.dialect is None:
            return driver.compile_graph(self.graph)
        key = _key(self._recipe, self._choice) if hasattr(driver, "kept") and config.recall else None
        lazily = self._lazily
        return Dispatcher(lambda: lazily.making, driver, self._choice.device, key)


class _Lazily:
    """The graph after rewriting, and what makes programs of it.

    What runs them may ask for it, and does not hold ``Compiled``, which holds what runs them: else the memory of a
    device would wait for the collector of garbage.
    """

    def __init__(self, recipe: Recipe, choice: Choice, options: dict[str, Any]):
        self._recipe, self._record, self._options = recipe, choice.record, options

    @cached_property
    def making(self) -> Making:
        from core.compile.making import Making  # what was found ready made needs none of it

        recipe, record = self._recipe, self._record
        with config.override(self._options):
            return Making(recipe.graph, recipe.options["mode"], record, _updates(recipe), partial(_inside, record))


def _inside(record: Backend, graph: FunctionGraph, driver: Any) -> Dispatcher:
    """The executable of a graph that is part of one that was rewritten."""
    from core.compile.making import Making  # as above

    making = Making(graph, NO_REWRITES, record, {}, partial(_inside, record))
    return Dispatcher(lambda: making, driver)


def _updates(recipe: Recipe) -> dict[int, int]:
    """For each new value of a shared variable that is also read, by its number among the outputs: that of the input."""
    first_read, first_write = len(recipe.inputs), len(recipe.graph.outputs) - len(recipe.writes)
    reads = {variable: first_read + k for k, variable in enumerate(recipe.reads)}
    return {first_write + k: reads[variable] for k, variable in enumerate(recipe.writes) if variable in reads}


def _key(recipe: Recipe, choice: Choice) -> str | None:
    """Under which a driver keeps the program: all that it depends on.  None where that cannot be told.

    Programs are not kept of what a plugin watches, which is to see the program itself.
    """
    code = None if plugins.is_implemented("instrument") else plugins.loaded_code()
    if code is None:
        return None
    from core.compile.identity import identity  # who does not want it need not wait for it

    mode = recipe.options["mode"]
    options = tuple((name, config[name]) for name in config.names() if name not in _NOT_OF_CODE)
    about = (code.digest, np.__version__, choice.name, choice.driver.fingerprint(), mode.stages, mode.without, options)
    return identity(recipe.graph, code.packages, (*about, tuple(_updates(recipe).items())))
