"""core: a symbolic tensor compiler.  Build an expression, differentiate it, compile it; every part is a plugin.

The names below are imported when they are first used, so that ``import core`` costs next to nothing.
"""

from importlib import import_module
from sys import modules
from typing import TYPE_CHECKING, Any

from core import codebase as codebase  # notes when this process began to read core
from core.graph import Variable

if TYPE_CHECKING:
    from core import ops as ops
    from core import plugins as plugins
    from core.backend import backends as backends
    from core.checkpointing import checkpoint as checkpoint
    from core.compile.arguments import In as In
    from core.compile.arguments import Out as Out
    from core.compile.function import Function as Function
    from core.compile.function import function as function
    from core.compile.modes import Mode as Mode
    from core.compile.shared import SharedVariable as SharedVariable
    from core.compile.shared import shared as shared
    from core.composed import OpFromGraph as OpFromGraph
    from core.external import ExternalCOp as ExternalCOp
    from core.gradient import Lop as Lop
    from core.gradient import Rop as Rop
    from core.gradient import grad as grad
    from core.gradient.jacobian import hessian as hessian
    from core.gradient.jacobian import jacobian as jacobian
    from core.graph import Apply as Apply
    from core.graph import Constant as Constant
    from core.graph import FunctionGraph as FunctionGraph
    from core.graph import Type as Type
    from core.graph import clone_replace as clone_replace
    from core.markers import hookimpl as hookimpl
    from core.markers import hookspec as hookspec
    from core.op import COp as COp
    from core.op import Op as Op
    from core.op import as_op as as_op
    from core.options import config as config
    from core.printing.debugprint import debugprint as debugprint
    from core.printing.explain import explain as explain
    from core.printing.pprint import pprint as pprint
    from core.scanning import foldl as foldl
    from core.scanning import foldr as foldr
    from core.scanning import map as map
    from core.scanning import reduce as reduce
    from core.scanning import scan as scan
    from core.scanning import until as until
    from core.tensor import TensorType as TensorType
    from core.tensor.extra.mapping import vmap as vmap
    from core.tensor.ifelse import ifelse as ifelse
    from core.testing import verify_grad as verify_grad
    from core.threads import get_num_threads as get_num_threads
    from core.threads import num_threads as num_threads
    from core.traced import op_from_graph as op_from_graph

__version__ = "0.1.0"

_HOMES = {
    "core.backend": ("backends",),
    "core.checkpointing": ("checkpoint",),
    "core.compile.arguments": ("In", "Out"),
    "core.compile.function": ("Function", "function"),
    "core.compile.modes": ("Mode",),
    "core.compile.shared": ("SharedVariable", "shared"),
    "core.composed": ("OpFromGraph",),
    "core.external": ("ExternalCOp",),
    "core.gradient": ("Lop", "Rop", "grad"),
    "core.gradient.jacobian": ("hessian", "jacobian"),
    "core.graph": ("Apply", "Constant", "FunctionGraph", "Type", "Variable", "clone_replace"),
    "core.markers": ("hookimpl", "hookspec"),
    "core.op": ("COp", "Op", "as_op"),
    "core.options": ("config",),
    "core.printing.debugprint": ("debugprint",),
    "core.printing.explain": ("explain",),
    "core.printing.pprint": ("pprint",),
    "core.scanning": ("foldl", "foldr", "map", "reduce", "scan", "until"),
    "core.tensor": ("TensorType",),
    "core.tensor.extra.mapping": ("vmap",),
    "core.tensor.ifelse": ("ifelse",),
    "core.testing": ("verify_grad",),
    "core.threads": ("get_num_threads", "num_threads"),
    "core.traced": ("op_from_graph",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("backend", "errors", "gradient", "graph", "ops", "options", "plugins", "printing", "tensor", "testing")

__all__ = ["__version__", "ops", "plugins", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    elif name in _MODULES:
        value = import_module(f"core.{name}")
    else:
        own = modules[__name__]  # in whose names Python looks for what was meant
        raise AttributeError(f"module 'core' has no attribute {name!r}", name=name, obj=own)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})


def _eval(self: Variable, values: Any = None, backend: Any = None) -> Any:
    """The value of the variable where its inputs have these ``values``; see core.compile.function.evaluate."""
    return import_module("core.compile.function").evaluate(self, values, backend)


Variable.eval = _eval  # type: ignore[attr-defined]
