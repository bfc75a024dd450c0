/* gees: both factors, row by row, and how many eigenvalues ``chooses`` chose. */

static int64_t core_LETTERschur_factors(core_LETTERgees gees, int64_t n, const ELEMENT *a, int64_t rows, int64_t columns,
    ELEMENT *t, ELEMENT *z, void *chooses, int64_t *count)
{
    CORE_LETTER_FINITE(1, 0, n, n, a, rows, columns);
    if (count) *count = 0;
    if (!n) return 0;
    ELEMENT *f = core_LETTERscratch(2 * n * n, sizeof(ELEMENT)), *q = f + n * n;
    int chosen = 0;
    if (!f) return CORE_NO_MEMORY;
    core_LETTERcopy(n, n, a, columns, rows, f);
    const int64_t info = core_LETTERschur(gees, n, f, q, chooses, &chosen);
    core_LETTERcopy(n, n, f, 1, n, t);
    core_LETTERcopy(n, n, q, 1, n, z);
    if (count) *count = chosen;
    free(f);
    return info;
}
