"""Backwards: the gradient of a scalar, and vector-Jacobian products, by each op's ``grad``.

One walk over the graph against its direction; nothing recurses, and nothing is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from core import dtypes
from core.errors import ArgumentError, GradientError, NullGradientError, attributed_to
from core.gradient.common import (
    OnDisconnected,
    ReturnDisconnected,
    as_derivative,
    as_variables,
    check_choice,
    is_differentiable,
    is_missing,
    is_null,
    misfit,
    shaped_like,
    without,
)
from core.gradient.gates import Gates, Term, behind, common, total
from core.graph import Apply, NullType, Variable, toposort
from core.op import disconnected
from core.tensor.type import TensorType, constant


def grad(
    cost: Variable | None,
    wrt: Any,
    consider_constant: Iterable[Variable] | None = None,
    disconnected_inputs: OnDisconnected = "raise",
    add_names: bool = True,
    known_grads: Mapping[Variable, Any] | Iterable[tuple[Variable, Any]] | None = None,
    return_disconnected: ReturnDisconnected = "zero",
    null_gradients: Literal["raise", "return"] = "raise",
) -> Any:
    """The gradient of the scalar ``cost`` with respect to ``wrt``, a variable or a sequence of them.

    Each gradient has the shape and dtype of its variable.  Returns a variable for a variable, a list for a list.  That
    of a complex z = x + iy is dcost/dx - i dcost/dy, so that cost moves by Re sum(g dz), and falls along -conj(g).

    consider_constant    variables that no gradient passes
    disconnected_inputs  what to do where the cost does not depend on a variable: "raise", "warn" or "ignore"
    add_names            name the gradients "(dcost/dx)" where both have names
    known_grads          gradients that are known, by variable; ``cost`` may then be None.  What the cost itself would
                         contribute to such a variable is replaced
    return_disconnected  what to return there: "zero", "none" or "disconnected"
    null_gradients       "raise" or "return", where a gradient is undefined or not implemented

    Errors: GradientError unless the cost is a real floating-point scalar; DisconnectedInputError; NullGradientError.

    >>> import core, core.tensor as ct
    >>> x = ct.vector("x")
    >>> g = core.grad((x ** 2).sum(), x)
    >>> core.function([x], g)([1.0, 2.0])
    array([2., 4.])
    """
    check_choice("null_gradients", null_gradients, ("raise", "return"))
    known = {} if known_grads is None else dict(known_grads)
    seeds = {x: [as_derivative(g, x, "a known gradient")] for x, g in known.items()}
    if cost is None and not known:
        raise ArgumentError("grad needs a cost, or known_grads to start from, got neither")
    if cost is not None:
        _check_cost(cost)
        seeds.setdefault(cost, [constant(1, dtype=cost.type.dtype)])
    pull = _Pull(seeds, as_variables("wrt of grad", wrt), set(consider_constant or ()), fixed=set(known))
    gradients = pull.results(disconnected_inputs, return_disconnected, null_gradients)
    if add_names and cost is not None and cost.name is not None:
        pull.name(cost.name)
    return shaped_like(wrt, gradients)


def Lop(
    f: Any,
    wrt: Any,
    eval_points: Any,
    consider_constant: Iterable[Variable] | None = None,
    disconnected_inputs: OnDisconnected = "raise",
    return_disconnected: ReturnDisconnected = "zero",
    null_gradients: Literal["raise", "return"] = "raise",
) -> Any:
    """Row vector times Jacobian: for each variable of ``wrt``, the sum over outputs of ``eval_point^T (df / dwrt)``.

    Of complex variables the transpose of ``Rop`` for the product ``Re sum(g dz)``: nothing is conjugated, and where f
    is holomorphic it is a product with f'.
    ``eval_points`` holds one tensor for each output in ``f``, of its shape and dtype.  The rest is as of grad.
    Errors: as of grad; ArgumentError when the numbers of outputs and of points differ.
    """
    outputs = as_variables("f of Lop", f)
    points = list(eval_points) if isinstance(eval_points, (list, tuple)) else [eval_points]
    if len(points) != len(outputs):
        raise ArgumentError(f"Lop needs one eval_point for each of {len(outputs)} outputs, got {len(points)}")
    seeds: dict[Variable, list[Variable]] = {}
    for out, point in zip(outputs, points, strict=True):
        if point is not None and is_differentiable(out):
            seeds.setdefault(out, []).append(as_derivative(point, out, "an eval_point of Lop"))
    pull = _Pull(seeds, as_variables("wrt of Lop", wrt), set(consider_constant or ()), fixed=set())
    return shaped_like(wrt, pull.results(disconnected_inputs, return_disconnected, null_gradients))


def _check_cost(cost: Any) -> None:
    if not isinstance(cost, Variable):
        raise ArgumentError(f"grad needs a variable as cost, got {cost!r} of type {type(cost).__name__}")
    if isinstance(cost.type, NullType):
        raise NullGradientError(f"grad cannot differentiate this cost: {cost.type.why}")
    if not isinstance(cost.type, TensorType):
        raise GradientError(
            f"grad needs a real floating-point scalar as cost, got {cost} of type {cost.type}", blame=cost
        )
    if cost.type.ndim != 0:
        raise GradientError(
            f"grad needs a scalar as cost, got {cost} with ndim={cost.type.ndim}; sum it first, or use jacobian",
            blame=cost,
        )
    if cost.type.dtype not in dtypes.FLOATS:
        raise GradientError(
            f"grad needs a real floating-point scalar as cost, got {cost} of dtype {cost.type.dtype}", blame=cost
        )


class _Pull:
    """One walk against the direction of the graph.

    ``terms[v]`` are the gradients that reach ``v`` on its several ways; they are added when its node's turn comes.
    Those that came through a branch of an ``ifelse`` count only when that is taken: see gates.py.
    """

    def __init__(
        self,
        seeds: Mapping[Variable, list[Variable]],
        wrt: Sequence[Variable],
        blocked: set[Variable],
        fixed: set[Variable],
    ):
        self.wrt, self.blocked, self.fixed = list(wrt), blocked, fixed
        self.terms: dict[Variable, list[Term]] = {x: [Term((), g) for g in terms] for x, terms in seeds.items()}
        nodes = toposort(seeds)
        self.given = {x for terms in seeds.values() for x in terms} | {out for node in nodes for out in node.outputs}
        self.active = self._depending_on_wrt(nodes)
        for node in reversed(nodes):
            if any(x in self.active for x in node.inputs) and any(out in self.terms for out in node.outputs):
                self._through(node)
        self.gradients = {x: self._total(x, ()) for x in self.wrt if x in self.active and x in self.terms}

    def _depending_on_wrt(self, nodes: Sequence[Apply]) -> set[Variable]:
        """The variables through which a change of ``wrt`` can reach the seeds, as the ops' connection patterns say."""
        active = {x for x in self.wrt if self._may_vary(x)}
        for node in nodes:
            reached = [position for position, x in enumerate(node.inputs) if x in active]
            if not reached:
                continue
            pattern = connections(node)
            for k, out in enumerate(node.outputs):
                if self._may_vary(out) and any(pattern[position][k] for position in reached):
                    active.add(out)
        return active

    def _may_vary(self, x: Variable) -> bool:
        return x not in self.blocked and is_differentiable(x)

    def _through(self, node: Apply) -> None:
        """Ask the node's op for the gradients of its inputs, and add them to their terms."""
        with attributed_to(node.source):
            reaching = [out for out in node.outputs if out in self.terms and self._may_vary(out)]
            if not reaching:
                return
            gates = common([term.gates for out in reaching for term in self.terms[out]])
            above = [self._total(out, gates) if out in reaching else disconnected() for out in node.outputs]
            pattern = connections(node)
            reached = [
                [connected and not is_missing(g) for connected, g in zip(row, above, strict=True)] for row in pattern
            ]
            usable = [disconnected() if is_null(g) else g for g in above]
            asked = any(not is_missing(g) for g in usable)
            below = _checked(node, _asked(node, usable)) if asked else [disconnected() for _ in node.inputs]
            for position, (x, connected, g) in enumerate(zip(node.inputs, reached, below, strict=True)):
                if x not in self.active or x in self.fixed or not any(connected):
                    continue
                null = next((a for a, c in zip(above, connected, strict=True) if c and is_null(a)), None)
                found = g if null is None else null
                if is_missing(found):
                    continue
                if not is_null(found):
                    _check_fits(node, x, found)
                self.terms.setdefault(x, []).append(Term(behind(node, gates, position), found))

    def _total(self, x: Variable, gates: Gates) -> Variable:
        """The sum of the terms of ``x``, as far as it counts behind ``gates``, which all of them have."""
        with attributed_to(x.source):
            found = total(x, self.terms[x], len(gates))
        self.terms[x] = [Term(gates, found)]
        return found

    def results(self, on: OnDisconnected, give: ReturnDisconnected, null: Literal["raise", "return"]) -> list[Any]:
        """One gradient for each variable of ``wrt``, or what the caller wants where there is none."""
        check_choice("disconnected_inputs", on, ("raise", "warn", "ignore"))
        check_choice("return_disconnected", give, ("zero", "none", "disconnected"))
        out = []
        for x in self.wrt:
            g = self.gradients.get(x)
            if is_null(g) and null == "raise":
                raise NullGradientError(f"there is no gradient with respect to {x}: {g.type.why}", blame=x)
            out.append(without(x, self._why_missing(x), on, give) if is_missing(g) else g)
        return out

    def name(self, cost: str) -> None:
        """Name the gradients that were made here, after the cost and their variables."""
        for x, g in self.gradients.items():
            if x.name is not None and g.name is None and g not in self.given:
                g.name = f"(d{cost}/d{x.name})"

    def _why_missing(self, x: Variable) -> str:
        if not is_differentiable(x):
            return f"there is no gradient with respect to {x}, because its dtype, {x.type.dtype}, is discrete"
        if x in self.blocked:
            return f"there is no gradient with respect to {x}, because it is in consider_constant"
        return (
            f"the cost does not depend on {x}, or only through ops that are not differentiable; "
            'if that is meant, pass disconnected_inputs="ignore"'
        )


