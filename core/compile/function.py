"""``function``: from symbolic variables to something that can be called.

Each step is a call whose result can be printed.  What the arguments mean is in recipe.py; how a call's values are
checked is in arguments.py.
"""

from __future__ import annotations

import gc
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from core import backend as backends
from core.compile.arguments import Signature
from core.compile.calling import Caller
from core.compile.compiled import Compiled
from core.compile.modes import Mode, mode_of
from core.compile.recipe import Recipe, described, prepare
from core.compile.shared import SharedVariable, home_of, lives_elsewhere
from core.errors import ArgumentError, BackendError, CoreWarning
from core.graph import FunctionGraph, Variable, graph_inputs
from core.options import config

if TYPE_CHECKING:
    from core.rewriting import RewriteLog


def function(
    inputs: Any,
    outputs: Any = None,
    updates: Any = None,
    givens: Any = None,
    *,
    mode: Mode | str | None = None,
    name: str | None = None,
    backend: Any = None,
    on_unused_input: str = "raise",
    allow_input_downcast: bool | None = None,
    no_default_updates: bool | Sequence[SharedVariable] = False,
    strict: bool = False,
) -> Function:
    """Compile a graph.

    inputs    variables or In(...), in the order of the call's arguments; shared variables bring their own values
    outputs   a variable, a list, tuple or dict of them, or None: what a call returns, always fresh arrays; those given
              as Out(variable, borrow=True) may stay on a device
    updates   ``{shared: expression}`` or pairs: the new values of shared variables, all computed from the old ones, and
              put in place together once nothing can fail any more
    givens    ``{variable: expression}`` or pairs: what to read in the place of a variable
    mode      how much is rewritten: "fast_run" (the default), "fast_compile", "none", or a Mode; "debug" runs node by
              node and holds each op to what it says of itself (ContractError)
    name      for messages and generated code
    backend   a name ("c", "cuda:1", "interpreter") or an object; None: the best that works here
    on_unused_input       "raise", "warn" or "ignore"
    allow_input_downcast  precision of arguments may be lost; None: only that of Python floats
    no_default_updates    True, or shared variables whose default_update is not wanted
    strict    raise where an op would fall back to something slower than the backend's own code

    Errors    ArgumentError, MissingInputError, UnusedInputError, DTypeError, ShapeError, BackendError, CompileError

    >>> import core.tensor as ct
    >>> x = ct.vector("x")
    >>> function([x], 2 * x, backend="interpreter")([1.0, 2.0])
    array([2., 4.])
    """
    if name is not None and not isinstance(name, str):
        raise ArgumentError(f"a function's name must be a string, got {name!r} of type {type(name).__name__}")
    recipe = prepare(inputs, outputs, updates, givens, name, on_unused_input, allow_input_downcast, no_default_updates)
    recipe.options = {"mode": mode_of(mode), "strict": bool(strict)}
    return _made(recipe, _choice(backend, recipe), chosen_by_user=backend is not None)


def _choice(backend: Any, recipe: Recipe) -> backends.Choice:
    """The backend that is asked for, else the home of the shared variables, else the best.  Errors: BackendError."""
    if backend is None:
        backend = home_of([*recipe.reads, *recipe.writes])
    return backends.resolve(backend, recipe.graph)


_ANY_ARGUMENTS = inspect.signature(lambda *args, **named: None)


