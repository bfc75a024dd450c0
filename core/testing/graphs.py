"""Hypothesis strategies for random graphs, with what NumPy makes of them.

The graphs are tame, so that two right computations agree closely: values stay small, and comparisons, rounding and
indices see only values that come out the same everywhere.  Needs hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import core.tensor as ct
from core import dtypes
from core.graph import Variable
from core.tensor.type import TensorType, TensorVariable
from core.testing.values import random

LENGTHS = (3, 2, 1, 0, 5, 4)
_LARGEST = 600  # elements of one value


class Graph(NamedTuple):
    """A random graph: symbolic ``inputs`` and ``outputs``, ``arrays`` for the inputs, ``expected`` for the outputs.

    ``scale`` bounds every floating-point value met on the way, ``eps`` is the precision of the coarsest of them;
    ``steps`` says in words how the graph was made.
    """

    inputs: list[TensorVariable]
    outputs: list[TensorVariable]
    arrays: list[np.ndarray]
    expected: list[np.ndarray]
    scale: float
    eps: float
    steps: list[str]

    def __repr__(self) -> str:
        arrays = ", ".join(
            f"{x} = {a.dtype}{list(a.shape)} of type {x.type}" for x, a in zip(self.inputs, self.arrays, strict=True)
        )
        return f"Graph({arrays}; {'; '.join(self.steps)})"

    def tolerance(self, factor: float = 1000) -> dict[str, float]:
        """``rtol`` and ``atol`` within which a right result lies."""
        return {"rtol": factor * self.eps, "atol": factor * self.eps * max(1.0, self.scale) ** 2}


@dataclass
class _Item:
    """A value of the graph: symbolic, by NumPy, and whether it is free of rounding."""

    symbol: TensorVariable
    value: np.ndarray
    exact: bool
    name: str


@dataclass
class _Pool:
    """What has been made so far, and how the next value is chosen from it."""

    rng: Random
    items: list[_Item] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    scale: float = 1.0

    @property
    def eps(self) -> float:
        floats = [item.value.dtype for item in self.items if _is_float(item) or _is_complex(item)]
        return max((float(np.finfo(dtype).eps) for dtype in floats), default=0.0)

    def pick(self, wanted: Callable[[_Item], bool] = lambda item: True) -> _Item | None:
        """One of the values that are ``wanted``; later ones are as likely as early ones."""
        found = [item for item in self.items if wanted(item)]
        return self.rng.choice(found) if found else None

    def apply(self, text: str, step: Callable[..., Any], *operands: _Item, exact: bool = False) -> None:
        """Add ``step(module, *operands)``, computed with ct and with np, unless it grows too big."""
        with np.errstate(all="ignore"):
            value = np.asarray(step(np, *(item.value for item in operands)))
        is_float = value.dtype.name in dtypes.CONTINUOUS
        if value.size > _LARGEST or value.ndim > 4 or (is_float and not np.all(np.abs(value) < 100)):
            return
        symbol = step(ct, *(item.symbol for item in operands))
        name = f"v{len(self.items)}"
        self.steps.append(f"{name} = {text.format(*(item.name for item in operands))}")
        self.items.append(_Item(symbol, value, exact and all(item.exact for item in operands), name))
        if is_float:
            self.scale = max(self.scale, float(np.max(np.abs(value), initial=0)))


def _is_float(item: _Item) -> bool:
    return item.value.dtype.name in dtypes.FLOATS


def _is_complex(item: _Item) -> bool:
    return item.value.dtype.name in dtypes.COMPLEXES


def _is_real_number(item: _Item) -> bool:
    return _is_number(item) and not _is_complex(item)


def _is_integer(item: _Item) -> bool:
    return item.value.dtype.name in dtypes.INTEGERS


def _is_number(item: _Item) -> bool:
    return item.value.dtype != "bool"


def _broadcasts_with(*others: _Item) -> Callable[[_Item], bool]:
    def test(item: _Item) -> bool:
        try:
            np.broadcast_shapes(item.value.shape, *(other.value.shape for other in others))
        except ValueError:
            return False
        return True

    return test


# --- steps: each adds a value to the pool where it finds operands ----------------------------------------------------

_SMOOTH = {
    "sin({})": lambda m, x: m.sin(x),
    "tanh({})": lambda m, x: m.tanh(x),
    "exp(-{0} * {0})": lambda m, x: m.exp(-x * x),
    "sqrt(1 + {0} * {0})": lambda m, x: m.sqrt(1 + x * x),
    "log1p({0} * {0})": lambda m, x: m.log1p(x * x),
}
_KINKED = {"abs({})": lambda m, x: m.abs(x), "maximum({}, 0)": lambda m, x: m.maximum(x, 0)}


def _unary(pool: _Pool, smooth: bool) -> None:
    x = pool.pick(_is_float)
    if x is not None:
        text = pool.rng.choice([*_SMOOTH, *({} if smooth else _KINKED)])
        pool.apply(text, (_SMOOTH | _KINKED)[text], x)


_BINARY = {
    "{} + {}": lambda m, x, y: x + y,
    "{} - {}": lambda m, x, y: x - y,
    "{} * {}": lambda m, x, y: x * y,
    "{0} / (2 + {1} * {1})": lambda m, x, y: x / (2.0 + y * y),
}
_KINKED_BINARY = {
    "maximum({}, {})": lambda m, x, y: m.maximum(x, y),
    "minimum({}, {})": lambda m, x, y: m.minimum(x, y),
}


def _binary(pool: _Pool, smooth: bool) -> None:
    x = pool.pick(_is_number)
    if x is None:
        return
    y = pool.pick(lambda item: _is_number(item) and _broadcasts_with(x)(item))
    table = _BINARY if smooth else _BINARY | _KINKED_BINARY
    text = pool.rng.choice(list(_BINARY if y is not None and (_is_complex(x) or _is_complex(y)) else table))
    if "/" in text and _is_complex(y):  # 2 + y * y may be next to 0
        return
    pool.apply(text, table[text], x, y, exact=_is_integer(x) and _is_integer(y) and "/" not in text)


def _integer(pool: _Pool, smooth: bool) -> None:
    """Division and remainder of integers, by zero too."""
    x = pool.pick(_is_integer)
    if x is None:
        return
    y = pool.pick(lambda item: _is_integer(item) and _broadcasts_with(x)(item))
    if pool.rng.random() < 0.5:
        pool.apply("{} // {}", lambda m, a, b: a // b, x, y, exact=True)
    else:
        pool.apply("{} % {}", lambda m, a, b: a % b, x, y, exact=True)


def _compare(pool: _Pool, smooth: bool) -> None:
    x = pool.pick(lambda item: item.exact and _is_number(item))
    if x is None:
        return
    y = pool.pick(lambda item: item.exact and _is_number(item) and _broadcasts_with(x)(item))
    pool.apply("{} < {}", lambda m, a, b: a < b, x, y, exact=True)


def _where(pool: _Pool, smooth: bool) -> None:
    c = pool.pick(lambda item: item.value.dtype == "bool")
    x = None if c is None else pool.pick(_broadcasts_with(c))
    y = None if x is None else pool.pick(_broadcasts_with(c, x))
    if y is not None:
        pool.apply("where({}, {}, {})", lambda m, a, b, d: m.where(a, b, d), c, x, y, exact=True)


def _reduce(pool: _Pool, smooth: bool) -> None:
    x = pool.pick(_is_number)
    if x is None:
        return
    ndim, rng = x.value.ndim, pool.rng
    choices: list[Any] = [None]
    if ndim:
        choices += [rng.randrange(-ndim, ndim), tuple(sorted(rng.sample(range(ndim), rng.randint(1, ndim))))]
    axis, keepdims = rng.choice(choices), rng.random() < 0.5
    over = x.value.shape if axis is None else np.atleast_1d(np.array(x.value.shape)[np.array(axis)]) if ndim else ()
    names = ["sum"]
    if all(n > 0 for n in over):  # nothing has a sum, but no mean and no maximum
        names += ["mean"] if smooth or _is_complex(x) else ["mean", "max", "min"]
    if _is_complex(x) and int(np.prod(over)) < 6:
        names += ["prod"]
    name = rng.choice(names)
    text = f"{{}}.{name}(axis={axis}, keepdims={keepdims})"
    exact = name in ("max", "min") or (name == "sum" and _is_integer(x))
    pool.apply(text, lambda m, a: getattr(a, name)(axis=axis, keepdims=keepdims), x, exact=exact)


def _position(pool: _Pool, smooth: bool) -> None:
    """Where the largest or smallest element is."""
    x = pool.pick(lambda item: item.exact and _is_real_number(item) and item.value.ndim > 0 and item.value.size > 0)
    if x is not None:
        axis, name = pool.rng.randrange(x.value.ndim), pool.rng.choice(["argmax", "argmin"])
        pool.apply(f"{{}}.{name}(axis={axis})", lambda m, a: getattr(a, name)(axis=axis), x, exact=True)


def _sort(pool: _Pool, smooth: bool) -> None:
    """Sorted along an axis, or the order that sorts; by what is exact, for rounding would decide of two that meet."""
    x = pool.pick(lambda item: item.exact and _is_real_number(item) and item.value.ndim > 0)
    if x is not None and not smooth:
        axis = pool.rng.randrange(x.value.ndim)
        if pool.rng.random() < 0.5:
            pool.apply(f"sort({{}}, {axis})", lambda m, a: m.sort(a, axis), x, exact=True)
        else:
            pool.apply(f"argsort({{}}, {axis})", lambda m, a: m.argsort(a, axis, kind="stable"), x, exact=True)


def _transpose(pool: _Pool, smooth: bool) -> None:
    x = pool.pick(lambda item: item.value.ndim > 1)
    if x is not None:
        order = tuple(pool.rng.sample(range(x.value.ndim), x.value.ndim))
        pool.apply(f"{{}}.transpose({order})", lambda m, a: a.transpose(order), x, exact=True)


def _bound(rng: Random, n: int) -> int | None:
    return rng.choice([None, rng.randint(-n - 1, n + 1)])


def _slice(pool: _Pool, smooth: bool) -> None:
    """Slices with all signs of bounds and steps, and integers, along any axes."""
    x = pool.pick(lambda item: item.value.ndim > 0)
    if x is None:
        return
    rng, key = pool.rng, []
    for n in x.value.shape:
        kind = rng.choice(["all", "slice", "slice", "integer"])
        if kind == "all" or (kind == "integer" and n == 0):
            key.append(slice(None))
        elif kind == "integer":
            key.append(rng.randrange(-n, n))
        else:
            key.append(slice(_bound(rng, n), _bound(rng, n), rng.choice([None, 1, 2, -1, -2])))
    if rng.random() < 0.25:
        key.insert(rng.randint(0, len(key)), None)
    pool.apply(f"{{}}[{tuple(key)}]", lambda m, a: a[tuple(key)], x, exact=True)


def _concatenate(pool: _Pool, smooth: bool) -> None:
    x = pool.pick(lambda item: item.value.ndim > 0)
    if x is None:
        return
    axis = pool.rng.randrange(x.value.ndim)

    def fits(item: _Item) -> bool:
        return item.value.ndim == x.value.ndim and all(
            n == m for k, (n, m) in enumerate(zip(item.value.shape, x.value.shape, strict=True)) if k != axis
        )

    y = pool.pick(fits)
    pool.apply(
        f"concatenate([{{}}, {{}}], axis={axis})", lambda m, a, b: m.concatenate([a, b], axis=axis), x, y, exact=True
    )


def _roll(pool: _Pool, smooth: bool) -> None:
    x = pool.pick(lambda item: item.value.ndim > 0)
    if x is not None:
        axis, shift = pool.rng.randrange(x.value.ndim), pool.rng.randint(-6, 6)
        pool.apply(f"roll({{}}, {shift}, {axis})", lambda m, a: m.roll(a, shift, axis), x, exact=True)


def _repeat(pool: _Pool, smooth: bool) -> None:
    x = pool.pick(lambda item: item.value.ndim > 0)
    if x is None:
        return
    n, axis = pool.rng.randint(0, 3), pool.rng.randrange(x.value.ndim)
    if pool.rng.random() < 0.5:
        pool.apply(f"repeat({{}}, {n}, {axis})", lambda m, a: m.repeat(a, n, axis), x, exact=True)
    else:
        pool.apply(f"tile({{}}, {n})", lambda m, a: m.tile(a, n), x, exact=True)


def _gather(pool: _Pool, smooth: bool) -> None:
    """Rows by an array of indices: a constant one, or a computed one brought into range."""
    x = pool.pick(lambda item: item.value.ndim > 0 and item.value.shape[0] > 0)
    if x is None:
        return
    n = x.value.shape[0]
    i = pool.pick(lambda item: _is_integer(item) and item.exact and item.value.ndim in (1, 2))
    if i is not None and pool.rng.random() < 0.5:
        pool.apply(f"{{}}[{{}} % {n}]", lambda m, a, b: a[b % n], x, i, exact=True)
        return
    rows = [pool.rng.randrange(-n, n) for _ in range(pool.rng.randint(0, 4))]
    pool.apply(f"{{}}[array({rows})]", lambda m, a: a[np.array(rows, "int64")], x, exact=True)


def _is_factor(item: _Item) -> bool:
    return (_is_float(item) or _is_complex(item)) and item.value.ndim in (1, 2)


def _matmul(pool: _Pool, smooth: bool) -> None:
    x = pool.pick(_is_factor)
    if x is None:
        return

    def fits(item: _Item) -> bool:
        return _is_factor(item) and item.value.shape[0] == x.value.shape[-1]

    y = pool.pick(fits)
    if y is not None:
        pool.apply("{} @ {}", lambda m, a, b: a @ b, x, y)
    else:
        pool.apply("{0} @ {0}.T", lambda m, a: a @ a.T, x)


_OF_COMPLEX = {
    "conj({})": lambda m, x: m.conj(x),
    "real({})": lambda m, x: m.real(x),
    "imag({})": lambda m, x: m.imag(x),
    "exp(1j * real({}))": lambda m, x: m.exp(1j * m.real(x)),
    "sinh({} / 16)": lambda m, x: m.sinh(x / 16),
    "abs({0} * conj({0}) + 1)": lambda m, x: m.abs(x * m.conj(x) + 1),
    "{0} / (2 + {0} * conj({0}))": lambda m, x: x / (2 + x * m.conj(x)),
    "sqrt(3 + {0} * conj({0}) + {0} / 64)": lambda m, x: m.sqrt(3 + x * m.conj(x) + x / 64),
}


def _complex(pool: _Pool, smooth: bool) -> None:
    """Functions of complex numbers, far from branch cuts, and complex numbers of real ones."""
    x = pool.pick(lambda item: _is_complex(item) or _is_float(item))
    if x is None:
        return
    if not _is_complex(x):
        pool.apply("{0} + 1j * {0}", lambda m, a: a + 1j * a, x)
        return
    text = pool.rng.choice(list(_OF_COMPLEX))
    pool.apply(text, _OF_COMPLEX[text], x)


def _reshape(pool: _Pool, smooth: bool) -> None:
    x = pool.pick()
    if x is None:
        return
    ndim = x.value.ndim
    if pool.rng.random() < 0.5:
        pool.apply("{}.reshape(-1)", lambda m, a: a.reshape((-1,)), x, exact=True)
        return
    axis = pool.rng.randint(0, ndim)
    shape = (*x.value.shape[:axis], 1, *x.value.shape[axis:])
    if pool.rng.random() < 0.5 and ndim and x.value.size % 2 == 0:
        shape = pool.rng.choice([(2, x.value.size // 2), (x.value.size // 2, 2)])
    pool.apply(f"{{}}.reshape({shape})", lambda m, a: a.reshape(shape), x, exact=True)


def _astype(pool: _Pool, smooth: bool) -> None:
    x = pool.pick(lambda item: (item.exact or _is_float(item)) and not _is_complex(item))
    if x is not None:
        dtype = pool.rng.choice(["float32", "float64"] if _is_float(x) else ["float64", "int64", "int32"])
        pool.apply(f"{{}}.astype({dtype!r})", lambda m, a: a.astype(dtype), x, exact=dtype != "float32")


STEPS = {
    "unary": _unary,
    "binary": _binary,
    "integer": _integer,
    "compare": _compare,
    "where": _where,
    "reduce": _reduce,
    "position": _position,
    "sort": _sort,
    "transpose": _transpose,
    "slice": _slice,
    "concatenate": _concatenate,
    "roll": _roll,
    "repeat": _repeat,
    "gather": _gather,
    "matmul": _matmul,
    "reshape": _reshape,
    "astype": _astype,
    "complex": _complex,
}


# --- strategies ----------------------------------------------------------------------------------------------------


def array(rng: Random, dtype: str, lengths: Sequence[int]) -> np.ndarray:
    """Small values in at most three axes with lengths among ``lengths`` or 1; sometimes strided."""
    shape = tuple(rng.choice([*lengths, *lengths, 1]) for _ in range(rng.choice([0, 1, 1, 2, 2, 2, 3])))
    low, high = (-3, 3) if dtype in dtypes.INTEGERS else (-2, 2)
    layout, seed = rng.choice(["plain", "plain", "reversed", "stepped", "fortran"]), rng.randrange(2**16)
    if layout == "stepped":
        return random([2 * n for n in shape], dtype, seed, low, high)[(slice(None, None, 2),) * len(shape)]
    values = random(shape, dtype, seed, low, high)
    if layout == "reversed":
        return values[(slice(None, None, -1),) * len(shape)]
    return np.asfortranarray(values) if layout == "fortran" else values


@st.composite
def graphs(
    draw: Any,
    kinds: Sequence[str] = ("float64", "float32", "int64", "int32"),
    max_steps: int = 8,
    smooth: bool = False,
    without: Sequence[str] = (),
) -> Graph:
    """A random graph over one to three inputs of dtypes among ``kinds``, with up to ``max_steps`` operations.

    Broadcasting (size 1 and size 0 included), reductions, transposes, slices, joins, gathers, products, shared
    subexpressions, several outputs.  ``smooth`` leaves out what has kinks; ``without`` names STEPS to leave out.
    Lengths are partly known to the graph and partly not.
    """
    seed = draw(st.integers(0, 2**32 - 1))
    moves = draw(st.lists(st.integers(0, 2**32 - 1), min_size=min(4, max_steps), max_size=max_steps))
    return build(seed, moves, kinds, smooth, without)


def build(
    seed: int, moves: Sequence[int], kinds: Sequence[str], smooth: bool = False, without: Sequence[str] = ()
) -> Graph:
    """The graph of these numbers: ``seed`` for its inputs and outputs, one of ``moves`` for each step."""
    rng = Random(seed)
    pool = _Pool(rng)
    lengths = [rng.choice(LENGTHS) for _ in range(rng.randint(1, 3))]
    for position in range(rng.randint(1, 3)):
        values = array(rng, rng.choice(list(kinds)), lengths)
        shape = [n if rng.random() < 0.4 else None for n in values.shape]
        x = TensorType(values.dtype, shape)(f"x{position}")
        pool.items.append(_Item(x, values, True, x.name))
    inputs = list(pool.items)
    without = without if any(kind in dtypes.COMPLEXES for kind in kinds) else [*without, "complex"]
    names = [name for name in STEPS if name not in without]
    for position, move in enumerate(moves):
        pool.rng = Random(f"{seed}, {position}, {move}")
        STEPS[pool.rng.choice(names)](pool, smooth)
    later = pool.items[len(inputs) :] or pool.items
    chosen = [later[-1], *(rng.choice(later) for _ in range(rng.choice([0, 0, 1, 2])))]
    return Graph(
        [item.symbol for item in inputs],
        [item.symbol for item in chosen],
        [item.value for item in inputs],
        [item.value for item in chosen],
        pool.scale,
        pool.eps,
        [*pool.steps, f"return {', '.join(item.name for item in chosen)}"],
    )


def float_outputs(graph: Graph) -> list[Variable]:
    """The outputs of a graph that can be differentiated."""
    return [out for out in graph.outputs if out.type.dtype in dtypes.FLOATS]
