"""What the variables of a graph become when it is lowered: values with definitions, and how others read them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from core import dtypes
from core.errors import BackendError
from core.graph import Apply, Constant, Variable
from core.ir.clike.cfamily import Dialect, identifier
from core.ir.definitions import Definition, Given, Pointwise, Value
from core.ir.expr import Expr, const, index, length, load
from core.ir.layouts import Layout
from core.ir.rebuild import loads_in
from core.ir.view import View
from core.tensor.type import TensorType


class Values:
    """Those of one graph.

    of           what each variable became;  inputs  the values of the graph's inputs
    definitions, constants, layouts  of the values
    """

    def __init__(self, inputs: Sequence[Variable], dialect: Dialect, layouts: Sequence[Layout | None] = ()):
        self.dialect = dialect
        self.of: dict[Variable, Value] = {}
        self.definitions: dict[Value, Definition] = {}
        self.constants: dict[Value, np.ndarray] = {}
        self.layouts: dict[Value, Layout] = {}
        self._views: dict[Variable, View] = {}
        self._names: dict[str, int] = {}
        self.inputs = [
            self.given(variable) if layout is None else self._laid_out(variable, layout)
            for variable, layout in zip_longest(inputs, layouts)
        ]

    def new(self, wish: str, dtype: str, node: Apply | None = None) -> Value:
        """A value that has no definition yet, of a name that no other has."""
        base = identifier(wish)
        number = self._names[base] = self._names.get(base, 0) + 1
        return Value(base if number == 1 else f"{base}_{number}", dtype, node)

    def given(self, variable: Variable, node: Apply | None = None) -> Value:
        """A value whose elements come from outside; lengths that its type does not know are read when it runs."""
        kind = variable.type
        if not isinstance(kind, TensorType):
            raise BackendError(
                f"the {self.dialect.name} backend takes tensors, but {variable} is of {kind}", blame=variable
            )
        value = self.new(variable.name or (short_name(node.op) if node is not None else "x"), kind.dtype, node)
        shape = tuple(length(value, axis) if n is None else const(n) for axis, n in enumerate(kind.shape))
        self.definitions[value] = Given(shape, fresh_axes(shape))
        self.of[variable] = value
        return value

    def _laid_out(self, variable: Variable, layout: Layout) -> Value:
        """An input that does not lie row by row: others read it through a view of what lies in memory."""
        value = self.given(variable)
        definition, moves = self.definitions[value], [length(value, layout.ndim + k) for k in range(layout.extras)]
        rows, at = layout.position(definition.shape, definition.axes, moves)
        self.definitions[value] = Given(rows, fresh_axes(rows))
        view = self.new(f"{value}_view", value.dtype)
        self.definitions[view] = Pointwise(definition.shape, definition.axes, load(value, at, value.dtype))
        self.of[variable] = view
        self.layouts[value] = layout
        return value

    def _constant(self, variable: Constant) -> Value:
        value = self.given(variable)
        self.constants[value] = np.ascontiguousarray(variable.data).reshape(variable.data.shape)
        return value

    def define(self, variable: Variable, definition: Definition, node: Apply) -> Value:
        """The value of what ``node`` makes, by its definition."""
        value = self.new(variable.name or short_name(node.op), variable.type.dtype, node)
        self.definitions[value] = definition
        self.of[variable] = value
        return value

    def value(self, variable: Variable) -> Value:
        """The value of a variable, as something that can be stored."""
        if variable not in self.of:
            self._constant(variable)  # type: ignore[arg-type]
        return self.of[variable]

    def view(self, variable: Variable) -> View:
        """How a node reads a variable: an element is a load, unless it is simpler than that."""
        if variable not in self._views:
            self._views[variable] = self._make_view(variable)
        return self._views[variable]

    def _make_view(self, variable: Variable) -> View:
        if isinstance(variable, Constant) and (variable not in self.of or self.of[variable] in self.constants):
            data = variable.data
            if data.size and _uniform(data):
                element = const(data.flat[0].item(), variable.type.dtype)
                return View(variable.type.dtype, data.shape, lambda at: element)
        value = self.value(variable)
        definition = self.definitions[value]
        if isinstance(definition, Pointwise) and not definition.axes and self._known_early(definition.expr):
            return View(value.dtype, (), lambda at: definition.expr)
        return View(value.dtype, definition.shape, lambda at: load(value, at, value.dtype))

    def _known_early(self, e: Expr) -> bool:
        """Whether a scalar depends on nothing but lengths and 0-d integer inputs, so that lengths may depend on it."""
        if e.dtype not in dtypes.DISCRETE:
            return False
        return all(part.payload in self.inputs for part in loads_in([e]))


def fresh_axes(shape: Sequence[Expr]) -> tuple[Expr, ...]:
    """Fresh loop variables for a shape; an axis of length 1 needs none."""
    letters = "ijklmn"
    return tuple(
        const(0) if n.is_const and n.payload == 1 else index(letters[axis] if axis < len(letters) else f"i{axis}")
        for axis, n in enumerate(shape)
    )


def short_name(op: Any) -> str:
    """A name for what an op makes."""
    return str(op).partition("(")[0].lower()


def _uniform(data: np.ndarray) -> bool:
    """Whether all elements are the same bits."""
    raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8).reshape(data.size, -1)
    return bool((raw == raw[0]).all())
