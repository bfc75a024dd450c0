"""What an op's class promises beside its values: equality, hash, pickling; what it overwrites and aliases; connection.

Each function checks one node and raises GraphError or GradientError, saying what is wrong and how it is put right.
"""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.compile.reference import performer
from core.errors import GradientError, GraphError
from core.graph import Apply, DisconnectedType, NullType, Variable
from core.op import Op
from core.tensor.type import TensorType

# --- identity -------------------------------------------------------------------------------------------------------


def check_props(op: Op) -> None:
    """``__props__`` names attributes that are there, can be hashed, and settle all others; equality and hash serve."""
    props = getattr(op, "__props__", ())
    for name in props:
        if not hasattr(op, name):
            raise GraphError(f"__props__ of {type(op).__name__} names {name!r}, but there is no such attribute")
    try:
        hash(op)
    except TypeError as error:
        guilty = [name for name in props if not _hashable(getattr(op, name))]
        shown = ", ".join(f"{name}={getattr(op, name)!r}" for name in guilty) or f"{op}"
        raise GraphError(
            f"hash of {type(op).__name__} fails ({error.__cause__ or error}) because of {shown}; "
            f"make it a tuple or another frozen value"
        ) from error
    if hash(op) != hash(op) or op != op:
        raise GraphError(f"{op} must equal itself and have one hash")
    if type(op).__eq__ is Op.__eq__ and hasattr(op, "__props__"):
        _check_settled(op)


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _check_settled(op: Op) -> None:
    """Two ops with equal props are merged, so nothing else may tell them apart."""
    others = {name: value for name, value in vars(op).items() if name not in op.__props__ and not name.startswith("_")}
    if not others:
        return
    chosen = others.keys() & inspect.signature(type(op).__init__).parameters.keys()  # by whoever makes the op
    twin = _made_from_props(op)
    settled = (
        () if twin is None else [name for name, value in others.items() if _same(getattr(twin, name, None), value)]
    )
    loose = sorted(name for name in others if name in chosen or name not in settled)
    if loose:
        names = ", ".join(map(repr, loose))
        raise GraphError(
            f"{type(op).__name__} has attributes that __props__ = {op.__props__} does not settle: {names}; two ops "
            f"that differ in them would be merged: name them in __props__, or begin their names with '_' if nothing "
            f"depends on them"
        )


def _made_from_props(op: Op) -> Op | None:
    """Another op made of the props alone, as far as the class lets itself be called so."""
    values = {name: getattr(op, name) for name in op.__props__}
    for make in (lambda: type(op)(**values), lambda: type(op)(*values.values())):
        try:
            return make()
        except Exception:  # the constructor wants something else
            continue
    return None


def _same(a: Any, b: Any) -> bool:
    try:
        return a is b or bool(np.all(a == b))
    except Exception:  # what cannot be compared is not the same
        return False


def can_be_found(op: Op) -> bool:
    """Whether the class of an op is found by its name, as pickle needs: one that is made inside a function is not."""
    found: Any = sys.modules.get(type(op).__module__)
    for name in type(op).__qualname__.split("."):
        found = getattr(found, name, None)
    return found is type(op)


def check_copies(op: Op) -> None:
    """A copy and a pickled op equal the op and have its hash, where ``__props__`` or ``__eq__`` makes ops equal."""
    try:
        twins = [copy.copy(op), pickle.loads(pickle.dumps(op))]
    except Exception as error:
        raise GraphError(
            f"{type(op).__name__} cannot be pickled ({type(error).__name__}: {error}), so functions that use it cannot "
            f"be saved or sent to another process; keep what cannot be pickled out of its attributes"
        ) from error
    if not hasattr(op, "__props__") and type(op).__eq__ is Op.__eq__:
        return  # such an op equals itself alone, and says so
    for twin, how in zip(twins, ("copied", "pickled"), strict=True):
        if twin != op or hash(twin) != hash(op):
            raise GraphError(f"{op} is not equal to itself when {how}, or has another hash: equal ops must be merged")


# --- memory ---------------------------------------------------------------------------------------------------------


def check_memory(node: Apply, inputs: Sequence[Any]) -> None:
    """``perform`` leaves its inputs as they were but for ``destroy_map``; outputs alias only what the maps say."""
    op = node.op
    destroys, views = _map(node, "destroy_map"), _map(node, "view_map")
    given = [x.copy() if isinstance(x, np.ndarray) else x for x in inputs]
    cells: list[list] = [[None] for _ in node.outputs]
    with np.errstate(all="ignore"):
        performer(node)(node, given, cells)
    for position, (now, before) in enumerate(zip(given, inputs, strict=True)):
        if not isinstance(before, np.ndarray) or position in {p for ps in destroys.values() for p in ps}:
            continue
        if now.tobytes() != before.tobytes():
            raise GraphError(
                f"perform of {op} overwrites its input {position}, and others may still need it; compute into a new "
                f"array, or say destroy_map = {{0: [{position}]}}"
            )
    for number, cell in enumerate(cells):
        if not isinstance(cell[0], np.ndarray):
            continue
        for position, x in enumerate(given):
            declared = position in (*views.get(number, ()), *destroys.get(number, ()))
            if isinstance(x, np.ndarray) and not declared and np.shares_memory(cell[0], x):
                raise GraphError(
                    f"output {number} of {op} lies in the memory of input {position}, which neither view_map nor "
                    f"destroy_map says; return a copy, or say view_map = {{{number}: [{position}]}}"
                )


