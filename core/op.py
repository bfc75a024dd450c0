"""The Op contract: what a class says so that core can build, run, differentiate, lower and fuse it.

Needed are ``make_node`` (or ``itypes`` and ``otypes``) and one way to compute: ``perform``, ``lower``, ``kernel`` or
``c_code``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from pkgutil import resolve_name
from typing import Any, ClassVar

from core.ccode import CCode
from core.errors import ArgumentError, BackendError, ShapeError, attributed_to, user_line
from core.graph import Apply, DisconnectedType, NullType, Type, Variable


@cache
def _parameters(method: Callable[..., Any]) -> int:
    return len(inspect.signature(method).parameters)


class Op(CCode):
    """A function of variables.

    ``__props__`` names the attributes that define an op: two ops of one class with equal props are equal, and equal ops
    on equal inputs are merged.  Without ``__props__`` an op equals only itself.

    Of the ways to compute, a backend takes the best that it has: a lowering that a plugin attached, ``library_call``,
    ``c_code`` where functions are C, ``lower``, ``kernel``, and last ``perform``.  The interpreter prefers ``perform``.
    """

    __props__: ClassVar[tuple[str, ...]]
    itypes: Sequence[Type] | None = None
    otypes: Sequence[Type] | None = None
    view_map: dict[int, list[int]] = {}  # output -> inputs that it may alias
    destroy_map: dict[int, list[int]] = {}  # output -> inputs that it overwrites
    default_output: int | None = None
    chooses: bool = False  # whether a node needs only some of its inputs: see core/tensor/ifelse.py
    reads_once: Sequence[
        int
    ] = ()  # inputs, of the shape of the one output, whose elements ``kernel`` asks for once each
    needs_python: bool = False  # whether Python has to compute it, as who prints knows: then no warning says so
    explains_lengths: bool = False  # whether ``perform`` says of lengths that do not fit more than that they differ

    # --- identity ---------------------------------------------------------------------------------------------------

    def __init_subclass__(cls, **keywords: Any):
        """Errors: ArgumentError where ``__props__`` is a string, whose characters would be taken for names."""
        super().__init_subclass__(**keywords)
        if isinstance(cls.__dict__.get("__props__"), str):
            raise ArgumentError(
                f"__props__ of {cls.__name__} must be a tuple of names, got {cls.__props__!r}; "
                f"a tuple of one is ({cls.__props__!r},)"
            )

    def _props(self) -> tuple:
        try:
            return tuple([getattr(self, name) for name in self.__props__])
        except AttributeError as error:
            missing = [name for name in self.__props__ if not hasattr(self, name)]
            raise AttributeError(
                f"__props__ of {type(self).__name__} names {', '.join(missing)}, and there is no such attribute; "
                f"set it in __init__: {error}"
            ) from error

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other) or not hasattr(self, "__props__"):
            return False
        return self._props() == other._props()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        if not hasattr(self, "__props__"):
            return object.__hash__(self)
        props = self._props()
        try:
            return hash((type(self), props))
        except TypeError as error:
            raise TypeError(
                f"{type(self).__name__} needs props that can be hashed, such as tuples, got "
                f"{dict(zip(self.__props__, props, strict=True))}: {error}"
            ) from error

    def __str__(self) -> str:
        props = ", ".join(f"{name}={getattr(self, name)!r}" for name in getattr(self, "__props__", ()))
        return f"{type(self).__name__}({props})" if props else type(self).__name__

    __repr__ = __str__

    # --- building ---------------------------------------------------------------------------------------------------

    def make_node(self, *inputs: Any) -> Apply:
        """Check ``inputs`` and make the node.  The inherited form serves ops with ``itypes`` and ``otypes``."""
        if self.itypes is None or self.otypes is None:
            raise ArgumentError(f"{self} needs either make_node or both itypes and otypes")
        for kind in (*self.itypes, *self.otypes):
            if not isinstance(kind, Type):
                raise ArgumentError(
                    f"{self} needs types as itypes and otypes, such as core.TensorType('float64', 1), got "
                    f"{getattr(kind, '__name__', kind)!r} of type {type(kind).__name__}"
                )
        if len(inputs) != len(self.itypes):
            raise ArgumentError(f"{self} needs {len(self.itypes)} inputs, got {len(inputs)}")
        return Apply(self, [kind.as_variable(x) for kind, x in zip(self.itypes, inputs, strict=True)], self.otypes)

    def __call__(self, *inputs: Any, name: str | None = None, return_list: bool = False) -> Any:
        """Apply the op.  Returns its output, or a list when it has several (and no ``default_output``)."""
        for x in inputs:  # patterns and scalar expressions take over: what they build is not a node
            if hasattr(x, "__apply_op__"):
                return x.__apply_op__(self, inputs)
        with attributed_to(
            user_line()
        ):  # an op of the user's own: not the line in its make_node, but the one that called
            node = self.make_node(*inputs)
        if not isinstance(node, Apply):
            raise ArgumentError(
                f"make_node of {self} must return core.Apply(self, inputs, output_types), got {type(node).__name__}"
            )
        outputs = node.outputs
        if name is not None:
            outputs[self.default_output or 0].name = name
        if return_list:
            return outputs
        if self.default_output is not None:
            return outputs[self.default_output]
        return outputs[0] if len(outputs) == 1 else outputs

    # --- computing --------------------------------------------------------------------------------------------------

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list]) -> None:
        """Compute with NumPy: put output ``i`` into ``output_storage[i][0]``."""
        raise BackendError(f"{self} has no perform, so the interpreter cannot compute it", blame=node)

    def lower(self, node: Apply, *views: Any) -> Any:
        """What it computes: a View of the output, or a list of them, as index expressions over views of the inputs."""
        raise BackendError(f"{self} has no lower", blame=node)

    def kernel(self, k: Any, *buffers: Any) -> None:
        """What it computes, as explicit loops written with the builder ``k`` over input and then output buffers."""
        raise BackendError(f"{self} has no kernel")

    def library_call(self, node: Apply) -> Any:
        """The named routine that computes this node (an ir.LibraryCall record), or None."""
        return None

    def library_error(self, node: Apply, failure: Any) -> Exception:
        """The error of a routine that failed on a device: an ir.clibrary.Failure says with which number, and where.

        Numbers above 0 are those of LAPACK's ``info``; -1 - k: operand k is not finite; -8: a matrix is not square.
        """
        return BackendError(f"{self} failed with {failure.number} for shapes {failure.shapes}", blame=node)

    def defines(self, method: str) -> bool:
        """Whether the op's class says ``method`` itself, rather than inheriting the contract's default."""
        return getattr(type(self), method) is not getattr(Op, method)

    # --- shapes -----------------------------------------------------------------------------------------------------

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        """Output shapes as symbolic integers, one tuple per output, without computing outputs.

        ``input_shapes`` holds a tuple per input (None for what is no tensor).  A method with the three arguments
        ``(fgraph, node, input_shapes)`` is served too.
        """
        raise ShapeError(f"{self} has no infer_shape", blame=node)

    def shapes(self, fgraph: Any, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        """Call ``infer_shape`` in whichever of its two forms the op has it.

        Errors: ShapeError where it returns something else than as many tuples as there are outputs.
        """
        if _parameters(type(self).infer_shape) == 4:
            found = self.infer_shape(fgraph, node, input_shapes)  # type: ignore[call-arg, arg-type]
        else:
            found = self.infer_shape(node, input_shapes)
        right = isinstance(found, (list, tuple)) and all(
            shape is None or isinstance(shape, (list, tuple)) for shape in found
        )
        if not right or len(found) != len(node.outputs):
            raise ShapeError(
                f"infer_shape of {self} must return a list with a tuple for each output ({len(node.outputs)}), "
                f"got {found!r}",
                blame=node,
            )
        return found

    # --- derivatives ------------------------------------------------------------------------------------------------

    def grad(self, inputs: Sequence[Variable], output_grads: Sequence[Variable]) -> list[Variable]:
        """Vector-Jacobian product: one variable per input, of NullType or DisconnectedType where there is none.

        An entry of ``output_grads`` is of DisconnectedType where the cost does not depend on that output.
        """
        others = [name for name in ("L_op", "pullback", "vjp") if callable(getattr(self, name, None))]
        why = f"its {others[0]} is never called; what is called is grad(inputs, output_grads)" if others else ""
        return [grad_not_implemented(self, position, x, why) for position, x in enumerate(inputs)]

    def R_op(self, inputs: Sequence[Variable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        """Jacobian-vector product: one tangent per output.  None marks an input, or output, without tangent.

        Left out, ``core.Rop`` takes the transpose of ``grad``, which computes more.
        """
        node = self.make_node(*inputs)
        return [NullType(f"{self} has no R_op")() for _ in node.outputs]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """``pattern[i][j]``: whether output ``j`` depends differentiably on input ``i``."""
        return [[True] * len(node.outputs) for _ in node.inputs]

    # --- stacks -----------------------------------------------------------------------------------------------------

    def batch(self, node: Apply, inputs: Sequence[Any]) -> list[Any] | None:
        """The outputs of ``node`` for a stack of inputs, stacked likewise along a new first axis.

        An input with one more axis than that of ``node`` is such a stack; the others are the same for all of it.
        None says that the op has no form for these stacks.
        """
        return None

    # --- small print ------------------------------------------------------------------------------------------------

    def do_constant_folding(self, node: Apply) -> bool:
        """Whether a node of constants may be computed once, at compile time."""
        return True

    def flops(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
        """Floating-point operations for inputs and outputs of these shapes, or None when unknown."""
        return None

    def debug_perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list]) -> None:
        """Like perform, and slower or stricter where that finds more errors."""
        self.perform(node, inputs, output_storage)


def grad_not_implemented(op: Op, position: int, x: Variable, why: str = "") -> Variable:
    """A gradient that exists but nobody has written yet."""
    return NullType(f"{op} has no gradient yet for its input {position} ({x}){': ' + why if why else ''}")()


def grad_undefined(op: Op, position: int, x: Variable, why: str = "") -> Variable:
    """A gradient that does not exist mathematically."""
    return NullType(f"the gradient of {op} for its input {position} ({x}) is undefined{': ' + why if why else ''}")()


def disconnected() -> Variable:
    """The gradient for an input that the output does not depend on differentiably."""
    return DisconnectedType()()


class COp(Op):
    """An op whose ``c_code`` uses Python's and NumPy's C-API: ``PyArrayObject *``, ``PyErr_Format``, as in Theano.

    Without ``perform`` its C is compiled for the interpreter too, where there is a compiler.
    """

    c_api = "python"


# --- ops of plain functions -----------------------------------------------------------------------------------------


class FromFunction(Op):
    """An op that calls a Python function with the values of its inputs; ``as_op`` makes one.  It has no gradient."""

    __props__ = ("function", "itypes", "otypes")

    def __init__(self, function: Callable[..., Any], itypes: Sequence[Type], otypes: Sequence[Type]):
        self.function, self.itypes, self.otypes = function, tuple(itypes), tuple(otypes)
        self.__doc__, self.__module__ = function.__doc__, function.__module__
        self.__name__, self.__qualname__ = function.__name__, function.__qualname__

    def __str__(self) -> str:
        return self.__name__

    __repr__ = __str__

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list]) -> None:
        found = self.function(*inputs)
        results = found if isinstance(found, (tuple, list)) and len(node.outputs) != 1 else [found]
        if len(results) != len(node.outputs):
            raise ArgumentError(
                f"{self} must return {len(node.outputs)} values, it returned {len(results)}", blame=node
            )
        for cell, out, value in zip(output_storage, node.outputs, results, strict=True):
            cell[0] = out.type.filter(value)

    def __reduce__(self) -> tuple:
        """Found again by name: what the function's name stands for is the op."""
        return resolve_name, (f"{self.__module__}:{self.__qualname__}",)


