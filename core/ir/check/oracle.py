"""The loop IR by NumPy, slowly and plainly: views, scatters and kernels.  The oracle of lowering and of passes.

Stricter than a backend: a read outside an array is an error unless a guard keeps it from happening.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.dataclass import dataclass, field
from core.errors import BackendError, IndexOutOfBounds, ShapeError, VerifyError
from core.ir.codes import Code, Combine
from core.ir.evaluate import evaluate_scalar
from core.ir.expr import Expr, index
from core.ir.nodes import Arrive, Assign, Atomic, Break, If, Kernel, Let, Local, Loop, Statement, Store
from core.ir.scatter import Scatter
from core.ir.view import View
from core.ir.walk import walk

Arrays = Mapping[Any, Any]


def evaluate_view(view: View | Scatter, inputs: Arrays) -> np.ndarray:
    """All elements of ``view``.  ``inputs`` gives an array for each payload that is loaded or has a length.

    Errors: ShapeError and IndexOutOfBounds for what the expressions check when they run; IndexOutOfBounds for a read
    outside an array; BackendError for what has no value here.
    """
    if isinstance(view, Scatter):
        return _scatter(view, inputs)
    scope = _over(evaluate_lengths(view.shape, inputs), inputs)
    out = _value(view.at(tuple(scope.variables)), scope)
    return np.array(np.broadcast_to(out, scope.shape), dtype=view.dtype)


def evaluate_lengths(
    shape: Sequence[Expr], inputs: Arrays, takes: Mapping[Local, int] | None = None
) -> tuple[int, ...]:
    """The values of lengths, which may depend on locals.  Errors: ShapeError where one is negative."""
    lengths = tuple(int(_value(n, _Scope(inputs, locals=dict(takes or {})))) for n in shape)
    if any(n < 0 for n in lengths):
        raise ShapeError(f"a length is negative in shape {lengths}")
    return lengths


def evaluate_at(
    root: Expr, values: Mapping[Expr, int], inputs: Arrays, takes: Mapping[Local, int] | None = None
) -> Any:
    """One expression at given values of its loop variables and locals."""
    variables = {v: np.asarray(i) for v, i in values.items()}
    return _value(root, _Scope(inputs, variables=variables, locals=dict(takes or {})))


@dataclass
class _Scope:
    """Where an expression is evaluated: at all points of ``shape`` at once, of which only those in ``mask`` count.

    ``variables`` gives each loop variable's value, ``mask`` a bool, both with the axes of ``shape`` (some of length 1).
    """

    inputs: Arrays
    shape: tuple[int, ...] = ()
    variables: dict[Expr, np.ndarray] = field(default_factory=dict)
    mask: np.ndarray = field(default_factory=lambda: np.asarray(True))
    locals: dict[Any, Any] = field(default_factory=dict)

    def where(self, condition: Any) -> _Scope:
        return _Scope(self.inputs, self.shape, self.variables, self.mask & condition, self.locals)

    def counts(self, condition: Any) -> bool:
        """Whether ``condition`` holds at any point that counts."""
        return bool(np.any(np.broadcast_to(self.mask & condition, self.shape)))


def _over(shape: Sequence[int], inputs: Arrays) -> _Scope:
    """A scope of fresh variables over all of ``shape``."""
    grid = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij", sparse=True)
    variables = {index(f"i{axis}"): i for axis, i in enumerate(grid)}
    return _Scope(inputs, tuple(shape), variables, np.ones((1,) * len(shape), "bool"))


def _scatter(scatter: Scatter, inputs: Arrays) -> np.ndarray:
    out = evaluate_view(scatter.base, inputs).astype(scatter.dtype)
    if out.shape != evaluate_lengths(scatter.shape, inputs):
        raise ShapeError(
            f"a scatter of shape {evaluate_lengths(scatter.shape, inputs)} starts from a base of shape {out.shape}"
        )
    scope = _over(evaluate_lengths(scatter.extents, inputs), inputs)
    k = tuple(scope.variables)
    targets = [np.broadcast_to(_value(i, scope), scope.shape) for i in scatter.index(*k)]
    for axis, (target, n) in enumerate(zip(targets, out.shape, strict=True)):
        if scope.counts((target < 0) | (target >= n)):
            raise IndexOutOfBounds(f"a scatter writes outside axis {axis} of length {n}")
    values = np.broadcast_to(_value(scatter.value(*k), scope), scope.shape).astype(scatter.dtype)
    with np.errstate(all="ignore"):
        for position in np.ndindex(scope.shape):
            at = tuple(target[position] for target in targets)
            out[at] = (
                values[position] if scatter.combine is None else _JOINED[scatter.combine](out[at], values[position])
            )
    return out


# --- expressions ---------------------------------------------------------------------------------------------------


def _value(root: Expr, scope: _Scope) -> Any:
    """``root`` at every point of the scope: a scalar, or an array that broadcasts to its shape."""
    done: dict[Expr, Any] = {}
    for node in walk([root], into=lambda e: e.code not in _OWN_OPERANDS):
        if node.code in _OWN_OPERANDS:
            done[node] = _OWN_OPERANDS[node.code](node, scope)
        elif node.code in _RULES:
            done[node] = _RULES[node.code](node, [done[arg] for arg in node.args], scope)
        else:
            done[node] = evaluate_scalar(node, {arg: done[arg] for arg in node.args})
    return done[root]


def _index(node: Expr, args: Sequence[Any], scope: _Scope) -> Any:
    if node not in scope.variables:
        raise BackendError(f"the loop variable {node} is free in an expression that is evaluated outside its loop")
    return scope.variables[node]


def _length(node: Expr, args: Sequence[Any], scope: _Scope) -> Any:
    value, axis = node.payload
    array = _array(value, scope)
    return np.int64(getattr(scope.inputs[value], "passed", array.shape)[axis])


def _local(node: Expr, args: Sequence[Any], scope: _Scope) -> Any:
    if node.payload not in scope.locals:
        raise BackendError(f"the local {node} is read before it has a value")
    return scope.locals[node.payload]


def _load(node: Expr, args: Sequence[Any], scope: _Scope) -> Any:
    array = _array(node.payload, scope)
    if array.ndim != len(args):  # inside a kernel, the row-major position in a stored array
        array = array.reshape(-1)
    if array.ndim != len(args):
        raise ShapeError(f"{node} gives {len(args)} indices for an array of shape {array.shape}")
    for axis, (i, n) in enumerate(zip(args, array.shape, strict=True)):
        outside = (np.asarray(i) < 0) | (np.asarray(i) >= n)
        if scope.counts(outside):
            raise IndexOutOfBounds(f"{node} reads outside axis {axis} of length {n}")
    if 0 in array.shape:
        return np.zeros((), array.dtype)
    return array[tuple(np.clip(i, 0, n - 1) for i, n in zip(args, array.shape, strict=True))]


def _array(value: Any, scope: _Scope) -> np.ndarray:
    try:
        return np.asarray(scope.inputs[value])
    except KeyError:
        raise BackendError(f"{value} is read, but no array was given for it") from None


def _join(node: Expr, args: Sequence[Any], scope: _Scope) -> Any:
    a, b = args
    if scope.counts((a != b) & (a != 1) & (b != 1)):
        raise ShapeError(f"lengths {a} and {b} do not broadcast: {node}")
    return np.where(np.equal(a, 1), b, a)[()]


def _same(node: Expr, args: Sequence[Any], scope: _Scope) -> Any:
    a, b = args
    if scope.counts(np.not_equal(a, b)):
        raise ShapeError(f"lengths {a} and {b} must be equal: {node}")
    return a


def _stretch(node: Expr, args: Sequence[Any], scope: _Scope) -> Any:
    i, n = args
    return np.where(np.equal(n, 1), 0, i)[()]


def _spread(node: Expr, args: Sequence[Any], scope: _Scope) -> Any:
    big, small = args
    if scope.counts((small != big) & (small != 1)):
        raise ShapeError(f"length {small} does not broadcast to {big}: {node}")
    return np.where(np.equal(small, 1), big, 1)[()]


def _wrap(node: Expr, args: Sequence[Any], scope: _Scope) -> Any:
    i, n = args
    if scope.counts((i < -n) | (i >= n)):
        raise IndexOutOfBounds(f"an index is outside an axis of length {n}: {node}")
    return np.where(np.less(i, 0), i + n, i)[()]


def _unravel(node: Expr, args: Sequence[Any], scope: _Scope) -> Any:
    flat, *lengths = args
    below = 1
    for n in lengths[node.payload + 1 :]:
        below = below * n
    return flat // np.maximum(below, 1) % np.maximum(lengths[node.payload], 1)


_RULES: dict[Code, Callable[[Expr, Sequence[Any], _Scope], Any]] = {
    Code.INDEX: _index,
    Code.LENGTH: _length,
    Code.LOCAL: _local,
    Code.LOAD: _load,
    Code.JOIN: _join,
    Code.SAME: _same,
    Code.STRETCH: _stretch,
    Code.SPREAD: _spread,
    Code.WRAP: _wrap,
    Code.UNRAVEL: _unravel,
}


def _guarded(node: Expr, scope: _Scope) -> Any:
    condition, a, b = node.args
    holds = _value(condition, scope)
    return np.where(holds, _value(a, scope.where(holds)), _value(b, scope.where(np.logical_not(holds))))[()]


# --- reductions ----------------------------------------------------------------------------------------------------

_REDUCED: dict[Combine, Callable[..., Any]] = {
    Combine.ADD: np.add.reduce,
    Combine.MUL: np.multiply.reduce,
    Combine.MAX: np.maximum.reduce,
    Combine.MIN: np.minimum.reduce,
    Combine.OR: np.logical_or.reduce,
    Combine.AND: np.logical_and.reduce,
}
_JOINED: dict[Combine, Callable[[Any, Any], Any]] = {
    Combine.ADD: np.add,
    Combine.MUL: np.multiply,
    Combine.MAX: np.maximum,
    Combine.MIN: np.minimum,
    Combine.OR: np.logical_or,
    Combine.AND: np.logical_and,
}
_NEED_ELEMENTS = frozenset({Combine.MAX, Combine.MIN})


def _reduce(node: Expr, scope: _Scope) -> Any:
    """One axis more for each bound variable, then NumPy's own reduction over those axes, flattened to one."""
    combine, bound = node.payload
    extents = [np.asarray(_value(n, scope)) for n in node.args[1:]]
    if combine in _NEED_ELEMENTS and any(scope.counts(n <= 0) for n in extents):
        raise ShapeError(f"the {combine.value} of nothing has no value: {node}")
    inner = _inside(scope, bound, extents)
    count = int(np.prod(inner.shape[len(scope.shape) :], dtype="int64"))
    if combine in _NEED_ELEMENTS and count == 0:  # and no point that counts
        return np.zeros((), node.dtype)
    body = np.broadcast_to(_value(node.args[0], inner), inner.shape)
    if combine not in _NEED_ELEMENTS or not np.all(inner.mask):
        body = np.where(inner.mask, body, np.asarray(combine.identity(body.dtype.name), body.dtype))
    with np.errstate(all="ignore"):
        out = _REDUCED[combine](body.reshape(*scope.shape, count), axis=-1)
    return np.asarray(out).astype(node.dtype)[()]


