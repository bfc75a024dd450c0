"""The op suite: small graphs that between them use every family of tensor ops, for whoever writes a backend.

Cases are data.  What a backend is held to at each is in core/testing/backends.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import core.tensor as ct
from core import dtypes
from core.gradient import grad
from core.testing.values import random

FLOATS = ("float32", "float64")
COMPLEXES = ("complex64", "complex128")
INTEGERS = ("int8", "int32", "int64", "uint8", "uint64")


@dataclass(frozen=True)
class OpCase:
    """A function of tensor variables, named as "exp[float32]", and arrays; ``special``: NaN is tried, too."""

    name: str
    function: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    special: bool = False


UNARY = (
    *("negative", "abs", "sign", "square", "sqrt", "cbrt", "reciprocal", "rint", "floor", "ceil", "trunc"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan"),
    *("sinh", "cosh", "tanh", "arcsinh", "arctanh", "isnan", "isinf", "isfinite", "signbit", "logical_not"),
)
BINARY = (
    *("add", "subtract", "multiply", "true_divide", "floor_divide", "mod", "fmod", "copysign", "maximum", "minimum"),
    *("fmax", "fmin", "arctan2", "hypot", "logaddexp", "equal", "not_equal", "less", "less_equal", "greater"),
    *("greater_equal", "logical_and", "logical_or", "logical_xor"),
)
OF_INTEGERS = (
    *("add", "subtract", "multiply", "floor_divide", "mod", "maximum", "minimum", "less", "equal"),
    *("bitwise_and", "bitwise_or", "bitwise_xor"),
)
OF_COMPLEX = (
    *("negative", "abs", "sign", "square", "sqrt", "reciprocal", "conj", "real", "imag", "angle"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan"),
    *("sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "isnan", "isinf", "isfinite", "logical_not"),
)
OF_TWO_COMPLEX = (
    *("add", "subtract", "multiply", "true_divide", "power", "maximum", "minimum", "equal", "not_equal"),
    *("less", "less_equal", "logical_and", "logical_xor"),
)
REDUCTIONS = ("sum", "prod", "max", "min", "mean", "argmax", "argmin", "any", "all")


def op_suite() -> Iterator[OpCase]:
    """Every case, in a fixed order, under names that are unique."""
    yield from _elementwise()
    yield from _reductions()
    yield from _movements()
    yield from _products()
    yield from _complex()
    yield from _halves()
    yield from _derivatives()


def _elementwise() -> Iterator[OpCase]:
    for dtype in FLOATS:
        x, y = random((3, 4), dtype, 1, low=0.1, high=0.9), random(4, dtype, 2, low=0.1, high=0.9)
        for name in UNARY:
            yield OpCase(f"{name}[{dtype}]", getattr(ct, name), (x,), special=True)
        for name in BINARY:
            yield OpCase(f"{name}[{dtype}]", getattr(ct, name), (x, y), special=True)
        yield OpCase(f"power[{dtype}]", ct.power, (x, y))
        yield OpCase(f"where[{dtype}]", lambda a, b: ct.where(a > b, a, b), (x, y), special=True)
        yield OpCase(f"clip[{dtype}]", lambda a: ct.clip(a, 0.2, 0.5), (x,), special=True)
    for dtype in INTEGERS:
        info = np.iinfo(dtype)
        x = np.array([info.min, info.min + 1, 0, 1, 2, 7, info.max - 1, info.max], dtype)[:, None]
        y = np.array([0, 1, 2, 3, info.max], dtype)
        for name in OF_INTEGERS:
            yield OpCase(f"{name}[{dtype}]", getattr(ct, name), (x, y))
    for source in ("bool", "int8", "int64", "float32", "float64"):
        for target in ("bool", "uint8", "int32", "int64", "float32", "float64"):
            x = random((2, 3), source, 3, high=3)
            yield OpCase(f"cast[{source} to {target}]", lambda a, target=target: a.astype(target), (x,))


def _reductions() -> Iterator[OpCase]:
    for dtype in (*FLOATS, "int32"):
        x = random((3, 4, 5), dtype, 4, high=3)
        for name in REDUCTIONS:
            for axis in (None, 0, -1) if name.startswith("arg") else (None, 0, -1, (0, 2)):
                yield OpCase(f"{name}[{dtype}, axis={axis}]", lambda a, f=name, k=axis: getattr(ct, f)(a, axis=k), (x,))
    for dtype in FLOATS:
        x = random((4, 6), dtype, 5)
        for axis in (0, 1):
            yield OpCase(f"cumsum[{dtype}, axis={axis}]", lambda a, k=axis: ct.cumsum(a, axis=k), (x,))
            yield OpCase(f"cumprod[{dtype}, axis={axis}]", lambda a, k=axis: ct.cumprod(a, axis=k), (x,))
            yield OpCase(f"sort[{dtype}, axis={axis}]", lambda a, k=axis: ct.sort(a, axis=k), (x,), special=True)
            yield OpCase(f"argsort[{dtype}, axis={axis}]", lambda a, k=axis: ct.argsort(a, axis=k), (x,), special=True)
            yield OpCase(f"softmax[{dtype}, axis={axis}]", lambda a, k=axis: ct.softmax(a, axis=k), (x,))
            yield OpCase(f"logsumexp[{dtype}, axis={axis}]", lambda a, k=axis: ct.logsumexp(a, axis=k), (x,))


def _movements() -> Iterator[OpCase]:
    for dtype in ("bool", "int32", *FLOATS, *COMPLEXES):
        x, y, i = random((3, 4), dtype, 6, high=3), random((2, 4), dtype, 7, high=3), np.array([2, 0, -1])
        table: dict[str, Callable[..., Any]] = {
            "transpose": lambda a: a.T,
            "reshape": lambda a: a.reshape((2, -1)),
            "slice": lambda a: a[::-1, 1:3],
            "row": lambda a: a[-1],
            "new axis": lambda a: a[:, None],
            "flatten": lambda a: a.flatten(),
        }
        for name, function in table.items():
            yield OpCase(f"{name}[{dtype}]", function, (x,))
        yield OpCase(f"concatenate[{dtype}]", lambda a, b: ct.concatenate([a, b], axis=0), (x, y))
        yield OpCase(f"stack[{dtype}]", lambda a: ct.stack([a, a], axis=1), (x,))
        yield OpCase(f"gather[{dtype}]", lambda a, k: a[k], (x, i))
        yield OpCase(f"set_subtensor[{dtype}]", lambda a, b: ct.set_subtensor(a[:2], b), (x, y))
        if dtype != "bool":
            yield OpCase(f"inc_subtensor[{dtype}]", lambda a, b, k: ct.inc_subtensor(a[k[:2]], b), (x, y, i))
    yield OpCase("arange", lambda n: ct.arange(n), (np.array(5),))
    yield OpCase("zeros", lambda a: ct.zeros_like(a), (random((2, 3)),))
    yield OpCase("eye", lambda a: ct.eye(3) + a, (random((3, 3)),))


def _whole_powers(a: Any) -> Any:
    return a**2 + a**3 - a**-2 + a ** ct.arange(4, dtype=dtypes.real_of(a.dtype))


def _complex() -> Iterator[OpCase]:
    for dtype in COMPLEXES:
        x, y, r = random((3, 4), dtype, 21, -2, 2), random(4, dtype, 22, -2, 2), random(4, dtypes.real_of(dtype), 23)
        for name in OF_COMPLEX:
            yield OpCase(f"{name}[{dtype}]", getattr(ct, name), (x,), special=name not in ("sign", "expm1"))
        for name in OF_TWO_COMPLEX:
            yield OpCase(f"{name}[{dtype}]", getattr(ct, name), (x, y))
        yield OpCase(f"with a real operand[{dtype}]", lambda a, b: a * b + b / a - 2, (x, r))
        yield OpCase(f"whole powers[{dtype}]", _whole_powers, (x,))
        yield OpCase(f"where[{dtype}]", lambda a, b: ct.where(a.real > b.imag, a, b), (x, y))
        for target in ("bool", "float64", "complex64", "complex128"):
            yield OpCase(f"cast[{dtype} to {target}]", lambda a, target=target: ct.cast(a, target), (x,))
        for source in ("bool", "int32", "float32"):
            z = random((2, 3), source, 24, high=3)
            yield OpCase(f"cast[{source} to {dtype}]", lambda a, target=dtype: a.astype(target), (z,))
        for name in ("sum", "prod", "mean", "any", "all", "cumsum", "cumprod"):
            for axis in (0, 1):
                yield OpCase(f"{name}[{dtype}, axis={axis}]", lambda a, f=name, k=axis: getattr(ct, f)(a, axis=k), (x,))
        yield OpCase(f"sum of a product[{dtype}]", lambda a, b: (a * ct.conj(b)).sum(), (x, y))
        yield OpCase(
            f"a sum and what reads it[{dtype}]", lambda a: ct.exp(a) / ct.exp(a).sum(axis=1, keepdims=True), (x,)
        )


def _halves() -> Iterator[OpCase]:
    dtype = "float16"
    x, y, i = random((3, 4), dtype, 25, 0.1, 0.9), random(4, dtype, 26, 0.1, 0.9), np.array([2, 0, -1])
    for name in (
        "negative",
        "abs",
        "sqrt",
        "square",
        "reciprocal",
        "rint",
        "exp",
        "log",
        "sin",
        "tanh",
        "isnan",
        "sign",
    ):
        yield OpCase(f"{name}[{dtype}]", getattr(ct, name), (x,), special=True)
    for name in ("add", "subtract", "multiply", "true_divide", "floor_divide", "mod", "maximum", "minimum", "less"):
        yield OpCase(f"{name}[{dtype}]", getattr(ct, name), (x, y), special=True)
    yield OpCase(f"several operations[{dtype}]", lambda a, b: ct.where(a > b, a * b - a / b, a + b**2), (x, y))
    for target in ("bool", "int32", "float32", "float64", "complex64"):
        yield OpCase(f"cast[{dtype} to {target}]", lambda a, target=target: a.astype(target), (x,))
    for source in ("bool", "int8", "int64", "float32", "float64"):
        z = random((2, 3), source, 27, high=3)
        yield OpCase(f"cast[{source} to {dtype}]", lambda a: a.astype("float16"), (z,))
    for name in ("sum", "mean", "prod", "max", "min", "argmax", "any", "cumsum"):
        for axis in (0, 1):
            yield OpCase(f"{name}[{dtype}, axis={axis}]", lambda a, f=name, k=axis: getattr(ct, f)(a, axis=k), (x,))
    yield OpCase(f"softmax[{dtype}]", lambda a: ct.softmax(a, axis=1), (x,))
    yield OpCase(f"matrix by vector[{dtype}]", ct.matmul, (x, y))
    yield OpCase(f"gather[{dtype}]", lambda a, k: a[k], (x, i))
    yield OpCase(f"inc_subtensor[{dtype}]", lambda a, b, k: ct.inc_subtensor(a[k], b), (x, y, i))
    yield OpCase(f"concatenate[{dtype}]", lambda a: ct.concatenate([a, a[:1]], axis=0), (x,))


def _products() -> Iterator[OpCase]:
    for dtype in (*FLOATS, *COMPLEXES):
        a, b, v = random((3, 4), dtype, 8), random((4, 5), dtype, 9), random(4, dtype, 10)
        stack = random((2, 3, 4), dtype, 11)
        yield OpCase(f"matrix by matrix[{dtype}]", ct.matmul, (a, b))
        yield OpCase(f"matrix by vector[{dtype}]", ct.matmul, (a, v))
        yield OpCase(f"vector by vector[{dtype}]", ct.dot, (v, v))
        yield OpCase(f"stack by matrix[{dtype}]", ct.matmul, (stack, b))
        yield OpCase(f"product and sum[{dtype}]", lambda p, q: ct.exp(p @ q).sum(axis=0), (a, b))


def _derivatives() -> Iterator[OpCase]:
    table: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
        "of a mean of squares": (lambda x: (x * x).mean(), (3, 4)),
        "of softmax": (lambda x: (ct.softmax(x, axis=1)[:, 0]).sum(), (3, 4)),
        "of a running sum": (lambda x: (ct.cumsum(x, axis=0) ** 2).sum(), (3, 4)),
        "of a gather": (lambda x: (x[np.array([0, 2, 0])] ** 2).sum(), (3, 4)),
        "of a product": (lambda x: ct.tanh(x @ x.T).sum(), (3, 4)),
        "of a maximum": (lambda x: x.max(axis=1).sum(), (3, 4)),
    }
    for dtype in FLOATS:
        for name, (function, shape) in table.items():
            yield OpCase(f"gradient {name}[{dtype}]", lambda x, f=function: grad(f(x), x), (random(shape, dtype, 12),))
