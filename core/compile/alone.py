"""The C of one op, compiled by itself: for the interpreter, for devices, and to compare it with ``perform``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from core import backend as backends
from core.compile.lower import lower
from core.compile.means import c_of
from core.errors import BackendError, PluginConflict
from core.graph import Apply, Constant, FunctionGraph
from core.ir.build import build
from core.ir.target import HOST

Perform: TypeAlias = Callable[[Apply, Sequence[Any], Sequence[list]], None]  # what Op.perform does


def in_c(node: Apply) -> Perform | None:
    """What does the same as ``perform`` of the node's op by its C, or by C that a plugin attached; None without any.

    Errors  BackendError where no backend that compiles C works here, CompileError.
    """
    if not node.op.defines("c_code"):
        return None
    driver = _driver(node)
    code = c_of(node, driver.dialect_table)
    if code is None:
        return None
    return driver.c_op(node, code) if code.c_api == "python" else _by_program(node, driver)


def _driver(node: Apply) -> Any:
    """The driver of the best backend whose functions are C."""
    reasons = []
    for name in backends.names():
        try:
            entry = backends.plugins.registries().backends.get(name)
        except PluginConflict as error:
            reasons.append(str(error))
            continue
        if entry is None or entry.record.dialect is None:
            continue
        found = backends.probe(name)
        if not found.works:
            reasons.append(f"{name}: {found}")
        elif getattr(getattr(entry.load(), "dialect_table", None), "op_function", ""):
            return entry.load()
    why = "; ".join(reasons) or f"none is installed: pip install {backends.FIRST_PARTY['c']}"
    raise BackendError(f"{node.op} has c_code, and no backend that compiles C works here ({why})", blame=node)


def _by_program(node: Apply, driver: Any) -> Perform:
    """Plain C as a program of one step.  Errors: BackendError for a dtype that plain C lacks."""
    for x in (*node.inputs, *node.outputs):
        if not driver.dialect_table.supports_by_hand(getattr(x.type, "dtype", "")):
            raise BackendError(f'c_code of {node.op} needs c_api = "python" for {x.type}', blame=node)
    fresh = [x if isinstance(x, Constant) else x.type() for x in node.inputs]
    twin = Apply(node.op, fresh, [out.type for out in node.outputs])
    twin.source = node.source
    given = [k for k, x in enumerate(fresh) if not isinstance(x, Constant)]
    lowered = lower(FunctionGraph([fresh[k] for k in given], twin.outputs), driver.dialect_table, "op")
    run = driver.compile(build(lowered, frozenset(), getattr(driver, "target", HOST)), None)

    def perform(node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list]) -> None:
        for cell, value in zip(output_storage, run([np.asarray(inputs[k]) for k in given]), strict=True):
            cell[0] = value

    return perform
