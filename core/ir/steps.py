"""From an iteration, or a choice, to a step of a program: bodies are built for what is known of lengths around them.

What the body of an iteration demands of lengths becomes a guard of the program around, where these do not follow from
elements; what a side of a choice demands is asked when that is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from core.dataclass import replace
from core.ir.choice import Choice, Side
from core.ir.codes import Code
from core.ir.definitions import FromSteps, Lowered
from core.ir.expr import INDEX_DTYPE, Expr, make
from core.ir.guards import Guard
from core.ir.iteration import Iteration
from core.ir.passes.lengths import rebuilt, resolve
from core.ir.program import BranchStep, LoopStep, Program
from core.ir.rebuild import loads_in, rebuild


def loop_step(
    iteration: Iteration, node: Any, name: str, build: Callable[[Lowered], Program]
) -> tuple[LoopStep, list[Guard]]:
    """The step, and what must hold of the program around.  ``name`` tells its kernels from all others."""
    body = build(replace(known_inside(iteration), name=f"step_of_{name}", kernels=f"{name}_"))
    body.donors = {}
    known = [guard for guard in body.guards if not loads_in([guard.a, guard.b])]
    body.guards = [guard for guard in body.guards if guard not in known]
    return LoopStep(replace(iteration, body=None), body, node), lifted(known, iteration)


def demanded_by_steps(lowered: Lowered, resolved: Lowered) -> tuple[Lowered, dict[tuple, Guard]]:
    """The graph with iterations that say which lengths around them their bodies take for equal, and these demands.

    A length may be 1 where it is equal to another only because it meets a third in a step: so all of them may.
    resolved  the same graph with its own lengths decided
    """
    demands: dict[tuple, Guard] = {}
    definitions = dict(lowered.definitions)
    for value, definition in resolved.definitions.items():
        if not isinstance(definition, FromSteps) or definition.outputs[0] is not value:
            continue
        iteration: Iteration = definition.write
        _, guards = resolve(known_inside(iteration))
        found = [g for g in lifted(guards, iteration) if g.kind in ("join", "same") and not loads_in([g.a, g.b])]
        if not found:
            continue
        rules = tuple(make(Code.JOIN, INDEX_DTYPE, (guard.a, guard.b)) for guard in found)
        old: Any = definitions[value]
        told = replace(old.write, equal=(*old.write.equal, *rules))
        definitions.update((out, replace(definitions[out], write=told)) for out in old.outputs)
        for guard in found:
            demands["join", guard.a, guard.b] = replace(guard, kind="join")
    return replace(lowered, definitions=definitions), demands


def lifted(guards: Iterable[Guard], iteration: Iteration) -> list[Guard]:
    """What guards of the body demand of lengths of the program around."""
    outside, found = rule_for_lengths(iteration), []
    for guard in guards:
        a, b = outside(guard.a), outside(guard.b)
        if a is not b or guard.kind not in ("join", "same"):
            found.append(replace(guard, a=a, b=b, symbols=(a, b)))
    return found


def branch_step(
    choice: Choice, node: Any, name: str, build: Callable[[Lowered], Program]
) -> tuple[BranchStep, list[Guard]]:
    """The step, and what must hold of the program around.  ``name`` tells its kernels from all others."""
    sides, guards = [], []
    for side, called in zip(choice.sides, ("then", "else"), strict=True):
        body = build(replace(known_inside(side), name=f"{called}_of_{name}", kernels=f"{name}_{called}_"))
        outside = rule_for_lengths(side)
        demanded = []
        for guard in body.guards:
            a, b = outside(guard.a), outside(guard.b)
            demanded.append(replace(guard, a=a, b=b, symbols=(a, b)))
        guards.append(demanded)
        sides.append(replace(side, body=body))
    alike = [Guard("alike", a, b, "ifelse", node) for a, b in choice.alike if a is not b]
    step = BranchStep(replace(choice, sides=(sides[0], sides[1])), (guards[0], guards[1]), node)
    return step, alike


def rule_for_lengths(iteration: Iteration | Side) -> Callable[[Expr], Expr]:
    """A function from lengths of the body to what they are in the program around."""
    memo = dict(iteration.lengths)
    return lambda n: rebuild(n, lambda e, args: None, memo)


def known_inside(iteration: Iteration | Side) -> Lowered:
    """The body with lengths that are known around it, and one name for those that are equal there."""
    first: dict[Expr, Expr] = {}
    memo = {
        inside: outside if outside.is_const else first.setdefault(outside, inside)
        for inside, outside in iteration.lengths.items()
    }
    body: Lowered = iteration.body
    definitions = {
        value: rebuilt(definition, lambda e: rebuild(e, lambda node, args: None, memo))
        for value, definition in body.definitions.items()
    }
    return replace(body, definitions=definitions)
