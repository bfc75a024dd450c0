"""By what means a node is computed: what a plugin attached, a library, the op's own C, its loops, or Python.

In this order: what a plugin attached (a lowering or C), a library routine, the op's ``c_code``, its ``lower``, its
``kernel``, ``perform``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from core import dtypes, plugins
from core.ccode import CCode
from core.errors import BackendError, CoreWarning, DTypeError
from core.graph import Apply
from core.inner import InnerOp
from core.ir.clike.cfamily import Dialect
from core.ir.expr import Expr
from core.options import config
from core.tensor.type import TensorType

_warned: set[tuple[str, str]] = set()  # ops, and loops, of which it was said that Python computes them


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
        return _in_c(c_of(node, dialect), node, dialect)
    call = node.op.library_call(node)
    if call is not None and registries.libraries.serves(call.name, dialect.name, node):
        return "library"
    code = c_of(node, dialect)
    if code is not None:
        return _in_c(code, node, dialect)
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


def _in_c(code: CCode | None, node: Apply, dialect: Dialect) -> str:
    assert code is not None
    if code.c_api not in ("c", "python"):
        raise BackendError(f'{code} needs c_api = "c" or "python", got {code.c_api!r}')
    by_hand = all(dialect.supports_by_hand(variable.type.dtype) for variable in (*node.inputs, *node.outputs))
    return "c_code" if code.c_api == "c" and by_hand else "host"


def lacks_a_rule(node: Apply, elements: Iterable[Expr]) -> bool:
    """Whether a function is among ``elements`` that complex numbers, or float16, have no rule for."""
    kinds = {variable.type.dtype for variable in (*node.inputs, *node.outputs)}
    if not kinds.isdisjoint(dtypes.COMPLEXES):
        from core.ir.parts.split import lacking

        return any(map(lacking, elements))
    if "float16" in kinds:
        from core.ir.halves import lacking

        return any(map(lacking, elements))
    return False


def say_that_python_computes(node: Apply, dialect: Dialect) -> None:
    """Said once for each op.  Errors: BackendError where ``strict`` asks for that."""
    pack = node.op.__module__.partition(".")[0]  # of as_op that of the function
    kinds = [x.type.dtype if isinstance(x.type, TensorType) else str(x.type) for x in node.inputs]
    types = " and ".join(dict.fromkeys(kinds)) or "nothing"
    why = f"{node.op} of {pack!r} on {types} has no code for the {dialect.name} backend"
    if config.strict:
        raise BackendError(f"{why}, and strict=True forbids Python to compute it", blame=node)
    if not node.op.needs_python:
        _say_once((pack, str(node.op)), node, f"{why}: Python computes it, which is slow")


def say_that_python_repeats(node: Apply, inside: Iterable[Apply]) -> None:
    """That a whole loop is left to Python because some nodes of a step are: of these, it was said why."""
    names = " and ".join(dict.fromkeys(str(one.op) for one in inside))
    _say_once(("loop", str(node.op)), node, f"Python runs all of {node.op}, step by step, because it computes {names}")


def _say_once(what: tuple[str, str], node: Apply, message: str) -> None:
    """A warning at the line that made the node, unless there was one of ``what``."""
    if what in _warned:
        return
    _warned.add(what)
    if node.source is None:
        warnings.warn(message, CoreWarning, stacklevel=2)
    else:
        warnings.warn_explicit(message, CoreWarning, node.source.filename, node.source.lineno)
