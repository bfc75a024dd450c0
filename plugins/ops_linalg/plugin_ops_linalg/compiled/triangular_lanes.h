/* Triangular systems of as many matrices as there are lanes. */
#ifndef CORE_LINALG_TRIANGULAR_LANES_LETTER
#define CORE_LINALG_TRIANGULAR_LANES_LETTER

/* What is read of a, or of its transpose, into f; whether anything else is finite is for ``check``. */
static inline __attribute__((always_inline)) void core_LETTERgathered_triangle(int64_t n, const REAL *a, int64_t rows,
    int64_t columns, int64_t next, core_LETTERlanes *f, int unit, int check, core_LETTERmask *bad)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            f[i * n + j] = core_LETTERgathered(a + i * rows + j * columns, next);
            core_LETTERchecked(f[i * n + j], check, bad);
            if (i == j && !unit) *bad |= (core_LETTERmask)(f[i * n + j] == 0);
        }
}

static inline __attribute__((always_inline)) void core_LETTERtriangular_of_lanes(int64_t n, int64_t k,
    const core_LETTERlanes *f, core_LETTERlanes *x, int lower, int trans, int unit)
{
    const int64_t rows = trans ? 1 : n, columns = trans ? n : 1;
    for (int64_t step = 0; step < n; step++) {
        const int forwards = lower != trans;
        const int64_t i = forwards ? step : n - 1 - step;
        for (int64_t c = 0; c < k; c++) {
            core_LETTERlanes sum = x[i * k + c];
            for (int64_t j = forwards ? 0 : i + 1; j < (forwards ? i : n); j++)
                sum -= f[i * rows + j * columns] * x[j * k + c];
            x[i * k + c] = unit ? sum : sum / f[i * n + i];
        }
    }
}

#endif
