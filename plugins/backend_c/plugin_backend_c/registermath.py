"""exp and log of a whole register of 512 bits, in C, in place of libmvec's: for GCC and processors that have AVX-512.

Loops are vectorised with calls of libmvec's functions by their names; one of such a name in the same unit goes first.
Errors over a million arguments in units in the last place (tests/test_registermath.py), and time over libmvec's:

    exp  float64  1.1  0.7   libmvec's: 2.9, where results are subnormal
    exp  float32  1.1  0.8              2.5
    log  float64  0.8  0.7              1.6

Method  exp: x = k ln 2 + r with k in steps of 1/n and |r| <= ln(2) / 2n, where n is the number of elements, so that one
        register holds all 2**(j/n) (Tang 1989).  k is rounded by adding a number so large that its last bit counts
        steps, and k ln 2 is subtracted in two parts.  exp(r) = 1 + r (1 + r s(r)), where s interpolates at Chebyshev
        nodes; of exp(r) that leaves 2**-58 and 2**-27.  Scaling by 2**floor(k) rounds subnormal results, and only them,
        and makes of what is out of range infinities and zeros, as C99, annex F, says.
        log: x = 2**k m with 3/4 <= m < 3/2, and m = (1 + r) / c, where the first four bits of m tell c, and r is exact
        but for one rounding.  Two registers hold all c, which are so near to the middles that their logarithms have no
        more than 42 bits behind the point, but for 2**-60, and neither has k times the first part of ln 2, so that
        these sum exactly (Tang 1990).  Around 1, c is 1: nothing cancels there.
"""

from __future__ import annotations

import re

_FACTS = {
    "float64": {
        "exp": "exp",
        "symbol": "_ZGVeN8v_exp",
        "real": "double",
        "whole": "int64_t",
        "vector": "core_double8",
        "steps": "core_int64_8",
        "f": "",
        "magic": "844424930131968.0",  # 1.5 * 2**52 / 8
        "log2e": "1.4426950408889634",
        "ln2_high": "0.693147180369123816490",
        "ln2_low": "1.90821492927058770002e-10",
        "largest": "710.0",
        "smallest": "-746.0",
    },
    "float32": {
        "exp": "expf",
        "symbol": "_ZGVeN16v_expf",
        "real": "float",
        "whole": "int32_t",
        "vector": "core_float16",
        "steps": "core_int32_16",
        "f": "f",
        "magic": "786432.0f",  # 1.5 * 2**23 / 16
        "log2e": "1.44269504f",
        "ln2_high": "0.693145752f",
        "ln2_low": "1.42860677e-6f",
        "largest": "89.0f",
        "smallest": "-104.0f",
    },
}
_POWERS = {  # 2**(j/n)
    "float64": """1.0 1.0905077326652577 1.189207115002721 1.2968395546510096 1.4142135623730951 1.5422108254079407
        1.681792830507429 1.8340080864093424""",
    "float32": """1.0 1.04427373 1.09050775 1.13878858 1.18920708 1.24185777 1.29683959 1.35425556 1.41421354 1.47682619
        1.54221082 1.61049032 1.68179286 1.75625217 1.83400810 1.91520655""",
}
_S = {  # the coefficients of s, highest first
    "float64": """0.00019842045637239258 0.0013889587108239542 0.00833333332787334 0.04166666661752646
        0.16666666666666724 0.5000000000000051""",
    "float32": "0.16666862 0.5000098",
}
_FRAME = """\
#if defined(CORE_LIBMVEC) && defined(__has_builtin)
#if __has_builtin($scale) && __has_builtin(__builtin_shuffle)
#define CORE_REGISTERS
#define CORE_ALL(value) (($vector){0} + (value))
#define CORE_FMA(a, b, c) $fma(a, b, c, -1, 4)
typedef $real $vector __attribute__((vector_size(64)));
typedef $whole $steps __attribute__((vector_size(64)));
$function
#undef CORE_ALL
#undef CORE_FMA
#endif
#endif"""
_EXP = """\
static __attribute__((used)) $vector core_all_$exp($vector x) __asm__("$symbol");
static $vector core_all_$exp($vector x)
{
    const $vector powers = {$powers};
    x = $min(CORE_ALL($largest), x, x, -1, 4); /* of two numbers the second, where one is NaN */
    x = $max(CORE_ALL($smallest), x, x, -1, 4);
    const $vector shifted = CORE_FMA(x, CORE_ALL($log2e), CORE_ALL($magic)), k = shifted - $magic;
    const $vector r = CORE_FMA(k, CORE_ALL(-$ln2_low), CORE_FMA(k, CORE_ALL(-$ln2_high), x));
    const $vector power = __builtin_shuffle(powers, ($steps)shifted);
$s
    const $vector scaled = CORE_FMA(power * r, CORE_FMA(s, r, CORE_ALL(1)), power);
    return $scale(scaled, k, scaled, -1, 4);
}"""