class Function:
    """A compiled function.  Call it with values for its inputs, by position or by name.

    backend        name of the backend that runs it
    sources        generated code: file name -> text (nothing for the interpreter)
    graph          the graph after rewriting, made when it is asked for where an earlier process has compiled an equal
                   one; ``original`` is the one before
    rewrites       which rules fired
    program        kernels and buffers (None for the interpreter)
    compile_times  seconds for each of "rewrite", "lower", "compile"; no time for what an earlier process has done
    inputs         names of the arguments, None where there is none
    outputs        names of the results: dict keys, or the names of the variables
    shared         the shared variables that it reads or updates
    updated        those that it updates, in the order of the last outputs of ``graph``
    choice         the backend: its record, driver and device

    Errors of a call: ArgumentError, DTypeError, ShapeError for the arguments; those of the ops.  Shared variables keep
    their values when anything fails.
    """

    # What a call runs is found on the object, not on the class: C where the backend has it, with nothing in between.
    __slots__ = ("__call__", "__dict__", "__weakref__")
    __call__: Callable[..., Any]

    def __init__(self, recipe: Recipe, choice: backends.Choice, compiled: Compiled, chosen_by_user: bool = False):
        self._recipe, self._chosen_by_user, self.choice = recipe, chosen_by_user, choice
        self.name, self.backend, self.original = recipe.name, choice.name, recipe.graph
        self._compiled, self._run = compiled, compiled.run
        self.compile_times: dict[str, float] = compiled.times
        self._connect(recipe.reads, recipe.writes)

    def _connect(self, reads: Sequence[SharedVariable], writes: Sequence[SharedVariable]) -> None:
        """Fetch out of the recipe whatever a call needs."""
        recipe = self._recipe
        self.shared: tuple[SharedVariable, ...] = tuple(dict.fromkeys([*reads, *writes]))
        self.updated: tuple[SharedVariable, ...] = tuple(writes)
        signature, layout = Signature(described(self.name), recipe.inputs), recipe.layout
        count = len(recipe.graph.outputs) - len(writes)
        checked = _that_may_not_fit(writes, self.original.outputs[count:])
        if checked:  # rewriting may know more
            checked = _that_may_not_fit(writes, self.graph.outputs[count:])
        self.inputs: list[str | None] = signature.names
        outputs = self.original.outputs[:count]
        self.outputs: list[str | None] = (
            list(layout) if isinstance(layout, tuple) else [variable.name for variable in outputs]
        )
        guests = [variable for variable in reads if lives_elsewhere(variable, self.backend)]
        pending = getattr(self._run, "is_pending", False)
        caller = Caller(signature, self._run, reads, writes, checked, count, layout, recipe.borrow, guests)
        self.__call__ = caller.fastest()
        if pending:
            self._run.when_compiled(partial(_take_over, ref(self), caller))
        self.__signature__ = _ANY_ARGUMENTS

    # --- the rest ---------------------------------------------------------------------------------------------------

    def copy(
        self,
        name: str | None = None,
        swap: Mapping[SharedVariable, SharedVariable] | None = None,
        delete_updates: bool = False,
    ) -> Function:
        """The same compiled code, perhaps with other shared variables (``swap``: old to new) or without updates.

        Errors  ArgumentError for a shared variable that the function has not; DTypeError when types differ.
        """
        swap = dict(swap or {})
        for old, new in swap.items():
            if old not in self.shared:
                raise ArgumentError(f"{described(self.name)} has no shared variable {old} to swap", blame=old)
            if not isinstance(new, SharedVariable):
                raise ArgumentError(f"swap needs shared variables, got {new!r} of type {type(new).__name__}")
            old.type.as_variable(new)
        recipe = Recipe(**{**self._recipe.__dict__, "name": name if name is not None else self.name})
        recipe.reads = [swap.get(v, v) for v in recipe.reads]
        recipe.writes = [swap.get(v, v) for v in recipe.writes]
        if delete_updates:
            outputs = recipe.graph.outputs[: len(recipe.graph.outputs) - len(recipe.writes)]
            recipe.graph, recipe.writes = _without_updates(recipe, outputs), []
            recipe.reads = [v for v, kept in zip(recipe.reads, _used_reads(self._recipe, outputs), strict=True) if kept]
            return _made(recipe, self.choice, self._chosen_by_user)
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, _recipe=recipe, name=recipe.name)
        twin._connect(recipe.reads, recipe.writes)
        return twin

    @property
    def graph(self) -> FunctionGraph:
        return self._compiled.graph

    @property
    def rewrites(self) -> RewriteLog:
        return self._compiled.rewrites

    @property
    def program(self) -> Any:
        return getattr(self._run, "program", None)

    @property
    def sources(self) -> dict[str, str]:
        """Generated code so far, once all is compiled: a shape that is met for the first time may add to it."""
        self.wait_until_compiled()
        return dict(self._run.sources)

    def wait_until_compiled(self, timeout_s: float | None = None) -> bool:
        """Until calls run compiled code, where the option ``first_tier`` lets them begin before; else at once.

        Returns whether they do: False only when ``timeout_s`` was too short.  Errors: CompileError, BackendError.
        """
        wait = getattr(self._run, "wait", None)
        if wait is None:
            return True
        compiled = wait(timeout_s)
        for name in ("lower", "compile"):  # a part of which may have been done beside calls
            self.compile_times[name] = max(self.compile_times[name], self._run.times.get(name, 0.0))
        return compiled

    def free(self) -> None:
        """Give memory back that is kept between calls."""
        release = getattr(self._run, "free", None)
        if release is not None:
            release()

    def __copy__(self) -> Function:
        return self.copy()

    def __reduce__(self) -> tuple:
        """The graph before rewriting and the values of shared variables; compiled anew when loaded."""
        return _loaded, (self._recipe, self.backend if self._chosen_by_user else None)

    def __repr__(self) -> str:
        names = ", ".join(name or "?" for name in self.inputs)
        return f"<{described(self.name)} ({names}), backend {self.backend}>"


