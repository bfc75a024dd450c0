"""OpFromGraph: an op that computes a graph, with derivatives of one's own where one has better.

What ops that hold graphs have in common is in inner.py, how a function becomes one in traced.py.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

from core.errors import ArgumentError, DTypeError, MissingInputError, NullGradientError
from core.gradient.common import is_differentiable, is_missing, is_null
from core.gradient.forward import Rop
from core.gradient.reverse import Lop, connections
from core.graph import Apply, Constant, DisconnectedType, NullType, Variable, graph_inputs
from core.inner import InnerGraph, InnerOp, Runs, owned
from core.op import disconnected
from core.rewriting import canonicalize
from core.tensor.inner_shapes import shapes_through
from core.tensor.shape import specify_shape
from core.tensor.type import TensorType
from core.tensor.vectorize import stacked_or_none

__all__ = ["OpFromGraph"]

_DEFAULT: Literal["default"] = "default"
Override: TypeAlias = "Callable[..., Any] | Variable | Literal['default'] | None"
Overrides: TypeAlias = "Override | Sequence[Override]"


class OpFromGraph(InnerOp):
    """The op that computes ``outputs`` from ``inputs``.

    inputs, outputs  variables; the graph between them is copied.  Shared variables that it reads are inputs of each
                     node, after the others, so that givens, updates and gradients reach them
    inline           whether rewriting opens the op, so that its nodes are simplified and fused with those around, as if
                     they had been written there.  Without, it is rewritten by itself and opened when it is lowered: the
                     graph stays short and readable, and nothing inside is merged with what is outside.  It costs what
                     the plain graph costs unless it is kept from being fused, so that True is the default
    name             what it is called in graphs and messages
    lop_overrides    gradients of one's own: a function of (inputs, outputs, output_grads) that returns a list with one
                     gradient per input; or a list with an entry per input, each such a function that returns one
                     gradient, "default" for the derived one, None or a variable of DisconnectedType where there is no
                     connection, or a variable of NullType where it is undefined
    grad_overrides   the same with functions of (inputs, output_grads)
    rop_overrides    tangents of one's own: a function of (inputs, eval_points) that returns one per output; or a list
                     with an entry per output, as above.  None stands for an eval_point that is not there
    connection_pattern  rows (inputs) of bools (outputs): which output depends differentiably on which input.  Left out,
                     it is that of the graph, where inputs with a gradient of one's own are connected to all outputs

    Overrides speak of the given inputs; gradients of shared variables are derived always.
    Errors: MissingInputError for another variable that the graph needs; ArgumentError; for what it is applied to, also
    DTypeError, and ShapeError when it runs and lengths are not those of ``inputs``

    >>> import core, core.tensor as ct
    >>> x, y = ct.scalar("x"), ct.scalar("y")
    >>> f = core.OpFromGraph([x, y], [x * y + y], name="f")
    >>> core.function([x, y], [f(x, y), core.grad(f(y, x), y)])(2.0, 3.0)
    [array(9.), array(2.)]
    """

    __props__ = ("graph", "inline", "name", "_lop", "_rop", "_pattern")
    is_transparent = True
    computed_from: ClassVar[tuple[str, ...]] = ("graph", "inline")

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable] | Variable,
        *,
        inline: bool = True,
        name: str | None = None,
        lop_overrides: Overrides = _DEFAULT,
        grad_overrides: Overrides = _DEFAULT,
        rop_overrides: Overrides = _DEFAULT,
        connection_pattern: Sequence[Sequence[bool]] | None = None,
    ):
        who = f"OpFromGraph {name!r}" if name else "OpFromGraph"
        inputs = variables_of(who, "inputs", inputs)
        outputs = variables_of(who, "outputs", outputs)
        shared = [x for x in graph_inputs(outputs, stop_at=inputs) if x not in inputs and not isinstance(x, Constant)]
        for x in shared:
            if not hasattr(x, "cell"):
                raise MissingInputError(f"{who} needs {x}, which is not among its inputs", blame=x)
        if lop_overrides != _DEFAULT and grad_overrides != _DEFAULT:
            raise ArgumentError(f"{who} takes lop_overrides or grad_overrides, got both")
        if grad_overrides != _DEFAULT:
            lop_overrides = _without_outputs(grad_overrides)
        graph = InnerGraph([*inputs, *shared], outputs)
        self._set(graph, shared, who, inline, name, lop_overrides, rop_overrides, connection_pattern)

    def _set(
        self,
        graph: InnerGraph,
        captured: Sequence[Variable],
        who: str,
        inline: bool = True,
        name: str | None = None,
        lop_overrides: Any = _DEFAULT,
        rop_overrides: Any = _DEFAULT,
        connection_pattern: Any = None,
    ) -> None:
        """The last inputs of ``graph`` are ``captured``, which callers do not give."""
        self.graph, self.inline, self.name = graph, bool(inline), name
        self._captured, self._count = tuple(captured), len(graph.inputs) - len(captured)
        self._lop = _checked(who, "lop_overrides", lop_overrides, self._count)
        self._rop = _checked(who, "rop_overrides", rop_overrides, len(graph.outputs))
        self._pattern = None
        if connection_pattern is not None:
            self._pattern = tuple(tuple(map(bool, row)) for row in connection_pattern)
            if [len(row) for row in self._pattern] != [len(graph.outputs)] * self._count:
                raise ArgumentError(
                    f"{who} needs a connection_pattern of {self._count} rows (inputs) of {len(graph.outputs)} "
                    f"(outputs), got {connection_pattern}"
                )

    @classmethod
    def _of(cls, graph: InnerGraph, captured: Sequence[Variable] = (), **options: Any) -> OpFromGraph:
        """The op of a graph that is there already."""
        op = cls.__new__(cls)
        if "grad_overrides" in options:
            options["lop_overrides"] = _without_outputs(options.pop("grad_overrides"))
        op._set(graph, captured, options.get("name") or cls.__name__, **options)
        return op

    def __str__(self) -> str:
        return self.name or "OpFromGraph"

    __repr__ = __str__

    @property
    def shared_inputs(self) -> list[Variable]:
        """The shared variables that the graph reads: the last inputs of each node."""
        return list(self._captured)

    # --- building and computing ------------------------------------------------------------------------------------

    def make_node(self, *inputs: Any) -> Apply:
        if len(inputs) == self._count:
            inputs = (*inputs, *self._captured)
        if len(inputs) != len(self.graph.inputs):
            raise ArgumentError(f"{self} needs {self._count} inputs, got {len(inputs)}")
        given = [self._fitted(k, own, x) for k, (own, x) in enumerate(zip(self.graph.inputs, inputs, strict=True))]
        outputs = self.graph.outputs
        if any(x.type != own.type for own, x in zip(self.graph.inputs, given, strict=True)):
            outputs = tuple(self.graph.applied(given))  # more may be known of these
        return Apply(self, given, [out.type for out in outputs])

    def _fitted(self, position: int, own: Variable, x: Any) -> Variable:
        kind = own.type
        x = kind.as_variable(x) if not isinstance(x, Variable) else x
        if kind.is_super(x.type):
            return x
        both = kind.meet(x.type)
        if both is None or not isinstance(kind, TensorType):
            called = f" ({own.name})" if own.name else ""
            raise DTypeError(f"{self} needs {kind} as input {position}{called}, got {x} of type {x.type}", blame=x)
        return specify_shape(x, kind.shape)

    def inner_graphs(self) -> Mapping[str, InnerGraph]:
        return {"graph": self.graph}

    def with_inner_graphs(self, graphs: Mapping[str, InnerGraph]) -> OpFromGraph:
        twin = copy.copy(self)
        twin.graph = graphs["graph"]
        return twin

    def opened(self, node: Apply) -> list[Variable]:
        return self.graph.applied(node.inputs)

    def performer(self, node: Apply, compiled: Callable[[InnerGraph], Runs]) -> Callable[..., None]:
        run = compiled(self.graph)

        def perform(node: Apply, inputs: Sequence[Any], output_storage: Sequence[list]) -> None:
            seen = set(map(id, inputs))
            for cell, value in zip(output_storage, run(inputs), strict=True):
                cell[0] = owned(value, seen)

        return perform

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return shapes_through(self.graph, node.inputs, input_shapes)

    def do_constant_folding(self, node: Apply) -> bool:
        """What is inside is folded by itself once it is opened."""
        return not self.inline

    # --- derivatives ------------------------------------------------------------------------------------------------

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        if self._pattern is not None:
            given = [list(row) for row in self._pattern]
            return given + _pattern_of(self.graph)[self._count :]
        pattern = _pattern_of(self.graph)
        for k in range(self._count):
            own = self._lop[k] if isinstance(self._lop, tuple) else self._lop
            if own is None or isinstance(getattr(own, "type", None), DisconnectedType):
                pattern[k] = [False] * len(pattern[k])
            elif own != _DEFAULT:
                pattern[k] = [True] * len(pattern[k])
        return pattern

    def grad(self, inputs: Sequence[Variable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The given gradients; for the other inputs, those of the graph, by the chain rule."""
        own = self._lop if isinstance(self._lop, tuple) else [_DEFAULT] * self._count
        if not isinstance(self._lop, tuple) and self._lop != _DEFAULT:
            found = self._lop(list(inputs[: self._count]), self(*inputs, return_list=True), list(output_grads))
            own = _as_many(self, "lop_overrides", found, self._count)
        elif any(map(callable, own)):
            outputs = self(*inputs, return_list=True)
            own = [f(list(inputs[: self._count]), outputs, list(output_grads)) if callable(f) else f for f in own]
        gradients: list[Any] = [disconnected() if g is None else g for g in own]
        gradients += [_DEFAULT] * len(self._captured)
        wanted = [k for k, g in enumerate(gradients) if isinstance(g, str)]
        if wanted:
            for k, g in zip(wanted, self._derived(inputs, output_grads, wanted), strict=True):
                gradients[k] = g
        return gradients

    def _derived(
        self, inputs: Sequence[Variable], output_grads: Sequence[Variable], wanted: Sequence[int]
    ) -> list[Variable]:
        """The gradients of the inputs of these numbers."""
        graph = self.graph.unfrozen()
        used = [(out, g) for out, g in zip(graph.outputs, output_grads, strict=True) if not is_missing(g)]
        slots = [g.type(f"g{k}") for k, (_, g) in enumerate(used)]
        outs, wrt = [out for out, _ in used], [graph.inputs[k] for k in wanted]
        found = Lop(outs, wrt, slots, None, "ignore", "disconnected", null_gradients="return")
        return self._applied(found, [*graph.inputs, *slots], [*inputs, *(g for _, g in used)], "gradient of")

    def R_op(self, inputs: Sequence[Variable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The given tangents; for the other outputs, those of the graph, by the chain rule."""
        given, points = list(inputs[: self._count]), list(eval_points[: self._count])
        own = self._rop if isinstance(self._rop, tuple) else [_DEFAULT] * len(self.graph.outputs)
        if not isinstance(self._rop, tuple) and self._rop != _DEFAULT:
            own = _as_many(self, "rop_overrides", self._rop(given, points), len(self.graph.outputs))
        tangents: list[Any] = [f(given, points) if callable(f) else f for f in own]
        wanted = [k for k, t in enumerate(tangents) if isinstance(t, str)]
        if wanted:
            for k, t in zip(wanted, self._pushed(inputs, eval_points, wanted), strict=True):
                tangents[k] = t
        return tangents

    def _pushed(
        self, inputs: Sequence[Variable], eval_points: Sequence[Variable | None], wanted: Sequence[int]
    ) -> list[Variable | None]:
        """The tangents of the outputs of these numbers."""
        graph = self.graph.unfrozen()
        moving = [(x, point) for x, point in zip(graph.inputs, eval_points, strict=True) if point is not None]
        slots = [point.type(f"d{k}") for k, (_, point) in enumerate(moving)]
        outs = [graph.outputs[k] for k in wanted]
        try:
            found = Rop(outs, [x for x, _ in moving], slots, "ignore", "none")
        except NullGradientError as error:
            return [NullType(str(error))() for _ in wanted]
        return self._applied(found, [*graph.inputs, *slots], [*inputs, *(p for _, p in moving)], "tangent of")

    def _applied(
        self, found: Sequence[Any], own: Sequence[Variable], inputs: Sequence[Variable], what: str, inline: Any = None
    ) -> list[Any]:
        """What was derived of variables ``own``, for ``inputs``: as nodes, or in an op of the same kind as this one."""
        present = [k for k, x in enumerate(found) if not (x is None or is_missing(x) or is_null(x))]
        out = list(found)
        if present:
            graph = InnerGraph(own, [found[k] for k in present])
            inline = self.inline_derivatives if inline is None else inline
            op = OpFromGraph._of(graph, inline=inline, name=f"{what} {self}")
            results = graph.applied(inputs) if inline else op(*inputs, return_list=True)
            for k, x in zip(present, results, strict=True):
                out[k] = x
        return out

    @property
    def inline_derivatives(self) -> bool:
        """Whether derivatives are opened like the op itself."""
        return self.inline

    # --- stacks -----------------------------------------------------------------------------------------------------

    def batch(self, node: Apply, inputs: Sequence[Any]) -> list[Any] | None:
        """The graph for stacks; None where an op inside has no form for them, or where derivatives are one's own."""
        if self._lop != _DEFAULT or self._rop != _DEFAULT or self._pattern is not None:
            return None
        graph = self.graph.unfrozen()
        places = [
            x.type() if x.type.ndim != own.type.ndim else own for own, x in zip(graph.inputs, inputs, strict=True)
        ]  # type: ignore[attr-defined]
        stacked = {own: place for own, place in zip(graph.inputs, places, strict=True) if own is not place}
        found = stacked_or_none(graph.outputs, stacked)  # type: ignore[arg-type]
        return None if found is None else self._applied(found, places, inputs, "stack of", self.inline)


def _pattern_of(graph: InnerGraph) -> list[list[bool]]:
    """Which output depends differentiably on which input, as the ops between them say."""
    reached: dict[Variable, set[int]] = {x: {k} if is_differentiable(x) else set() for k, x in enumerate(graph.inputs)}
    for node in graph.nodes:
        pattern = connections(node)
        for j, out in enumerate(node.outputs):
            found = [reached.get(x, set()) for x, row in zip(node.inputs, pattern, strict=True) if row[j]]
            reached[out] = set().union(*found) if is_differentiable(out) else set()
    return [[k in reached.get(out, set()) for out in graph.outputs] for k in range(len(graph.inputs))]


# --- arguments -------------------------------------------------------------------------------------------------------


def variables_of(who: str, what: str, given: Any) -> list[Variable]:
    found = list(given) if isinstance(given, (list, tuple)) else [given]
    for x in found:
        if not isinstance(x, Variable):
            raise ArgumentError(f"{who} needs variables as {what}, got {x!r} of type {type(x).__name__}")
    return found


def _checked(who: str, what: str, given: Any, count: int) -> Any:
    """Overrides: "default", a function, or a tuple with an entry for each of ``count``.  Errors: ArgumentError."""
    if given is None or (isinstance(given, str) and given == _DEFAULT):
        return _DEFAULT
    if callable(given) and not isinstance(given, Variable):
        return given
    if not isinstance(given, (list, tuple)):
        given = [given] * count
    if len(given) != count:
        raise ArgumentError(f"{who} needs {count} entries in {what}, got {len(given)}")
    for one in given:
        special = isinstance(one, Variable) and isinstance(one.type, (NullType, DisconnectedType))
        if not (one is None or special or one == _DEFAULT or (callable(one) and not isinstance(one, Variable))):
            raise ArgumentError(
                f'{who} needs functions, "default", None, or variables of NullType or DisconnectedType in {what}, '
                f"got {one!r} of type {type(one).__name__}"
            )
    return tuple(given)


class _WithoutOutputs:
    """A function of (inputs, output_grads) as one of (inputs, outputs, output_grads)."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Variable]) -> Any:
        return self.function(inputs, grads)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _WithoutOutputs) and self.function == other.function

    def __hash__(self) -> int:
        return hash((_WithoutOutputs, self.function))


def _without_outputs(given: Any) -> Any:
    if isinstance(given, (list, tuple)):
        return tuple(map(_without_outputs, given))
    return _WithoutOutputs(given) if callable(given) and not isinstance(given, Variable) else given


def _as_many(op: Any, what: str, found: Any, count: int) -> list[Any]:
    results = list(found) if isinstance(found, (list, tuple)) else [found]
    if len(results) != count:
        raise ArgumentError(f"{what} of {op} must return {count} variables, got {len(results)}")
    return results


# --- rewriting -------------------------------------------------------------------------------------------------------


@canonicalize.node_rule(OpFromGraph)
def inline_ops_are_opened(graph: Any, node: Apply) -> list[Variable] | None:
    """f(x) -> what f computes from x, so that it is simplified and fused with what is around.  Exact."""
    return node.op.opened(node) if node.op.inline else None