def _asked(node: Apply, above: Sequence[Variable]) -> list[Variable]:
    """What an op's ``grad`` says; of an ``ifelse``, the gradients of each branch, as if it were taken."""
    if node.op.chooses:
        return [disconnected(), *above, *above]
    return node.op.grad(node.inputs, above)


def connections(node: Apply) -> list[list[bool]]:
    """The op's connection pattern.  Errors: GradientError unless it has a row per input and a column per output."""
    pattern = node.op.connection_pattern(node)
    shape = (len(node.inputs), len(node.outputs))
    if len(pattern) != shape[0] or any(len(row) != shape[1] for row in pattern):
        raise GradientError(
            f"connection_pattern of {node.op} needs {shape[0]} rows (inputs) of {shape[1]} (outputs), got {pattern}",
            blame=node,
        )
    return pattern


def _checked(node: Apply, found: Any) -> list[Variable]:
    if not isinstance(found, (list, tuple)) or len(found) != len(node.inputs):
        got = f"{len(found)}" if isinstance(found, (list, tuple)) else f"{found!r} of type {type(found).__name__}"
        raise GradientError(
            f"grad of {node.op} needs to return {len(node.inputs)} gradients, one per input, got {got}", blame=node
        )
    return list(found)


def _check_fits(node: Apply, x: Variable, g: Any) -> None:
    wrong = misfit(g, x)
    if wrong is not None:
        position = next(k for k, y in enumerate(node.inputs) if y is x)
        raise GradientError(f"grad of {node.op} for its input {position} ({x}) needs {wrong}", blame=node)
