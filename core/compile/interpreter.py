"""The interpreter: ``perform`` of each node in turn, with NumPy.  Needs no compiler.

It is the oracle for every other backend.  Also how a single node is performed with its outputs checked and its errors
explained, which compiled programs use for the ops that they leave to Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.compile.instrument import watched
from core.compile.lazy import with_branches
from core.errors import ComputeError, CoreError, DTypeError, IndexOutOfBounds, ShapeError, compute_error
from core.graph import Apply, Constant, FunctionGraph, Variable
from core.inner import InnerGraph, InnerOp, owned
from core.op import Op
from core.records import Probe
from core.tensor.type import TensorType

if TYPE_CHECKING:
    from core.compile.reference import Perform

_ABOUT_SHAPES = re.compile(
    r"shape|broadcast|dimension|aligned|mismatch|axis|axes|size|length|concatenat", re.IGNORECASE
)


class Interpreter:
    """The driver of backend "interpreter".  Takes graphs, not programs."""

    name = "interpreter"

    def probe(self) -> Probe:
        """Always works: it needs NumPy alone."""
        return Probe(devices=("cpu",))

    def fingerprint(self) -> str:
        return f"numpy {np.__version__}"

    def compile_graph(self, graph: FunctionGraph) -> Interpreted:
        """Errors: BackendError naming an op that cannot be performed."""
        return Interpreted(graph)


driver = Interpreter()


class Step:
    """A node made ready to be performed: checks of its outputs, and which inputs must be copied first."""

    __slots__ = ("dead", "destroyed", "expected", "node", "perform", "reads", "writes")

    def __init__(
        self, node: Apply, reads: Sequence[int] = (), writes: Sequence[int] = (), perform: Perform | None = None
    ):
        self.node = node
        self.perform = _performer(node) if perform is None else perform
        self.reads, self.writes = tuple(reads), tuple(writes)
        self.dead: tuple[int, ...] = ()  # slots that nobody reads later
        self.expected = [_expected(out) for out in node.outputs]
        self.destroyed = sorted({position for positions in node.op.destroy_map.values() for position in positions})

    def run(self, inputs: list[Any]) -> list[Any]:
        """The outputs of the node for these inputs, each of its type."""
        for position in self.destroyed:
            inputs[position] = inputs[position].copy()
        cells: list[list] = [[None] for _ in self.expected]
        try:
            self.perform(self.node, inputs, cells)
        except MemoryError:
            raise
        except Exception as error:
            raise explained(self.node, inputs, error) from error
        outputs = []
        for index, (cell, expected) in enumerate(zip(cells, self.expected, strict=True)):
            value = cell[0]
            if (
                expected is None
                or type(value) is not np.ndarray
                or value.dtype is not expected[0]
                or value.ndim != expected[1]
                or expected[2] is not None
            ):
                value = checked(self.node, index, value)
            outputs.append(value)
        return outputs


def _expected(out: Variable) -> tuple[np.dtype, int, Any] | None:
    """What is checked of an output at once; the rest of the checks are ``checked``'s."""
    kind = out.type
    if not isinstance(kind, TensorType):
        return None
    return np.dtype(kind.dtype), kind.ndim, kind.shape if any(n is not None for n in kind.shape) else None


def host_call(node: Apply, perform: Perform | None = None) -> Callable[[Sequence[Any]], list[Any]]:
    """A function from the inputs of a node to its outputs.  Errors of a call: those of ``Step.run``.

    perform  does what the op's ``perform`` would do; None: that, or what stands for it.  One that is given is C, and
             trusted to leave inputs alone that ``destroy_map`` does not name: mode "debug" is there to find out
    """
    step: list[Step] = []

    def call(inputs: Sequence[Any]) -> list[Any]:
        if not step:
            step.append(Step(node, perform=perform))
        with np.errstate(all="ignore"):
            return step[0].run(list(inputs))

    call.leaves_inputs_alone = perform is not None
    return call


def checked(node: Apply, index: int, value: Any) -> Any:
    """``value`` if it is what output ``index`` of ``node`` should be.  Errors: DTypeError, ShapeError naming the op."""
    kind = node.outputs[index].type
    which = f"output {index} of {node.op}" if len(node.outputs) > 1 else f"the output of {node.op}"
    if value is None:
        raise ComputeError(f"perform of {node.op} left output {index} empty; it needs {kind}", blame=node)
    if not isinstance(kind, TensorType):
        return kind.filter(value, strict=True)
    if isinstance(value, np.generic):  # what NumPy makes of a 0-d array
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        raise DTypeError(f"{which} must be an array of {kind}, but perform made a {type(value).__name__}", blame=node)
    if value.dtype != kind.dtype:
        raise DTypeError(f"{which} must have dtype {kind.dtype}, but perform made {value.dtype}", blame=node)
    if value.ndim != kind.ndim:
        raise ShapeError(f"{which} must have ndim={kind.ndim}, but perform made shape {value.shape}", blame=node)
    if any(known is not None and known != n for known, n in zip(kind.shape, value.shape, strict=True)):
        raise ShapeError(f"{which} must be {kind}, but perform made shape {value.shape}", blame=node)
    return value


