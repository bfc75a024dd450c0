/* LU with row exchanges: of a matrix up to SMALL by SMALL in loops, row by row, of others by getrf. */
#ifndef CORE_LINALG_LU_LETTER
#define CORE_LINALG_LU_LETTER

/* In place; row i was exchanged with row pivots[i].  The first pivot that is 0, from 1, or 0: all others are found too. */
static inline __attribute__((always_inline)) int64_t core_LETTERlu_small(int64_t n, ELEMENT *a, int32_t *pivots)
{
    int64_t zero = 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t best = k;
        for (int64_t i = k + 1; i < n; i++)
            if (core_LETTERone_norm(a[i * n + k]) > core_LETTERone_norm(a[best * n + k])) best = i;
        pivots[k] = (int32_t)best;
        if (a[best * n + k] == 0) {
            if (!zero) zero = k + 1;
            continue;
        }
        if (best != k)
            for (int64_t j = 0; j < n; j++) {
                const ELEMENT other = a[k * n + j];
                a[k * n + j] = a[best * n + j], a[best * n + j] = other;
            }
        const ELEMENT pivot = a[k * n + k], reciprocal = core_LETTERover(1, pivot);
        const int exact = core_LETTERone_norm(pivot) < TINY;  /* whose reciprocal may overflow */
        for (int64_t i = k + 1; i < n; i++) {
            const ELEMENT factor = a[i * n + k] = exact ? core_LETTERover(a[i * n + k], pivot)
                                                         : core_LETTERtimes(a[i * n + k], reciprocal);
            for (int64_t j = k + 1; j < n; j++) a[i * n + j] -= core_LETTERtimes(factor, a[k * n + j]);
        }
    }
    return zero;
}

/* x with l u x = b, where x holds the rows of b after the exchanges. */
static inline __attribute__((always_inline)) void core_LETTERlu_substitute(int64_t n, int64_t k, const ELEMENT *f,
    ELEMENT *restrict x)
{
    if (k == 1) {
        for (int64_t i = 1; i < n; i++)
            for (int64_t j = 0; j < i; j++) x[i] -= core_LETTERtimes(f[i * n + j], x[j]);
        for (int64_t i = n - 1; i >= 0; i--) {
            for (int64_t j = i + 1; j < n; j++) x[i] -= core_LETTERtimes(f[i * n + j], x[j]);
            x[i] = core_LETTERover(x[i], f[i * n + i]);
        }
        return;
    }
    for (int64_t i = 1; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            for (int64_t c = 0; c < k; c++) x[i * k + c] -= core_LETTERtimes(f[i * n + j], x[j * k + c]);
    for (int64_t i = n - 1; i >= 0; i--) {
        for (int64_t j = i + 1; j < n; j++)
            for (int64_t c = 0; c < k; c++) x[i * k + c] -= core_LETTERtimes(f[i * n + j], x[j * k + c]);
        for (int64_t c = 0; c < k; c++) x[i * k + c] = core_LETTERover(x[i * k + c], f[i * n + i]);
    }
}

/* The exchanges of the rows of x, in their order or in the other. */
static inline void core_LETTERexchange(int64_t n, int64_t k, const int32_t *pivots, int64_t stride, ELEMENT *x, int back)
{
    for (int64_t step = 0; step < n; step++) {
        const int64_t i = back ? n - 1 - step : step, other = pivots[i * stride];
        if (other == i || other < 0 || other >= n) continue;
        for (int64_t c = 0; c < k; c++) {
            const ELEMENT kept = x[i * k + c];
            x[i * k + c] = x[other * k + c], x[other * k + c] = kept;
        }
    }
}

#endif