class ShapedFromFunction(FromFunction):
    """One whose output shapes are known from those of its inputs."""

    def __init__(self, function: Callable, itypes: Sequence[Type], otypes: Sequence[Type], shapes: Callable):
        super().__init__(function, itypes, otypes)
        self._shapes = shapes

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return self._shapes(*((None, node) if _parameters(self._shapes) == 3 else (node,)), input_shapes)


def as_op(
    itypes: Sequence[Type] | Type, otypes: Sequence[Type] | Type, infer_shape: Callable | None = None
) -> Callable[[Callable[..., Any]], FromFunction]:
    """Decorator: an op of a Python function of arrays, which returns an array, or several.

    itypes, otypes   types of inputs and outputs, one or several
    infer_shape      a function of the node and the input shapes that returns a list of output shapes; one of three
                     arguments gets a graph, or None, before these

    >>> from core.tensor import TensorType
    >>> @as_op(TensorType("float64", 1), TensorType("float64", 1))
    ... def backwards(x):
    ...     return x[::-1]
    """
    kinds, made = ([given] if isinstance(given, Type) else list(given) for given in (itypes, otypes))
    for kind in (*kinds, *made):
        if not isinstance(kind, Type):
            raise ArgumentError(f"as_op needs types, got {kind!r} of type {type(kind).__name__}")

    def wrap(function: Callable[..., Any]) -> FromFunction:
        if infer_shape is None:
            return FromFunction(function, kinds, made)
        return ShapedFromFunction(function, kinds, made, infer_shape)

    return wrap