def _map(node: Apply, name: str) -> dict[int, list[int]]:
    found = getattr(node.op, name)
    for output, positions in found.items():
        if not (0 <= output < len(node.outputs)) or any(not 0 <= p < len(node.inputs) for p in positions):
            raise GraphError(
                f"{name} of {node.op} is {found}, but the op has {len(node.inputs)} inputs and {len(node.outputs)} "
                f"outputs; it maps the number of an output to a list of numbers of inputs"
            )
    return found


def check_repeatable(node: Apply, inputs: Sequence[Any]) -> None:
    """A second call gives what the first gave, to the bit: what depends on anything else cannot be merged or cached."""
    found = []
    for _ in range(2):
        cells: list[list] = [[None] for _ in node.outputs]
        given = [x.copy() if isinstance(x, np.ndarray) else x for x in inputs]
        with np.errstate(all="ignore"):
            performer(node)(node, given, cells)
        found.append([np.array(cell[0]).tobytes() if isinstance(cell[0], np.ndarray) else None for cell in cells])
    if found[0] != found[1]:
        raise GraphError(f"perform of {node.op} gives something else when it is called again with the same inputs")


# --- connection -----------------------------------------------------------------------------------------------------


def check_connection(node: Apply, inputs: Sequence[Any], step: float = 1e-4) -> None:
    """``connection_pattern`` has the right form, ``grad`` answers for each input as it says, and values bear it out."""
    op = node.op
    pattern = op.connection_pattern(node)
    if [len(row) for row in pattern] != [len(node.outputs)] * len(node.inputs):
        raise GradientError(
            f"connection_pattern of {op} must have {len(node.inputs)} rows, one for each input, of {len(node.outputs)} "
            f"booleans, one for each output; it is {pattern}"
        )
    if op.defines("grad"):
        _check_gradients(node)
    base = _performed(node, inputs)
    for position, (row, x) in enumerate(zip(pattern, inputs, strict=True)):
        if all(row) or not isinstance(x, np.ndarray) or x.dtype.name not in dtypes.FLOATS or not x.size:
            continue
        moved = _performed(node, [*inputs[:position], x + x.dtype.type(step), *inputs[position + 1 :]])
        for number, connected in enumerate(row):
            if not connected and _moves(base[number], moved[number], step):
                raise GradientError(
                    f"connection_pattern of {op} says that output {number} does not depend on input {position}, but it "
                    f"changes with it"
                )


def _check_gradients(node: Apply) -> None:
    """A connected input may have no gradient; that none is missing, differences tell."""
    op = node.op
    gradients = [out.type() if _is_float(out) else DisconnectedType()() for out in node.outputs]
    if not any(_is_float(out) for out in node.outputs):
        return
    found = op.grad(node.inputs, gradients)
    if not isinstance(found, (list, tuple)) or len(found) != len(node.inputs):
        shown = f"{len(found)} of them" if isinstance(found, (list, tuple)) else f"{found!r}"
        raise GradientError(
            f"grad of {op} must return a list of {len(node.inputs)} variables, one for each input, got {shown}"
        )
    for position, g in enumerate(found):
        if not isinstance(g, Variable):
            raise GradientError(
                f"grad of {op} gives {g!r} for input {position}; it must be a variable: core.op.disconnected() where "
                f"there is no connection, core.op.grad_undefined(...) where there is no derivative"
            )
        x = node.inputs[position]
        if not isinstance(g.type, (DisconnectedType, NullType)) and _is_float(x) and g.type.ndim != x.type.ndim:
            raise GradientError(
                f"grad of {op} gives a gradient with ndim={g.type.ndim} for input {position}, which has "
                f"ndim={x.type.ndim}; a gradient has the shape of its input"
            )


def _is_float(x: Variable) -> bool:
    return isinstance(x.type, TensorType) and x.type.dtype in dtypes.FLOATS


def _performed(node: Apply, inputs: Sequence[Any]) -> list[Any]:
    cells: list[list] = [[None] for _ in node.outputs]
    with np.errstate(all="ignore"):
        performer(node)(node, [x.copy() if isinstance(x, np.ndarray) else x for x in inputs], cells)
    return [cell[0] for cell in cells]


def _moves(before: Any, after: Any, step: float) -> bool:
    """Whether an output follows its input smoothly: a jump, as of ``floor``, is no connection."""
    if not isinstance(before, np.ndarray) or before.dtype.name not in dtypes.FLOATS or before.shape != after.shape:
        return False
    change = np.abs(np.nan_to_num(after - before))
    return bool(np.any((change > 0.01 * step) & (change < 100 * step)))
