"""ifelse: one of two values, of which only the one that is taken is computed.

In a graph an IfElse is a node like any other, and both its values are inputs: derivatives, replacements and rewrites
see through it.  That only one of them is computed is seen to when the graph is compiled: see compile/branches.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, DTypeError, ShapeError
from core.graph import Apply, Constant, FunctionGraph, NullType, Type, Variable
from core.op import Op, disconnected
from core.rewriting import canonicalize
from core.tensor.broadcast import Alloc
from core.tensor.dimshuffle import expand_dims
from core.tensor.elementwise import second
from core.tensor.logic import logical_not, not_equal, where
from core.tensor.shape import shape_of
from core.tensor.type import TensorType, TensorVariable, as_tensor, constant

__all__ = ["IfElse", "ifelse"]


def ifelse(condition: Any, then_branch: Any, else_branch: Any, name: str | None = None) -> Any:
    """``then_branch`` where the scalar ``condition`` is not 0, else ``else_branch``; the other one is not computed.

    condition     a scalar: a tensor of ndim 0, a number or a bool
    then_branch, else_branch   variables, arrays or numbers of one dtype and ndim; or tuples or lists of as many of them
    name          of the result, or of the first one

    Whatever only one of the branches needs is computed when that is taken, and then alone: it may be costly, or fail.
    Gradients choose the same way, so that a NaN of the branch that is not taken reaches nobody.  ``ct.where`` chooses
    element by element, and computes both.
    Returns a variable, or a tuple or list like ``then_branch``.  Lengths may differ; what is known of both, is known.
    Errors: ShapeError for a condition that is no scalar, or another ndim; DTypeError for another dtype; ArgumentError
    for branches of different numbers of values.

    >>> import core, core.tensor as ct
    >>> x = ct.scalar("x")
    >>> y = core.ifelse(x > 0, ct.log(x), x)
    >>> f = core.function([x], [y, core.grad(y, x)])
    >>> f(0.5), f(0.0)
    ([array(-0.69314718), array(2.)], [array(0.), array(1.)])
    """
    several = isinstance(then_branch, (tuple, list))
    if several != isinstance(else_branch, (tuple, list)):
        raise ArgumentError("ifelse needs one value in both branches, or several in both")
    thens, elses = (list(x) if several else [x] for x in (then_branch, else_branch))
    if len(thens) != len(elses):
        raise ArgumentError(f"ifelse needs as many values in both branches, got {len(thens)} and {len(elses)}")
    if not thens:
        return type(then_branch)()
    pairs = [_alike(k if several else None, a, b) for k, (a, b) in enumerate(zip(thens, elses, strict=True))]
    values = [*(a for a, _ in pairs), *(b for _, b in pairs)]
    found = IfElse(len(pairs))(_as_condition(condition), *values, return_list=True)
    if name is not None:
        found[0].name = name
    return type(then_branch)(found) if several else found[0]


def _as_condition(condition: Any) -> TensorVariable:
    """A condition as a 0-d bool: what is not 0 is true, NaN too, as in Python."""
    found = as_tensor(condition)
    if found.ndim:
        raise ShapeError(
            f"ifelse needs a scalar as condition, got {found} with ndim={found.ndim}; "
            "ct.where chooses element by element",
            blame=found,
        )
    if found.dtype == "bool":
        return found
    if isinstance(found, Constant):
        return constant(bool(found.data))
    return not_equal(found, constant(0, dtype=found.dtype))


def _alike(position: int | None, a: Any, b: Any) -> tuple[Variable, Variable]:
    """Two values as variables of one dtype and ndim; a number beside a variable takes its dtype.  Errors: of ifelse."""
    if not isinstance(a, Variable) and isinstance(b, TensorVariable):
        a = _weak(a, b)
    elif not isinstance(b, Variable) and isinstance(a, TensorVariable):
        b = _weak(b, a)
    one, other = (x if isinstance(x, Variable) else as_tensor(x) for x in (a, b))
    which = "both branches" if position is None else f"value {position} of both branches"
    if not (isinstance(one.type, TensorType) and isinstance(other.type, TensorType)):
        if one.type != other.type:
            raise DTypeError(f"ifelse needs one type in {which}, got {one.type} and {other.type}", blame=other)
    elif one.type.dtype != other.type.dtype:
        raise DTypeError(
            f"ifelse needs one dtype in {which}, got {one} of dtype {one.type.dtype} and {other} of dtype "
            f"{other.type.dtype}; use astype",
            blame=other,
        )
    elif one.type.ndim != other.type.ndim:
        raise ShapeError(
            f"ifelse needs one ndim in {which}, got {one} with ndim={one.type.ndim} and {other} with "
            f"ndim={other.type.ndim}",
            blame=other,
        )
    return one, other


def _weak(value: Any, beside: TensorVariable) -> Any:
    weak = isinstance(value, (bool, int, float, complex)) and np.can_cast(type(value), beside.dtype, "same_kind")
    return constant(value, dtype=beside.dtype) if weak else value


class IfElse(Op):
    """Outputs k = 0, ..., n - 1: input 1 + k where the condition holds, else input 1 + n + k.

    Inputs   condition: bool, shape (); n values; n values of their dtypes and ndims.
    Outputs  n, of the types that both values have in common.
    """

    __props__ = ("n",)
    chooses = True

    def __init__(self, n: int = 1):
        self.n = n

    def make_node(self, condition: Any, *values: Any) -> Apply:
        condition = as_tensor(condition, dtype="bool", ndim=0)
        if len(values) != 2 * self.n:
            raise ArgumentError(f"{self} needs {2 * self.n} values, got {len(values)}")
        given = [x if isinstance(x, Variable) else as_tensor(x) for x in values]
        pairs = zip(given[: self.n], given[self.n :], strict=True)
        return Apply(self, [condition, *given], [_common(a.type, b.type, self) for a, b in pairs])

    def sides(self, node: Apply) -> tuple[list[Variable], list[Variable]]:
        """The values where the condition holds, and where it does not."""
        return node.inputs[1 : 1 + self.n], node.inputs[1 + self.n :]

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list]) -> None:
        first = 1 if inputs[0] else 1 + self.n
        for k, cell in enumerate(output_storage):
            value = inputs[first + k]
            cell[0] = value.copy() if isinstance(value, np.ndarray) else value

    def infer_shape(self, node: Apply, input_shapes: Sequence[Any]) -> list[Any]:
        condition, shapes = node.inputs[0], input_shapes[1:]
        pairs = zip(shapes[: self.n], shapes[self.n :], strict=True)
        return [
            None if a is None else tuple(_one_of(condition, n, m) for n, m in zip(a, b, strict=True)) for a, b in pairs
        ]

    # --- derivatives ------------------------------------------------------------------------------------------------

    def grad(self, inputs: Sequence[Any], output_grads: Sequence[Variable]) -> list[Variable]:
        """The value that is taken gets the gradient, the other one zeros.

        ``core.grad`` itself leaves the zeros out until a variable has gradients from both branches: see gates.py.
        """
        condition, thens, elses = inputs[0], inputs[1 : 1 + self.n], inputs[1 + self.n :]
        below: list[Variable] = [disconnected()]
        for values, other in ((thens, False), (elses, True)):
            for x, g in zip(values, output_grads, strict=True):
                found = [g, _zeros_like(x)] if isinstance(g, TensorVariable) else None
                below.append(ifelse(condition, *(found[::-1] if other else found)) if found else g)
        return below

    def R_op(self, inputs: Sequence[Any], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The tangent of the value that is taken."""
        tangents: list[Variable | None] = []
        for k in range(self.n):
            points = [eval_points[1 + k], eval_points[1 + self.n + k]]
            null = next((p for p in points if p is not None and isinstance(p.type, NullType)), None)
            if null is not None or points == [None, None]:
                tangents.append(null)
                continue
            values = inputs[1 + k], inputs[1 + self.n + k]
            filled = [_zeros_like(x) if p is None else p for p, x in zip(points, values, strict=True)]
            tangents.append(ifelse(inputs[0], *filled))
        return tangents

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        own = [[k == j for j in range(self.n)] for k in range(self.n)]
        return [[False] * self.n, *own, *own]

    # --- stacks -----------------------------------------------------------------------------------------------------

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[Any] | None:
        """Of a stack of conditions, chosen by ``where``: then both values are computed."""
        condition, values = inputs[0], inputs[1:]
        if condition.ndim:
            found = []
            for k, out in enumerate(node.outputs):
                at = expand_dims(condition, tuple(range(1, 1 + out.type.ndim)))  # type: ignore[attr-defined]
                found.append(where(at, values[k], values[self.n + k]))
            return found
        stacks = [x for x, old in zip(values, node.inputs[1:], strict=True) if x.ndim > old.type.ndim]  # type: ignore[attr-defined]
        n = shape_of(stacks[0])[0]
        pairs: list[tuple[TensorVariable, TensorVariable]] = []
        for k in range(self.n):
            both = values[k], values[self.n + k]
            deep = max(x.ndim for x in both)
            a, b = (x if x.ndim == deep else Alloc()(x, n, *shape_of(x)) for x in both)
            pairs.append((a, b))
        return ifelse(condition, [a for a, _ in pairs], [b for _, b in pairs])


