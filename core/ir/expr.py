"""Scalar expressions: what one element of a tensor is, as a typed, hash-consed tree of index arithmetic and loads.

Equal expressions are one object, so common subexpressions, identical loads and shared exponentials need no search.
Semantics are NumPy's: integers wrap, ``//`` and ``%`` take the sign of the divisor, division of integers by zero is 0,
maximum and minimum pass NaN on.  Nothing here recurses.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core import dtypes
from core.errors import DTypeError
from core.ir.codes import COST_CAP, OWN, PARTS, Code, bounds, own_of_call

INDEX_DTYPE = "int64"


_EMPTY: frozenset[Expr] = frozenset()


class Expr:
    """One node.  Make them with the functions below and with Python's operators; ``==`` is identity.

    ``free`` are the loop variables it depends on, ``cost`` a rough count of operations (shared parts each time).
    """

    __slots__ = ("code", "dtype", "args", "payload", "free", "cost", "marks", "__weakref__")
    __array_ufunc__ = (
        None  # an operator of a NumPy number is ours, and np.exp of an expression is an error that says so
    )

    code: Code
    dtype: str
    args: tuple[Expr, ...]
    payload: Any
    free: frozenset[Expr]
    cost: int
    marks: int

    def __add__(self, other: Any) -> Expr:
        return arith(Code.ADD, self, other)

    def __radd__(self, other: Any) -> Expr:
        return arith(Code.ADD, other, self)

    def __sub__(self, other: Any) -> Expr:
        return arith(Code.SUB, self, other)

    def __rsub__(self, other: Any) -> Expr:
        return arith(Code.SUB, other, self)

    def __mul__(self, other: Any) -> Expr:
        return arith(Code.MUL, self, other)

    def __rmul__(self, other: Any) -> Expr:
        return arith(Code.MUL, other, self)

    def __truediv__(self, other: Any) -> Expr:
        return divide(self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return divide(other, self)

    def __floordiv__(self, other: Any) -> Expr:
        return arith(Code.FLOORDIV, self, other)

    def __rfloordiv__(self, other: Any) -> Expr:
        return arith(Code.FLOORDIV, other, self)

    def __mod__(self, other: Any) -> Expr:
        return arith(Code.MOD, self, other)

    def __rmod__(self, other: Any) -> Expr:
        return arith(Code.MOD, other, self)

    def __pow__(self, other: Any) -> Expr:
        return arith(Code.POW, self, other)

    def __rpow__(self, other: Any) -> Expr:
        return arith(Code.POW, other, self)

    def __and__(self, other: Any) -> Expr:
        return arith(Code.AND, self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Expr:
        return arith(Code.OR, self, other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Expr:
        return arith(Code.XOR, self, other)

    __rxor__ = __xor__

    def __lshift__(self, other: Any) -> Expr:
        return arith(Code.SHL, self, other)

    def __rlshift__(self, other: Any) -> Expr:
        return arith(Code.SHL, other, self)

    def __rshift__(self, other: Any) -> Expr:
        return arith(Code.SHR, self, other)

    def __rrshift__(self, other: Any) -> Expr:
        return arith(Code.SHR, other, self)

    def __neg__(self) -> Expr:
        if self.dtype == INDEX_DTYPE:  # wraps around, so these hold for every value
            if self.code is Code.CONST:
                return const(-self.payload, INDEX_DTYPE)
            if self.code is Code.NEG:
                return self.args[0]
            if self.code is Code.SUB:
                return self.args[1] - self.args[0]
        return make(Code.NEG, self.dtype, (self,))

    def __invert__(self) -> Expr:
        return make(Code.NOT, self.dtype, (self,))

    def __lt__(self, other: Any) -> Expr:
        return compare(Code.LT, self, other)

    def __le__(self, other: Any) -> Expr:
        return compare(Code.LE, self, other)

    def __gt__(self, other: Any) -> Expr:
        return compare(Code.LT, other, self)

    def __ge__(self, other: Any) -> Expr:
        return compare(Code.LE, other, self)

    def __bool__(self) -> bool:
        raise DTypeError(f"{self} is symbolic and has no truth value; use select(condition, a, b)")

    def __float__(self) -> float:
        raise DTypeError(
            f"{self} is symbolic and no number yet; of functions take those of core.tensor, or Call(name, x)"
        )

    def __index__(self) -> int:
        raise DTypeError(f"{self} is symbolic and no number yet; loops over it are k.loop, k.grid and reduce")

    def __apply_op__(self, op: Any, inputs: Sequence[Any]) -> Expr:
        """An elementwise op called on scalar expressions is its scalar rule."""
        if not hasattr(op, "scalar"):
            raise DTypeError(f"{op} is not elementwise, so it cannot be part of a scalar expression")
        return op.scalar(*inputs)

    @property
    def is_const(self) -> bool:
        return self.code is Code.CONST

    def __str__(self) -> str:
        from core.ir.show import show  # few programs are shown

        return show(self)

    __repr__ = __str__


class _Known(weakref.ref):
    """An expression that may be found again as long as somebody holds it."""

    __slots__ = ("key",)
    key: tuple


_interned: dict[tuple, _Known] = {}  # a WeakValueDictionary, which takes three times as long


def _forget(gone: _Known) -> None:
    if _interned.get(gone.key) is gone:
        del _interned[gone.key]


def _new(code: Code, dtype: str, args: tuple[Expr, ...], payload: Any) -> Expr:
    self = object.__new__(Expr)
    self.code, self.dtype, self.args, self.payload = code, dtype, args, payload
    free = _EMPTY
    cost, marks = own_of_call(payload) if code is Code.CALL else OWN[code]
    for arg in args:
        if arg.free is not free and not arg.free <= free:
            free = free | arg.free if free else arg.free
        cost += arg.cost
        marks |= arg.marks
    if code is Code.REDUCE:
        free = free - frozenset(payload[1])
    elif code is Code.INDEX:
        free = frozenset((self,))
    self.free, self.cost, self.marks = free, min(cost, COST_CAP), marks
    return self


def make(code: Code, dtype: str, args: tuple[Expr, ...] = (), payload: Any = None) -> Expr:
    """The one expression with these parts; nothing is simplified or checked."""
    tag: Any = payload
    if code is Code.CONST:  # 1, 1.0 and True are equal in Python, and so are 0.0 and -0.0
        tag = (type(payload), repr(payload))
    key = (code, dtype, args, tag)
    known = _interned.get(key)
    found = known() if known is not None else None
    if found is None:
        found = _new(code, dtype, args, payload)
        mine = _Known(found, _forget)
        mine.key = key
        earlier = _interned.setdefault(key, mine)
        if earlier is not mine:
            quicker = earlier()
            if quicker is not None:  # another thread's, just now
                return quicker
            _interned[key] = mine  # in the place of one that is about to be forgotten
    return found


# --- leaves --------------------------------------------------------------------------------------------------------


_small: dict[int, Expr] = {}  # integers of index arithmetic that are asked for again and again
_SMALL = 1024


def const(value: Any, dtype: str = INDEX_DTYPE) -> Expr:
    """A known value, brought to ``dtype``: integers wrap, floats round."""
    if type(value) is int and 0 <= value < _SMALL and dtype == INDEX_DTYPE:
        found = _small.get(value)
        if found is None:
            found = _small[value] = make(Code.CONST, dtype, (), value)
        return found
    if dtype == "bool":
        value = bool(value)
    elif dtype in dtypes.INTEGERS:
        value = int(value)
        largest, smallest = bounds(dtype)
        if not smallest <= value <= largest:
            value = (value - smallest) % (largest - smallest + 1) + smallest
    elif dtype in dtypes.FLOATS:
        value = float(value) if dtype == "float64" else _rounded(float(value), dtype)
    else:
        value = complex(value)
    return make(Code.CONST, dtype, (), value)


def _rounded(value: float, dtype: str) -> float:
    """The shortest number that stands for the same float32 (so that equal constants are one); float16 exactly."""
    with np.errstate(over="ignore"):
        near = np.dtype(dtype).type(value)
    return float(str(near)) if dtype == "float32" else float(near)


def index(name: str = "i") -> Expr:
    """A fresh loop variable.  ``name`` is for people."""
    return _new(Code.INDEX, INDEX_DTYPE, (), name)


def register(dtype: str, local: Any) -> Expr:
    """What reads ``local``, a scalar in a register: its own one, which is let go with it."""
    return _new(Code.LOCAL, dtype, (), local)


def length(value: Any, axis: int) -> Expr:
    """The run-time length of an axis of ``value``."""
    return make(Code.LENGTH, INDEX_DTYPE, (), (value, axis))


def load(value: Any, at: Sequence[Any], dtype: str) -> Expr:
    """The element of ``value`` at an index, one entry per axis.  Errors: DTypeError for an index that is no integer."""
    places = tuple(as_expr(i) for i in at)
    for i in places:
        if i.dtype not in dtypes.DISCRETE:
            raise DTypeError(f"an index must be an integer, got {i} of dtype {i.dtype}; cast(i, 'int64') makes it one")
    return make(Code.LOAD, dtype, places, value)


def as_expr(x: Any, dtype: str = INDEX_DTYPE) -> Expr:
    """``x`` itself, or a Python number as a constant of ``dtype``."""
    return x if isinstance(x, Expr) else const(x, dtype)


# --- operations ----------------------------------------------------------------------------------------------------

_WEAK = {bool: bool, int: int, float: float, complex: complex}


def _operands(a: Any, b: Any) -> tuple[Expr, Expr, str]:
    """Both operands brought to the dtype that NumPy computes in; a Python number is weak."""
    kinds = [x.dtype if isinstance(x, Expr) else _WEAK.get(type(x)) or _strong(x) for x in (a, b)]
    dtype = kinds[0] if kinds[0] == kinds[1] and isinstance(kinds[0], str) else dtypes.promote(*kinds)
    return _to(a, dtype), _to(b, dtype), dtype


def _strong(x: Any) -> type:
    """The type of a NumPy number.  Errors: DTypeError for what is no number."""
    if not isinstance(x, (np.generic, np.ndarray)) or x.ndim:
        raise DTypeError(f"{x!r} is no number and no expression, so it cannot be part of one")
    return type(x)


def _to(x: Any, dtype: str) -> Expr:
    return cast(x, dtype) if isinstance(x, Expr) else const(x, dtype)


def arith(code: Code, a: Any, b: Any) -> Expr:
    """A binary operation in the promoted dtype.  Index arithmetic is simplified; floating-point never is."""
    if type(a) is type(b) is Expr and a.dtype == b.dtype:
        dtype = a.dtype
    else:
        a, b, dtype = _operands(a, b)
    if dtype == "bool":
        if code in (Code.SUB, Code.FLOORDIV, Code.MOD, Code.POW, Code.SHL, Code.SHR):
            raise DTypeError(f"{code.value!r} is not defined for bool; cast to an integer first")
        code = {Code.ADD: Code.OR, Code.MUL: Code.AND}.get(code, code)
    if dtype == "bool" and code in (Code.AND, Code.OR) and (a.is_const or b.is_const):
        known, other = (a, b) if a.is_const else (b, a)
        return other if known.payload == (code is Code.AND) else known
    if dtype == INDEX_DTYPE:
        simple = _simplify_index(code, a, b)
        if simple is not None:
            return simple
    return make(code, dtype, (a, b))


_FOLD: dict[Code, Callable[[int, int], int]] = {
    Code.ADD: lambda a, b: a + b,
    Code.SUB: lambda a, b: a - b,
    Code.MUL: lambda a, b: a * b,
    Code.FLOORDIV: lambda a, b: a // b if b else 0,
    Code.MOD: lambda a, b: a % b if b else 0,
    Code.MIN: min,
    Code.MAX: max,
}


def _simplify_index(code: Code, a: Expr, b: Expr) -> Expr | None:
    """Integer identities that hold for every value, wrap-around included."""
    left = a.payload if a.code is Code.CONST else None
    right = b.payload if b.code is Code.CONST else None
    if left is not None and right is not None:
        return const(_FOLD[code](left, right)) if code in _FOLD else None
    if code is Code.ADD:
        if left == 0 or right == 0:
            return b if left == 0 else a
        if right is not None and a.code is Code.ADD and a.args[1].is_const:  # (i + 1) + 2 -> i + 3
            return a.args[0] + (a.args[1].payload + right)
        if b.code is Code.NEG:
            return a - b.args[0]
        if b.code is Code.SUB and b.args[1] is a:  # a + (n - a) -> n
            return b.args[0]
        if a.code is Code.SUB and a.args[1] is b:
            return a.args[0]
    elif code is Code.SUB:
        if right == 0:
            return a
        if left == 0:
            return -b
        if a is b:
            return const(0)
        if right is not None:
            return a + (-right)
        if a.code is Code.ADD and b in a.args:  # (i + n) - n -> i
            return a.args[1] if a.args[0] is b else a.args[0]
    elif code is Code.MUL:
        if left == 0 or right == 0:
            return const(0)
        if left == 1 or right == 1:
            return b if left == 1 else a
    elif code in (Code.FLOORDIV, Code.MOD) and left == 0:
        return const(0)
    elif code is Code.FLOORDIV and right == 1:
        return a
    elif code is Code.MOD and right == 1:
        return const(0)
    elif code in (Code.MIN, Code.MAX) and a is b:
        return a
    elif code is Code.MAX and 0 in (left, right):  # lengths are not negative
        other = b if left == 0 else a
        return other if is_length(other) else None
    return None


_FAR = 8  # how deep it is looked for


def is_length(e: Expr, depth: int = 0) -> bool:
    """Whether ``e`` is a length, or what slices leave of one: never negative, and computed without wrapping around."""
    if e.code is Code.LENGTH or e.is_const:
        return not e.is_const or e.payload >= 0
    if depth == _FAR:
        return False
    if e.code is Code.MAX:
        return e.args[1] is const(0)
    if e.code is Code.MIN:
        return all(is_length(arg, depth + 1) for arg in e.args)
    if e.code is not Code.SUB:
        return False
    whole, start = e.args
    place = start.args[0] if start.code is Code.MAX else start  # max(min(i, n), 0) is a place in an axis of length n
    return place.code is Code.MIN and whole in place.args and all(is_length(n, depth + 1) for n in e.args)


def divide(a: Any, b: Any) -> Expr:
    """True division; integers are divided as float64 (as NumPy does, int8 too)."""
    a, b, dtype = _operands(a, b)
    if dtype in dtypes.DISCRETE:
        dtype = "float64"
        a, b = cast(a, dtype), cast(b, dtype)
    return make(Code.DIV, dtype, (a, b))


def compare(code: Code, a: Any, b: Any) -> Expr:
    a, b, dtype = _operands(a, b)
    if dtype == INDEX_DTYPE and a.is_const and b.is_const:
        x, y = a.payload, b.payload
        return const({Code.LT: x < y, Code.LE: x <= y, Code.EQ: x == y, Code.NE: x != y}[code], "bool")
    if dtype == INDEX_DTYPE and code is Code.LT and _never_negative(a) and _never_positive(b):
        return const(False, "bool")
    return make(code, "bool", (a, b))


def _never_negative(n: Expr) -> bool:
    if n.code is Code.MOD:  # it has the sign of the divisor
        return _never_negative(n.args[1])
    return n.code in (Code.INDEX, Code.LENGTH, Code.UNRAVEL) or (n.is_const and n.payload >= 0)


def _never_positive(n: Expr) -> bool:
    return (n.is_const and n.payload <= 0) or (n.code is Code.NEG and _never_negative(n.args[0]))


def _on_tensors(function: str, *operands: Any) -> Any:
    """What ``function`` of a scalar rule is where the rule is run on tensors, to be differentiated; else None."""
    for x in operands:
        if not isinstance(x, (Expr, int, float, complex)) and hasattr(x, "__call_rule__"):
            return x.__call_rule__(function, operands)
    return None


def equal(a: Any, b: Any) -> Expr:
    found = _on_tensors("equal", a, b)
    return compare(Code.EQ, a, b) if found is None else found


def not_equal(a: Any, b: Any) -> Expr:
    found = _on_tensors("not_equal", a, b)
    return compare(Code.NE, a, b) if found is None else found


def maximum(a: Any, b: Any) -> Expr:
    """The larger; NaN if either is."""
    found = _on_tensors("maximum", a, b)
    return arith(Code.MAX, a, b) if found is None else found


def minimum(a: Any, b: Any) -> Expr:
    """The smaller; NaN if either is."""
    found = _on_tensors("minimum", a, b)
    return arith(Code.MIN, a, b) if found is None else found


def cast(x: Expr, dtype: str) -> Expr:
    """C's conversion.  Floats to integers truncate; anything to bool is ``x != 0``."""
    if x.dtype == dtype:
        return x
    if not isinstance(x, Expr):
        return _on_tensors("cast", x, dtype)
    if x.is_const and x.dtype in dtypes.DISCRETE:
        return const(x.payload, dtype)
    return make(Code.CAST, dtype, (x,))


