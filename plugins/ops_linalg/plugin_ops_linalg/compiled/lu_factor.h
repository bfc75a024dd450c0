/* getrf: both factors in one matrix, row by row, and the exchanges. */

static int64_t core_LETTERlu_factor(core_LETTERgetrf getrf, int64_t m, int64_t n, const ELEMENT *a, int64_t rows,
    int64_t columns, ELEMENT *out, int32_t *pivots, int check)
{
    CORE_LETTER_FINITE(check, 0, m, n, a, rows, columns);
    const int64_t k = m < n ? m : n;
    if (!k) return 0;
    if (m == n && n <= SMALL) {
        core_LETTERcopy(n, n, a, rows, columns, out);
        core_LETTERlu_small(n, out, pivots);
        return 0;
    }
    const int high = (int)m, wide = (int)n;
    int info = 0;
    ELEMENT *f = core_LETTERscratch(m * n, sizeof(ELEMENT));
    if (!f) return CORE_NO_MEMORY;
    core_LETTERcopy(n, m, a, columns, rows, f);
    getrf(&high, &wide, f, &high, pivots, &info);
    core_LETTERcopy(m, n, f, 1, m, out);
    for (int64_t i = 0; i < k; i++) pivots[i]--;
    free(f);
    return 0;
}
