"""Functions of scalars that loop: series, continued fractions and rejection, whose length no expression knows.

One is written once, with a builder, as an op's ``kernel`` is.  A call of it is an expression like a call of ``exp``: it
fuses, and no pass looks inside.  Printers write it as a function of their language (clike/cfunctions.py), and
elements.py computes it for many elements at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, update_wrapper
from typing import Any

import numpy as np

from core import dtypes
from core.errors import DTypeError
from core.ir.builder import KernelBuilder, scalar
from core.ir.codes import Code
from core.ir.elements import evaluate_function
from core.ir.expr import Expr, as_expr, cast, make
from core.ir.nodes import Break, If, Let, Local, Loop, Statement, expressions, own_expressions, rewritten
from core.ir.rebuild import functions_in, rebuild
from core.ir.walk import walk

COST = 300  # of a call, in operations: some turns of a loop


class FunctionBuilder(KernelBuilder):
    """Collects the statements of a function: ``local``, ``let``, ``loop``, ``when`` and ``stop``; it has no memory."""

    def let(self, value: Any, name: str = "value") -> Expr:
        """A name for a value that does not change, so that it is computed once."""
        value = as_expr(scalar(value))
        local = Local(name, value.dtype)
        self.add(Let(local, value))
        return local.expr

    def stop(self, condition: Any) -> None:
        """Leave the loop around this where ``condition`` holds.  Only directly in a loop, not inside ``when``."""
        self.add(Break(as_expr(scalar(condition), "bool")))  # type: ignore[arg-type]


class ScalarFunction:
    """A function for operands of given dtypes: parameters, statements, and the result, an expression over their locals.

    c_name  what it is called in C: no other function is, and it is the same in every process
    """

    cost = COST

    def __init__(self, module: str, name: str, parameters: Sequence[Local], body: list[Statement], result: Expr):
        self.module, self.name, self.parameters = module, name, tuple(parameters)
        *self.body, last = _named([*body, Let(Local("result", result.dtype), result)])
        assert isinstance(last, Let)
        self.result = last.value

    @property
    def dtype(self) -> str:
        return self.result.dtype

    @cached_property
    def c_name(self) -> str:
        kinds = "_".join(local.dtype for local in self.parameters)
        return f"core_{self.module.replace('.', '_')}_{self.name}_{kinds}"

    @property
    def calls(self) -> list[ScalarFunction]:
        """The functions that it calls itself."""
        return functions_in([*expressions(self.body), self.result])

    def evaluate(self, args: Sequence[Any]) -> np.ndarray:
        """Its values for arrays that broadcast together."""
        return evaluate_function(self, args)

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


class FunctionOfScalars:
    """What ``scalar_function`` makes: called with scalar expressions, it gives the expression of the call."""

    def __init__(self, writer: Callable[..., Any]):
        self._writer = writer
        self._made: dict[tuple[str, ...], ScalarFunction] = {}
        self.__name__ = writer.__name__
        update_wrapper(self, writer)

    def of(self, *kinds: str) -> ScalarFunction:
        """The function for operands of these dtypes."""
        if kinds not in self._made:
            names = self._writer.__code__.co_varnames[1 : self._writer.__code__.co_argcount]
            parameters = [Local(name, kind) for name, kind in zip(names, kinds, strict=True)]
            builder = FunctionBuilder()
            result = as_expr(scalar(self._writer(builder, *(local.expr for local in parameters))))
            self._made[kinds] = ScalarFunction(self._writer.__module__, self.__name__, parameters, builder.body, result)
        return self._made[kinds]

    def __call__(self, *operands: Any) -> Expr:
        """float16 is computed with in float32.  Errors: DTypeError for what is no scalar expression of real numbers."""
        for x in operands:
            if not isinstance(x, Expr) or x.dtype in dtypes.COMPLEXES:
                raise DTypeError(f"{self.__name__} needs scalar expressions of real numbers, got {x!r}")
        half = any(x.dtype == "float16" for x in operands)
        wide = tuple(cast(x, "float32") if x.dtype == "float16" else x for x in operands)
        function = self.of(*(x.dtype for x in wide))
        out = make(Code.CALL, function.dtype, wide, function)
        return cast(out, "float16") if half and out.dtype == "float32" else out


def scalar_function(writer: Callable[..., Any]) -> FunctionOfScalars:
    """Make a function of scalars of one that writes it: it gets a FunctionBuilder, then the operands, as expressions.

    ::

        @scalar_function
        def root(f, x):
            y = f.local(x.dtype, x)
            with f.loop(100):
                better = f.let(0.5 * (y.value + x / y.value))
                f.stop(better >= y.value)
                y.set(better)
            return y

    Every loop has a bound, so a function returns whatever it gets.
    """
    return FunctionOfScalars(writer)


# --- what is written once is computed once --------------------------------------------------------------------------


def _named(body: Iterable[Statement]) -> list[Statement]:
    """Statements with a local before them for each expression that they use more than once."""
    return [new for statement in body for new in _with_names(statement)]


def _with_names(statement: Statement) -> Iterator[Statement]:
    roots = own_expressions(statement)
    uses: dict[Expr, int] = {}
    for e in walk(roots):
        for arg in e.args:
            uses[arg] = uses.get(arg, 0) + 1
    memo: dict[Expr, Expr] = {}
    for e in walk(roots):
        if e.args and uses.get(e, 0) > 1:
            local = Local("part", e.dtype)
            yield Let(local, rebuild(e, lambda node, args: None, memo))
            memo[e] = local.expr
    if isinstance(statement, Loop):
        start, extent = (rebuild(e, lambda node, args: None, memo) for e in (statement.start, statement.extent))
        yield Loop(statement.variable, extent, _named(statement.body), statement.kind, start=start)
    elif isinstance(statement, If):
        condition = rebuild(statement.condition, lambda node, args: None, memo)
        yield If(condition, _named(statement.body), _named(statement.orelse))
    else:
        yield rewritten(statement, lambda e: rebuild(e, lambda node, args: None, memo))