def _that_may_not_fit(writes: Sequence[SharedVariable], values: Sequence[Variable]) -> list[tuple[int, SharedVariable]]:
    """Those of ``writes``, by their number, whose new values may be of another shape than their type's."""
    return [(k, v) for k, (v, new) in enumerate(zip(writes, values, strict=True)) if not v.type.is_super(new.type)]


def _take_over(function: ReferenceType[Function], caller: Caller) -> None:
    """From now on a function's calls take the quickest way, if it is still there: its code has been compiled."""
    alive = function()
    if alive is not None:
        alive.__call__ = caller.fastest()


# --- compiling -------------------------------------------------------------------------------------------------------


def _made(recipe: Recipe, choice: backends.Choice, chosen_by_user: bool = False) -> Function:
    """Compile, then make the object: of a class that the driver's ``callable_type(cls)`` gives, if it has that.

    Such a subclass of ``cls`` does the same as it, in less time for each call.
    """
    with _collector_at_rest():
        compiled = Compiled(recipe, choice)
        callable_type = getattr(choice.driver, "callable_type", None)
        kind = Function if callable_type is None else callable_type(Function)
        return kind(recipe, choice, compiled, chosen_by_user)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Python's search for cycles looks again and again at graphs that all live on: a quarter of the time to compile.

    What came meanwhile then counts as old, else the next search would go through all of it, for a tenth of that time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():  # what somebody else has frozen would thaw
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _used_reads(recipe: Recipe, outputs: Sequence[Variable]) -> list[bool]:
    """Which of the shared variables that a recipe reads are needed for ``outputs`` alone."""
    leaves = set(graph_inputs(outputs, stop_at=recipe.graph.inputs))
    return [variable in leaves for variable in recipe.graph.inputs[len(recipe.inputs) :]]


def _without_updates(recipe: Recipe, outputs: Sequence[Variable]) -> FunctionGraph:
    inputs = recipe.graph.inputs
    kept = [
        variable
        for variable, used in zip(inputs[len(recipe.inputs) :], _used_reads(recipe, outputs), strict=True)
        if used
    ]
    return FunctionGraph([*inputs[: len(recipe.inputs)], *kept], outputs)


def _loaded(recipe: Recipe, backend: str | None) -> Function:
    """A pickled function: on the backend that it was made for, or where that does not work, on the best that does."""
    try:
        return _made(recipe, _choice(backend, recipe), chosen_by_user=backend is not None)
    except BackendError as error:
        if backend is None:
            raise
        choice = backends.resolve(None, recipe.graph)
        message = f"{described(recipe.name)} was made for backend {backend!r}, and now runs on {choice.name!r}: {error}"
        warnings.warn(message, CoreWarning, stacklevel=2)
        return _made(recipe, choice)


# --- eval ------------------------------------------------------------------------------------------------------------

_evaluators: WeakKeyDictionary[Variable, dict[Any, Function]] = WeakKeyDictionary()


def evaluate(variable: Variable, values: Mapping[Any, Any] | None = None, backend: Any = None) -> Any:
    """The value of ``variable`` where inputs (or their names) have these ``values``: ``Variable.eval``.

    Compiles a function at the first call for the same inputs, and keeps it as long as the variable lives.
    """
    values = {} if values is None else values
    if not isinstance(values, Mapping):
        raise ArgumentError(
            f"eval needs a dict of inputs and their values, got {values!r} of type {type(values).__name__}"
        )
    named = (
        {v.name: v for v in graph_inputs([variable]) if v.name is not None}
        if any(isinstance(k, str) for k in values)
        else {}
    )
    inputs = [_input_called(variable, key, named) for key in values]
    known = _evaluators.setdefault(variable, {})
    key = (*map(id, inputs), config.backend if backend is None else backend)
    if key not in known:
        known[key] = function(inputs, variable, name=f"eval of {variable}" if variable.name else None, backend=backend)
    return known[key](*values.values())


def _input_called(variable: Variable, key: Any, named: Mapping[str, Variable]) -> Variable:
    if isinstance(key, str):
        if key not in named:
            raise ArgumentError(
                f"{variable} has no input called {key!r}; it has {', '.join(named) or 'none with a name'}"
            )
        return named[key]
    if not isinstance(key, Variable):
        raise ArgumentError(f"eval needs variables or their names as keys, got {key!r} of type {type(key).__name__}")
    return key
