/* potrf: a = L L' in place, row by row.  What lies row by row is the transpose of what LAPACK sees. */

#ifndef CORE_LINALG_CHOLESKY_LETTER
#define CORE_LINALG_CHOLESKY_LETTER

static inline __attribute__((always_inline)) int64_t core_LETTERcholesky_small(int64_t n, ELEMENT *a, int lower)
{
    const int64_t rows = lower ? n : 1, columns = lower ? 1 : n;
    for (int64_t j = 0; j < n; j++) {
        REAL pivot = core_LETTERreal_part(a[j * n + j]);
        for (int64_t k = 0; k < j; k++) {
            const ELEMENT x = a[j * rows + k * columns];
            pivot -= core_LETTERreal_part(core_LETTERtimes(x, core_LETTERconjugate(x)));
        }
        if (!(pivot > 0)) return j + 1;
        pivot = ROOT(pivot);
        a[j * n + j] = pivot;
        for (int64_t i = j + 1; i < n; i++) {
            ELEMENT sum = a[i * rows + j * columns];
            for (int64_t k = 0; k < j; k++) {
                const ELEMENT x = a[i * rows + k * columns], y = a[j * rows + k * columns];
                sum -= core_LETTERtimes(x, core_LETTERconjugate(y));
            }
            a[i * rows + j * columns] = sum / pivot;
            a[j * rows + i * columns] = 0;
        }
    }
    return 0;
}

#endif

static int64_t core_LETTERcholesky(core_LETTERpotrf potrf, int64_t n, ELEMENT *a, int lower, int check)
{
    const int order = (int)n;
    int info = 0;
    CORE_LETTER_FINITE(check, 0, n, n, a, n, 1);
    if (n <= SMALL) return core_LETTERcholesky_small(n, a, lower);
    potrf(lower ? "U" : "L", &order, a, &order, &info);
    if (info) return info;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = lower ? i + 1 : 0; j < (lower ? n : i); j++) a[i * n + j] = 0;
    return 0;
}
