"""Functions of mathematics as inline C without branches, which compilers vectorise: where libmvec is slow or absent.

Errors over a million arguments in units in the last place (tests/test_vectormath.py), with fused multiplication and
addition; without, about one more:

    tanh  float64  2.6  in place of libmvec's, which has 1.2 and takes 1.6 times as long
    tanh  float32  2.3  without libmvec
    erf   float32  1.3  in place of libmvec's, which takes 1.3 times as long
    exp   float64  1.1  without libmvec
    exp   float32  1.1  without libmvec

NaN, infinities, signed zeros and subnormal numbers come out as C99, annex F, says.

Method  x = k ln 2 + r with |r| <= ln(2) / 2.  k is rounded by adding a number so large that its last bit counts ones,
        and k ln 2 is subtracted in two parts (Cody and Waite 1980, chapter 6); exp(r) - 1 = r + r**2 q(r), where q
        interpolates at Chebyshev nodes, with an error below 2**-59 and 2**-30.  tanh(x) = e / (e + 2), e = exp(2x) - 1.
        erf(x) = x + x p(x**2) up to 0.93, and from there 1 - exp(r(x)): p is closest to erf(x) / x - 1, and r to
        log(erfc(x)), weighted so that the largest error relative to erf(x) is least: 2**-25.7 and 2**-29.2.
"""

from __future__ import annotations

import re

_FACTS = {
    "float64": {
        "dtype": "float64",
        "real": "double",
        "whole": "int64_t",
        "f": "",
        "magic": "6755399441055744.0",  # 1.5 * 2**52
        "log2e": "1.4426950408889634",
        "ln2_high": "0.693147180369123816490",
        "ln2_low": "1.90821492927058770002e-10",
        "mantissa": "52",
        "one": "0x3ff0000000000000LL",
        "largest": "710.0",
        "smallest": "-746.0",
        "flat": "20.0",  # from here on tanh is 1
    },
    "float32": {
        "dtype": "float32",
        "real": "float",
        "whole": "int32_t",
        "f": "f",
        "magic": "12582912.0f",  # 1.5 * 2**23
        "log2e": "1.44269504f",
        "ln2_high": "0.693145752f",
        "ln2_low": "1.42860677e-6f",
        "mantissa": "23",
        "one": "0x3f800000",
        "largest": "89.0f",
        "smallest": "-104.0f",
        "flat": "10.0f",
    },
}
_Q = {  # the coefficients of q, highest first
    "float64": """2.09137038465863e-09 2.5105216092691035e-08 2.755727641100387e-07 2.755725539979839e-06
        2.4801587322949625e-05 0.00019841269874825183 0.0013888888888884618 0.00833333333332613 0.04166666666666667
        0.1666666666666667 0.5""",
    "float32": """0.0001989099082467482 0.001393364999630929 0.0083333109254809 0.041666464925285904
        0.16666666681623232 0.500000001346581""",
}
_TWO_TO = """\
static inline $real core_two_to_$dtype($real shifted)
{
    $whole bits;
    $real power;
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << $mantissa) + $one;
    __builtin_memcpy(&power, &bits, sizeof power);
    return power;
}"""
_SMALL_EXP = """\
static inline $real core_small_exp_$dtype($real r)
{
$q
    return core_fma_$dtype(r * r, q, r);
}"""
_TANH = """\
static inline $real core_tanh_$dtype($real x)
{
    $real t = __builtin_fabs$f(x);
    t = t > $flat ? $flat : t;
    t = t + t;
    const $real shifted = core_fma_$dtype(t, $log2e, $magic), k = shifted - $magic;
    const $real r = core_fma_$dtype(k, -$ln2_low, core_fma_$dtype(k, -$ln2_high, t));
    const $real power = core_two_to_$dtype(shifted);
    const $real e = core_fma_$dtype(power, core_small_exp_$dtype(r), power - 1);
    return __builtin_copysign$f(e / (e + 2), x);
}"""
_EXP = """\
static inline $real core_exp_$dtype($real x)
{
    x = x > $largest ? $largest : x;
    x = x < $smallest ? $smallest : x;
    const $real k = core_fma_$dtype(x, $log2e, $magic) - $magic;
    const $real half = core_fma_$dtype(k, ($real)0.5, $magic), other = (k - (half - $magic)) + $magic;
    const $real r = core_fma_$dtype(k, -$ln2_low, core_fma_$dtype(k, -$ln2_high, x));
    return (core_small_exp_$dtype(r) + 1) * core_two_to_$dtype(half) * core_two_to_$dtype(other);
}"""
_ERF = """\
static inline $real core_erf_$dtype($real x)
{
    const $real s = x * x;
$p
    $real t = __builtin_fabs$f(x);
    t = t > 4 ? 4 : t;
$r
    const $real shifted = core_fma_$dtype(r, $log2e, $magic), k = shifted - $magic;
    const $real rest = core_fma_$dtype(k, -$ln2_low, core_fma_$dtype(k, -$ln2_high, r));
    const $real power = core_two_to_$dtype(shifted);
    const $real far = core_fma_$dtype(-power, core_small_exp_$dtype(rest), 1 - power);
    return t > ($real)0.93 ? __builtin_copysign$f(far, x) : core_fma_$dtype(p, x, x);
}"""
_FUSED = """\
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define core_fma_$dtype(a, b, c) __builtin_fma$f(a, b, c)
#else
#define core_fma_$dtype(a, b, c) ((a) * (b) + (c))
#endif"""
_TEXTS = {"fma": _FUSED, "two_to": _TWO_TO, "small_exp": _SMALL_EXP, "exp": _EXP, "tanh": _TANH}
_P = """-0.0005945232328655619 0.004984262411114476 -0.026760572360965348 0.1128165087638044 -0.37612478083351425
    0.12837914723775792"""
_R = """0.00019593721570144282 -0.0030432171988119313 0.022226919635871353 -0.10393159556076965 -0.6371822486740841
    -1.1276756256087993 -0.00019567578066519064"""

# (function, dtype) -> our name for it: all of them, and those that libmvec has no quicker one for
CALLS = {(name, dtype): f"core_{name}_{dtype}" for name in ("exp", "tanh") for dtype in _FACTS}
CALLS["erf", "float32"] = "core_erf_float32"
BEYOND_LIBMVEC = {key: CALLS[key] for key in (("tanh", "float64"), ("erf", "float32"))}


def definitions() -> dict[str, str]:
    """C text by the name that it defines; a text may only use what stands before it."""
    texts = {}
    for dtype, facts in _FACTS.items():
        q = _polynomial(dtype, "q", "r", _Q[dtype])
        texts |= {f"core_{name}_{dtype}": _filled(text, {**facts, "q": q}) for name, text in _TEXTS.items()}
    p, r = _polynomial("float32", "p", "s", _P), _polynomial("float32", "r", "t", _R)
    return {**texts, "core_erf_float32": _filled(_ERF, {**_FACTS["float32"], "p": p, "r": r})}


def _filled(text: str, words: dict[str, str]) -> str:
    """A text with the word of each ``$name`` in its place."""
    return re.sub(r"\$(\w+)", lambda match: words[match[1]], text)


def _polynomial(dtype: str, name: str, x: str, coefficients: str) -> str:
    """Statements that give ``name`` its value at ``x``; coefficients of the highest power come first."""
    real = _FACTS[dtype]["real"]
    first, *others = (value if real == "double" else f"{float(value):.9g}f" for value in coefficients.split())
    steps = [f"    {real} {name} = {first};"]
    return "\n".join([*steps, *(f"    {name} = core_fma_{dtype}({name}, {x}, {value});" for value in others)])