def _inside(scope: _Scope, bound: Sequence[Expr], extents: Sequence[np.ndarray]) -> _Scope:
    """The scope of a reduction's body.  An extent may depend on outer variables: what lies beyond it does not count."""
    more = (1,) * len(bound)
    longest = [int(np.max(n, initial=0)) for n in extents]
    variables = {v: i.reshape(i.shape + more) for v, i in scope.variables.items()}
    mask = np.reshape(scope.mask, np.shape(scope.mask) + more)
    for position, (v, n, limit) in enumerate(zip(bound, longest, extents, strict=True)):
        along = [1] * (len(scope.shape) + len(bound))
        along[len(scope.shape) + position] = n
        variables[v] = np.arange(n).reshape(along)
        mask = mask & (variables[v] < (limit.reshape(limit.shape + more) if limit.ndim else limit))
    return _Scope(scope.inputs, (*scope.shape, *longest), variables, mask, scope.locals)


_OWN_OPERANDS: dict[Code, Callable[[Expr, _Scope], Any]] = {Code.GUARDED: _guarded, Code.REDUCE: _reduce}


# --- kernels -------------------------------------------------------------------------------------------------------


def run_kernel(kernel: Kernel, arrays: Mapping[Any, np.ndarray], takes: Mapping[Local, int] | None = None) -> None:
    """Run the statements of a kernel one after the other.  ``arrays`` gives what it reads, and what it writes in place.

    takes   values of the locals that it takes
    Errors  as of evaluate_view
    Grid, combine and simd loops, and those that a device spreads out, run in order, which any order must agree with.
    """
    own = {value: np.zeros(size, dtypes.real_of(value.dtype)) for value, size in kernel.arrays.items()}
    arrays = {value: _in_parts(array) for value, array in arrays.items()}
    _run(kernel.body, _Scope({**arrays, **own}, locals={local: np.int64(n) for local, n in (takes or {}).items()}))


