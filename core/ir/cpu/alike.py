"""Groups that are alike: where they differ only in which values they read and make, one of them is scheduled.

The kernels of the others are those of the first with other values, other registers and other lengths in their places:
layers of a network, steps of an unrolled loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeAlias

from core.dataclass import replace
from core.ir.codes import HOLDS_LOAD, Code
from core.ir.definitions import Reduction, Scattering, Value
from core.ir.expr import Expr, make
from core.ir.form import Form
from core.ir.nodes import Assign, If, Kernel, Let, Local, Loop, Split, Statement, Store
from core.ir.passes.groups import Group, Item
from core.ir.rebuild import rebuild

Shapes: TypeAlias = dict[Value, tuple[Expr, ...]]
Schedule: TypeAlias = Callable[[Group, str, str], list[Kernel]]


class Schedules:
    """The kernels of the groups of a program.  ``kept`` are the values that something outside a group reads.

    ``shapes`` grows by those of the values that kernels keep for themselves.
    """

    def __init__(self, extents: Mapping[Expr, Expr], shapes: Shapes, kept: set[Value]):
        self._extents, self._shapes, self._kept = extents, shapes, kept
        self._known: dict[tuple[Hashable, ...], tuple[list[Any], str, str, list[Kernel]]] = {}

    def kernels(self, group: Group, name: str, comment: str, schedule: Schedule) -> list[Kernel]:
        """What ``schedule`` makes of a group, or what it made of one that is alike."""
        form = self._form(group)
        if form is None:
            return schedule(group, name, comment)
        key, things = form.key, form.things
        if key not in self._known:
            kernels = schedule(group, name, comment)
            self._known[key] = things, name, comment, kernels
            return kernels
        before, its_name, its_comment, kernels = self._known[key]
        same = Renaming(dict(zip(before, things, strict=True)), (its_name, name), self._shapes)
        return same.kernels(kernels, (its_comment, comment))

    def _form(self, group: Group) -> Form | None:
        """None for a group that reads lengths from memory."""
        form = Form(lambda value: (form.exprs(self._shapes[value]), value in self._kept))
        lengths = [*self._extents_of(group)]
        for item in group.items:
            lengths += self._shapes[item.value]
            lengths += [n for e in item.loads for n in self._shapes[e.payload]]
        if any(n.marks & HOLDS_LOAD for n in lengths):
            return None
        for item in group.items:
            self._add(form, item)
        variables = [e for e in form.things if isinstance(e, Expr) and e.code is Code.INDEX]
        form.note(form.exprs(self._extents[v] for v in variables), tuple(v in group.outer for v in variables))
        return form

    def _extents_of(self, group: Group) -> list[Expr]:
        variables = {v for item in group.items for v in item.free | item.bound}
        return [self._extents[v] for v in variables]

    @staticmethod
    def _add(form: Form, item: Item) -> None:
        definition = item.definition
        if isinstance(definition, Reduction):
            form.note(definition.combine, form.exprs(definition.bound), form.expr(definition.body))
        elif isinstance(definition, Scattering):
            form.note(definition.combine, form.exprs(definition.bound), form.exprs(definition.at))
            form.note(form.expr(definition.base), form.expr(definition.value))
        else:
            form.note(form.expr(definition.expr))
        form.note(form.exprs(definition.axes), form.value(item.value), item.level)


class Renaming:
    """Writes kernels anew with each thing of ``things`` replaced: see Form.  What they keep for themselves is fresh.

    ``names`` are those of the first kernel and of the new one; names that hold one of a thing's now hold the new one's.
    """

    def __init__(self, things: Mapping[Any, Any], names: tuple[str, str], shapes: Shapes):
        self._shapes = shapes
        self._values: dict[Value, Value] = {}
        self._locals: dict[Local, Local] = {}
        self._exprs: dict[Expr, Expr] = {}
        words = dict([names])
        for old, new in things.items():
            if isinstance(old, Value):
                self._values[old] = new
                words[old.name] = new.name
            elif old.code is Code.LENGTH:
                self._exprs[old] = new
        self._name, self._words = names, {old: new for old, new in words.items() if old != new}
        alternatives = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
        self._pattern = re.compile(f"(?<![A-Za-z0-9])({alternatives})(?![A-Za-z0-9])")

    def _called(self, name: str) -> str:
        return self._pattern.sub(lambda match: self._words.get(match[0], match[0]), name)

    def kernels(self, kernels: Sequence[Kernel], comments: tuple[str, str]) -> list[Kernel]:
        """``comments``: that of the first kernel, and that of the new one."""
        divisions = {kernel.split: self._division(kernel.split) for kernel in kernels if kernel.split is not None}
        return [self._kernel(kernel, comments, divisions) for kernel in kernels]

    def _kernel(self, kernel: Kernel, comments: tuple[str, str], divisions: Mapping[Split, Split]) -> Kernel:
        old, new = self._name
        comment = comments[1] if kernel.comment == comments[0] else kernel.comment.replace(old, new, 1)
        return replace(
            kernel,
            name=new + kernel.name.removeprefix(old),
            reads=self._all(kernel.reads),
            writes=self._all(kernel.writes),
            body=self._body(kernel.body),
            comment=comment,
            unless=tuple(self._all(kernel.unless)),
            scratch=self._all(kernel.scratch),
            arrays={self._value(value): size for value, size in kernel.arrays.items()},
            split=None if kernel.split is None else divisions[kernel.split],
            takes=[self._local(local) for local in kernel.takes],
            shared=frozenset(self._all(kernel.shared)),
        )

    def _all(self, values: Sequence[Value] | frozenset[Value]) -> list[Value]:
        return [self._value(value) for value in values]

    def _value(self, value: Value) -> Value:
        found = self._values.get(value)
        if found is None:  # what the kernel keeps for itself
            found = self._values[value] = Value(self._called(value.name), value.dtype, value.node)
            self._shapes[found] = tuple(map(self._expr, self._shapes[value]))
        return found

    def _local(self, local: Local) -> Local:
        found = self._locals.get(local)
        if found is None:
            found = self._locals[local] = Local(self._called(local.name), local.dtype)
        return found

    def _division(self, split: Split) -> Split:
        extent, work, least = map(self._expr, (split.extent, split.work, split.least))
        new = replace(split, extent=extent, work=work, least=least)
        for name in ("first", "last", "number", "chunk", "count", "workers"):
            self._locals[getattr(split, name)] = getattr(new, name)
        new.parts = {self._value(value): self._value(parts) for value, parts in split.parts.items()}
        new.private = {self._value(value): self._value(rows) for value, rows in split.private.items()}
        return new

    def _expr(self, root: Expr) -> Expr:
        return rebuild(root, self._change, self._exprs)

    def _change(self, node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        if node.code is Code.LOAD:
            return make(Code.LOAD, node.dtype, args, self._value(node.payload))
        if node.code is Code.LOCAL:
            return self._local(node.payload).expr
        return node if args == node.args else make(node.code, node.dtype, args, node.payload)

    def _body(self, body: Sequence[Statement]) -> list[Statement]:
        return [self._statement(s) for s in body]

    def _statement(self, s: Statement) -> Statement:
        if isinstance(s, Let):
            return Let(self._local(s.local), self._expr(s.value), s.constant, s.nearer)
        if isinstance(s, Assign):
            return Assign(self._local(s.local), self._expr(s.value))
        if isinstance(s, Store):
            return Store(self._value(s.buffer), self._expr(s.offset), self._expr(s.value))
        if isinstance(s, If):
            return If(self._expr(s.condition), self._body(s.body), self._body(s.orelse))
        assert isinstance(s, Loop)
        return replace(
            s,
            extent=self._expr(s.extent),
            start=self._expr(s.start),
            body=self._body(s.body),
            reductions=[(combine, self._local(local)) for combine, local in s.reductions],
        )
