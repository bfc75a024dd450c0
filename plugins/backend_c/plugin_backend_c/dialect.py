"""C11 as GCC and Clang take it: a table.  No header is needed, which halves the time that a small unit compiles."""

from core.dataclass import replace
from core.ir.clike.cfamily import Dialect
from plugin_backend_c import halfmath, registermath, vectormath

_UNARY = """exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh
floor ceil trunc rint fabs erf erfc tgamma lgamma""".split()
_BINARY = "pow atan2 fmod hypot copysign nextafter".split()

# Functions of which libmvec has vector versions (glibc 2.22: the first line, 2.35: the second)
VECTOR_UNARY = """exp log sin cos
exp2 expm1 log2 log10 log1p tan asin acos atan sinh cosh tanh asinh acosh atanh cbrt erf erfc""".split()
VECTOR_BINARY = "pow atan2 hypot".split()


def _prototypes(vectors: bool) -> dict[str, str]:
    """A declaration for each function of math.h, by its name; with ``vectors`` as one that has vector versions."""
    lines = {}
    for kind, suffix in (("double", ""), ("float", "f")):
        for name in (*_UNARY, *_BINARY):
            has_vectors = vectors and (name in VECTOR_UNARY or name in VECTOR_BINARY)
            parameters = f"{kind}, {kind}" if name in _BINARY else kind
            lines[f"{name}{suffix}"] = (
                f"{'CORE_VECTOR ' if has_vectors else ''}extern {kind} {name}{suffix}({parameters});"
            )
    return lines


def _with_own_vectors(prototypes: dict[str, str]) -> dict[str, str]:
    """Declarations, of which some are followed by a vector version that comes before the library's."""
    own = registermath.definitions()
    return {name: f"{line}\n{own[name]}" if name in own else line for name, line in prototypes.items()}


PREAMBLE = """\
typedef __INT8_TYPE__ int8_t;
typedef __INT16_TYPE__ int16_t;
typedef __INT32_TYPE__ int32_t;
typedef __INT64_TYPE__ int64_t;
typedef __UINT8_TYPE__ uint8_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __UINT32_TYPE__ uint32_t;
typedef __UINT64_TYPE__ uint64_t;
typedef __SIZE_TYPE__ size_t;
#ifdef CORE_LIBMVEC
#define CORE_VECTOR __attribute__((simd("notinbranch")))
#else
#define CORE_VECTOR
#endif
#if defined(__clang__)
#define CORE_ONCE
#define CORE_LONG __attribute__((noinline, optnone))
#elif defined(__GNUC__)
#define CORE_ONCE __attribute__((optimize("O1")))
#define CORE_LONG __attribute__((optimize("O0")))
#else
#define CORE_ONCE
#define CORE_LONG
#endif
"""

_OWN = {
    **{("signbit", dtype): "__builtin_signbit" for dtype in ("float32", "float64")},
    **{("fmod", dtype): f"core_fmod_{dtype}" for dtype in ("float32", "float64")},
}

C = Dialect(
    "c",
    types={**Dialect("").types, "float16": "uint16_t"},
    calls={**_OWN, **vectormath.BEYOND_LIBMVEC},
    kernel="static __attribute__((noinline)) void",
    shared_kernel='__attribute__((visibility("hidden"))) void',
    entry="CORE_ONCE ",
    op_function="static __attribute__((noinline)) int32_t",
    long_entry="CORE_LONG ",
    simd="#pragma omp simd {clauses}",
    reduction_clause="reduction({sign}:{names})",
    lanes=True,
    infinity={"float32": "__builtin_inff()", "float64": "__builtin_inf()"},
    nan='__builtin_nan("")',
    preamble=PREAMBLE,
    declarations={
        **_with_own_vectors(_prototypes(vectors=True)),
        **vectormath.definitions(),
        **halfmath.DEFINITIONS,
    },
)
# for a compiler or a C library without vector functions
C_WITHOUT_LIBMVEC = replace(C, calls={**_OWN, **vectormath.CALLS})
# each function as math.h has it, one element at a time: with glibc mostly within half a unit in the last place
C_PRECISE = replace(C, calls=_OWN, declarations={**_prototypes(vectors=False), **halfmath.DEFINITIONS})
