/* What CUDA C++ has and C++ has not, for one thread of the host: threads of a block are fibers that change places at
   barriers and at exchanges within a warp.  Atomics need no more than plain operations then.

   Found out, with the line: barriers and exchanges that not all threads reach, or that they reach at different lines.
   Shared memory holds garbage when a block starts.  Between two barriers the threads run forwards or backwards by
   turns, and so do blocks, so that a barrier that is missing shows in the numbers. */

#include <math.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#if defined(__SANITIZE_ADDRESS__)
#define __shared__ static
#else
#define __shared__ static __attribute__((section("core_shared")))
#endif
#define __syncthreads() core_barrier(__LINE__)
#define __syncwarp(...) ((void)core_exchange<int>(__LINE__, 0xffffffffu, 0, core_lane()))
#define __shfl_sync(mask, value, lane) core_exchange(__LINE__, mask, value, (lane) & 31)
#define __shfl_xor_sync(mask, value, other) core_exchange(__LINE__, mask, value, core_lane() ^ (other))
#define __shfl_down_sync(mask, value, delta) core_exchange(__LINE__, mask, value, core_lane() + (delta))
#define __shfl_up_sync(mask, value, delta) core_exchange(__LINE__, mask, value, core_lane() - (int)(delta))

struct uint3 { unsigned x, y, z; };
static uint3 threadIdx, blockIdx, blockDim, gridDim;

#define CORE_VECTOR(name, type, n) struct alignas(sizeof(type) * (n)) name
CORE_VECTOR(char2, signed char, 2) { signed char x, y; };
CORE_VECTOR(float2, float, 2) { float x, y; };
CORE_VECTOR(float4, float, 4) { float x, y, z, w; };
CORE_VECTOR(double2, double, 2) { double x, y; };
CORE_VECTOR(int2, int, 2) { int x, y; };
CORE_VECTOR(int4, int, 4) { int x, y, z, w; };
CORE_VECTOR(uint2, unsigned, 2) { unsigned x, y; };
CORE_VECTOR(uint4, unsigned, 4) { unsigned x, y, z, w; };
CORE_VECTOR(longlong2, long long, 2) { long long x, y; };
CORE_VECTOR(ulonglong2, unsigned long long, 2) { unsigned long long x, y; };

