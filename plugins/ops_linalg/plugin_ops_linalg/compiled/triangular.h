/* trsm: op(a) x = b for triangular a; x holds b, row by row.  Then x' op(a)' = b', with what LAPACK sees. */
#ifndef CORE_LINALG_TRIANGULAR_LETTER
#define CORE_LINALG_TRIANGULAR_LETTER

static inline __attribute__((always_inline)) void core_LETTERtriangular_small(int64_t n, int64_t k, const ELEMENT *a,
    int64_t rows, int64_t columns, ELEMENT *restrict x, int forwards, int unit)
{
    for (int64_t step = 0; step < n; step++) {
        const int64_t i = forwards ? step : n - 1 - step;
        if (k == 1) {
            ELEMENT sum = x[i];
            for (int64_t j = forwards ? 0 : i + 1; j < (forwards ? i : n); j++) sum -= core_LETTERtimes(a[i * rows + j * columns], x[j]);
            x[i] = unit ? sum : core_LETTERover(sum, a[i * (rows + columns)]);
            continue;
        }
        for (int64_t j = forwards ? 0 : i + 1; j < (forwards ? i : n); j++) {
            const ELEMENT factor = a[i * rows + j * columns];
            for (int64_t c = 0; c < k; c++) x[i * k + c] -= core_LETTERtimes(factor, x[j * k + c]);
        }
        if (!unit)
            for (int64_t c = 0; c < k; c++) x[i * k + c] = core_LETTERover(x[i * k + c], a[i * (rows + columns)]);
    }
}

static inline __attribute__((always_inline)) void core_LETTERtriangular(core_LETTERtrsm trsm, core_LETTERtrsv trsv, int64_t n, int64_t k, const ELEMENT *a,
    int64_t rows, int64_t columns, ELEMENT *x, int lower, int trans, int unit)
{
    if (n <= SMALL) {
        core_LETTERtriangular_small(
            n, k, a, trans ? columns : rows, trans ? rows : columns, x, lower != trans, unit);
        return;
    }
    const int by_columns = columns != 1, order = (int)n, width = (int)k, one_apart = 1;
    const int leading = (int)(by_columns ? columns : rows);
    const ELEMENT one = 1;
    const char *triangle = lower != by_columns ? "U" : "L", *diagonal = unit ? "U" : "N";
    if (k == 1)
        trsv(triangle, trans == by_columns ? "T" : "N", diagonal, &order, a, &leading, x, &one_apart);
    else if (k)
        trsm("R", triangle, trans == by_columns ? "N" : "T", diagonal, &width, &order, &one, a, &leading, x, &width);
}

/* trans: 0, 1 for the transpose, or 2 for the adjoint, of which this is the transpose of the conjugate. */
static inline __attribute__((always_inline)) void core_LETTERtriangular_of(core_LETTERtrsm trsm, core_LETTERtrsv trsv,
    int64_t n, int64_t k, const ELEMENT *a, int64_t rows, int64_t columns, ELEMENT *x, int lower, int trans, int unit)
{
    const int turns = PARTS == 2 && trans == 2;
    if (turns) core_LETTERconjugated(n * k, x);
    core_LETTERtriangular(trsm, trsv, n, k, a, rows, columns, x, lower, trans != 0, unit);
    if (turns) core_LETTERconjugated(n * k, x);
}

#endif
