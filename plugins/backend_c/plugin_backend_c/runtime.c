/* What the launcher brings, for calls without it: memory that is kept for the next call, and the pool of threads.  These
 * calls do not hold the lock of the interpreter.
 */

#include "memory.h"
#include "pool.h"

void *core_memory(void *call, void *block, int64_t size)
{
    if (!block)
        return get_block((size_t)size, 0);
    give_block(block, (size_t)size, 0);
    return NULL;
}

void core_give(void *block, int64_t size)
{
    give_block(block, (size_t)size, 0);
}

void core_release_memory(void)
{
    release_blocks(0);
}
