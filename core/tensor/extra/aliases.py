"""Other names: what NumPy or Theano call by two names, or by one for what is written in a line."""

from __future__ import annotations

from typing import Any

import numpy as np

from core import dtypes
from core.tensor import arithmetic, reduce
from core.tensor.arrange import tril_indices, triu_indices
from core.tensor.broadcast import broadcast_shape, broadcast_to
from core.tensor.create import arange, eye, one_hot
from core.tensor.diagonal import diag, diagonal
from core.tensor.dimshuffle import expand_dims
from core.tensor.functions import cos, sin
from core.tensor.indexing import getitem
from core.tensor.join import concatenate, hstack, split, stack, vstack
from core.tensor.logic import equal, where
from core.tensor.masks import nonzero
from core.tensor.reshape import ravel
from core.tensor.shape import as_length, as_lengths, shape_i, shape_of
from core.tensor.type import TensorVariable, as_tensor

__all__ = [
    *("abs_", "argwhere", "around", "array", "array_equal", "array_equiv", "array_split", "asarray", "astype"),
    *("bitwise_invert", "bitwise_left_shift", "bitwise_right_shift", "broadcast_shapes", "ceil_intdiv", "complex"),
    *("complex_from_polar", "copy", "diag_indices", "diagflat", "extract_diag", "horizontal_stack"),
    *("identity_like", "indices", "inv", "iround", "iscomplex", "iscomplexobj", "isreal", "isrealobj", "isscalar"),
    *("ix_", "largest", "max_and_argmax", "ndim", "round_half_away_from_zero", "round_half_to_even"),
    *("row_stack", "smallest", "to_one_hot", "tril_indices_from", "triu_indices_from", "vertical_stack"),
]

abs_, around, copy, inv = arithmetic.abs, arithmetic.round, arithmetic.tensor_copy, arithmetic.reciprocal
bitwise_invert, bitwise_left_shift, bitwise_right_shift = (
    arithmetic.invert,
    arithmetic.left_shift,
    arithmetic.right_shift,
)
row_stack = vertical_stack = vstack
horizontal_stack = hstack
extract_diag = diagonal


# --- making and asking -----------------------------------------------------------------------------------------------


def array(x: Any, dtype: Any = None) -> TensorVariable:
    """``x`` as a tensor, of ``dtype`` if that is given: numbers, arrays, variables, and lists of them."""
    if isinstance(x, (list, tuple)) and any(isinstance(part, (TensorVariable, list, tuple)) for part in x):
        x = stack([array(part) for part in x])
    x = as_tensor(x)
    return x if dtype is None else x.astype(dtype)


asarray = array


def astype(x: Any, dtype: Any) -> TensorVariable:
    """``x`` in another dtype."""
    return as_tensor(x).astype(dtype)


def ndim(x: Any) -> int:
    """The number of axes."""
    return as_tensor(x).ndim


def isscalar(x: Any) -> bool:
    """Whether ``x`` is a Python or NumPy number: no tensor is, as in NumPy no array."""
    return bool(np.isscalar(x))


