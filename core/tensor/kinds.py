"""What dtypes a scalar rule accepts and computes in.  The rules themselves are in logic, arithmetic and functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core import dtypes
from core.errors import DTypeError
from core.ir.expr import Expr, const
from core.ir.expr import cast as convert

REALS = (*dtypes.DISCRETE, *dtypes.FLOATS)
NUMBERS = (*dtypes.INTEGERS, *dtypes.CONTINUOUS)


def promoted(*operands: Any) -> str:
    """The dtype in which NumPy computes with ``operands``: expressions, and Python numbers, which are weak."""
    kinds: list[Any] = [x.dtype if isinstance(x, Expr) else type(x) for x in operands]
    return dtypes.promote(*kinds)


def brought(x: Any, dtype: str) -> Expr:
    """``x``, an expression or a Python number, as an expression of ``dtype``."""
    return convert(x, dtype) if isinstance(x, Expr) else const(x, dtype)


def need(accepted: Sequence[str], what: str, who: str, *operands: Any) -> str:
    """The dtype of ``operands``.  Errors: DTypeError, naming ``who`` and ``what`` it needs, if not accepted."""
    dtype = promoted(*operands)
    if dtype not in accepted:
        got = " and ".join(x.dtype if isinstance(x, Expr) else type(x).__name__ for x in operands)
        raise DTypeError(f"{who} needs {what}, got {got}")
    return dtype


def need_reals(who: str, *operands: Any) -> str:
    return need(REALS, "real operands", who, *operands)


def widened(*operands: Any) -> list[Any]:
    """bool operands as int8: NumPy has no bool loop for //, %, **, << and the like, and takes the next one."""
    return [brought(x, "int8") for x in operands] if promoted(*operands) == "bool" else list(operands)


def floated(*operands: Any) -> Any:
    """In the float that NumPy's functions compute in: int8 in float16, int8 with uint16 in float32.

    One expression for one operand, else a list.
    """
    kinds: list[Any] = [dtypes.float_of(x.dtype) if isinstance(x, Expr) else type(x) for x in operands]
    out = [brought(x, dtypes.promote(*kinds)) for x in operands]
    return out[0] if len(out) == 1 else out
