/* Levinson's recursion; x holds b, row by row. */

/* A leading minor that is 0, from 1, or 0. */
static int64_t core_LETTERsolve_toeplitz(int64_t n, int64_t k, const ELEMENT *c, int64_t down, const ELEMENT *r,
    int64_t across, ELEMENT *x, int check)
{
    CORE_LETTER_FINITE(check, 0, n, 1, c, down, 1);
    CORE_LETTER_FINITE(check, 1, n, 1, r, across, 1);
    CORE_LETTER_FINITE(check, 2, n, k, x, k, 1);
    if (!n) return 0;
    if (c[0] == 0) return 1;
    ELEMENT *f = core_LETTERscratch(4 * n + k, sizeof(ELEMENT));  /* t f = e_1 and t g = e_last, of the leading matrices */
    if (!f) return CORE_NO_MEMORY;
    ELEMENT *g = f + n, *below = g + n, *right = below + n, *rest = right + n;
    for (int64_t i = 0; i < n; i++) below[i] = c[i * down], right[i] = r[i * across];
    f[0] = g[0] = core_LETTERover(1, below[0]);
    for (int64_t j = 0; j < k; j++) x[j] = core_LETTERover(x[j], below[0]);
    for (int64_t m = 1; m < n; m++) {
        ELEMENT forward = 0, backward = 0;
        for (int64_t j = 0; j < k; j++) rest[j] = x[m * k + j];
        for (int64_t i = 0; i < m; i++) {
            forward += core_LETTERtimes(below[m - i], f[i]);
            backward += core_LETTERtimes(right[i + 1], g[i]);
            for (int64_t j = 0; j < k; j++) rest[j] -= core_LETTERtimes(below[m - i], x[i * k + j]);
        }
        const ELEMENT left = 1 - core_LETTERtimes(forward, backward);
        if (left == 0) {
            free(f);
            return m + 1;
        }
        f[m] = 0;
        for (int64_t i = m; i >= 0; i--) {
            const ELEMENT first = f[i], last = i ? g[i - 1] : 0;
            f[i] = core_LETTERover(first - core_LETTERtimes(forward, last), left);
            g[i] = core_LETTERover(last - core_LETTERtimes(backward, first), left);
        }
        for (int64_t j = 0; j < k; j++) x[m * k + j] = 0;
        for (int64_t i = 0; i <= m; i++)
            for (int64_t j = 0; j < k; j++) x[i * k + j] += core_LETTERtimes(rest[j], g[i]);
    }
    free(f);
    return 0;
}