def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex."""
    return as_tensor(x).dtype in dtypes.COMPLEXES


def isrealobj(x: Any) -> bool:
    """Whether the dtype is not complex."""
    return not iscomplexobj(x)


def isreal(x: Any) -> TensorVariable:
    """Whether the imaginary part is 0; bool."""
    return equal(arithmetic.imag(as_tensor(x)), 0)


def iscomplex(x: Any) -> TensorVariable:
    """Whether the imaginary part is not 0; bool."""
    return arithmetic.invert(isreal(x))


def array_equal(a: Any, b: Any) -> TensorVariable:
    """Whether two tensors have one shape and equal elements; a 0-d bool."""
    a, b = as_tensor(a), as_tensor(b)
    if a.ndim != b.ndim:
        return as_tensor(np.bool_(False))
    same: Any = as_tensor(np.bool_(True))
    for n, m in zip(shape_of(a), shape_of(b), strict=True):
        same = same & equal(n, m)
    return same & reduce.all(equal(ravel(a), _of_length(ravel(b), shape_i(ravel(a), 0))))


def _of_length(x: TensorVariable, n: Any) -> TensorVariable:
    """The vector ``x`` made ``n`` long by what comes first or is repeated: read only where that is its own length."""
    own = shape_i(x, 0)
    one = concatenate([x, as_tensor(0).astype(x.dtype).reshape((1,))])
    return getitem(one, arithmetic.minimum(arange(n), own))


def array_equiv(a: Any, b: Any) -> TensorVariable:
    """Whether two tensors that broadcast have equal elements.  Errors: ShapeError for others, when it runs."""
    return reduce.all(equal(a, b))


def broadcast_shapes(*shapes: Any) -> tuple[Any, ...]:
    """The shape to which shapes, tuples of ints and symbolic integers, broadcast."""
    return tuple(broadcast_shape(*(as_lengths(shape) for shape in shapes)))


def argwhere(x: Any) -> TensorVariable:
    """The places where ``x`` is not 0, one a row."""
    return stack(nonzero(x), axis=1)


def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[TensorVariable]:
    """``split`` that need not be even: of n parts the first ones are longer by one."""
    x = as_tensor(x)
    if not isinstance(indices_or_sections, int):
        return split(x, indices_or_sections, axis)
    n, parts = shape_i(x, axis), indices_or_sections
    bounds = [k * (n // parts) + arithmetic.minimum(k, n % parts) for k in range(1, parts)]
    return split(x, bounds, axis) if bounds else [x]


# --- grids and diagonals ---------------------------------------------------------------------------------------------


def diagflat(x: Any, k: int = 0) -> TensorVariable:
    """The matrix with ``x``, flattened, on its diagonal ``k``."""
    return diag(ravel(as_tensor(x)), k)


def diag_indices(n: Any, ndim: int = 2) -> tuple[TensorVariable, ...]:
    """The places of the main diagonal of a cube of ``n``."""
    return (arange(as_length(n)),) * ndim


def identity_like(x: Any) -> TensorVariable:
    """The matrix of the shape and dtype of ``x`` with 1 on its main diagonal."""
    x = as_tensor(x)
    return eye(*shape_of(x), dtype=x.dtype)


def tril_indices_from(x: Any, k: int = 0) -> tuple[TensorVariable, ...]:
    """``tril_indices`` of the shape of ``x``."""
    rows, columns = shape_of(x)
    return tril_indices(rows, k, columns)


def triu_indices_from(x: Any, k: int = 0) -> tuple[TensorVariable, ...]:
    """``triu_indices`` of the shape of ``x``."""
    rows, columns = shape_of(x)
    return triu_indices(rows, k, columns)


def indices(dimensions: Any, dtype: Any = "int64", sparse: bool = False) -> Any:
    """The index along each axis of a grid of these lengths: stacked, or if ``sparse`` a tuple that broadcasts."""
    lengths = as_lengths(dimensions)
    ranges = [arange(n).astype(dtype) for n in lengths]
    open_grid = ix_(*ranges)
    return open_grid if sparse else stack([broadcast_to(x, lengths) for x in open_grid])


def ix_(*xs: Any) -> tuple[TensorVariable, ...]:
    """Vectors, each along its own axis, so that they broadcast to a grid; bools as the places where they hold."""
    out = []
    for k, x in enumerate(map(as_tensor, xs)):
        x = nonzero(x)[0] if x.dtype == "bool" else x
        out.append(expand_dims(x, [axis for axis in range(len(xs)) if axis != k]) if len(xs) > 1 else x)
    return tuple(out)


# --- Theano's --------------------------------------------------------------------------------------------------------


def largest(*xs: Any) -> TensorVariable:
    """The largest of several tensors at each place."""
    out = as_tensor(xs[0])
    for x in xs[1:]:
        out = arithmetic.maximum(out, x)
    return out


def smallest(*xs: Any) -> TensorVariable:
    """The smallest of several tensors at each place."""
    out = as_tensor(xs[0])
    for x in xs[1:]:
        out = arithmetic.minimum(out, x)
    return out


def max_and_argmax(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[TensorVariable, TensorVariable]:
    """The largest element along ``axis``, and where it is."""
    return reduce.max(x, axis, keepdims), reduce.argmax(x, axis, keepdims)


def ceil_intdiv(a: Any, b: Any) -> TensorVariable:
    """The quotient of integers rounded up."""
    return -(-as_tensor(a) // b)


def complex(re: Any, im: Any) -> TensorVariable:
    """The complex number with these parts."""
    return as_tensor(re) + 1j * as_tensor(im)


def complex_from_polar(length: Any, angle: Any) -> TensorVariable:
    """The complex number with this absolute value and this angle."""
    return complex(length * cos(as_tensor(angle)), length * sin(as_tensor(angle)))


round_half_to_even = arithmetic.round


def round_half_away_from_zero(x: Any) -> TensorVariable:
    """The nearest whole number, the one farther from 0 of two."""
    x = as_tensor(x)
    size = arithmetic.abs(x)
    down = arithmetic.floor(size)
    return arithmetic.copysign(where(size - down >= 0.5, down + 1, down), x)


def iround(x: Any) -> TensorVariable:
    """The nearest whole number, the one farther from 0 of two; int64."""
    return round_half_away_from_zero(x).astype("int64")


def to_one_hot(y: Any, nb_class: Any, dtype: Any = "float64") -> TensorVariable:
    """``one_hot`` by Theano's name."""
    return one_hot(y, nb_class, dtype)
