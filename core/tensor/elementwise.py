"""Elementwise ops: a scalar rule applied to each element, broadcasting.  The rules themselves are in math.py.

One plain function of scalars gives shape, broadcasting, gradient, tangent, and code for every dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from core import dtypes
from core.errors import ArgumentError, DTypeError, GradientError, ShapeError
from core.graph import Apply, DisconnectedType, NullType, Variable, clone_replace, toposort
from core.ir.evaluate import evaluate_scalar
from core.ir.expr import Expr, as_expr, equal, load, select
from core.ir.view import View, broadcast_shapes, broadcast_to
from core.op import Op, disconnected
from core.tensor.stacks import in_front
from core.tensor.type import TensorType, TensorVariable, as_operands, broadcast_static
from core.tensor.unbroadcast import unbroadcast


class Elementwise(Op):
    """``rule`` applied to each element of the inputs, which broadcast as in NumPy.

    Inputs  tensors; Python numbers are weak.   Output  broadcast shape; dtype of the rule on those dtypes.
    Make one with the ``elementwise`` decorator.  Equal to another with the same module and name.
    """

    __props__ = ("module", "name")

    def __init__(
        self,
        rule: Callable[..., Expr],
        derivative: Callable | None,
        differential: Callable | None,
        tangent: Callable | None = None,
    ):
        self.scalar_rule, self.derivative, self.differential, self.tangent = rule, derivative, differential, tangent
        self.module, self.name, self.__doc__ = rule.__module__, rule.__name__, rule.__doc__
        self.__name__ = self.__qualname__ = rule.__name__
        self.__module__, self.__wrapped__ = rule.__module__, rule
        self.nin = rule.__code__.co_argcount

    @cached_property
    def _hash(self) -> int:
        """Kept, since rewriting looks ops up all the time; never copied or pickled: see __reduce__."""
        return super().__hash__()

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Elementwise) and self._hash == other._hash and super().__eq__(other))

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__

    def __reduce__(self) -> tuple:
        return _find, (self.module, self.name)

    def __call__(self, *inputs: Any, name: str | None = None, return_list: bool = False, dtype: Any = None) -> Any:
        """Apply to tensors, arrays and numbers.  ``dtype`` casts the inputs first, as a NumPy ufunc does."""
        if dtype is not None:
            inputs = tuple(x.astype(dtype) for x in as_operands(*inputs))
        return super().__call__(*inputs, name=name, return_list=return_list)

    # --- building ---------------------------------------------------------------------------------------------------

    def make_node(self, *inputs: Any) -> Apply:
        if len(inputs) != self.nin:
            raise ArgumentError(f"{self} needs {self.nin} input{'s' * (self.nin != 1)}, got {len(inputs)}")
        operands = as_operands(*inputs)
        try:
            kind = self._output_type(*[x.type for x in operands])
        except ShapeError as error:
            names = " and ".join(f"{x} with shape {_shown(x.type.shape)}" for x in operands)
            raise ShapeError(f"{self} cannot broadcast {names}", blame=_blamed(operands)) from error
        except DTypeError as error:
            raise DTypeError(str(error), blame=_blamed(operands)) from error
        return Apply(self, operands, [kind])

    @lru_cache(maxsize=4096)  # noqa: B019 - ops live as long as their module
    def _output_type(self, *kinds: TensorType) -> TensorType:
        shape = broadcast_static(*(kind.shape for kind in kinds))
        return TensorType(self.template(*(kind.dtype for kind in kinds))[0].dtype, shape)

    def scalar(self, *operands: Any) -> Expr:
        """The rule on scalar expressions.  Errors: DTypeError, with its name, for what is no such rule."""
        try:
            made = self.scalar_rule(*operands)
        except TypeError as error:  # DTypeError is one
            if str(self) in str(error):
                raise
            raise DTypeError(f"the rule of {self} failed: {error}") from error
        return made if isinstance(made, Expr) else self._number(made, operands)

    def _number(self, made: Any, operands: Sequence[Expr]) -> Expr:
        """A rule's result that is a Python number: it is weak, as in NumPy; a bool is one."""
        if not isinstance(made, (bool, int, float, complex)):
            raise DTypeError(
                f"the rule of {self} must return an expression or a number, got {made!r} of type {type(made).__name__}"
            )
        dtype = "bool" if isinstance(made, bool) else dtypes.promote(*(x.dtype for x in operands), type(made))
        return as_expr(made, dtype)

    @lru_cache(maxsize=4096)  # noqa: B019 - ops live as long as their module
    def template(self, *kinds: str) -> tuple[Expr, tuple[Expr, ...]]:
        """The rule's expression for operands of these dtypes, and the placeholders in it."""
        places = tuple(load(f"x{position}", (), dtype) for position, dtype in enumerate(kinds))
        return self.scalar(*places), places

    # --- computing --------------------------------------------------------------------------------------------------

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        expr, places = self.template(*(x.dtype for x in node.inputs))
        out = np.asarray(evaluate_scalar(expr, dict(zip(places, inputs, strict=True))), dtype=expr.dtype)
        shapes = {x.shape for x in inputs}
        shape = np.broadcast_shapes(*shapes) if len(shapes) > 1 else next(iter(shapes), ())
        own = out.shape == shape and out.base is None and not any(out is x for x in inputs)
        output_storage[0][0] = out if own else np.array(np.broadcast_to(out, shape))

    def lower(self, node: Apply, *views: View) -> View:
        shape = broadcast_shapes(*(view.shape for view in views))
        operands = [broadcast_to(view, shape) for view in views]
        return View(node.out.dtype, shape, lambda index: self.scalar(*(view.at(index) for view in operands)))

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        """Along each axis: a length that is known not to be 1, else the broadcast of those that are not known."""
        out: list[Any] = [1] * node.out.ndim
        for x, shape in zip(node.inputs, input_shapes, strict=True):
            skip = node.out.ndim - x.ndim
            for axis, (known, n) in enumerate(zip(x.type.shape, shape, strict=True), start=skip):
                if known == 1 or (node.out.type.shape[axis] not in (None, 1) and out[axis] != 1):
                    continue
                out[axis] = n if isinstance(out[axis], int) and out[axis] == 1 else broadcast_length(out[axis], n)
        return [tuple(known if known is not None else n for known, n in zip(node.out.type.shape, out, strict=True))]

    # --- derivatives ------------------------------------------------------------------------------------------------

    def _changes(self, change: TensorVariable, inputs: Sequence[TensorVariable]) -> list[TensorVariable | None]:
        """What a change of each input adds to the output: linear, pointwise maps, which are their own transposes.

        Of complex numbers that holds where it is a product; elsewhere this is the transpose, for ``Re(g dz)``.
        """
        if self.differential is not None:
            return list(self.differential(change, *inputs))
        if self.derivative is not None:
            partials = self.derivative(*inputs)
            if not isinstance(partials, (list, tuple)) or len(partials) != len(inputs):
                got = f"{len(partials)}" if isinstance(partials, (list, tuple)) else type(partials).__name__
                raise GradientError(
                    f"the derivative given to {self} must return a list of {len(inputs)} partial derivatives, one for "
                    f"each input, got {got}"
                )
            return [None if partial is None else change * partial for partial in partials]
        return self._changes_of_steps(change, inputs)

    def _changes_of_steps(
        self, change: TensorVariable, inputs: Sequence[TensorVariable]
    ) -> list[TensorVariable | None]:
        """The rule, run on tensors, is the graph of its steps: go back through them by the chain rule."""
        fresh = [x.clone() for x in inputs]
        out = self.scalar_rule(*fresh)
        if isinstance(out, Variable) and out.owner is not None and out.owner.op == self:
            raise GradientError(f"{self} has no derivative: give one to @elementwise(derivative=...)")
        return _chain_rule(out, fresh, change, inputs)

    def _moved(self, tangent: TensorVariable, inputs: Sequence[TensorVariable], k: int) -> TensorVariable | None:
        """By how much the output moves where input ``k`` moves by ``tangent``."""
        if self.tangent is not None:
            return self.tangent(tangent, *inputs)[k]
        is_complex = [self.template(*(x.dtype for x in inputs))[0].dtype in dtypes.COMPLEXES]
        is_complex.append(inputs[k].dtype in dtypes.COMPLEXES)
        if self.derivative is not None or self.differential is not None or not any(is_complex):
            return self._changes(tangent, inputs)[k]
        return transposed(lambda d: self._changes(d, inputs)[k], tangent, *is_complex)

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Each input gets the output gradient times the partial derivative, summed over what was broadcast."""
        (g,) = output_grads
        if _discrete(self.template(*(x.dtype for x in inputs))[0].dtype):
            return [disconnected() for _ in inputs]
        changes = self._changes(g, inputs)
        return [
            _input_gradient(change, x, [y for y in inputs if y is not x])
            for change, x in zip(changes, inputs, strict=True)
        ]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """The sum over inputs of tangent times partial derivative, at the shape of the output."""
        if _discrete(self.template(*(x.dtype for x in inputs))[0].dtype):
            return [None]
        total = None
        for position, tangent in enumerate(eval_points):
            if tangent is None or isinstance(tangent.type, DisconnectedType):
                continue
            term = self._moved(tangent, inputs, position)
            if term is not None:
                total = term if total is None else total + term
        if total is None or isinstance(total.type, NullType):
            return [total]
        return [_at_shape_of(self(*inputs), total)]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        """Operands broadcast, once the axes of each stack stand over those of the output."""
        return [self(*(in_front(x, old, node.out.ndim) for x, old in zip(inputs, node.inputs, strict=True)))]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        continuous = not _discrete(node.out.dtype)
        return [[continuous and not _discrete(x.dtype)] for x in node.inputs]

    def flops(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
        return int(np.prod(outputs[0], dtype=np.int64))


def transposed(
    back: Callable[[Any], TensorVariable | None], d: TensorVariable, from_complex: bool, to_complex: bool
) -> TensorVariable | None:
    """A pointwise real-linear map, applied to ``d``, by its transpose for ``Re(g d)``.

    The map is a d + b conj(d), so its transpose a d + conj(b) conj(d).  ``from_complex``, ``to_complex``: of what dtype
    the transpose takes and gives.
    """
    if not from_complex:  # of a real number there is one product
        unit = back(second(d, 1).real)
        return None if unit is None else (unit * d).real
    straight = back(d if to_complex else d + 0j)
    if straight is None:
        return None
    turned = back(1j * d)
    if not to_complex:
        return straight - 1j * turned
    mirrored, both = back(d.conj()), back(1j * d.conj())
    return 0.5 * (straight - 1j * turned) + 0.5 * (mirrored + 1j * both).conj()


def _blamed(operands: Sequence[TensorVariable]) -> TensorVariable:
    return next((x for x in operands if x.owner is None), operands[0])


def _discrete(dtype: str) -> bool:
    return dtype in dtypes.DISCRETE


def _shown(shape: Sequence[int | None]) -> str:
    return f"({', '.join('?' if n is None else str(n) for n in shape)}{',' if len(shape) == 1 else ''})"


def _input_gradient(change: TensorVariable | None, x: TensorVariable, others: Sequence[TensorVariable]) -> Variable:
    if change is None or _discrete(x.dtype):
        return disconnected()
    if isinstance(change.type, NullType):
        return change
    return unbroadcast(change.astype(x.dtype), x, others)


def _at_shape_of(out: TensorVariable, tangent: TensorVariable) -> TensorVariable:
    """``tangent`` broadcast to the shape of ``out``, if it does not have it already."""
    tangent = tangent.astype(out.dtype)
    same = tangent.type.shape == out.type.shape and None not in out.type.shape
    return tangent if same else second(out, tangent)


def _chain_rule(
    out: TensorVariable, places: Sequence[Variable], change: TensorVariable, inputs: Sequence[TensorVariable]
) -> list[TensorVariable | None]:
    """What a change of each place adds to ``out``, a graph of elementwise ops over ``places``; at ``inputs``."""
    changes: dict[Variable, TensorVariable] = {out: change}
    for node in reversed(toposort([out], stop_at=places)):
        above = changes.get(node.out)
        if above is None:
            continue
        for x, below in zip(node.inputs, node.op._changes(above, node.inputs), strict=True):
            if below is not None and not _discrete(x.dtype):
                if getattr(below, "dtype", "") in dtypes.COMPLEXES and x.dtype not in dtypes.COMPLEXES:
                    below = below.real
                changes[x] = changes[x] + below if x in changes else below
    found = [changes.get(place) for place in places]
    present = [c for c in found if c is not None]
    replaced = iter(clone_replace(present, dict(zip(places, inputs, strict=True))))
    return [None if c is None else next(replaced) for c in found]


_registry: dict[tuple[str, str], Elementwise] = {}


def _find(module: str, name: str) -> Elementwise:
    """For pickle: an elementwise op is found again by where it was defined."""
    if (module, name) not in _registry:
        __import__(module)
    return _registry[module, name]


def elementwise(
    rule: Callable | None = None,
    *,
    derivative: Callable | None = None,
    differential: Callable | None = None,
    tangent: Callable | None = None,
    kind: type[Elementwise] = Elementwise,
) -> Any:
    """Make an op of a plain function of scalars.

    derivative    gets the inputs, returns a list with the partial derivative for each (None: no dependence)
    differential  instead: gets a change and then the inputs, returns what that change of each input adds to the output;
                  for ops that must mask rather than multiply (where, maximum), so that 0 * inf never arises
    tangent       like differential, in the forward direction, where that is another map: of complex numbers,
                  differential is its transpose for Re(g dz), as ``angle`` needs
    kind          the class of the op, where Elementwise itself will not do
    Given neither, the rule is run on tensors and its steps are differentiated.
    """
    if derivative is not None and differential is not None:
        raise ArgumentError("@elementwise takes derivative or differential, not both")

    def wrap(rule: Callable) -> Elementwise:
        op = kind(rule, derivative, differential) if tangent is None else kind(rule, derivative, differential, tangent)
        _registry[op.module, op.name] = op
        return op

    return wrap if rule is None else wrap(rule)


@elementwise(differential=lambda d, like, x: [None, d])
def second(like, x):
    """``x`` at the shape that ``like`` and ``x`` broadcast to."""
    return x


@elementwise
def broadcast_length(a, b):
    """The length that axes of length ``a`` and ``b`` broadcast to; integers."""
    return select(equal(a, 1), b, a)
