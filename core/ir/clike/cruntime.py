"""C text that every translation unit starts with: memory, checks of sizes, and how loops are divided for threads.

What ``core_call`` offers is said in cinterface.py.
"""

from __future__ import annotations

from core.ir.cpu.parallel import MOST_CHUNKS
from core.ir.effort import BUSY

HEAD = """\
typedef void (*core_task)(void *arguments, int64_t first, int64_t last, int64_t worker);
typedef struct core_call core_call;
struct core_call {
    void *(*memory)(core_call *, void *block, int64_t size);
    int32_t (*python)(int32_t, void **inputs, const int64_t *lengths, void **outputs, int64_t *output_lengths);
    void (*busy)(core_call *);
    void (*run)(core_task, void *arguments, int64_t n, int64_t chunk, int64_t threads);
    int64_t work, threads;
    void **given;
};
extern void *aligned_alloc(size_t, size_t);
extern void free(void *);

static inline int64_t core_padded(int64_t size)
{
    return (size + 63) / 64 * 64;
}

static void *core_own_memory(core_call *call, void *block, int64_t size)
{
    if (!block)
        return aligned_alloc(64, (size_t)size / 64 * 64 + 64);
    free(block);
    return 0;
}

static inline int core_fits(int64_t itemsize, int ndim, const int64_t *lengths)
{
    double bytes = (double)itemsize; /* exact as far as it matters, and it cannot overflow */
    int64_t empty = 0;
    for (int axis = 0; axis < ndim; axis++) {
        if (lengths[axis] < 0) return 0;
        if (lengths[axis] == 0) empty = 1;
        else bytes *= (double)lengths[axis];
    }
    return bytes <= (double)((int64_t)1 << (empty ? 62 : 48));
}

void core_release(void *memory)
{
    free(memory);
}
"""

THREADS = f"""\
/* From 20 us of work on, others need not wait for this thread, and may help it. */
static inline void core_busy(core_call *call)
{{
    void (*const busy)(core_call *) = call->busy;
    call->busy = 0;
    if (busy) busy(call);
}}

static inline void core_work(core_call *call, int64_t work)
{{
    call->work += work;
    if (call->work >= {BUSY}) core_busy(call);
}}

/* How many of n iterations a chunk has.  Of lengths alone: results must not depend on how many threads there are. */
static inline int64_t core_chunk(int64_t n, int64_t work, int64_t least, int64_t multiple)
{{
    const int64_t enough = least > work && work > 0 ? least / work : 1;
    if (n / 2 < enough) return n > 0 ? n : 1;
    const int64_t length = enough > n / {MOST_CHUNKS} + 1 ? enough : n / {MOST_CHUNKS} + 1;
    return (length + multiple - 1) / multiple * multiple;
}}

static inline int64_t core_chunks(int64_t n, int64_t chunk)
{{
    return n > chunk ? (n - 1) / chunk + 1 : 1;
}}

static inline int64_t core_workers(core_call *call, int64_t n, int64_t chunk)
{{
    if (n <= chunk) return 1;
    core_busy(call);
    return call->threads;
}}

static inline void core_parallel(core_call *call, core_task task, void *arguments, int64_t n, int64_t chunk)
{{
    if (n <= chunk)
        task(arguments, 0, n, 0);
    else if (call->run)
        call->run(task, arguments, n, chunk, call->threads);
    else
        for (int64_t first = 0; first < n; first += chunk)
            task(arguments, first, n - first < chunk ? n : first + chunk, 0);
}}
"""
