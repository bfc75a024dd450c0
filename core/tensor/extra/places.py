"""``x.at[key]``: copies of x that differ at the places of a key, written as in JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.errors import ArgumentError
from core.tensor import arithmetic, functions, indexing
from core.tensor.dimshuffle import DimShuffle
from core.tensor.gather import AdvancedSubtensor
from core.tensor.type import TensorVariable, as_tensor


class At:
    """What ``x.at`` is: ``x.at[key]`` names places of ``x``."""

    def __init__(self, x: TensorVariable):
        self.x = x

    def __getitem__(self, key: Any) -> Places:
        return Places(self.x, key)


class Places:
    """The elements ``x[key]``.  Each method gives a new variable: ``x`` with these elements changed, the rest as it is.

    ``key`` is any that ``x[key]`` takes, and values broadcast to ``x[key]``.  ``add`` and ``subtract`` count a place
    that index arrays name twice twice; of values that ``set`` brings to one place the last one stays.  The others read
    a place once, so they need a key without index arrays, which may name a place twice; masks name none twice.
    Errors  as of set_subtensor; ArgumentError for index arrays where they could not be right.
    """

    def __init__(self, x: TensorVariable, key: Any):
        self.x, self.key = x, key
        self._read = read = indexing.getitem(x, key)
        while read is not x and isinstance(read.owner.op, DimShuffle):  # new axes stand behind the index
            read = read.owner.inputs[0]
        if read is x:
            raise ArgumentError(f"at[...] needs an index, got new axes alone: {key}", blame=x)
        self._repeats = isinstance(read.owner.op, AdvancedSubtensor) and _holds_an_array_of_integers(key)

    def get(self) -> TensorVariable:
        """``x[key]``."""
        return self._read

    def set(self, value: Any) -> TensorVariable:
        """``x[key] = value``."""
        return indexing.set_subtensor(self._read, value)

    def add(self, value: Any) -> TensorVariable:
        """``x[key] += value``."""
        return indexing.inc_subtensor(self._read, value)

    def subtract(self, value: Any) -> TensorVariable:
        """``x[key] -= value``."""
        return indexing.inc_subtensor(self._read, arithmetic.negative(value))

    def multiply(self, value: Any) -> TensorVariable:
        """``x[key] *= value``."""
        return self._replaced("multiply", arithmetic.multiply, value)

    def divide(self, value: Any) -> TensorVariable:
        """``x[key] /= value``."""
        return self._replaced("divide", arithmetic.true_divide, value)

    def power(self, value: Any) -> TensorVariable:
        """``x[key] **= value``."""
        return self._replaced("power", functions.power, value)

    def max(self, value: Any) -> TensorVariable:
        """The larger of ``x[key]`` and ``value``."""
        return self._replaced("max", arithmetic.maximum, value)

    def min(self, value: Any) -> TensorVariable:
        """The smaller of ``x[key]`` and ``value``."""
        return self._replaced("min", arithmetic.minimum, value)

    def apply(self, function: Callable[[TensorVariable], Any]) -> TensorVariable:
        """``x[key] = function(x[key])``, element by element."""
        return self._replaced("apply", lambda old, _: function(old), None)

    def _replaced(self, who: str, change: Callable[[TensorVariable, Any], Any], value: Any) -> TensorVariable:
        if self._repeats:
            raise ArgumentError(
                f"at[...].{who} needs a key without index arrays, which may name an element twice; where none does, "
                "set x[key], changed, at the same key",
                blame=self.x,
            )
        return indexing.set_subtensor(self._read, change(self._read, value))


def _holds_an_array_of_integers(key: Any) -> bool:
    """Whether a key has other index arrays than masks."""
    items = [item for item in (key if isinstance(key, tuple) else (key,)) if not isinstance(item, slice)]
    arrays = [as_tensor(item) for item in items if item is not None and item is not Ellipsis]
    return any(array.ndim and array.dtype != "bool" for array in arrays)
