/* LU of as many matrices as there are lanes. */
#ifndef CORE_LINALG_LU_LANES_LETTER
#define CORE_LINALG_LU_LANES_LETTER

static inline __attribute__((always_inline)) void core_LETTERexchanged(core_LETTERmask mask, core_LETTERlanes *x,
    core_LETTERlanes *y)
{
    const core_LETTERlanes kept = *x;
    *x = core_LETTERchosen(mask, *y, *x);
    *y = core_LETTERchosen(mask, kept, *y);
}

/* U in the upper triangle, and x, of k columns, becomes L^-1 P x; a pivot that is 0 or tiny is noted in ``bad``.
   ``sign``: of the exchanges, which leave the rows behind a pivot in another order than LAPACK's. */
static inline __attribute__((always_inline)) void core_LETTEReliminate(int64_t n, int64_t k, core_LETTERlanes *f,
    core_LETTERlanes *x, core_LETTERlanes *sign, core_LETTERmask *bad)
{
    const core_LETTERlanes zero = {0};
    for (int64_t p = 0; p < n; p++) {
        for (int64_t i = p + 1; i < n; i++) {
            const core_LETTERmask larger =
                (core_LETTERmask)(core_LETTERsizes(f[i * n + p]) > core_LETTERsizes(f[p * n + p]));
            for (int64_t j = p; j < n; j++) core_LETTERexchanged(larger, f + p * n + j, f + i * n + j);
            for (int64_t c = 0; c < k; c++) core_LETTERexchanged(larger, x + p * k + c, x + i * k + c);
            *sign = core_LETTERchosen(larger, -*sign, *sign);
        }
        const core_LETTERlanes pivot = f[p * n + p];
        const core_LETTERmask tiny = (core_LETTERmask)(core_LETTERsizes(pivot) < (REAL)TINY);
        *bad |= tiny;
        const core_LETTERlanes reciprocal = core_LETTERchosen(tiny, zero, (zero + 1) / pivot);
        for (int64_t i = p + 1; i < n; i++) {
            const core_LETTERlanes factor = f[i * n + p] * reciprocal;
            for (int64_t j = p + 1; j < n; j++) f[i * n + j] -= factor * f[p * n + j];
            for (int64_t c = 0; c < k; c++) x[i * k + c] -= factor * x[p * k + c];
        }
    }
}

/* x becomes U^-1 x. */
static inline __attribute__((always_inline)) void core_LETTERsubstitute(int64_t n, int64_t k, const core_LETTERlanes *f,
    core_LETTERlanes *x)
{
    for (int64_t i = n - 1; i >= 0; i--)
        for (int64_t c = 0; c < k; c++) {
            core_LETTERlanes sum = x[i * k + c];
            for (int64_t j = i + 1; j < n; j++) sum -= f[i * n + j] * x[j * k + c];
            x[i * k + c] = sum / f[i * n + i];
        }
}

#endif