def explained(node: Apply, inputs: Sequence[Any], error: Exception) -> CoreError:
    """``error``, which ``node`` raised, as one of ours that says the op, what it met, and the user's line.

    One of core.errors keeps its class; NumPy's ValueError about shapes becomes a ShapeError, IndexError an
    IndexOutOfBounds; anything else becomes a ComputeError that is of its class, too.
    """
    if isinstance(error, CoreError) and str(error).startswith(f"{node.op} failed: "):
        return error  # C has said it
    if isinstance(error, CoreError) and isinstance(node.op, InnerOp) and node.op.is_transparent:
        return error  # the node inside has said it
    kind: type[CoreError] | None = None
    if isinstance(error, IndexError) and not isinstance(error, CoreError):
        kind = IndexOutOfBounds
    elif type(error) is ValueError and _ABOUT_SHAPES.search(str(error)):
        kind = ShapeError
    elif isinstance(error, CoreError) and type(error).__init__ is CoreError.__init__:
        kind = type(error)
    said = str(error) if isinstance(error, (CoreError, ValueError, IndexError)) else f"{type(error).__name__}: {error}"
    lines = [said if said.startswith(str(node.op)) else f"{node.op} failed: {said}"]
    for position, (variable, value) in enumerate(zip(node.inputs, inputs, strict=True)):
        lines.append(f"  input {position} ({shown_name(variable)}): {described(value)}")
    blame, message = None if str(node.source) in said else node, "\n".join(lines)
    return compute_error(type(error), message, blame=blame) if kind is None else kind(message, blame=blame)


def shown_name(variable: Variable) -> str:
    """A short name: the variable's own, or the op that makes it."""
    text = str(variable)
    return text if len(text) <= 40 else text[:37] + "..."


def described(value: Any) -> str:
    """Dtype, shape and strides of an array; the type of anything else."""
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    return f"{value.dtype}, shape {value.shape}, strides {value.strides} bytes"


class Interpreted:
    """A graph that runs node by node.  Keeps nothing between calls, so threads may call it at once."""

    def __init__(self, graph: FunctionGraph | InnerGraph):
        nodes = graph.toposort()
        slots: dict[Variable, int] = {variable: k for k, variable in enumerate(graph.inputs)}
        constants: dict[int, Any] = {}

        def slot(variable: Variable) -> int:
            if variable not in slots:
                slots[variable] = len(slots)
                if isinstance(variable, Constant):
                    constants[slots[variable]] = variable.data
            return slots[variable]

        self.sources: dict[str, str] = {}
        self._watchers: list[Any] = []
        self._steps = [
            self._step(node, [slot(x) for x in node.inputs], [slot(x) for x in node.outputs]) for node in nodes
        ]
        self._outputs = [slot(variable) for variable in graph.outputs]
        self._start: list[Any] = [None] * len(slots)
        for k, value in constants.items():
            self._start[k] = value
        self._inputs, self._constants = len(graph.inputs), [id(value) for value in constants.values()]
        _mark_dead(self._steps, {*range(self._inputs), *constants, *self._outputs})

    def _step(self, node: Apply, reads: Sequence[int], writes: Sequence[int]) -> Step:
        return Step(node, reads, writes)

    def watch(self, watchers: Sequence[Any]) -> None:
        """Tell ``watchers`` of each node when it is entered and left."""
        self._watchers = list(watchers)

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        """Fresh outputs: none shares memory with an input, a constant or another output."""
        with np.errstate(all="ignore"):
            results = self.raw(arrays)
        seen = {id(array) for array in arrays}.union(self._constants)
        return [owned(value, seen) for value in results]

    def raw(self, arrays: Sequence[Any]) -> list[Any]:
        """Outputs that may share memory with inputs, constants and each other; for who has told NumPy not to warn."""
        values = list(self._start)
        values[: self._inputs] = arrays
        for step in self._steps:
            inputs = [values[k] for k in step.reads]
            if self._watchers:
                with watched(self._watchers, step.node):
                    outputs = step.run(inputs)
            else:
                outputs = step.run(inputs)
            for k, value in zip(step.writes, outputs, strict=True):
                values[k] = value
            for k in step.dead:
                values[k] = None
        return [values[k] for k in self._outputs]


def _mark_dead(steps: Sequence[Step], kept: set[int]) -> None:
    """Tell each step which slots it is the last to read."""
    read = set(kept)
    for step in reversed(steps):
        last = dict.fromkeys(k for k in (*step.reads, *step.writes) if k not in read)
        step.dead = tuple(last)
        read.update(last)


def _performer(node: Apply) -> Perform:
    """What computes a node: its op's own ``perform``, or what stands for that.  Errors: as of reference.performer."""
    if isinstance(node.op, InnerOp):
        return node.op.performer(node, lambda graph: Interpreted(with_branches(graph)).raw)
    if getattr(node.op.perform, "__func__", None) is not Op.perform:
        return node.op.perform
    from core.compile.reference import performer  # for few ops, and much to import

    return performer(node)
