"""Pattern variables that behave like tensors: ``log(1 + X)`` is a pattern.  How patterns match is in core.rewriting."""

from __future__ import annotations

from core import dtypes
from core.graph import Variable
from core.rewriting.pattern import Pattern, declare_commutative
from core.tensor import arithmetic, functions, logic
from core.tensor.methods import install


class TensorPattern(Pattern):
    """A pattern with the operators and methods of tensor variables."""

    __slots__ = ()


install(TensorPattern)

declare_commutative(
    *(arithmetic.add, arithmetic.multiply, arithmetic.maximum, arithmetic.minimum, arithmetic.fmax, arithmetic.fmin),
    *(arithmetic.bitwise_and, arithmetic.bitwise_or, arithmetic.bitwise_xor),
    *(logic.logical_and, logic.logical_or, logic.logical_xor, logic.equal, logic.not_equal),
    *(functions.logaddexp, functions.logaddexp2, functions.hypot),
)


def is_float(x: Variable) -> bool:
    return getattr(x.type, "dtype", None) in dtypes.FLOATS


def is_discrete(x: Variable) -> bool:
    return getattr(x.type, "dtype", None) in dtypes.DISCRETE


def is_real(x: Variable) -> bool:
    """bool, integer or float: where complex arithmetic does not turn inf * 0 into NaN."""
    return is_float(x) or is_discrete(x)


def pattern_variable(name: str) -> TensorPattern:
    """A hole that matches any tensor; a rule gets what it stands for as its argument of this name in lower case."""
    return TensorPattern(name)


X, Y, Z = (pattern_variable(name) for name in "XYZ")
XF, YF, ZF = (hole.such_that(is_float) for hole in (X, Y, Z))
XI, YI = X.such_that(is_discrete), Y.such_that(is_discrete)
XR, YR = X.such_that(is_real), Y.such_that(is_real)
