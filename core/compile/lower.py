"""From a graph to values with definitions: each node says what it computes, by the best means it and the dialect have.

In this order: what a plugin attached (a lowering or C), a library routine, the op's ``c_code``, its ``lower``, its
``kernel``, ``perform``.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from core import dtypes, plugins
from core.ccode import CCode
from core.dataclass import replace
from core.errors import BackendError, CoreError, CoreWarning, DTypeError
from core.graph import Apply, Constant, FunctionGraph, Variable
from core.inner import InnerOp
from core.ir.axes import same_length
from core.ir.clike.ccalls import params_of
from core.ir.clike.cfamily import Dialect, identifier
from core.ir.codes import Code
from core.ir.definitions import (
    Definition,
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
from core.ir.expr import Expr, as_expr, const, index, length, load
from core.ir.layouts import Layout
from core.ir.library import PRODUCTS, LibraryCall
from core.ir.passes.accumulate import ROUTINE as ACCUMULATING
from core.ir.passes.operands import merged, operand, stacked
from core.ir.rebuild import loads_in, rebuild, reductions_in
from core.ir.scatter import Scatter
from core.ir.view import View
from core.options import config
from core.tensor.shape import checked_length
from core.tensor.type import TensorType

if TYPE_CHECKING:
    from core.compile.opened import Opened

_warned: set[tuple[str, str]] = set()  # ops of which it was said that Python computes them


def lower(
    graph: FunctionGraph | Opened, dialect: Dialect, name: str = "run", layouts: Sequence[Layout | None] = ()
) -> Lowered:
    """The graph as values with definitions; ``layouts`` of its inputs, where not all lie row by row.

    Errors: BackendError for a variable that is no tensor.
    """
    lowering = _Lowering(graph, dialect, layouts)
    for node in graph.toposort():
        lowering.node(node)
    outputs = [lowering.output(variable) for variable in graph.outputs]
    libraries = plugins.registries().libraries
    provided = frozenset(name for name in (ACCUMULATING,) if libraries.get((name, dialect.name)) is not None)
    return Lowered(
        name,
        lowering.definitions,
        lowering.inputs,
        outputs,
        lowering.constants,
        lowering.host_nodes,
        provided=provided,
        layouts=lowering.layouts,
    )


def how(node: Apply, dialect: Dialect) -> str:
    """By what means ``node`` is computed: "attached", "library", "c_code", "lower", "kernel", "loop", "branch", "host".

    What is left to the host is C all the same where ``c_for_python_of`` finds some.

    Errors: DTypeError for a dtype that the device lacks.
    """
    variables = [*node.inputs, *node.outputs]
    for variable in variables:
        if isinstance(variable.type, TensorType) and variable.type.dtype in dialect.lacks:
            dtype = variable.type.dtype
            raise DTypeError(f"{node.op} needs {dtype}, which {dialect.lacks[dtype]}", blame=node)
    if not all(isinstance(v.type, TensorType) and dialect.supports(v.type.dtype) for v in variables):
        return "host"
    registries = plugins.registries()
    attached = registries.lowerings.get(node.op, dialect.name, node)
    if attached is not None and attached.record.c_code is None:
        return "attached"
    if attached is not None:
        return _c_means(c_of(node, dialect), node, dialect)
    call = node.op.library_call(node)
    if call is not None and registries.libraries.serves(call.name, dialect.name, node):
        return "library"
    code = c_of(node, dialect)
    if code is not None:
        return _c_means(code, node, dialect)
    if isinstance(node.op, InnerOp) and node.op.repeats and dialect.has_inner_programs:
        return "loop"
    if isinstance(node.op, InnerOp) and node.op.branches:
        return "branch"
    return next((means for means in ("lower", "kernel") if node.op.defines(means)), "host")


def c_of(node: Apply, dialect: Dialect) -> CCode | None:
    """The C for a node that a plugin attached, or that its op has; None, too, for a dialect that takes none."""
    if not dialect.op_function:
        return None
    attached = plugins.registries().lowerings.get(node.op, dialect.name, node)
    if attached is not None:
        return attached.load("c_code") if attached.record.c_code is not None else None
    return node.op if node.op.defines("c_code") else None


def c_for_python_of(node: Apply, dialect: Dialect) -> CCode | None:
    """The C for a node that needs Python's lock."""
    code = c_of(node, dialect)
    return code if code is not None and code.c_api == "python" else None