def _in_parts(array: np.ndarray) -> np.ndarray:
    """The same memory, of complex numbers seen as their parts; its lengths are still those of the array."""
    if array.dtype.kind != "c":
        return array
    flat = np.reshape(array, -1)
    assert array.size == 0 or np.shares_memory(flat, array)
    parts = flat.view(dtypes.real_of(array.dtype.name)).view(_Parts)
    parts.passed = getattr(array, "passed", array.shape)
    return parts


class _Parts(np.ndarray):
    """The parts of an array of complex numbers; ``passed``: the lengths of that."""

    passed: Sequence[int]


def _run(body: Sequence[Statement], scope: _Scope) -> bool:
    """Run statements.  Returns whether one of them leaves the loop in whose body they stand."""
    for statement in body:
        if isinstance(statement, (Let, Assign)):
            scope.locals[statement.local] = np.asarray(_value(statement.value, scope), statement.local.dtype)[()]
        elif isinstance(statement, (Store, Atomic)):
            array, at = scope.inputs[statement.buffer], int(_value(statement.offset, scope))
            if not 0 <= at < array.size:
                raise IndexOutOfBounds(f"a kernel writes element {at} of {statement.buffer}, which has {array.size}")
            new = _value(statement.value, scope)
            with np.errstate(all="ignore"):
                array.flat[at] = (
                    new if isinstance(statement, Store) else _JOINED[statement.combine](array.flat[at], new)
                )
        elif isinstance(statement, Loop):
            steps = range(int(_value(statement.start, scope)), int(_value(statement.extent, scope)))
            if statement.fits and len(steps) % statement.width:
                raise VerifyError(f"{len(steps)} elements do not fit: they are no multiple of {statement.width}")
            for i in reversed(steps) if statement.reverse else steps:
                scope.variables[statement.variable] = np.asarray(i)
                if _run(statement.body, scope):
                    break
        elif isinstance(statement, Arrive):
            counter, at = scope.inputs[statement.counter], int(_value(statement.offset, scope))
            if not 0 <= at < counter.size:
                raise IndexOutOfBounds(f"groups arrive at {at} of {statement.counter}, which has {counter.size}")
            counter.flat[at] = (counter.flat[at] + 1) % int(_value(statement.count, scope))
            scope.locals[statement.last] = np.bool_(counter.flat[at] == 0)
        elif isinstance(statement, If):
            _run(statement.body if _value(statement.condition, scope) else statement.orelse, scope)
        elif isinstance(statement, Break) and _value(statement.condition, scope):
            return True
    return False