def _common(a: Type, b: Type, op: Op) -> Type:
    """The most special type of which the values of both are.  Errors: DTypeError."""
    if a == b:
        return a
    if not (isinstance(a, TensorType) and isinstance(b, TensorType)) or (a.dtype, a.ndim) != (b.dtype, b.ndim):
        raise DTypeError(f"{op} needs two values of one type, got {a} and {b}")
    return TensorType(a.dtype, tuple(n if n == m else None for n, m in zip(a.shape, b.shape, strict=True)))


def _one_of(condition: Variable, n: Any, m: Any) -> Any:
    """A length that is ``n`` or ``m``."""
    if n is m or (isinstance(n, int) and isinstance(m, int) and n == m):
        return n
    known = [x.data if isinstance(x, Constant) else x for x in (n, m)]
    if not any(isinstance(x, Variable) for x in known) and int(known[0]) == int(known[1]):
        return n
    return ifelse(condition, as_tensor(n).astype("int64"), as_tensor(m).astype("int64"))


def _zeros_like(x: Any) -> TensorVariable:
    return second(x, constant(0, dtype=x.type.dtype if x.type.dtype in dtypes.CONTINUOUS else "float64"))


# --- rewriting -------------------------------------------------------------------------------------------------------


@canonicalize.node_rule(IfElse)
def a_known_condition_has_one_branch(graph: FunctionGraph, node: Apply) -> list[Variable] | None:
    """ifelse(True, a, b) -> a.  Exact."""
    condition = node.inputs[0]
    if not isinstance(condition, Constant):
        return None
    thens, elses = node.op.sides(node)
    return thens if condition.data else elses


