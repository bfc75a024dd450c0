"""Small C functions that kernels use where C's own operators do not mean what NumPy's do.

Keys are names; a text may only use helpers that stand before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np

from core import dtypes
from core.ir.codes import Combine

_C = {**{name: f"{name}_t" for name in dtypes.INTEGERS}, "float32": "float", "float64": "double", "bool": "uint8_t"}

# how two are taken together, neither of them NaN
COMBINED = {
    Combine.ADD: "{a} + {b}",
    Combine.MUL: "{a} * {b}",
    Combine.MAX: "{a} < {b} ? {b} : {a}",
    Combine.MIN: "{b} < {a} ? {b} : {a}",
    Combine.OR: "{a} | {b}",
    Combine.AND: "{a} & {b}",
}


def _integer(dtype: str) -> dict[str, str]:
    """Division that rounds down and gives 0 for a zero divisor; shifts that push every bit out; whole powers."""
    t, signed = _C[dtype], not dtype.startswith("u")
    bits = 8 * dtypes.size_bytes(dtype)
    overflow = " if (b == -1) return (T)(0 - (uint64_t)a);" if signed else ""
    no_rest = " if (b == -1) return 0;" if signed else ""
    down = "((a % b != 0) && ((a < 0) != (b < 0)))" if signed else "0"
    sign_fill = "(a < 0 ? (T)-1 : (T)0)" if signed else "(T)0"
    texts = {
        "floordiv": f"{{ if (b == 0) return 0;{overflow} return (T)(a / b - {down}); }}",
        "mod": f"{{ if (b == 0) return 0;{no_rest} return (T)(a % b + ({down} ? b : 0)); }}",
        "shl": f"{{ return (uint64_t)b < {bits} ? (T)((uint64_t)a << b) : (T)0; }}",
        "shr": f"{{ return (uint64_t)b < {bits} ? (T)(a >> b) : {sign_fill}; }}",
        "pow": "{ T r = 1; " + ("if (b < 0) return 0; " if signed else "") + "while (b) { if (b & 1) r = (T)(r * a); "
        "b >>= 1; a = (T)(a * a); } return r; }",
    }
    return {
        f"core_{name}_{dtype}": f"static inline {t} core_{name}_{dtype}({t} a, {t} b)\n{body}".replace(
            "(T)", f"({t})"
        ).replace("T r", f"{t} r")
        for name, body in texts.items()
    }


def _floating(dtype: str) -> dict[str, str]:
    """NumPy's npy_divmod for floats, and extremes that keep NaN."""
    t, f = _C[dtype], "f" if dtype == "float32" else ""
    whole = 2.0 ** (22 if dtype == "float32" else 52)  # from here on a rounded quotient may be off by more than one
    texts = {
        # where a product and a sum are one instruction: what is left of a rounded quotient is exact (IEEE 754, 5.3.1)
        "fmod": f"""{{
#ifdef __FMA__
    const {t} x = __builtin_fabs{f}(a), y = __builtin_fabs{f}(b), q = __builtin_trunc{f}(x / y);
    if (q < {whole}{f} && y <= {np.finfo(dtype).max}{f}) {{
        const {t} r = __builtin_fma{f}(-q, y, x);
        return __builtin_copysign{f}(r < 0 ? r + y : r, a);
    }}
#endif
    return fmod{f}(a, b);
}}""",
        "mod": f"""{{
    {t} r = core_fmod_{dtype}(a, b);
    if (b == 0) return r;
    if (r == 0) return copysign{f}(({t})0, b);
    return (b < 0) != (r < 0) ? r + b : r;
}}""",
        "floordiv": f"""{{
    if (b == 0) return a / b;
    {t} r = core_fmod_{dtype}(a, b), q = (a - r) / b;
    if (r != 0 && (b < 0) != (r < 0)) q -= 1;
    if (q == 0) return copysign{f}(({t})0, a / b);
    const {t} whole = floor{f}(q);
    return q - whole > ({t})0.5 ? whole + 1 : whole;
}}""",
        "min": f"{{ const {t} least = a < b ? a : b; return a != a ? a : least; }}",
        "max": f"{{ const {t} most = a > b ? a : b; return a != a ? a : most; }}",
    }
    name = f"core_to_uint64_{dtype}"
    body = "{ return a < 0 ? (uint64_t)(int64_t)a : (uint64_t)a; }"
    return {
        name: f"static inline uint64_t {name}({t} a)\n{body}",
        **{
            f"core_{name}_{dtype}": f"static inline {t} core_{name}_{dtype}({t} a, {t} b)\n{body}"
            for name, body in texts.items()
        },
    }


def fold(combine: Combine, dtype: str, width: int) -> str:
    """The name of the function that takes ``width`` lanes together."""
    return f"core_{combine.value}_of_{width}_{dtype}"


def _folds(dtype: str) -> dict[str, str]:
    """Halves first, so that rounding errors stay small.  Not inline: a compiler would vectorise each copy anew."""
    t, texts = _C[dtype], {}
    for combine, taken in COMBINED.items():
        if combine in (Combine.MIN, Combine.MAX) and dtype in dtypes.FLOATS:
            taken = f"core_{combine.value}_{dtype}({{a}}, {{b}})"
        for width in (8, 16, 32):
            name, half = fold(combine, dtype, width), width // 2
            lines = [f"    {t} h[{half}];"]
            for n in [half >> k for k in range(half.bit_length() - 1)]:
                source = "lanes" if n == half else "h"
                both = taken.format(a=f"{source}[k]", b=f"{source}[k + {n}]")
                lines += ["    #pragma omp simd", f"    for (int k = 0; k < {n}; k++) h[k] = ({t})({both});"]
            lines.append(f"    return ({t})({taken.format(a='h[0]', b='h[1]')});")
            head = f"static __attribute__((noinline)) {t} {name}(const {t} *lanes)"
            texts[name] = "\n".join([head, "{", *lines, "}"])
    return texts


@cache
def helpers_of(dtype: str) -> Mapping[str, str]:
    """Those whose names end in a dtype: they use each other, and none of another's."""
    own = {} if dtype == "bool" else _integer(dtype) if dtype in dtypes.INTEGERS else _floating(dtype)
    return own | _folds(dtype)


def helpers_for(words: Iterable[str]) -> dict[str, str]:
    """All that a text of these words may use.  There are hundreds, of all dtypes, and most texts use none."""
    ends = {word.rpartition("_")[2] for word in words if word.startswith("core_")}
    return {name: text for dtype in _C if dtype in ends for name, text in helpers_of(dtype).items()}
