/* Jobs of every size from many threads at once, some inside others; what they add up to is checked. */

#include <stdio.h>
#include <stdlib.h>

#include "pool.h"

typedef struct {
    const double *x;
    double *sums; /* one for each chunk */
    int64_t chunk;
} Sum;

static void add(void *given, int64_t first, int64_t last, int64_t worker)
{
    const Sum *sum = given;
    double total = 0;
    for (int64_t i = first; i < last; i++)
        total += sum->x[i];
    sum->sums[first / sum->chunk] = total;
}

static void add_and_nest(void *given, int64_t first, int64_t last, int64_t worker)
{
    const double ones[20] = {1, 1, 1};
    double sums[4];
    Sum inner = {ones, sums, 5};
    core_pool_run(add, &inner, 20, 5, 3);
    if (sums[0] != 3)
        abort();
    add(given, first, last, worker);
}

static void check(int64_t n, int64_t chunk, int64_t threads, Task task)
{
    const int64_t chunks = (n + chunk - 1) / chunk;
    double *x = malloc((size_t)n * sizeof *x), *sums = calloc((size_t)chunks, sizeof *sums), total = 0;
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)i;
    core_pool_run(task, &(Sum){x, sums, chunk}, n, chunk, threads);
    for (int64_t k = 0; k < chunks; k++)
        total += sums[k];
    if (total != (double)n * (double)(n - 1) / 2)
        abort();
    free(x);
    free(sums);
}

static void *many(void *unused)
{
    for (int64_t k = 0; k < 300; k++)
        check(1000 + 37 * k, 1 + k % 100, 1 + k % 5, k % 3 ? add : add_and_nest);
    return unused;
}

int main(void)
{
    pthread_t threads[4];
    many(NULL);
    for (int k = 0; k < 4; k++)
        if (pthread_create(&threads[k], NULL, many, NULL))
            abort();
    for (int k = 0; k < 4; k++)
        pthread_join(threads[k], NULL);
    return 0;
}
