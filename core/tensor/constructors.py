"""Symbolic inputs: tensor, scalar, vector, matrix, and the rest of Theano's names for them, from one table.

``matrix("x")`` is float64.  The prefixes b w i l say int8 int16 int32 int64, f and d float32 and float64, c and z
complex64 and complex128: ``ivector("y")`` is int32.  The plurals make several at once: ``x, y = vectors("x y")``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.errors import ArgumentError, ShapeError
from core.tensor.type import TensorType, TensorVariable

DEFAULT_DTYPE = "float64"

_SHAPES: dict[str, tuple[int | None, ...]] = {
    "scalar": (),
    "vector": (None,),
    "row": (1, None),
    "col": (None, 1),
    "matrix": (None, None),
    **{f"tensor{ndim}": (None,) * ndim for ndim in range(3, 8)},
}
_PREFIXES = {
    "": DEFAULT_DTYPE,
    "b": "int8",
    "w": "int16",
    "i": "int32",
    "l": "int64",
    "f": "float32",
    "d": "float64",
    "c": "complex64",
    "z": "complex128",
}


def tensor(
    name: str | None = None, dtype: Any = None, shape: Sequence[int | None] | None = None, ndim: int | None = None
) -> TensorVariable:
    """A symbolic input.

    dtype   float64 if left out
    shape   a length where it is known, None where it is not: ``(None, 3)``
    ndim    instead of a shape of which nothing is known
    Errors  ArgumentError without shape and ndim; ShapeError when they disagree; DTypeError for an unknown dtype.
    """
    if shape is None and ndim is None:
        raise ArgumentError(f"tensor({name!r}) needs shape or ndim, got neither")
    if shape is None:
        if isinstance(ndim, bool) or not isinstance(ndim, int) or ndim < 0:
            raise ShapeError(f"tensor({name!r}) needs an int >= 0 as ndim, got {ndim!r}")
        shape = (None,) * ndim
    elif isinstance(shape, (int, str)):
        raise ShapeError(
            f"tensor({name!r}) needs a tuple of lengths as shape, got {shape!r}; for one axis write ({shape!r},)"
        )
    elif ndim is not None and len(shape) != ndim:
        raise ShapeError(f"tensor({name!r}) needs len(shape) == ndim, got shape={tuple(shape)} and ndim={ndim}")
    return TensorType(DEFAULT_DTYPE if dtype is None else dtype, tuple(shape)).make_variable(name)


def _made(kind: str, prefix: str) -> Callable[..., TensorVariable]:
    """``matrix`` or ``fmatrix``: one constructor of the table."""
    known, fixed, called = _SHAPES[kind], _PREFIXES[prefix], prefix + kind

    def build(name: str | None, dtype: Any, shape: Sequence[int | None] | None) -> TensorVariable:
        if shape is not None and len(shape) != len(known):
            raise ShapeError(f"{called}({name!r}) needs shape of length {len(known)}, got {tuple(shape)}")
        return tensor(name, dtype, known if shape is None else shape)

    def of_one_dtype(name: str | None = None, *, shape: Sequence[int | None] | None = None) -> TensorVariable:
        return build(name, fixed, shape)

    def of_any_dtype(
        name: str | None = None, dtype: Any = None, *, shape: Sequence[int | None] | None = None
    ) -> TensorVariable:
        return build(name, fixed if dtype is None else dtype, shape)

    constructor = of_one_dtype if prefix else of_any_dtype
    shown = f"({', '.join('?' if n is None else str(n) for n in known)})"
    constructor.__doc__ = f"A symbolic {kind}, shape {shown}, {'' if prefix else 'by default '}{fixed}."
    return constructor


def _several(kind: str, prefix: str) -> Callable[..., list[TensorVariable]]:
    """``matrices`` or ``fmatrices``: one plural of the table."""
    one, called = globals()[prefix + kind], prefix + _plural(kind)

    def constructor(*names: str | int, **options: Any) -> list[TensorVariable]:
        if len(names) == 1 and isinstance(names[0], int) and not isinstance(names[0], bool):
            return [one(**options) for _ in range(names[0])]
        if not names or not all(isinstance(name, str) for name in names):
            raise ArgumentError(f'{called} needs names ("x y", or "x", "y") or one number, got {names}')
        return [one(name, **options) for text in names for name in text.replace(",", " ").split()]  # type: ignore[union-attr]

    constructor.__doc__ = f'Several at once: ``{called}("x y")``, ``{called}("x", "y")`` or ``{called}(2)``.'
    return constructor


def _plural(kind: str) -> str:
    return "matrices" if kind == "matrix" else f"{kind}s"


def _fill_in(namespace: dict[str, Any]) -> list[str]:
    """Put every constructor of the table into ``namespace``.  Returns their names."""
    names = []
    for prefix in _PREFIXES:
        for kind in _SHAPES:
            for name, make in ((prefix + kind, _made), (prefix + _plural(kind), _several)):
                constructor = make(kind, prefix)
                constructor.__name__ = constructor.__qualname__ = name
                namespace[name] = constructor
                names.append(name)
    return names


__all__ = ["tensor", *_fill_in(globals())]
