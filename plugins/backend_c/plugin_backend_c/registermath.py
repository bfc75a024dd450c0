"""exp of a whole register of 512 bits, in C, in place of libmvec's: for GCC and processors that have AVX-512.

Loops are vectorised with calls of libmvec's functions by their names; one of such a name in the same unit goes first.
Errors over a million arguments in units in the last place (tests/test_registermath.py), and time over libmvec's:

    exp  float64  1.1  0.7   libmvec's: 2.9, where results are subnormal
    exp  float32  1.1  0.8              2.5

Method  x = k ln 2 + r with k in steps of 1/n and |r| <= ln(2) / 2n, where n is the number of elements, so that one
        register holds all 2**(j/n) (Tang 1989).  k is rounded by adding a number so large that its last bit counts
        steps, and k ln 2 is subtracted in two parts.  exp(r) = 1 + r (1 + r s(r)), where s interpolates at Chebyshev
        nodes; of exp(r) that leaves 2**-58 and 2**-27.  Scaling by 2**floor(k) rounds subnormal results, and only them,
        and makes of what is out of range infinities and zeros, as C99, annex F, says.
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
_EXP = """\
#if defined(CORE_LIBMVEC) && defined(__has_builtin)
#if __has_builtin($scale) && __has_builtin(__builtin_shuffle)
#define CORE_ALL(value) (($vector){0} + (value))
#define CORE_FMA(a, b, c) $fma(a, b, c, -1, 4)
typedef $real $vector __attribute__((vector_size(64)));
typedef $whole $steps __attribute__((vector_size(64)));
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
}
#undef CORE_ALL
#undef CORE_FMA
#endif
#endif"""


def definitions() -> dict[str, str]:
    """C text by the name of the function in math.h.  It needs the types of fixed width, and nothing else."""
    return {facts["exp"]: _exp(dtype) for dtype, facts in _FACTS.items()}


def _exp(dtype: str) -> str:
    facts = _FACTS[dtype]
    number, kind = facts["f"], "pd" if dtype == "float64" else "ps"
    words = {name: f"__builtin_ia32_{name}{kind}512_mask" for name in ("min", "max")}
    words |= {"scale": f"__builtin_ia32_scalef{kind}512_mask", "fma": f"__builtin_ia32_vfmadd{kind}512_mask"}
    words |= {"powers": ", ".join(value + number for value in _POWERS[dtype].split())}
    first, *others = (f"CORE_ALL({value}{number})" for value in _S[dtype].split())
    steps = [f"    {facts['vector']} s = {first};", *(f"    s = CORE_FMA(s, r, {value});" for value in others)]
    words |= {**facts, "s": "\n".join(steps)}
    return re.sub(r"\$(\w+)", lambda match: words[match[1]], _EXP)