def _c_means(code: CCode | None, node: Apply, dialect: Dialect) -> str:
    assert code is not None
    if code.c_api not in ("c", "python"):
        raise BackendError(f'{code} needs c_api = "c" or "python", got {code.c_api!r}')
    by_hand = all(dialect.supports_by_hand(variable.type.dtype) for variable in (*node.inputs, *node.outputs))
    return "c_code" if code.c_api == "c" and by_hand else "host"


OFTEN = 3  # calls that read one matrix: from here on to write it once is less than to compute it each time


def _viewed(variable: Variable) -> Variable:
    """What a variable is a view of, in the end."""
    while (node := variable.owner) is not None and (seen := node.op.view_map.get(node.outputs.index(variable))):
        variable = node.inputs[seen[0]]
    return variable


class _Lowering:
    """One graph on its way: ``values`` says what each variable became, ``views`` how others read it."""

    def __init__(self, graph: FunctionGraph | Opened, dialect: Dialect, layouts: Sequence[Layout | None] = ()):
        self.dialect, self._graph = dialect, graph
        self.layouts: dict[Value, Layout] = {}
        self.definitions: dict[Value, Definition] = {}
        self.constants: dict[Value, np.ndarray] = {}
        self.host_nodes: list[tuple[Any, tuple[Value, ...], tuple[Value, ...]]] = []
        self._values: dict[Variable, Value] = {}
        self._views: dict[Variable, View] = {}
        self._names: dict[str, int] = {}
        self.inputs = [
            self._given(variable) if layout is None else self._laid_out(variable, layout)
            for variable, layout in zip_longest(graph.inputs, layouts)
        ]

    # --- values -----------------------------------------------------------------------------------------------------

    def _new(self, wish: str, dtype: str, node: Apply | None = None) -> Value:
        base = identifier(wish)
        number = self._names[base] = self._names.get(base, 0) + 1
        return Value(base if number == 1 else f"{base}_{number}", dtype, node)

    def _given(self, variable: Variable, node: Apply | None = None) -> Value:
        """A value whose elements come from outside; lengths that its type does not know are read when it runs."""
        kind = variable.type
        if not isinstance(kind, TensorType):
            raise BackendError(
                f"the {self.dialect.name} backend takes tensors, but {variable} is of {kind}", blame=variable
            )
        value = self._new(variable.name or (_short(node.op) if node is not None else "x"), kind.dtype, node)
        shape = tuple(length(value, axis) if n is None else const(n) for axis, n in enumerate(kind.shape))
        self.definitions[value] = Given(shape, _axes(shape))
        self._values[variable] = value
        return value

    def _laid_out(self, variable: Variable, layout: Layout) -> Value:
        """An input that does not lie row by row: others read it through a view of what lies in memory."""
        value = self._given(variable)
        definition, moves = self.definitions[value], [length(value, layout.ndim + k) for k in range(layout.extras)]
        rows, at = layout.position(definition.shape, definition.axes, moves)
        self.definitions[value] = Given(rows, _axes(rows))
        view = self._new(f"{value}_view", value.dtype)
        self.definitions[view] = Pointwise(definition.shape, definition.axes, load(value, at, value.dtype))
        self._values[variable] = view
        self.layouts[value] = layout
        return value

    def _constant(self, variable: Constant) -> Value:
        value = self._given(variable)
        self.constants[value] = np.ascontiguousarray(variable.data).reshape(variable.data.shape)
        return value

    def _define(self, variable: Variable, definition: Definition, node: Apply) -> Value:
        value = self._new(variable.name or _short(node.op), variable.type.dtype, node)
        self.definitions[value] = definition
        self._values[variable] = value
        return value

    def value(self, variable: Variable) -> Value:
        """The value of a variable, as something that can be stored."""
        if variable not in self._values:
            self._constant(variable)  # type: ignore[arg-type]
        return self._values[variable]

    def view(self, variable: Variable) -> View:
        """How a node reads a variable: an element is a load, unless it is simpler than that."""
        if variable not in self._views:
            self._views[variable] = self._make_view(variable)
        return self._views[variable]

    def _make_view(self, variable: Variable) -> View:
        if isinstance(variable, Constant) and variable not in self._values:
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

    def output(self, variable: Variable) -> Value:
        return self.value(variable)

    # --- nodes ------------------------------------------------------------------------------------------------------

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
        views = [self.view(variable) for variable in node.inputs]
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
        axes = [_axes(shape) for shape in shapes]
        elements = {k: out.at(axes[k]) for k, out in enumerate(outputs) if not isinstance(out, Scatter)}
        if _lacks_a_rule(node, elements.values()):
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
            self._define(variable, Reduction(shape, axes, combine, bound, expr.args[1:], expr.args[0]), node)
            return
        expr = self._without_reductions(expr, extents, node)
        self._define(variable, Pointwise(shape, axes, expr), node)

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
            value = self._new(f"{combine.value}", e.dtype, node)
            self.definitions[value] = Reduction(shape, axes, combine, bound, args[1:], args[0])
            return load(value, axes, e.dtype)

        return rebuild(expr, change, {})

    def _scatter(self, variable: Variable, out: Scatter, node: Apply) -> None:
        axes, bound = _axes(out.shape), tuple(index("k") for _ in out.extents)
        extents = {**dict(zip(axes, out.shape, strict=True)), **dict(zip(bound, out.extents, strict=True))}
        base, value = (self._without_reductions(e, extents, node) for e in (out.base.at(axes), out.value(*bound)))
        at = tuple(self._without_reductions(as_expr(i), extents, node) for i in out.index(*bound))
        definition = Scattering(out.shape, axes, base, bound, out.extents, at, value, out.combine)
        self._define(variable, definition, node)

    def _worthwhile(self, node: Apply, call: LibraryCall) -> bool:
        """Whether no large operand would have to be written for the call, or for one other, alone."""
        if not node.op.defines("lower"):
            return True
        computed = [
            node.inputs[k]
            for k in call.stored
            if isinstance(self.definitions[operand(self.value(node.inputs[k]), self.definitions).value], Pointwise)
        ]
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
            for k, value in enumerate(map(self.value, node.inputs))
        ]
        if node.op.defines("lower"):
            made = _by_author(node.op.lower, "lower", node, node, *map(self.view, node.inputs))
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
            self.definitions[value] = FromLibrary(shape, _axes(shape), call, operands, outputs, lead)

    def _kernel(self, node: Apply) -> None:
        inputs = tuple(self.value(variable) for variable in node.inputs)
        shapes, outputs = self._inferred(node), self._outputs(node)
        write = partial(_by_author, node.op.kernel, "kernel", node)
        for value, shape in zip(outputs, shapes, strict=True):
            self.definitions[value] = FromLoops(shape, _axes(shape), inputs, outputs, write)

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
        inputs = tuple(self.value(variable) for variable in node.inputs)
        packed = params_of(node, code)
        if packed is not None:
            inputs += (self._bytes("params", packed),)
        shapes, outputs = self._inferred(node), self._outputs(node)
        for variable, value, inferred in zip(node.outputs, outputs, shapes, strict=True):
            shape = _with_known(variable, inferred)
            self.definitions[value] = FromC(shape, _axes(shape), inputs, outputs, code)

    def _bytes(self, wish: str, data: np.ndarray) -> Value:
        """A constant that holds the bytes of ``data``."""
        raw = np.frombuffer(data.tobytes(), "uint8")
        value = self._new(wish, "uint8")
        shape = (const(raw.size),)
        self.definitions[value] = Given(shape, _axes(shape))
        self.constants[value] = raw
        return value

    def _loop(self, node: Apply) -> None:
        """Steps that run one after the other, or Python where some step needs it."""
        from core.compile.loops import Loop  # who has no loops need not wait for it

        loop = Loop(node, self.dialect, lower)
        made = None
        if loop.body is not None:
            for x in node.inputs:
                self.value(x)
            made = loop.defined(self._values, self.definitions, self.constants, self._element_of, self._new_of(node))
        if made is None:
            self._host(node, is_said=loop.body is None)
        else:
            self._values.update(made)

    def _branch(self, node: Apply) -> None:
        """One side or the other; where a step cannot choose, Python does, between programs of their own."""
        from core.compile.choices import Choosing  # who has nothing to choose need not wait for it

        for x in node.inputs:
            self.value(x)
        new = self._new_of(node)
        element = self._element_of
        choosing = Choosing(node, self._values, self.definitions, self.constants, element, self.inputs, new)
        made = choosing.picked()
        if made is None and self.dialect.has_inner_programs:
            made = choosing.defined(self.dialect, lower)
        if made is None:
            self._host(node, is_said=True)  # of what is inside
        else:
            self._values.update(made)

    def _element_of(self, scalar: Variable) -> Expr:
        return self.view(scalar).at(())

    def _new_of(self, node: Apply) -> Callable[[str, str], Value]:
        return lambda wish, dtype: self._new(wish, dtype, node)

    def _inferred(self, node: Apply) -> list[tuple[Expr, ...]]:
        """The shapes of a node's outputs as its ``infer_shape`` has them; an input may be a length."""
        shapes = node.op.shapes(None, node, [self.definitions[self.value(x)].shape for x in node.inputs])
        return [tuple(map(self._length, shape)) for shape in shapes]

    def _length(self, n: Any) -> Expr:
        if isinstance(n, Variable):
            return checked_length(self.view(n).at())
        return n if isinstance(n, Expr) else const(int(n))

    def _outputs(self, node: Apply) -> tuple[Value, ...]:
        """New values for the outputs of a node."""
        outputs = tuple(self._new(out.name or _short(node.op), out.type.dtype, node) for out in node.outputs)
        self._values.update(zip(node.outputs, outputs, strict=True))
        return outputs

    def _host(self, node: Apply, is_said: bool = False) -> None:
        """Leave a node to Python, or to C that needs Python's lock.  Errors: see ``_say_that_python_computes``.

        is_said  whether that was said of a node inside of it
        """
        if not is_said and c_for_python_of(node, self.dialect) is None:
            self._say_that_python_computes(node)
        inputs = tuple(self.value(variable) for variable in node.inputs)
        outputs = tuple(self._given(variable, node) for variable in node.outputs)
        self.host_nodes.append((node, inputs, outputs))

    def _say_that_python_computes(self, node: Apply) -> None:
        """Said once for each op.  Errors: BackendError where ``strict`` asks for that."""
        pack = type(node.op).__module__.partition(".")[0]
        types = ", ".join(str(x.type) for x in node.inputs)
        why = f"{node.op} of {pack!r} on {types} has no code for the {self.dialect.name} backend"
        if config.strict:
            raise BackendError(f"{why}, and strict=True forbids Python to compute it", blame=node)
        if (pack, str(node.op)) not in _warned:
            _warned.add((pack, str(node.op)))
            message = f"{why}: Python computes it, which is slow"
            if node.source is None:
                warnings.warn(message, CoreWarning, stacklevel=2)
            else:  # at the line that made the node
                warnings.warn_explicit(message, CoreWarning, node.source.filename, node.source.lineno)