# By the first four bits behind the point of m: 1 + j/16 from 1 on, (1 + j/16) / 2 below
_C = """1.0 0.91428571594706 0.864864863296141 0.8205128217032249 0.780487803461179 0.7441860455540483
    0.7111111111144438 0.6808510625959934 1.3061224489809935 1.2549019607837566 1.2075471698060718
    1.1636363615251446 1.1228070190220014 1.0847457646551668 1.0491803260891293 1.0"""
_LOG_OF_1_OVER_C = """0.0 0.08961215687259028 0.1451820116583349 0.1978257418791145 0.2478361657199457
    0.29546421418058344 0.3409265869659066 0.3844117007224668 -0.2670627852501184
    -0.22705745063490212 -0.18859116980320323 -0.15154989631287208 -0.11583181684159172
    -0.08134564124543431 -0.04800921749006193 0.0"""
# log(1 + r) = r + r**2 s(r)
_LOG_S = """-0.088437987998088 0.11081912861679763 -0.12501839998216407 0.1428579138027727
    -0.16666665870721806 0.1999999995328674 -0.2500000000009317 0.33333333333340287
    -0.49999999999999994"""
_LOG = """\
static __attribute__((used)) $vector core_all_log($vector x) __asm__("_ZGVeN8v_log");
static $vector core_all_log($vector x)
{
    const $vector c_from_1 = {$c_from_1}, c_below_1 = {$c_below_1};
    const $vector log_from_1 = {$log_from_1}, log_below_1 = {$log_below_1};
    const $vector m = $mantissa(x, 11, x, -1, 4); /* in [3/4, 3/2); NaN where x is negative */
    const $vector k = $exponent(x, x, -1, 4) - $exponent(m, m, -1, 4);
    const $steps first = ($steps)m >> 48;
    const $vector r = CORE_FMA(m, __builtin_shuffle(c_from_1, c_below_1, first), CORE_ALL(-1));
    const $vector high = CORE_FMA(k, CORE_ALL($log_ln2_high), __builtin_shuffle(log_from_1, log_below_1, first));
    const $vector sum = high + r;
    const $vector lost = CORE_FMA(k, CORE_ALL($log_ln2_low), (high - sum) + r);
$s
    const $vector rest = CORE_FMA(r * r, s, lost);
    return sum + $min(rest, CORE_ALL(1), x, -1, 4); /* 1 for NaN, which an infinite sum leaves */
}"""


def definitions() -> dict[str, str]:
    """C text by the name of the function in math.h.  It needs the types of fixed width, and nothing else."""
    return {**{facts["exp"]: _exp(dtype) for dtype, facts in _FACTS.items()}, "log": _log()}


def _exp(dtype: str) -> str:
    number = _FACTS[dtype]["f"]
    powers = ", ".join(value + number for value in _POWERS[dtype].split())
    return _filled(dtype, _EXP, {"powers": powers}, _S[dtype])


def _log() -> str:
    words = {"log_ln2_high": "0.6931471805598903", "log_ln2_low": "5.497923018708371e-14"}
    for name, values in (("c", _C.split()), ("log", _LOG_OF_1_OVER_C.split())):
        words |= {f"{name}_from_1": ", ".join(values[:8]), f"{name}_below_1": ", ".join(values[8:])}
    return _filled("float64", _LOG, words, _LOG_S)


def _filled(dtype: str, function: str, words: dict[str, str], coefficients: str) -> str:
    """A function with what it needs around it, and a polynomial ``s`` of ``r``, highest coefficient first."""
    facts = _FACTS[dtype]
    vector, number, kind = facts["vector"], facts["f"], "pd" if dtype == "float64" else "ps"
    first, *others = (f"CORE_ALL({value}{number})" for value in coefficients.split())
    steps = [f"    {vector} s = {first};", *(f"    s = CORE_FMA(s, r, {value});" for value in others)]
    builtins = {
        "fma": "vfmadd",
        "scale": "scalef",
        "mantissa": "getmant",
        "exponent": "getexp",
        "min": "min",
        "max": "max",
    }
    words |= {name: f"__builtin_ia32_{builtin}{kind}512_mask" for name, builtin in builtins.items()}
    words |= {**facts, "s": "\n".join(steps)}
    text = _FRAME.replace("$function", function)
    return re.sub(r"\$(\w+)", lambda match: words[match[1]], text)
