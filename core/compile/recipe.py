"""What the arguments of ``function`` come to: one graph, and what its inputs and outputs are."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from core.compile.arguments import In, Out, as_constant, as_inputs, as_pairs
from core.compile.shared import SharedVariable, as_update
from core.dataclass import dataclass, field
from core.errors import ArgumentError, DTypeError, ShapeError, UnusedInputError
from core.graph import FunctionGraph, Variable, clone_replace, graph_inputs, toposort
from core.pickling import flatten, rebuild


@dataclass
class Recipe:
    """A function before it is compiled.

    graph    inputs: those of the user, then the shared variables ``reads``; outputs: those of the user, then the new
             values of the shared variables ``writes``
    layout   how results are handed out: "one", "list", "tuple", "none", or a tuple of dict keys
    borrow   those of the user's outputs, by their number, that may stay on a device
    """

    name: str | None
    inputs: list[In]
    reads: list[SharedVariable]
    writes: list[SharedVariable]
    layout: str | tuple
    graph: FunctionGraph
    borrow: tuple[int, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """Flat, so that deep graphs pickle."""
        state = dict(self.__dict__)
        state["graph"] = flatten(self.graph.outputs, self.graph.inputs)
        state["inputs"] = [
            (spec.name, spec.value, spec.strict, spec.allow_downcast, spec.borrow, spec.variable.source)
            for spec in self.inputs
        ]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        inputs, outputs = rebuild(state["graph"])
        specs = []
        for variable, (name, value, strict, allow_downcast, borrow, source) in zip(
            inputs, state["inputs"], strict=False
        ):
            variable.source = source
            specs.append(In(variable, name, value, strict, allow_downcast, borrow))
        self.__dict__.update(state, inputs=specs, graph=FunctionGraph(inputs, outputs, clone=False))


def prepare(
    inputs: Any,
    outputs: Any,
    updates: Any,
    givens: Any,
    name: str | None,
    on_unused_input: str,
    allow_downcast: bool | None,
    no_default_updates: bool | Sequence[SharedVariable],
) -> Recipe:
    """Check the arguments of ``function``, resolve updates and givens, and copy what they describe into one graph."""
    who = described(name)
    specs = as_inputs(who, inputs, allow_downcast)
    wanted, layout = _outputs(who, outputs)
    replaced, changes = _resolve(
        who,
        wanted,
        _checked_updates(who, as_pairs(who, "updates", updates)),
        _checked_givens(who, as_pairs(who, "givens", givens), specs),
        [spec.variable for spec in specs],
        no_default_updates,
    )
    variables = [spec.variable for spec in specs]
    leaves = graph_inputs(replaced, stop_at=variables)
    _check_use(who, specs, replaced, on_unused_input)
    reads = [variable for variable in leaves if isinstance(variable, SharedVariable)]
    graph = FunctionGraph([*variables, *reads], replaced)
    graph.origin.clear()  # a function must not keep the user's variables alive
    kept = [
        In(here, s.name, s.value, s.strict, s.allow_downcast, s.borrow)
        for here, s in zip(graph.inputs, specs, strict=False)
    ]
    return Recipe(name, kept, reads, changes, layout, graph, _borrowed(outputs))


def _borrowed(outputs: Any) -> tuple[int, ...]:
    """Which outputs, as the user gave them, are ``Out(..., borrow=True)``."""
    several = outputs.values() if isinstance(outputs, Mapping) else outputs
    several = several if isinstance(outputs, (Mapping, list, tuple)) else [outputs]
    return tuple(k for k, out in enumerate(several) if isinstance(out, Out) and out.borrow)


def described(name: str | None) -> str:
    """How messages call a function of this name."""
    return f"function {name!r}" if name else "the function"


def _outputs(who: str, outputs: Any) -> tuple[list[Variable], str | tuple]:
    if outputs is None:
        return [], "none"
    if isinstance(outputs, Mapping):
        for key in outputs:
            if not isinstance(key, str):
                raise ArgumentError(
                    f"{who} needs strings as keys of a dict of outputs, got {key!r} of type {type(key).__name__}"
                )
        return [as_constant(who, value) for value in outputs.values()], tuple(outputs)
    if isinstance(outputs, (list, tuple)):
        return [as_constant(who, value) for value in outputs], "list" if isinstance(outputs, list) else "tuple"
    return [as_constant(who, outputs)], "one"


def _checked_updates(who: str, updates: dict[Variable, Any]) -> dict[SharedVariable, Variable]:
    out = {}
    for variable, expression in updates.items():
        if not isinstance(variable, SharedVariable):
            raise ArgumentError(f"{who} can update only shared variables, got {variable} in updates", blame=variable)
        out[variable] = as_update(variable, expression)
    return out


def _checked_givens(who: str, givens: dict[Variable, Any], inputs: list[In]) -> dict[Variable, Variable]:
    for spec in inputs:
        if spec.variable in givens:
            raise ArgumentError(
                f"{who} cannot replace {spec.variable} with givens: it is an input of this function",
                blame=spec.variable,
            )
    out = {}
    for key, value in givens.items():
        try:
            out[key] = key.type.as_variable(value)
        except (DTypeError, ShapeError) as error:
            raise type(error)(f"{who}, givens for {key}: {error}", blame=key) from error
    return out


def _resolve(
    who: str,
    outputs: list[Variable],
    updates: dict[SharedVariable, Variable],
    givens: dict[Variable, Variable],
    inputs: list[Variable],
    no_default_updates: bool | Sequence[SharedVariable],
) -> tuple[list[Variable], list[SharedVariable]]:
    """Outputs and new values with givens replaced, and the shared variables that get those values.

    A default update may read a shared variable that has one too, so this goes on until none is new.
    """
    if not isinstance(no_default_updates, (bool, list, tuple, set, frozenset)):
        raise ArgumentError(
            f"{who} needs a bool or a list of shared variables as no_default_updates, got {no_default_updates!r}"
        )
    fixed = set() if isinstance(no_default_updates, bool) else set(no_default_updates)
    swap = {**{variable: variable for variable in inputs if variable.owner is not None}, **givens} if givens else {}
    while True:
        wanted = [*outputs, *updates.values()]
        replaced = clone_replace(wanted, swap) if swap else wanted
        if no_default_updates is True:
            break
        found = [v for v in graph_inputs(replaced, stop_at=inputs) if isinstance(v, SharedVariable)]
        more = {
            v: v.default_update for v in found if v.default_update is not None and v not in updates and v not in fixed
        }
        if not more:
            break
        updates = {**updates, **more}
    return replaced, list(updates)


def _check_use(who: str, inputs: list[In], outputs: list[Variable], on_unused_input: str) -> None:
    if on_unused_input not in ("raise", "warn", "ignore"):
        raise ArgumentError(f"{who} needs 'raise', 'warn' or 'ignore' as on_unused_input, got {on_unused_input!r}")
    if on_unused_input == "ignore":
        return
    given = [spec.variable for spec in inputs]
    used = {variable for node in toposort(outputs, stop_at=given) for variable in node.inputs}.union(outputs)
    for position, variable in enumerate(given):
        if variable in used:
            continue
        error = UnusedInputError(
            f"{who} does not use its input {variable} (position {position}): no output or update depends on it; "
            "leave it out, or say on_unused_input='ignore'",
            blame=variable,
        )
        if on_unused_input == "raise":
            raise error
        warnings.warn(str(error), stacklevel=4)
