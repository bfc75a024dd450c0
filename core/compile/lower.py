"""From a graph to values with definitions: each node says what it computes, by the best means that there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from core import plugins
from core.compile.means import (
    c_for_python_of,
    c_of,
    how,
    lacks_a_rule,
    say_that_python_computes,
    say_that_python_repeats,
)
from core.compile.values import Values, fresh_axes, short_name
from core.dataclass import replace
from core.errors import BackendError, CoreError
from core.graph import Apply, FunctionGraph, Variable
from core.ir.axes import same_length
from core.ir.clike.ccalls import params_of
from core.ir.clike.cfamily import Dialect
from core.ir.codes import Code
from core.ir.definitions import (
    FromC,
    FromLibrary,
    FromLoops,
    Given,
    Lowered,
    Operand,
    Pointwise,
    Reduction,
    Scattering,
    Value,
)
from core.ir.expr import Expr, as_expr, const, index, load
from core.ir.layouts import Layout
from core.ir.library import PRODUCTS, LibraryCall
from core.ir.passes.accumulate import ROUTINE as ACCUMULATING
from core.ir.passes.operands import merged, operand, stacked
from core.ir.rebuild import rebuild, reductions_in
from core.ir.scatter import Scatter
from core.ir.view import View
from core.tensor.shape import checked_length

if TYPE_CHECKING:
    from core.compile.opened import Opened


def lower(
    graph: FunctionGraph | Opened, dialect: Dialect, name: str = "run", layouts: Sequence[Layout | None] = ()
) -> Lowered:
    """The graph as values with definitions; ``layouts`` of its inputs, where not all lie row by row.

    Errors: BackendError for a variable that is no tensor.
    """
    lowering = _Lowering(graph, dialect, layouts)
    for node in graph.toposort():
        lowering.node(node)
    outputs = [lowering.values.value(variable) for variable in graph.outputs]
    libraries = plugins.registries().libraries
    provided = frozenset(name for name in (ACCUMULATING,) if libraries.get((name, dialect.name)) is not None)
    return Lowered(
        name,
        lowering.definitions,
        lowering.values.inputs,
        outputs,
        lowering.constants,
        lowering.host_nodes,
        provided=provided,
        layouts=lowering.values.layouts,
    )


OFTEN = 3  # calls that read one matrix: from here on to write it once is less than to compute it each time


def _viewed(variable: Variable) -> Variable:
    """What a variable is a view of, in the end."""
    while (node := variable.owner) is not None and (seen := node.op.view_map.get(node.outputs.index(variable))):
        variable = node.inputs[seen[0]]
    return variable


class _Lowering:
    """One graph on its way."""

    def __init__(self, graph: FunctionGraph | Opened, dialect: Dialect, layouts: Sequence[Layout | None] = ()):
        self.dialect, self._graph = dialect, graph
        self.values = Values(graph.inputs, dialect, layouts)
        self.definitions, self.constants = self.values.definitions, self.values.constants
        self.host_nodes: list[tuple[Any, tuple[Value, ...], tuple[Value, ...]]] = []

    def node(self, node: Apply) -> None:
        means = how(node, self.dialect)
        if means == "host":
            self._host(node)
        elif means == "c_code":
            self._c_code(node)
        elif means == "loop":
            self._loop(node)
        elif means == "branch":
            self._branch(node)
        elif means == "kernel":
            self._kernel(node)
        elif means == "library" and self._worthwhile(node, node.op.library_call(node)):
            self._library(node, node.op.library_call(node))
        else:
            self._lowered(node, attached=means == "attached")

    def _lowered(self, node: Apply, attached: bool) -> None:
        views = [self.values.view(variable) for variable in node.inputs]
        if attached:
            entry = plugins.registries().lowerings.get(node.op, self.dialect.name, node)
            assert entry is not None
            made = _by_author(entry.load("fn"), f"the lowering of {entry.source}", node, node.op, node, *views)
        else:
            made = _by_author(node.op.lower, "lower", node, node, *views)
        outputs = list(made) if isinstance(made, (list, tuple)) else [made]
        if len(outputs) != len(node.outputs):
            raise BackendError(
                f"lower of {node.op} made {len(outputs)} views, it has {len(node.outputs)} outputs", blame=node
            )
        for variable, out in zip(node.outputs, outputs, strict=True):
            if not isinstance(out, (View, Scatter)):
                raise BackendError(
                    f"lower of {node.op} must return a View for each output, got {out} of type {type(out).__name__}",
                    blame=node,
                )
            if out.dtype != variable.type.dtype or out.ndim != variable.type.ndim:
                raise BackendError(
                    f"lower of {node.op} must make {variable.type}, got {out.dtype} with ndim={out.ndim}", blame=node
                )
        shapes = [_with_known(variable, out.shape) for variable, out in zip(node.outputs, outputs, strict=True)]
        axes = [fresh_axes(shape) for shape in shapes]
        elements = {
            k: _by_author(out.at, "lower", node, axes[k])
            for k, out in enumerate(outputs)
            if not isinstance(out, Scatter)
        }
        if lacks_a_rule(node, elements.values()):
            self._host(node)
            return
        for k, (variable, out) in enumerate(zip(node.outputs, outputs, strict=True)):
            if isinstance(out, Scatter):
                self._scatter(variable, out, node)
            else:
                self._template(variable, shapes[k], axes[k], elements[k], node)

    def _template(self, variable: Variable, shape: tuple, axes: tuple, expr: Expr, node: Apply) -> None:
        """Define a pointwise value; each reduction inside it becomes a value of its own."""
        if expr.dtype != variable.type.dtype:
            raise BackendError(
                f"lower of {node.op} must make elements of {variable.type.dtype}, got {expr.dtype}", blame=node
            )
        extents = dict(zip(axes, shape, strict=True))
        own = tuple(axis for axis in axes if axis.code is Code.INDEX)
        if expr.code is Code.REDUCE and _is_flat(expr) and expr.free.issuperset(own):
            combine, bound = expr.payload
            self.values.define(variable, Reduction(shape, axes, combine, bound, expr.args[1:], expr.args[0]), node)
            return
        expr = self._without_reductions(expr, extents, node)
        self.values.define(variable, Pointwise(shape, axes, expr), node)

    def _without_reductions(self, expr: Expr, extents: dict[Expr, Expr], node: Apply) -> Expr:
        reductions = reductions_in([expr])
        if not reductions:
            return expr
        extents = dict(extents)
        for e in reductions:
            extents.update(zip(e.payload[1], e.args[1:], strict=True))

        def change(e: Expr, args: tuple[Expr, ...]) -> Expr | None:
            if e.code is not Code.REDUCE:
                return None
            combine, bound = e.payload
            axes = tuple(variable for variable in extents if variable in e.free)
            shape = tuple(extents[axis] for axis in axes)
            value = self.values.new(f"{combine.value}", e.dtype, node)
            self.definitions[value] = Reduction(shape, axes, combine, bound, args[1:], args[0])
            return load(value, axes, e.dtype)

        return rebuild(expr, change, {})

    def _scatter(self, variable: Variable, out: Scatter, node: Apply) -> None:
        axes, bound = fresh_axes(out.shape), tuple(index("k") for _ in out.extents)
        extents = {**dict(zip(axes, out.shape, strict=True)), **dict(zip(bound, out.extents, strict=True))}
        base, value = (self._without_reductions(e, extents, node) for e in (out.base.at(axes), out.value(*bound)))
        at = tuple(self._without_reductions(as_expr(i), extents, node) for i in out.index(*bound))
        definition = Scattering(out.shape, axes, base, bound, out.extents, at, value, out.combine)
        self.values.define(variable, definition, node)

    def _worthwhile(self, node: Apply, call: LibraryCall) -> bool:
        """Whether no large operand would have to be written for the call, or for one other, alone."""
        if not node.op.defines("lower"):
            return True
        stored = {node.inputs[k]: operand(self.values.value(node.inputs[k]), self.definitions) for k in call.stored}
        computed = [x for x, read in stored.items() if isinstance(self.definitions[read.value], Pointwise)]
        return all(self._read_by_calls[_viewed(variable)] >= OFTEN for variable in computed)

    @cached_property
    def _read_by_calls(self) -> Counter[Variable]:
        """How many calls read each variable, or a view of it, that they would rather have in memory."""
        calls = [
            (node, node.op.library_call(node)) for node in self._graph.toposort() if node.op.defines("library_call")
        ]
        return Counter(_viewed(node.inputs[k]) for node, call in calls if call is not None for k in call.stored)

    def _library(self, node: Apply, call: LibraryCall) -> None:
        overwritten = {number for _, number in call.overwrites}
        given = [
            Operand.whole(value, self.definitions[value].shape)
            if k in overwritten
            else operand(value, self.definitions)
            for k, value in enumerate(map(self.values.value, node.inputs))
        ]
        if node.op.defines("lower"):
            made = _by_author(node.op.lower, "lower", node, node, *map(self.values.view, node.inputs))
            shapes = [view.shape for view in (made if isinstance(made, (list, tuple)) else [made])]
        else:
            shapes = self._inferred(node)
        operands, lead = stacked(call, given, shapes), 0
        if call.replaces:
            call = replace(call, replaces=tuple(pair for pair in call.replaces if _is_whole(operands[pair[1]])))
        tall = merged(given[0], operands, call.batch) if call.name in PRODUCTS and call.batch else None
        if tall is not None:
            operands, lead, call = tall, call.batch, replace(call, batch=0)
        outputs = self._outputs(node)
        for variable, value, inferred in zip(node.outputs, outputs, shapes, strict=True):
            shape = _with_known(variable, inferred)
            self.definitions[value] = FromLibrary(shape, fresh_axes(shape), call, operands, outputs, lead)

    def _kernel(self, node: Apply) -> None:
        inputs = tuple(self.values.value(variable) for variable in node.inputs)
        shapes, outputs = self._inferred(node), self._outputs(node)
        write = partial(_by_author, node.op.kernel, "kernel", node)
        once = node.op.reads_once
        for value, shape in zip(outputs, shapes, strict=True):
            axes = fresh_axes(shape)
            elements = (
                tuple(load(v, axes, v.dtype) if k in once else None for k, v in enumerate(inputs)) if once else ()
            )
            self.definitions[value] = FromLoops(shape, axes, inputs, outputs, write, elements)

    def _c_code(self, node: Apply) -> None:
        """Errors: BackendError without ``infer_shape``, or where a destroyed input is not of its output's type."""
        code: Any = c_of(node, self.dialect)
        if node.outputs and not node.op.defines("infer_shape"):
            raise BackendError(
                f"c_code of {node.op} needs infer_shape: the memory of its outputs is there before it runs.  Where the "
                f'shape depends on values, c_api = "python" lets the code allocate',
                blame=node,
            )
        for out, positions in node.op.destroy_map.items():
            for position in positions:
                kinds = node.inputs[position].type, node.outputs[out].type
                if len(positions) > 1 or kinds[0].dtype != kinds[1].dtype or kinds[0].ndim != kinds[1].ndim:
                    raise BackendError(
                        f"c_code of {node.op} can overwrite one input for each output, of its dtype and ndim; "
                        f"destroy_map has output {out} ({kinds[1]}) overwrite {positions}",
                        blame=node,
                    )
        inputs = tuple(self.values.value(variable) for variable in node.inputs)
        packed = params_of(node, code)
        if packed is not None:
            inputs += (self._bytes("params", packed),)
        shapes, outputs = self._inferred(node), self._outputs(node)
        for variable, value, inferred in zip(node.outputs, outputs, shapes, strict=True):
            shape = _with_known(variable, inferred)
            self.definitions[value] = FromC(shape, fresh_axes(shape), inputs, outputs, code)

    def _bytes(self, wish: str, data: np.ndarray) -> Value:
        """A constant that holds the bytes of ``data``."""
        raw = np.frombuffer(data.tobytes(), "uint8")
        value = self.values.new(wish, "uint8")
        shape = (const(raw.size),)
        self.definitions[value] = Given(shape, fresh_axes(shape))
        self.constants[value] = raw
        return value

    def _loop(self, node: Apply) -> None:
        """Steps that run one after the other, or Python where some step needs it."""
        from core.compile.loops import Loop  # who has no loops need not wait for it

        loop = Loop(node, self.dialect, lower)
        if loop.body is None:
            say_that_python_repeats(node, loop.host_nodes)
            self._host(node, is_said=True)
            return
        values, new = self.values, self._new_of(node)
        for x in node.inputs:
            values.value(x)
        values.of.update(
            loop.defined(values.of, self.definitions, self.constants, self._element_of, new, values.inputs)
        )

    def _branch(self, node: Apply) -> None:
        """One side or the other; where a step cannot choose, Python does, between programs of their own."""
        from core.compile.choices import Choosing  # who has nothing to choose need not wait for it

        for x in node.inputs:
            self.values.value(x)
        new = self._new_of(node)
        element = self._element_of
        choosing = Choosing(node, self.values.of, self.definitions, self.constants, element, self.values.inputs, new)
        made = choosing.picked()
        if made is None and self.dialect.has_inner_programs:
            made = choosing.defined(self.dialect, lower)
        if made is None:
            self._host(node, is_said=True)  # of what is inside
        else:
            self.values.of.update(made)

    def _element_of(self, scalar: Variable) -> Expr:
        return self.values.view(scalar).at(())

    def _new_of(self, node: Apply) -> Callable[[str, str], Value]:
        return lambda wish, dtype: self.values.new(wish, dtype, node)

    def _inferred(self, node: Apply) -> list[tuple[Expr, ...]]:
        """The shapes of a node's outputs as its ``infer_shape`` has them; an input may be a length."""
        shapes = node.op.shapes(None, node, [self.definitions[self.values.value(x)].shape for x in node.inputs])
        return [tuple(map(self._length, shape)) for shape in shapes]

    def _length(self, n: Any) -> Expr:
        if isinstance(n, Variable):
            return checked_length(self.values.view(n).at())
        return n if isinstance(n, Expr) else const(int(n))

    def _outputs(self, node: Apply) -> tuple[Value, ...]:
        """New values for the outputs of a node."""
        outputs = tuple(self.values.new(out.name or short_name(node.op), out.type.dtype, node) for out in node.outputs)
        self.values.of.update(zip(node.outputs, outputs, strict=True))
        return outputs

    def _host(self, node: Apply, is_said: bool = False) -> None:
        """Leave a node to Python, or to C that needs Python's lock.  Errors: see ``say_that_python_computes``.

        is_said  whether that was said of a node inside of it
        """
        if not is_said and c_for_python_of(node, self.dialect) is None:
            say_that_python_computes(node, self.dialect)
        inputs = tuple(self.values.value(variable) for variable in node.inputs)
        outputs = tuple(self.values.given(variable, node) for variable in node.outputs)
        self.host_nodes.append((node, inputs, outputs))


def _is_whole(each: Operand) -> bool:
    """Whether it is all of a stored value as it lies, in whose place a result can be."""
    return each == Operand.whole(each.value, each.shape)


def _with_known(variable: Variable, shape: Sequence[Expr]) -> tuple[Expr, ...]:
    """A shape that also says which lengths the type of ``variable`` knows."""
    return tuple(
        e if n is None or e.is_const else same_length(e, const(n))
        for n, e in zip(variable.type.shape, shape, strict=True)
    )


def _is_flat(e: Expr) -> bool:
    """Whether a reduction holds no other."""
    return not reductions_in(e.args)


def _by_author(write: Callable[..., Any], what: str, node: Apply, *arguments: Any) -> Any:
    """What an author's function returns.

    Errors: with the op and the line that made the node, those of core as what they are, others as BackendError.
    """
    try:
        return write(*arguments)
    except CoreError as error:
        if "was made at" in str(error):  # it says already who
            raise
        raise type(error)(f"{what} of {node.op} failed: {error}", blame=node) from error
    except Exception as error:
        raise BackendError(f"{what} of {node.op} failed: {type(error).__name__}: {error}", blame=node) from error
