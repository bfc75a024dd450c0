"""The builder with which an op's ``kernel`` writes explicit loops, for what has an order: running sums, sorts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from core.errors import GraphError
from core.ir.axes import ravel
from core.ir.codes import Code
from core.ir.definitions import Value
from core.ir.expr import Expr, as_expr, cast, index, make
from core.ir.nodes import Assign, Break, If, Let, Local, Loop, LoopKind, Statement, Store


class Buffer:
    """A stored tensor inside a kernel: ``buffer[i, j]`` loads, ``buffer[i, j] = e`` stores."""

    def __init__(self, k: KernelBuilder, value: Any, dtype: str, shape: Sequence[Expr], written: bool):
        self._k, self._value, self._written = k, value, written
        self.dtype, self.shape = dtype, tuple(shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def _index(self, at: Any) -> list[Expr]:
        at = at if isinstance(at, tuple) else (at,)
        if len(at) != self.ndim:
            raise GraphError(f"{self._value} has {self.ndim} axes, but {len(at)} indices were given in a kernel")
        return [as_expr(scalar(i)) for i in at]

    def _offset(self, at: Any) -> Expr:
        return ravel(self._index(at), self.shape)

    def __getitem__(self, at: Any) -> Expr:
        return make(Code.LOAD, self.dtype, (self._offset(at),), self._value)

    def __setitem__(self, at: Any, value: Any) -> None:
        if not self._written:
            raise GraphError(f"{self._value} is an input, so a kernel cannot store into it")
        self._k.add(Store(self._value, self._offset(at), cast(as_expr(scalar(value), self.dtype), self.dtype)))


class Computed(Buffer):
    """A tensor inside a kernel that is nowhere stored: ``element`` of an index says what stands there."""

    def __init__(self, k: KernelBuilder, value: Any, shape: Sequence[Expr], element: Callable[[Sequence[Expr]], Expr]):
        super().__init__(k, value, value.dtype, shape, written=False)
        self._element = element

    def __getitem__(self, at: Any) -> Expr:
        return self._element(self._index(at))


class Variable:
    """A local that may change: ``total += x[i]``, ``total.set(e)``.  In an expression write ``total.value``.

    It has no other arithmetic, on purpose: ``total = total + x[i]`` would change no local.
    """

    def __init__(self, k: KernelBuilder, local: Local):
        self._k, self._local = k, local

    def __repr__(self) -> str:
        name = self._local.name
        return f"the local {name} (read it by {name}.value, change it by {name}.set(...))"

    @property
    def value(self) -> Expr:
        return self._local.expr

    def set(self, value: Any) -> None:
        self._k.add(Assign(self._local, cast(as_expr(scalar(value), self._local.dtype), self._local.dtype)))

    def __iadd__(self, other: Any) -> Variable:
        self.set(self.value + scalar(other))
        return self

    def __imul__(self, other: Any) -> Variable:
        self.set(self.value * scalar(other))
        return self


def scalar(x: Any) -> Any:
    """The expression that a builder's variable stands for; anything else unchanged."""
    return x.value if isinstance(x, Variable) else x


class KernelBuilder:
    """Collects statements.  ``grid`` loops are independent of each other, ``loop`` runs in order.

    scratch     memory that only this kernel uses, and its shape
    has_groups  whether lanes of a group share grids inside loops: where one iteration of the outermost grid would have
                a long time, there are many more groups that could help
    """

    def __init__(self, has_groups: bool = False) -> None:
        self.has_groups = has_groups
        self.body: list[Statement] = []
        self.scratch: dict[Value, tuple[Expr, ...]] = {}
        self._open = [self.body]
        self._loops = 0  # that are open

    def add(self, statement: Statement) -> None:
        self._open[-1].append(statement)

    @contextmanager
    def _inside(self, body: list[Statement], loops: int = 0) -> Iterator[None]:
        self._open.append(body)
        self._loops += loops
        try:
            yield
        finally:
            self._open.pop()
            self._loops -= loops

    @contextmanager
    def grid(self, extents: Sequence[Any]) -> Iterator[tuple[Expr, ...]]:
        """Independent iterations over all of ``extents``; gives one index per extent."""
        variables = tuple(self._variable(k) for k in range(len(extents)))
        body: list[Statement] = []
        with self._inside(body, len(extents)):
            yield variables
        for variable, extent in reversed(list(zip(variables, extents, strict=True))):
            body = [Loop(variable, as_expr(scalar(extent)), body, LoopKind.GRID)]
        self._open[-1].extend(body)

    @contextmanager
    def loop(self, extent: Any, reverse: bool = False) -> Iterator[Expr]:
        """Iterations in order from 0 up to ``extent``, or down to 0 when ``reverse``."""
        variable = self._variable()
        body: list[Statement] = []
        with self._inside(body, 1):
            yield variable
        self.add(Loop(variable, as_expr(scalar(extent)), body, LoopKind.ORDER, reverse))

    def leave_if(self, condition: Any) -> None:
        """Leave the innermost ``loop``, in whose body this stands, where ``condition`` holds."""
        self.add(Break(as_expr(scalar(condition), "bool")))

    @contextmanager
    def when(self, condition: Any) -> Iterator[None]:
        """The statements inside run only where ``condition`` holds."""
        body: list[Statement] = []
        with self._inside(body):
            yield
        self.add(If(as_expr(scalar(condition), "bool"), body))

    def memory(self, dtype: str, shape: Sequence[Any], name: str = "between") -> Buffer:
        """A tensor that only this kernel uses.  Nobody has set its elements; they stay from one grid to the next."""
        value, lengths = Value(name, dtype), tuple(as_expr(scalar(n)) for n in shape)
        self.scratch[value] = lengths
        return Buffer(self, value, dtype, lengths, written=True)

    def local(self, dtype: str, init: Any, name: str = "value") -> Variable:
        """A scalar of ``dtype`` that starts as ``init``.  ``name`` is for people who read the C."""
        local = Local(name, dtype)
        self.add(Let(local, cast(as_expr(scalar(init), dtype), dtype), constant=False))
        return Variable(self, local)

    def _variable(self, further_in: int = 0) -> Expr:
        depth = self._loops + further_in
        return index("ijklmn"[depth] if depth < 6 else f"i{depth}")
