"""Ops that let a value through and look at it: Print shows it, CheckAndRaise and Assert stop the function."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from core import dtypes
from core.errors import ArgumentError
from core.graph import Apply, Variable
from core.op import Op, disconnected
from core.tensor.broadcast import stacked
from core.tensor.reduce import all as all_of
from core.tensor.type import TensorVariable, as_tensor


class _LetsThrough(Op):
    """y = x, and something that happens when y is computed.  What does not use y does not make it happen."""

    def infer_shape(self, node: Apply, input_shapes: Sequence[tuple]) -> list[tuple]:
        return [input_shapes[0]]

    def do_constant_folding(self, node: Apply) -> bool:
        """It happens when the function runs."""
        return False

    def grad(self, inputs: Sequence[TensorVariable], output_grads: Sequence[Variable]) -> list[Variable]:
        """The derivative of y = x; nothing is looked at a second time."""
        x, *rest = inputs
        g = output_grads[0] if x.dtype in dtypes.CONTINUOUS else disconnected()
        return [g, *(disconnected() for _ in rest)]

    def R_op(self, inputs: Sequence[TensorVariable], eval_points: Sequence[Variable | None]) -> list[Variable | None]:
        return [eval_points[0]]

    def batch(self, node: Apply, inputs: Sequence[TensorVariable]) -> list[TensorVariable] | None:
        """For a stack it happens once, with all of it."""
        return [self(stacked(node, inputs)[0], *inputs[1:])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[node.inputs[0].dtype in dtypes.CONTINUOUS], *([False] for _ in node.inputs[1:])]


class Print(_LetsThrough):
    """``Print("message")(x)`` is x, and prints "message = ..." each time it is computed; Theano's.

    message    what stands before the value
    attrs      what is shown: "__str__" is the value, others are attributes or methods of the array: "shape", "mean"
    global_fn  called with the op and the array in place of printing

    Python prints, on every backend: loops end before it and begin behind it.
    """

    __props__ = ("message", "attrs", "global_fn")
    view_map: ClassVar[dict[int, list[int]]] = {0: [0]}
    needs_python = True

    def __init__(
        self,
        message: str = "",
        attrs: Sequence[str] = ("__str__",),
        global_fn: Callable[[Print, np.ndarray], Any] | None = None,
    ):
        self.message, self.attrs, self.global_fn = message, tuple(attrs), global_fn

    def make_node(self, x: Any) -> Apply:
        x = as_tensor(x)
        return Apply(self, [x], [x.type])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        (x,) = inputs
        if self.global_fn is not None:
            self.global_fn(self, x)
        else:
            for name in self.attrs:
                shown = x if name == "__str__" else getattr(x, name)
                label = self.message if name == "__str__" else f"{self.message} {name}".strip()
                print(f"{label or node.inputs[0]} = {shown() if callable(shown) else shown}", flush=True)
        output_storage[0][0] = x


class CheckAndRaise(_LetsThrough):
    """``CheckAndRaise(ValueError, "message")(x, *conditions)`` is x where all of every condition holds, else an error.

    Inputs  x: any tensor; conditions: tensors, of which NaN and what is not 0 hold.     Output  the type of x.
    Errors  ArgumentError for an exception that is none of Python's own; that exception when the function runs.
    """

    __props__ = ("exception", "message")
    destroy_map: ClassVar[dict[int, list[int]]] = {0: [0]}  # y is x: where nobody else needs x, nothing is copied

    def __init__(self, exception: type[Exception], message: str = ""):
        known = isinstance(exception, type) and getattr(builtins, exception.__name__, None) is exception
        if not (known and issubclass(exception, Exception)):
            raise ArgumentError(f"a check needs one of Python's own exceptions, such as ValueError, got {exception!r}")
        self.exception, self.message = exception, message

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.exception.__name__}, {self.message!r})"

    def make_node(self, x: Any, *conditions: Any) -> Apply:
        x = as_tensor(x)
        return Apply(self, [x, *(all_of(condition) for condition in conditions)], [x.type])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        x, *conditions = inputs
        if not all(conditions):
            raise self.exception(self.message)
        output_storage[0][0] = x

    def c_code(self, node: Apply, name: str, inputs: Sequence[str], outputs: Sequence[str], sub: dict) -> str:
        fails = " || ".join(f"!*{condition}" for condition in inputs[1:]) or "0"
        text = "".join(chr(b) if b in _PLAIN else f"\\{b:03o}" for b in self.message.encode())
        return f"""
            if ({fails}) {{
                core_error({self.exception.__name__}, "%s", "{text}");
                {sub["fail"]}
            }}
        """


class Assert(CheckAndRaise):
    """``Assert("message")(x, *conditions)``: CheckAndRaise of an AssertionError, as in Theano and PyTensor."""

    __props__ = ("message",)

    def __init__(self, message: str = "an assertion of the graph does not hold"):
        super().__init__(AssertionError, message)

    def __str__(self) -> str:
        return f"Assert({self.message!r})"


_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;!()[]{}<>=+-*/_'&|^~@#$`%")
