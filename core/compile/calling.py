"""What a call of a function does: arguments in order, the program, new values of shared variables, results laid out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.cells import value_in
from core.compile.arguments import Signature
from core.compile.shared import SharedVariable
from core.device.array import on_host
from core.errors import ShapeError


class Caller:
    """Runs an executable for values given by position or by name.

    signature  the arguments;  run  the executable
    reads      shared variables whose values come after the arguments;  writes  those that get the last results
    checked    those of ``writes``, by their number, whose new values may be of another shape than their type's
    layout     how the first ``count`` results are handed out: "one", "list", "tuple", "none", or a tuple of dict keys
    borrow     those of the first ``count`` results, by their number, that may be arrays of a device
    guests     those of ``reads`` that are at home on another device

    An executable for a device has ``run(arrays, fetched)``, which says of each result whether it goes to the host, and
    ``place(value)``: a shared variable's value stays on the device once a function there has read it; not a guest's.
    """

    def __init__(
        self,
        signature: Signature,
        run: Callable[[Sequence[Any]], list[Any]],
        reads: Sequence[SharedVariable],
        writes: Sequence[SharedVariable],
        checked: Sequence[tuple[int, SharedVariable]],
        count: int,
        layout: str | tuple[str, ...],
        borrow: Sequence[int] = (),
        guests: Sequence[SharedVariable] = (),
    ):
        self._who, self._fits, self._bind = signature.who, signature.fits, signature.bind
        self._lengths, self.takes_numbers = signature.lengths, signature.takes_numbers
        self._run = run
        self._reads, self._writes = [v.cell for v in reads], [v.cell for v in writes]
        self._checked, self._count, self._layout = list(checked), count, layout
        self._guests = {id(v.cell) for v in guests}
        self._on_device: Any = getattr(run, "on_device", None)
        self._fetched = tuple(k < count and k not in borrow for k in range(count + len(writes)))

    def __call__(self, *args: Any, **named: Any) -> Any:
        arrays = list(args) if not named and self._fits(args) else self._bind(args, named)
        if self._on_device is None:
            arrays = [on_host(value) for value in arrays]
            arrays += [on_host(value_in(cell)) for cell in self._reads]
            results = self._run(arrays)
        else:
            holds = self._on_device.holds
            arrays += [cell[0] if holds(cell[0]) else self._placed(cell) for cell in self._reads]
            results = self._on_device.run(arrays, self._fetched)
        if self._writes:
            self._update(results)
        layout = self._layout
        if layout == "one":
            return results[0]
        if layout == "list":
            return results[: self._count]
        if layout == "tuple":
            return tuple(results[: self._count])
        return None if layout == "none" else dict(zip(layout, results, strict=False))

    def _placed(self, cell: list[Any]) -> Any:
        """A shared variable's value on the device, where it stays unless somebody sets another one meanwhile."""
        value = value_in(cell)
        if self._on_device.holds(value):
            return value
        placed = self._on_device.place(value)
        if cell[0] is value and id(cell) not in self._guests:
            cell[0] = placed
        return placed

    def _update(self, results: Sequence[Any]) -> None:
        """Put new values in place; nothing before the last line changes a shared variable."""
        new_values = results[self._count :]
        for k, variable in self._checked:
            shape = new_values[k].shape
            if any(n is not None and n != m for n, m in zip(variable.type.shape, shape, strict=True)):
                raise ShapeError(
                    f"{self._who} computed shape {shape} for shared variable {variable}, which needs {variable.type}",
                    blame=variable,
                )
        for cell, value in zip(self._writes, new_values, strict=True):
            cell[0] = value

    def fastest(self) -> Callable[..., Any]:
        """What to call: this object, or what the executable offers in its place.

        An executable may have a method ``bind(reads, writes, layout, lengths, fetched, slow_path)``.  It returns None,
        or a callable that does the same as ``slow_path``, this object, and leaves to it what is not worth its while: it
        takes arrays by position, runs the program, and writes new values.  ``reads`` and ``writes`` are the cells of
        shared variables, ``lengths`` the static lengths of each argument, with None for those that may change;
        ``fetched`` says of each result whether it goes to the host, ``takes_numbers`` of this object whether Python's
        numbers are taken for arguments without axes.
        """
        bind = getattr(self._run, "bind", None)
        if bind is None or self._checked or self._lengths is None:
            return self
        return bind(self._reads, self._writes, self._layout, self._lengths, self._fetched, self) or self