def _is_whole(each: Operand) -> bool:
    """Whether it is all of a stored value as it lies, in whose place a result can be."""
    return each == Operand.whole(each.value, each.shape)


def _with_known(variable: Variable, shape: Sequence[Expr]) -> tuple[Expr, ...]:
    """A shape that also says which lengths the type of ``variable`` knows."""
    return tuple(
        e if n is None or e.is_const else same_length(e, const(n))
        for n, e in zip(variable.type.shape, shape, strict=True)
    )


def _axes(shape: Sequence[Expr]) -> tuple[Expr, ...]:
    """Fresh loop variables for a shape; an axis of length 1 needs none."""
    letters = "ijklmn"
    return tuple(
        const(0) if n.is_const and n.payload == 1 else index(letters[axis] if axis < len(letters) else f"i{axis}")
        for axis, n in enumerate(shape)
    )


def _is_flat(e: Expr) -> bool:
    """Whether a reduction holds no other."""
    return not reductions_in(e.args)


def _lacks_a_rule(node: Apply, elements: Iterable[Expr]) -> bool:
    """Whether a function is among ``elements`` that complex numbers, or float16, have no rule for."""
    kinds = {variable.type.dtype for variable in (*node.inputs, *node.outputs)}
    if not kinds.isdisjoint(dtypes.COMPLEXES):
        from core.ir.parts.split import lacking

        return any(map(lacking, elements))
    if "float16" in kinds:
        from core.ir.halves import lacking

        return any(map(lacking, elements))
    return False


def _by_author(write: Callable[..., Any], what: str, node: Apply, *arguments: Any) -> Any:
    """What an author's function returns.  Errors: those of core as they are, BackendError with the op for others."""
    try:
        return write(*arguments)
    except CoreError:
        raise
    except Exception as error:
        raise BackendError(f"{what} of {node.op} failed: {type(error).__name__}: {error}", blame=node) from error


def _short(op: Any) -> str:
    """A name for what an op makes."""
    return str(op).partition("(")[0].lower()


def _uniform(data: np.ndarray) -> bool:
    """Whether all elements are the same bits."""
    raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8).reshape(data.size, -1)
    return bool((raw == raw[0]).all())
