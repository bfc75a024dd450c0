"""OpenCL C 1.2: a table.  What a device lacks is taken out of it in device.py."""

from core.ir.clike.cfamily import Dialect
from core.ir.clike.cwork import WorkItems
from core.ir.codes import Combine

_WORDS = "char short int long float double half"
RESERVED = frozenset(
    [
        *(f"{sign}{kind}{n}" for kind in _WORDS.split() for sign in ("", "u") for n in ("", 2, 3, 4, 8, 16)),
        *"""bool event_t sampler_t image1d_t image2d_t image3d_t queue_t pipe uniform read_only write_only read_write
        __kernel __global __local __private __constant intptr_t uintptr_t ptrdiff_t size_t quad complex imaginary
        global_id local_id M_E M_PI HUGE_VAL MAXFLOAT any all select min max clamp mix step sign abs dot cross length
        distance normalize barrier printf vec_step isequal isless isgreater isnan isinf isfinite signbit ordered
        unordered shuffle async_work_group_copy prefetch mad mad24 mul24 mul_hi hadd rhadd rotate clz popcount upsample
        add_sat sub_sat fma fmax fmin fdim fract frexp ilogb ldexp logb maxmag minmag modf nan pown powr remainder
        remquo rootn round rsqrt sincos sinpi cospi tanpi asinpi acospi atanpi degrees radians smoothstep
        atomic_add atomic_cmpxchg atom_add atom_cmpxchg get_global_id get_global_size get_local_id get_local_size
        get_group_id get_num_groups""".split(),
        *(f"{word}{n}" for word in ("vload", "vstore") for n in (2, 3, 4, 8, 16)),
    ]
)

PREAMBLE = """\
typedef char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
typedef uchar uint8_t;
typedef ushort uint16_t;
typedef uint uint32_t;
typedef ulong uint64_t;
#define fmodf fmod
#define floorf floor
#define copysignf copysign
"""


def _added(name: str, kind: str, word: str, compare: str, back: str, forth: str) -> str:
    """An atomic addition by comparing and exchanging; the first look is an exchange too, of 0 for 0."""
    return f"""\
static inline void {name}(volatile __global {kind} *place, {kind} value)
{{
    volatile __global {word} *const bits = (volatile __global {word} *)place;
    {word} old = {compare}(bits, 0, 0), seen;
    while ((seen = {compare}(bits, old, {back}({forth}(old) + value))) != old) old = seen;
}}"""


ATOMICS = {
    (Combine.ADD, "int32"): "core_atomic_add_int32",
    (Combine.ADD, "uint32"): "core_atomic_add_uint32",
    (Combine.ADD, "float32"): "core_atomic_add_float32",
    (Combine.ADD, "int64"): "core_atomic_add_int64",
    (Combine.ADD, "uint64"): "core_atomic_add_uint64",
    (Combine.ADD, "float64"): "core_atomic_add_float64",
    (Combine.MAX, "int64"): "core_atomic_max_int64",
}
NEEDS_64_BITS = frozenset({"int64", "uint64", "float64"})  # cl_khr_int64_base_atomics


def _whole(dtype: str, kind: str, function: str) -> str:
    name = f"core_atomic_add_{dtype}"
    return f"""\
static inline void {name}(volatile __global {kind} *place, {kind} value)
{{
    (void){function}(place, value);
}}"""


LARGEST = """\
static inline void core_atomic_max_int64(volatile __global int64_t *place, int64_t value)
{
    int64_t old = atom_cmpxchg(place, 0L, 0L), seen;
    while (old < value && (seen = atom_cmpxchg(place, old, value)) != old) old = seen;
}"""

HELPERS = {
    "core_atomic_max_int64": LARGEST,
    "core_atomic_add_int32": _whole("int32", "int32_t", "atomic_add"),
    "core_atomic_add_uint32": _whole("uint32", "uint32_t", "atomic_add"),
    "core_atomic_add_int64": _whole("int64", "int64_t", "atom_add"),
    "core_atomic_add_uint64": _whole("uint64", "uint64_t", "atom_add"),
    "core_atomic_add_float32": _added(
        "core_atomic_add_float32", "float", "uint32_t", "atomic_cmpxchg", "as_uint", "as_float"
    ),
    "core_atomic_add_float64": _added(
        "core_atomic_add_float64", "double", "uint64_t", "atom_cmpxchg", "as_ulong", "as_double"
    ),
}

WORK = WorkItems(
    item="get_global_id(0)",
    items="get_global_size(0)",
    row="get_global_id(1)",
    rows="get_global_size(1)",
    lane="get_local_id(0)",
    lanes="get_local_size(0)",
    barrier="barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);",
    local="__local ",
    local_pointer="__local ",
    # PoCL 3.0 compiles a static function with a barrier, called twice in a loop, to code that gives wrong numbers or
    # crashes; the same function without "static" is right (tests/test_pocl.py shows it)
    function="",
    has_addresses=False,
    atomics=ATOMICS,
    helpers=HELPERS,
)

VECTORS = {
    "bool": "uchar",
    "int8": "char",
    "int16": "short",
    "int32": "int",
    "int64": "long",
    "uint8": "uchar",
    "uint16": "ushort",
    "uint32": "uint",
    "uint64": "ulong",
    "float32": "float",
    "float64": "double",
}

# float16 as its bits: loading and storing it needs no extension
HALVES = {
    "core_from_half": """\
static inline float core_from_half(uint16_t h)
{
    return vload_half(0, (const half *)&h);
}""",
    "core_to_half_float32": """\
static inline uint16_t core_to_half_float32(float x)
{
    uint16_t h;
    vstore_half_rte(x, 0, (half *)&h);
    return h;
}""",
    "core_to_half_float64": """\
static inline uint16_t core_to_half_float64(double x)
{
    uint16_t h;
    vstore_half_rte(x, 0, (half *)&h);
    return h;
}""",
}

OPENCL = Dialect(
    "opencl",
    types={**Dialect("").types, "float16": "uint16_t"},
    declarations=HALVES,
    kernel="__kernel void",
    runs_programs=True,
    pointer="__global ",
    float_suffix="",
    long_suffix="L",
    preamble=PREAMBLE,
    # inlined into every lane of a work-group, a draw by rejection takes PoCL 20 s to compile
    looping="static __attribute__((noinline))",
    reserved=RESERVED,
    work=WORK,
)
