"""What a legal function of scalars is: rules for verify_kernel.py."""

from __future__ import annotations

from collections.abc import Sequence

from core.ir.check.verify_expr import check_types, fail
from core.ir.codes import Code
from core.ir.expr import INDEX_DTYPE, Expr
from core.ir.function import ScalarFunction
from core.ir.nodes import Assign, Break, If, Let, Local, Loop, LoopKind, Statement
from core.ir.walk import walk


def verify_function(function: ScalarFunction) -> None:
    """Errors: VerifyError naming the function, the statement and the rule that it breaks."""
    rules = _Rules(f"function {function}")
    rules.constant = dict.fromkeys(function.parameters, True)
    rules.body(function.body, in_loop=False)
    rules.expr(function.result, function.dtype)


class _Rules:
    def __init__(self, where: str):
        self.where = where
        self.constant: dict[Local, bool] = {}
        self.variables: set[Expr] = set()

    def body(self, body: Sequence[Statement], in_loop: bool) -> None:
        for statement in body:
            self._one(statement, in_loop)

    def _inside(self, body: Sequence[Statement], in_loop: bool) -> None:
        before = dict(self.constant)
        self.body(body, in_loop)
        self.constant = before

    def _one(self, statement: Statement, in_loop: bool) -> None:
        if isinstance(statement, Let):
            self.expr(statement.value, statement.local.dtype)
            if statement.local in self.constant:
                fail(self.where, f"{statement.local} is declared already")
            self.constant[statement.local] = statement.constant
        elif isinstance(statement, Assign):
            self.expr(statement.value, statement.local.dtype)
            if self.constant.get(statement.local) is not False:
                fail(self.where, f"{statement.local} is constant, or not declared here")
        elif isinstance(statement, If):
            self.expr(statement.condition, "bool")
            self._inside(statement.body, in_loop=False)
            self._inside(statement.orelse, in_loop=False)
        elif isinstance(statement, Loop):
            self.expr(statement.start, INDEX_DTYPE)
            self.expr(statement.extent, INDEX_DTYPE)
            if statement.kind is not LoopKind.ORDER or statement.reverse or statement.reductions:
                fail(self.where, f"the loop over {statement.variable} needs to be a plain one, in order")
            self.variables.add(statement.variable)
            self._inside(statement.body, in_loop=True)
            self.variables.remove(statement.variable)
        elif isinstance(statement, Break):
            self.expr(statement.condition, "bool")
            if not in_loop:
                fail(self.where, "only what stands directly in a loop can leave it")
        else:
            fail(self.where, f"it has no memory and no work-items, so no {type(statement).__name__}")

    def expr(self, root: Expr, dtype: str) -> None:
        """``root`` is of ``dtype`` and made of what is known here."""
        if root.dtype != dtype:
            fail(self.where, f"it needs {dtype}, got {root.dtype}: {root}")
        check_types(root, self.where)
        for e in walk([root]):
            if e.code is Code.LOCAL and e.payload not in self.constant:
                fail(self.where, f"{e} is not declared here")
            if e.code is Code.INDEX and e not in self.variables:
                fail(self.where, f"{e} is used outside its loop")
            if e.code in (Code.LOAD, Code.LENGTH):
                fail(self.where, f"it reads no memory, so not {e}")
            if e.code is Code.CALL and isinstance(e.payload, ScalarFunction):
                verify_function(e.payload)
