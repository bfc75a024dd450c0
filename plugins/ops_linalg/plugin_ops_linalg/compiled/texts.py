"""C of ours, made from the .h files for each kind of numbers."""

from __future__ import annotations

from pathlib import Path

from plugin_ops_linalg.compiled.library import BASES, ELEMENTS, PARTNERS, lapack

SMALL = 8  # up to this length loops in C serve, and no library is called
_OF_PRECISION = {  # what words in the texts stand for
    "s": {
        "UINT": "uint32_t",
        "EXPONENT": "0x7f800000u",
        "SIGNED": "int32_t",
        "MANTISSA": "23",
        "TINY": "0x1p-126f",
        "EPSILON": "0x1p-23f",
    },
    "d": {
        "UINT": "uint64_t",
        "EXPONENT": "0x7ff0000000000000u",
        "SIGNED": "int64_t",
        "MANTISSA": "52",
        "TINY": "0x1p-1022",
        "EPSILON": "0x1p-52",
    },
}
_MATHS = {
    "ROOT": "sqrt",
    "LOG": "log",
    "MAGNITUDE": "fabs",
    "HYPOT": "hypot",
    "ATAN2": "atan2",
    "COPYSIGN": "copysign",
    "FREXP": "frexp",
    "LDEXP": "ldexp",
}
_HERE = Path(__file__).parent


def _words(letter: str) -> dict[str, str]:
    """What words in the texts stand for, of numbers of that letter.  RWORK and IMAGINARY are arguments, or none."""
    base, is_complex = BASES[letter], letter in "cz"
    words = {name.upper(): lapack(letter, name)[1:] for name in _RENAMED}
    words |= _OF_PRECISION[base]
    words |= {word: f"__builtin_{name}{'f' if base == 's' else ''}" for word, name in _MATHS.items()}
    words |= {"PARTS": "2" if is_complex else "1", "RWORK": "rwork," if is_complex else ""}
    words |= {"IMAGINARY": "CORE_NONE" if is_complex else "CORE_GIVEN", "AS_ELEMENT": "" if is_complex else "__real__"}
    words |= {"TRANSPOSED": '"C"' if is_complex else '"T"', "BASE": base, "PARTNER": PARTNERS[letter]}
    return words | {"ELEMENT": ELEMENTS[letter], "REAL": ELEMENTS[base], "COMPLEX": ELEMENTS[PARTNERS[letter]]}


_RENAMED = ("orglq", "orgqr", "ormqr", "syevd")


def helpers(function: str, *files: str, sized: bool = False, letters: str = "sdcz") -> dict[str, str]:
    """A function of ours for the numbers of ``letters``: its name -> ``files``, and what they share, before it.

    ``sized``: also for each small n, told to the compiler, with that number behind the name.
    """
    out = {}
    for letter in letters:
        made = _made(letter, "complex" if letter in "cz" else "real", "common", *files)
        name = f"core_{letter}{function}"
        out[name] = made
        for n in range(1, SMALL + 1) if sized else ():
            before, after = made.split(f"{name}(")
            arguments, body = after.split("{", 1)
            out[f"{name}_{n}"] = f"{before}{name}_{n}({arguments}{{\n    if (n != {n}) __builtin_unreachable();{body}"
    return out


def _made(letter: str, *files: str) -> str:
    text = "\n".join((_HERE / f"{name}.h").read_text() for name in files)
    text = text.replace("LETTER", letter).replace("SMALL", str(SMALL))
    for word, spelling in _words(letter).items():
        text = text.replace(word, spelling)
    return text


NAN = {f"core_{letter}nan": _made(letter, "nan") for letter in "sd"}


def of_size(function: str, n: str) -> str:
    """The function for that n, where it is known and small; see ``helpers``."""
    return f"{function}_{n}" if n.isdecimal() and 0 < int(n) <= SMALL else function
