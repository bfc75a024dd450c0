/* Memory of outputs and temporaries: blocks of the C library, a few of which are kept for the next call.  A fresh large
 * block costs more than most programs: the system hands it out page by page.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { ALIGNMENT = 64, SMALL = 2048, SMALL_DEPTH = 8, LARGE_COUNT = 32 };
static const size_t HUGE_BYTES = (size_t)4 << 20, PAGE = 4096, KEPT_BYTES = (size_t)128 << 20;

typedef struct {
    void *block;
    size_t capacity;
} Kept;

/* Small blocks are for who holds the lock of the interpreter: in a call of 100 ns, one of our own would be felt. */
static void *small_blocks[SMALL / ALIGNMENT + 1][SMALL_DEPTH];
static int small_counts[SMALL / ALIGNMENT + 1];

/* Nobody waits for large ones: who finds them busy asks the C library.  So a fork cannot leave them locked for ever. */
static atomic_flag pool_is_busy = ATOMIC_FLAG_INIT;
static Kept large_blocks[LARGE_COUNT]; /* the oldest first */
static int large_count;
static size_t large_bytes;

static int enter_pool(void)
{
    return !atomic_flag_test_and_set_explicit(&pool_is_busy, memory_order_acquire);
}

static void leave_pool(void)
{
    atomic_flag_clear_explicit(&pool_is_busy, memory_order_release);
}

/* The size of the block that serves ``size`` bytes: a function of the size alone, for NumPy gives back the size. */
static size_t capacity_for(size_t size)
{
    return (size / ALIGNMENT + 1) * ALIGNMENT;
}

static void drop_large(int k)
{
    large_bytes -= large_blocks[k].capacity;
    large_count--;
    memmove(&large_blocks[k], &large_blocks[k + 1], (size_t)(large_count - k) * sizeof(Kept));
}

static void *small_from_pool(size_t capacity)
{
    const size_t class = capacity / ALIGNMENT;
    return small_counts[class] ? small_blocks[class][--small_counts[class]] : NULL;
}

static int small_into_pool(void *block, size_t capacity)
{
    const size_t class = capacity / ALIGNMENT;
    if (small_counts[class] == SMALL_DEPTH)
        return 0;
    small_blocks[class][small_counts[class]++] = block;
    return 1;
}

static void *large_from_pool(size_t capacity)
{
    for (int k = large_count - 1; k >= 0; k--) {
        if (large_blocks[k].capacity == capacity) {
            void *block = large_blocks[k].block;
            drop_large(k);
            return block;
        }
    }
    return NULL;
}

static int large_into_pool(void *block, size_t capacity)
{
    if (capacity > KEPT_BYTES)
        return 0;
    while (large_count == LARGE_COUNT || large_bytes + capacity > KEPT_BYTES) {
        free(large_blocks[0].block);
        drop_large(0);
    }
    large_blocks[large_count++] = (Kept){block, capacity};
    large_bytes += capacity;
    return 1;
}

/* ``locked``: whether the caller holds the lock of the interpreter. */
static void *get_block(size_t size, int locked)
{
    const size_t capacity = capacity_for(size);
    void *block = NULL;
    if (capacity <= SMALL) {
        if (locked)
            block = small_from_pool(capacity);
    } else if (enter_pool()) {
        block = large_from_pool(capacity);
        leave_pool();
    }
    if (block)
        return block;
    block = aligned_alloc(ALIGNMENT, capacity);
#ifdef MADV_HUGEPAGE
    if (block && capacity >= HUGE_BYTES) {
        const size_t offset = PAGE - (uintptr_t)block % PAGE;
        madvise((char *)block + offset, capacity - offset, MADV_HUGEPAGE);
    }
#endif
    return block;
}

static void give_block(void *block, size_t size, int locked)
{
    const size_t capacity = capacity_for(size);
    int kept = 0;
    if ((uintptr_t)block % ALIGNMENT == 0) {
        if (capacity <= SMALL)
            kept = locked && small_into_pool(block, capacity);
        else if (enter_pool()) {
            kept = large_into_pool(block, capacity);
            leave_pool();
        }
    }
    if (!kept)
        free(block);
}

static void release_blocks(int locked)
{
    for (size_t class = 0; locked && class <= SMALL / ALIGNMENT; class++)
        while (small_counts[class])
            free(small_blocks[class][--small_counts[class]]);
    if (enter_pool()) {
        while (large_count) {
            free(large_blocks[0].block);
            drop_large(0);
        }
        leave_pool();
    }
}
