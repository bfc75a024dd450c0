"""CUDA C++ as NVRTC and nvcc take it: a table.  No header is needed, for NVRTC has none."""

from core.ir.clike.cfamily import Dialect
from core.ir.clike.cwork import WorkItems
from core.ir.codes import Combine

LARGEST_BLOCK = 256
PREAMBLE = """\
#ifdef __CUDACC_RTC__
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#else
#include <stdint.h>
#endif
"""

_RESERVED = """alignas alignof and and_eq asm bitand bitor bool catch char16_t char32_t class compl constexpr const_cast
decltype delete dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr operator or
or_eq private protected public reinterpret_cast static_assert static_cast template this thread_local throw true try
typeid typename using virtual wchar_t xor xor_eq
signbit threadIdx blockIdx blockDim gridDim warpSize dim3 cudaStream_t
char2 float2 float4 double2 int2 int4 uint2 uint4 longlong2 ulonglong2""".split()


def _atomic(name: str, dtype: str) -> str:
    """CUDA has 64-bit integers as unsigned long long alone; sums wrap, so the sign does not matter."""
    return (
        f"static __device__ __forceinline__ void core_{name}_{dtype}({dtype}_t *at, {dtype}_t value)\n"
        f"{{ {name}((unsigned long long *)at, (unsigned long long)value); }}"
    )


def _extreme(name: str, sign: str) -> str:
    """The larger or smaller of two, or NaN: one instruction from sm_80 on."""
    return f"""static __device__ __forceinline__ float core_{name}_float32(float a, float b)
{{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    float out;
    asm("{name}.NaN.f32 %0, %1, %2;" : "=f"(out) : "f"(a), "f"(b));
    return out;
#else
    return a != a || a {sign} b ? a : b;
#endif
}}"""


_LARGEST = """\
static __device__ __forceinline__ void core_atomicMax_int64(int64_t *at, int64_t value)
{ atomicMax((long long *)at, (long long)value); }"""


def _half(name: str, takes: str, gives: str, instruction: str, out: str, given: str) -> str:
    """A conversion of float16, which lies in memory as its bits; the shim has functions of its own."""
    return f"""static __device__ __forceinline__ {gives} {name}({takes} x)
{{
#ifdef CORE_HOST_HALVES
    return core_host_{name[5:]}(x);
#else
    {gives} out;
    asm("{instruction} %0, %1;" : "={out}"(out) : "{given}"(x));
    return out;
#endif
}}"""


_HALVES = {
    "core_from_half": _half("core_from_half", "uint16_t", "float", "cvt.f32.f16", "f", "h"),
    "core_to_half_float32": _half("core_to_half_float32", "float", "uint16_t", "cvt.rn.f16.f32", "h", "f"),
    "core_to_half_float64": _half("core_to_half_float64", "double", "uint16_t", "cvt.rn.f16.f64", "h", "d"),
}
_FETCH = """\
static __device__ __forceinline__ void core_fetch(const void *at)
{
#ifdef __CUDA_ARCH__
    asm volatile("prefetch.L2 [%0];" :: "l"(at));
#endif
}"""
_ARRIVE = """\
static __device__ __forceinline__ bool core_is_last(uint32_t *at, uint32_t count)
{
    __shared__ bool last;
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicInc(at, count - 1) == count - 1;
        __threadfence();
    }
    __syncthreads();
    return last;
}"""
LONG_POSITIONS = "#define CORE_LONG_POSITIONS"
_POSITION = """\
#ifdef CORE_LONG_POSITIONS
typedef uint64_t core_position;
#else
typedef uint32_t core_position;
#endif"""
_QUOTIENT = """\
static __device__ __forceinline__ int64_t core_quotient(int64_t position, int64_t n)
{ return (core_position)position / (core_position)n; }"""
_REST = """\
static __device__ __forceinline__ int64_t core_rest(int64_t position, int64_t n)
{ return (core_position)position - (core_position)position / (core_position)n * (core_position)n; }"""
_HELPERS = {
    "core_position": _POSITION,
    "core_quotient": _QUOTIENT,
    "core_rest": _REST,
    "core_is_last": _ARRIVE,
    "core_fetch": _FETCH,
    "core_atomicMax_int64": _LARGEST,
    **{f"core_atomicAdd_{dtype}": _atomic("atomicAdd", dtype) for dtype in ("int64", "uint64")},
    "core_max_float32": _extreme("max", ">"),
    "core_min_float32": _extreme("min", "<"),
}

CUDA = Dialect(
    "cuda",
    types={**Dialect("").types, "float16": "uint16_t"},
    declarations=_HALVES,
    calls={("signbit", "float32"): "signbit", ("signbit", "float64"): "signbit"},
    kernel=f'extern "C" __global__ void __launch_bounds__({LARGEST_BLOCK})',
    runs_programs=True,
    restrict="__restrict__",
    infinity={"float32": "__int_as_float(0x7f800000)", "float64": "__longlong_as_double(0x7ff0000000000000LL)"},
    nan="__longlong_as_double(0x7ff8000000000000LL)",
    preamble=PREAMBLE,
    function="static __device__ __forceinline__",
    looping="static __device__",
    reserved=frozenset(_RESERVED),
    work=WorkItems(
        item="blockIdx.x * (int64_t)blockDim.x + threadIdx.x",
        items="gridDim.x * (int64_t)blockDim.x",
        row="blockIdx.y * (int64_t)blockDim.y + threadIdx.y",
        rows="gridDim.y * (int64_t)blockDim.y",
        lane="threadIdx.x",
        lanes="blockDim.x",
        barrier="__syncthreads();",
        local="__shared__ ",
        local_pointer="",
        largest_group=LARGEST_BLOCK,
        has_full_groups=True,
        shuffle="__shfl_xor_sync(0xffffffffu, {x}, {d})",
        warp=32,
        wide="struct __align__({size_bytes}) {name} {{ {type} at[{width}]; }};",
        atomics={
            **{(Combine.ADD, dtype): "atomicAdd" for dtype in ("float32", "float64", "int32", "uint32")},
            **{(Combine.ADD, dtype): f"core_atomicAdd_{dtype}" for dtype in ("int64", "uint64")},
            (Combine.MAX, "int64"): "core_atomicMax_int64",
        },
        keeps_nan=frozenset({"float32"}),
        arrive="core_is_last({at}, {count})",
        ahead="core_fetch({at});",
        long_positions=LONG_POSITIONS,
        helpers=_HELPERS,
    ),
)