static inline float __int_as_float(int bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline int __float_as_int(float x) { int bits; memcpy(&bits, &x, 4); return bits; }
static inline double __longlong_as_double(long long bits) { double x; memcpy(&x, &bits, 8); return x; }
static inline long long __double_as_longlong(double x) { long long bits; memcpy(&bits, &x, 8); return bits; }
#define CORE_HOST_HALVES
static inline float core_host_from_half(uint16_t h)
{
    const int exponent = h >> 10 & 31, rest = h & 1023;
    float size = exponent ? ldexpf((float)(rest | 1024), exponent - 25) : ldexpf((float)rest, -24);
    if (exponent == 31) size = rest ? NAN : INFINITY;
    return h & 0x8000 ? -size : size;
}
static inline uint16_t core_host_to_half_float64(double x)
{
    const uint16_t sign = __builtin_signbit(x) ? 0x8000 : 0;
    const double size = fabs(x);
    if (size != size) return sign | 0x7e00;
    if (size >= 65520) return sign | 0x7c00;
    const int exponent = size < 0x1p-14 ? -14 : ilogb(size);
    const int units = (int)nearbyint(ldexp(size, 10 - exponent)); /* to even where it is a tie */
    return sign | (uint16_t)(units + ((exponent + 14) << 10));
}
static inline uint16_t core_host_to_half_float32(float x) { return core_host_to_half_float64(x); }
template <class T> static inline T __ldg(const T *at) { return *at; }
template <class T> static inline T __ldcs(const T *at) { return *at; }
template <class T> static inline void __stcs(T *at, T value) { *at = value; }
static inline void __threadfence() {}

/* --- atomics: the types that CUDA has them for ------------------------------------------------------------------- */

#define CORE_ATOMIC(T) \
    static inline T atomicAdd(T *at, T value) { T old = *at; *at = old + value; return old; } \
    static inline T atomicExch(T *at, T value) { T old = *at; *at = value; return old; }
#define CORE_ATOMIC_INTEGER(T) \
    CORE_ATOMIC(T) \
    static inline T atomicCAS(T *at, T test, T value) { T old = *at; if (old == test) *at = value; return old; } \
    static inline T atomicMax(T *at, T value) { T old = *at; if (value > old) *at = value; return old; } \
    static inline T atomicMin(T *at, T value) { T old = *at; if (value < old) *at = value; return old; } \
    static inline T atomicOr(T *at, T value) { T old = *at; *at = old | value; return old; } \
    static inline T atomicAnd(T *at, T value) { T old = *at; *at = old & value; return old; }
CORE_ATOMIC(float)
static inline double atomicAdd(double *at, double value) { double old = *at; *at = old + value; return old; }
CORE_ATOMIC_INTEGER(int)
CORE_ATOMIC_INTEGER(unsigned)
CORE_ATOMIC_INTEGER(unsigned long long)
static inline unsigned atomicInc(unsigned *at, unsigned most) { unsigned old = *at; *at = old >= most ? 0 : old + 1; return old; }
static inline long long atomicMax(long long *at, long long value) { long long old = *at; if (value > old) *at = value; return old; }

/* --- threads ------------------------------------------------------------------------------------------------------ */

enum { CORE_READY, CORE_AT_BARRIER, CORE_AT_EXCHANGE, CORE_DONE };

struct core_fiber {
    ucontext_t context; /* how it starts; a sanitizer wants to see every change, else jumps do, which are quicker */
    jmp_buf at;
    uint3 thread;
    int state, line, exchanges;
    unsigned mask;
    bool started;
    char *stack;
    void *fake_stack;
};

struct core_error { int line, reached, threads; }; /* threads that reached the line, of how many; line 0: no error */

enum { CORE_MOST_THREADS = 1024, CORE_STACK = 1 << 17 };
static core_fiber core_fibers[CORE_MOST_THREADS];
static core_fiber *core_now;
static ucontext_t core_main;
static jmp_buf core_main_at;
static unsigned long long core_slots[CORE_MOST_THREADS][2];
static int core_threads, core_phase, core_launches;
static core_error core_failed;
static void (*core_body)(void **);
static void **core_arguments;
static const char *core_top; /* the stack of a thread that is no fiber begins below it */

/* Is it a variable of the thread that asks, rather than memory?  Stacks grow downwards. */
static __attribute__((noinline, unused)) bool core_on_my_stack(const void *p)
{
    const char *top = core_now ? core_now->stack + CORE_STACK : core_top;
    return (const char *)p >= (const char *)__builtin_frame_address(0) && (const char *)p < top;
}

static inline int core_lane() { return (int)((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) & 31); }

static __attribute__((noinline)) void core_leave(core_fiber *fiber, int state)
{
    fiber->state = state;
#if defined(__SANITIZE_ADDRESS__)
    static const void *bottom;
    static size_t size;
    if (!bottom) bottom = core_main.uc_stack.ss_sp, size = core_main.uc_stack.ss_size;
    __sanitizer_start_switch_fiber(state == CORE_DONE ? nullptr : &fiber->fake_stack, bottom, size);
#endif
#if defined(__SANITIZE_ADDRESS__)
    swapcontext(&fiber->context, &core_main);
    __sanitizer_finish_switch_fiber(fiber->fake_stack, nullptr, nullptr);
#else
    if (!_setjmp(fiber->at)) _longjmp(core_main_at, 1);
#endif
    threadIdx = fiber->thread;
}

static __attribute__((noinline)) void core_barrier(int line)
{
    core_now->line = line;
    core_leave(core_now, CORE_AT_BARRIER);
}

template <class T> static __attribute__((noinline)) T core_exchange(int line, unsigned mask, T value, int lane)
{
    static_assert(sizeof(T) <= 8, "CUDA exchanges 4 or 8 bytes");
    core_fiber *me = core_now;
    int number = (int)(me - core_fibers), first = number & ~31, turn = me->exchanges++ & 1;
    memcpy(&core_slots[number][turn], &value, sizeof(T));
    me->line = line;
    me->mask = mask;
    core_leave(me, CORE_AT_EXCHANGE);
    if (lane < 0 || lane > 31 || first + lane >= core_threads) return value;
    memcpy(&value, &core_slots[first + lane][turn], sizeof(T));
    return value;
}

static void core_start()
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, (const void **)&core_main.uc_stack.ss_sp, &core_main.uc_stack.ss_size);
#endif
    core_body(core_arguments);
    core_leave(core_now, CORE_DONE);
}

static void core_resume(core_fiber *fiber)
{
    core_now = fiber;
    threadIdx = fiber->thread;
#if defined(__SANITIZE_ADDRESS__)
    void *mine;
    __sanitizer_start_switch_fiber(&mine, fiber->stack, CORE_STACK);
#endif
#if defined(__SANITIZE_ADDRESS__)
    swapcontext(&core_main, &fiber->context);
    __sanitizer_finish_switch_fiber(mine, nullptr, nullptr);
#else
    if (_setjmp(core_main_at)) return;
    if (fiber->started) _longjmp(fiber->at, 1);
    fiber->started = true;
    setcontext(&fiber->context);
#endif
}

