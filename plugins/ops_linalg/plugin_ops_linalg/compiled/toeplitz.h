/* Levinson's recursion; x holds b, row by row. */

/* A leading minor that is 0, from 1, or 0. */
static int64_t core_LETTERsolve_toeplitz(int64_t n, int64_t k, const REAL *c, int64_t down, const REAL *r,
    int64_t across, REAL *x, int check)
{
    CORE_LETTER_FINITE(check, 0, n, 1, c, down, 1);
    CORE_LETTER_FINITE(check, 1, n, 1, r, across, 1);
    CORE_LETTER_FINITE(check, 2, n, k, x, k, 1);
    if (!n) return 0;
    if (c[0] == 0) return 1;
    REAL *f = core_LETTERscratch(4 * n + k, sizeof(REAL));  /* t f = e_1 and t g = e_last, of the leading matrices */
    if (!f) return CORE_NO_MEMORY;
    REAL *g = f + n, *below = g + n, *right = below + n, *rest = right + n;
    for (int64_t i = 0; i < n; i++) below[i] = c[i * down], right[i] = r[i * across];
    f[0] = g[0] = 1 / below[0];
    for (int64_t j = 0; j < k; j++) x[j] /= below[0];
    for (int64_t m = 1; m < n; m++) {
        REAL forward = 0, backward = 0;
        for (int64_t j = 0; j < k; j++) rest[j] = x[m * k + j];
        for (int64_t i = 0; i < m; i++) {
            forward += below[m - i] * f[i];
            backward += right[i + 1] * g[i];
            for (int64_t j = 0; j < k; j++) rest[j] -= below[m - i] * x[i * k + j];
        }
        const REAL left = 1 - forward * backward;
        if (left == 0) {
            free(f);
            return m + 1;
        }
        f[m] = 0;
        for (int64_t i = m; i >= 0; i--) {
            const REAL first = f[i], last = i ? g[i - 1] : 0;
            f[i] = (first - forward * last) / left;
            g[i] = (last - backward * first) / left;
        }
        for (int64_t j = 0; j < k; j++) x[m * k + j] = 0;
        for (int64_t i = 0; i <= m; i++)
            for (int64_t j = 0; j < k; j++) x[i * k + j] += rest[j] * g[i];
    }
    free(f);
    return 0;
}
