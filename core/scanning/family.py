"""map, reduce, foldl and foldr: what is often wanted of ``scan``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.errors import ArgumentError
from core.scanning.arguments import listed
from core.scanning.build import scan


def map(
    fn: Callable[..., Any],
    sequences: Any,
    non_sequences: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    name: str | None = None,
) -> Any:
    """``fn`` of each row of ``sequences``, stacked; see scan.

    >>> import core, core.tensor as ct
    >>> x = ct.vector("x")
    >>> core.function([x], core.map(lambda v: v * v, x))([1.0, 2.0, 3.0])
    array([1., 4., 9.])
    """
    return scan(
        fn,
        sequences,
        None,
        non_sequences,
        None,
        truncate_gradient=truncate_gradient,
        go_backwards=go_backwards,
        name=name,
    )


def reduce(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    name: str | None = None,
) -> Any:
    """What ``fn`` makes in the last step of ``scan``, of each output: only as much as a step needs is kept.

    Errors: ArgumentError for an output that has nothing to start from; those of scan.

    >>> import core, core.tensor as ct
    >>> x = ct.vector("x")
    >>> core.function([x], core.reduce(lambda v, total: total + v, x, 0.0))([1.0, 2.0, 3.0])
    array(6.)
    """
    for number, info in enumerate(listed(outputs_info)):
        if info is None:
            raise ArgumentError(f"reduce needs what each output starts from, got None for output {number}")
    if outputs_info is None:
        raise ArgumentError("reduce needs outputs_info, what its outputs start from, got None")
    found = scan(fn, sequences, outputs_info, non_sequences, go_backwards=go_backwards, name=name, return_list=True)
    last = [out[-1] for out in found]
    return last[0] if len(last) == 1 else last


def foldl(
    fn: Callable[..., Any], sequences: Any, outputs_info: Any, non_sequences: Any = None, name: str | None = None
) -> Any:
    """``reduce`` from the first row to the last."""
    return reduce(fn, sequences, outputs_info, non_sequences, False, name)


def foldr(
    fn: Callable[..., Any], sequences: Any, outputs_info: Any, non_sequences: Any = None, name: str | None = None
) -> Any:
    """``reduce`` from the last row to the first."""
    return reduce(fn, sequences, outputs_info, non_sequences, True, name)