@canonicalize.node_rule(IfElse)
def equal_branches_need_no_condition(graph: FunctionGraph, node: Apply) -> list[Variable | None] | None:
    """ifelse(c, a, a) -> a.  Exact; of several values, those that are the same in both."""
    thens, elses = node.op.sides(node)
    found = [a if _same(a, b) else None for a, b in zip(thens, elses, strict=True)]
    return found if any(x is not None for x in found) else None


@canonicalize.node_rule(IfElse, reads=(IfElse,))
def a_condition_is_asked_once(graph: FunctionGraph, node: Apply) -> Any:
    """ifelse(c, ifelse(c, a, b), d) -> ifelse(c, a, d), and likewise in the other branch.  Exact."""
    condition = node.inputs[0]
    sides = node.op.sides(node)
    new = [[_inside(x, condition, number) for x in side] for number, side in enumerate(sides)]
    if all(x is y for one, old in zip(new, sides, strict=True) for x, y in zip(one, old, strict=True)):
        return None
    return node.op(condition, *new[0], *new[1], return_list=True)


@canonicalize.node_rule(IfElse, reads=(logical_not,))
def a_condition_is_not_negated(graph: FunctionGraph, node: Apply) -> Any:
    """ifelse(not c, a, b) -> ifelse(c, b, a), so that it is seen to ask the same as others.  Exact."""
    asked = node.inputs[0].owner
    if asked is None or asked.op != logical_not or asked.inputs[0].type.dtype != "bool":  # type: ignore[attr-defined]
        return None
    thens, elses = node.op.sides(node)
    return node.op(asked.inputs[0], *elses, *thens, return_list=True)


def _inside(x: Variable, condition: Variable, side: int) -> Variable:
    """What ``x`` is where it is already known which side is taken."""
    while x.owner is not None and isinstance(x.owner.op, IfElse) and x.owner.inputs[0] is condition:
        x = x.owner.op.sides(x.owner)[side][x.index or 0]
    return x


def _same(a: Variable, b: Variable) -> bool:
    if isinstance(a, Constant) and isinstance(b, Constant):
        return a.signature() == b.signature()
    return a is b