/* Let the lanes of a warp go on that all wait at one exchange. */
static bool core_release_warps()
{
    bool any = false;
    for (int first = 0; first < core_threads; first += 32) {
        int lanes = core_threads - first < 32 ? core_threads - first : 32;
        for (int k = 0; k < lanes; k++) {
            core_fiber *one = &core_fibers[first + k];
            if (one->state != CORE_AT_EXCHANGE) continue;
            bool all = true;
            for (int j = 0; j < lanes; j++) {
                core_fiber *other = &core_fibers[first + j];
                if ((one->mask >> j & 1) && !(other->state == CORE_AT_EXCHANGE && other->line == one->line && other->mask == one->mask))
                    all = false;
            }
            if (!all) continue;
            for (int j = 0; j < lanes; j++)
                if (one->mask >> j & 1) core_fibers[first + j].state = CORE_READY;
            any = true;
        }
    }
    return any;
}

static void core_diverged()
{
    int line = 0, reached = 0;
    for (int k = 0; k < core_threads && !line; k++)
        if (core_fibers[k].state != CORE_DONE) line = core_fibers[k].line;
    for (int k = 0; k < core_threads; k++)
        reached += core_fibers[k].state != CORE_DONE && core_fibers[k].line == line;
    core_failed = core_error{line, reached, core_threads};
}

static void core_run_block()
{
    for (int k = 0; k < core_threads; k++) {
        core_fiber *fiber = &core_fibers[k];
        unsigned x = blockDim.x, y = blockDim.y;
        fiber->thread = uint3{k % x, k / x % y, k / x / y};
        fiber->state = CORE_READY, fiber->line = 0, fiber->exchanges = 0, fiber->fake_stack = nullptr, fiber->started = false;
        if (!fiber->stack) fiber->stack = new char[CORE_STACK];
        getcontext(&fiber->context);
        fiber->context.uc_stack.ss_sp = fiber->stack;
        fiber->context.uc_stack.ss_size = CORE_STACK;
        fiber->context.uc_link = nullptr;
        makecontext(&fiber->context, core_start, 0);
    }
    for (;; core_phase++) {
        int done = 0, waiting = 0;
        for (int k = 0; k < core_threads; k++) {
            core_fiber *fiber = &core_fibers[core_phase & 1 ? core_threads - 1 - k : k];
            if (fiber->state == CORE_READY) core_resume(fiber);
        }
        for (int k = 0; k < core_threads; k++) {
            done += core_fibers[k].state == CORE_DONE;
            waiting += core_fibers[k].state == CORE_AT_BARRIER && core_fibers[k].line == core_fibers[0].line;
        }
        if (done == core_threads) return;
        if (core_release_warps()) continue;
        if (waiting != core_threads) { core_diverged(); return; }
        for (int k = 0; k < core_threads; k++) core_fibers[k].state = CORE_READY;
    }
}

/* --- launches ----------------------------------------------------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__)
extern "C" char __start_core_shared[] __attribute__((weak)), __stop_core_shared[] __attribute__((weak));
#endif

static void core_spoil_shared()
{
#if !defined(__SANITIZE_ADDRESS__)
    if (__start_core_shared) memset(__start_core_shared, 0xa5, (size_t)(__stop_core_shared - __start_core_shared));
#endif
}

static void core_run_plain_block()
{
    core_now = nullptr;
    for (unsigned z = 0; z < blockDim.z; z++)
        for (unsigned y = 0; y < blockDim.y; y++)
            for (unsigned x = 0; x < blockDim.x; x++) {
                threadIdx = uint3{x, y, z};
                core_body(core_arguments);
            }
}

/* Run a grid; ``fibers`` is 0 for a kernel in which no thread waits for another. */
extern "C" core_error core_launch(void (*body)(void **), const unsigned *grid, const unsigned *block, int fibers, void **arguments)
{
    core_body = body, core_arguments = arguments, core_failed = core_error{0, 0, 0};
    gridDim = uint3{grid[0], grid[1], grid[2]}, blockDim = uint3{block[0], block[1], block[2]};
    core_threads = (int)(block[0] * block[1] * block[2]);
    core_top = (const char *)__builtin_frame_address(0);
    core_launches++;
    unsigned long long blocks = (unsigned long long)grid[0] * grid[1] * grid[2];
    for (unsigned long long k = 0; k < blocks && !core_failed.line; k++) {
        unsigned long long b = core_launches & 1 ? blocks - 1 - k : k;
        blockIdx = uint3{(unsigned)(b % grid[0]), (unsigned)(b / grid[0] % grid[1]), (unsigned)(b / grid[0] / grid[1])};
        core_spoil_shared();
        if (fibers) core_run_block();
        else core_run_plain_block();
    }
    return core_failed;
}

template <class... Types, size_t... Numbers>
static inline void core_apply(void (*kernel)(Types...), void **arguments, std::index_sequence<Numbers...>)
{
    (void)arguments;
    kernel(*(Types *)arguments[Numbers]...);
}

template <class... Types> static inline void core_apply(void (*kernel)(Types...), void **arguments)
{
    core_apply(kernel, arguments, std::index_sequence_for<Types...>{});
}

#define CORE_KERNEL(name, waits) \
    extern "C" { int core_waits_##name = waits; void core_start_##name(void **arguments) { core_apply(name, arguments); } }
