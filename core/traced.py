"""Python functions of variables whose calls become nodes: of ops that hold the graph which the function builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.composed import OpFromGraph, variables_of
from core.graph import Variable
from core.inner import InnerGraph
from core.tensor.type import as_tensor

__all__ = ["Traced", "op_from_graph"]


def op_from_graph(function: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """Decorator: a call of ``function`` makes an OpFromGraph of it, and applies that.  ``options`` are those of the op.

    Variables and arrays among the arguments are its inputs; other arguments, and those given by name, are passed on as
    they are.  Variables that the function finds around it are read from there, and gradients reach them.

    >>> import core, core.tensor as ct
    >>> def clipped(inputs, outputs, output_grads):
    ...     return [ct.clip(output_grads[0], -1, 1)]
    >>> @core.op_from_graph(lop_overrides=clipped)
    ... def identity(x):
    ...     return x.copy()
    >>> x = ct.scalar("x")
    >>> core.function([x], core.grad(identity(x) ** 2, x))(3.0)
    array(1.)
    """
    if function is None:
        return lambda function: op_from_graph(function, **options)
    return Traced(function, OpFromGraph, options)


class Traced:
    """A Python function of variables whose calls become nodes of an op that holds its graph."""

    def __init__(self, function: Callable[..., Any], kind: type[OpFromGraph], options: Mapping[str, Any]):
        self.function, self.kind, self.options = function, kind, dict(options)
        self.options.setdefault("name", getattr(function, "__name__", None))
        self.__doc__, self.__name__ = function.__doc__, getattr(function, "__name__", "function")

    def __call__(self, *args: Any, **named: Any) -> Any:
        given = [as_tensor(x) if hasattr(x, "__array__") and not isinstance(x, Variable) else x for x in args]
        inputs = [x for x in given if isinstance(x, Variable)]
        fresh = [x.type.make_variable(x.name) for x in inputs]
        remaining = iter(fresh)
        found = self.function(*(next(remaining) if isinstance(x, Variable) else x for x in given), **named)
        several = isinstance(found, (list, tuple))
        outputs = variables_of(f"{self.__name__} as an op", "results", found)
        graph, captured = InnerGraph.closed(fresh, outputs)
        results = self.kind._of(graph, captured, **self.options)(*inputs, return_list=True)
        return type(found)(results) if several else results[0]