def conditional(code: Code, condition: Any, a: Any, b: Any) -> Expr:
    condition = as_expr(condition, "bool")
    if condition.dtype != "bool":
        condition = cast(condition, "bool")
    a, b, dtype = _operands(a, b)
    if condition.is_const:
        return a if condition.payload else b
    return a if a is b else make(code, dtype, (condition, a, b))


def select(condition: Any, a: Any, b: Any) -> Expr:
    """``a`` where the condition holds, else ``b``; both may be evaluated, so both must be valid everywhere."""
    found = _on_tensors("select", condition, a, b)
    return conditional(Code.SELECT, condition, a, b) if found is None else found


def guarded(condition: Any, a: Any, b: Any) -> Expr:
    """Like select, but ``a`` is read only where the condition holds and ``b`` only elsewhere (padding, joining)."""
    return conditional(Code.GUARDED, condition, a, b)


_BOOLEAN_CALLS = frozenset({"isnan", "isinf", "isfinite", "signbit"})
_REAL_CALLS = frozenset({"cabs", "carg", "creal", "cimag"})  # of a complex number


def Call(function: str, *operands: Any) -> Expr:
    """A function of C99's math.h by name.  Integers are first brought to the float that NumPy would choose.

    On tensors it is the elementwise op of that rule, so a rule written with ``Call`` can be differentiated.
    """
    found = _on_tensors(function, *operands)
    if found is not None:
        return found
    kinds = [dtypes.float_of(x.dtype) if isinstance(x, Expr) else _WEAK[type(x)] for x in operands]
    dtype = dtypes.float_of(dtypes.promote(*kinds))
    out = "bool" if function in _BOOLEAN_CALLS else dtypes.real_of(dtype) if function in _REAL_CALLS else dtype
    return make(Code.CALL, out, tuple(_to(x, dtype) for x in operands), function)


# --- parts of complex numbers --------------------------------------------------------------------------------------


def pair(re: Expr, im: Expr) -> Expr:
    """The complex number with these parts; the parts of one element are that element."""
    parts = tuple(e.payload if e.code is Code.CALL else None for e in (re, im))
    if parts == PARTS and re.args == im.args:
        return re.args[0]
    return make(Code.PAIR, {"float32": "complex64", "float64": "complex128"}[re.dtype], (re, im))


def real_part(x: Expr) -> Expr:
    """That of a PAIR is known; else a CALL of ``creal``."""
    return x.args[0] if x.code is Code.PAIR else make(Code.CALL, dtypes.real_of(x.dtype), (x,), "creal")


def imaginary_part(x: Expr) -> Expr:
    """That of a PAIR is known; else a CALL of ``cimag``."""
    return x.args[1] if x.code is Code.PAIR else make(Code.CALL, dtypes.real_of(x.dtype), (x,), "cimag")
