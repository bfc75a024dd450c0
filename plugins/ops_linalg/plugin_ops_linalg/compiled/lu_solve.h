/* getrs: a system with LU factors; x holds b, row by row. */

static int64_t core_LETTERlu_solve(core_LETTERtrsm trsm, core_LETTERtrsv trsv, int64_t n, int64_t k, const ELEMENT *f,
    int64_t rows, int64_t columns, const int32_t *pivots, int64_t stride, ELEMENT *x, int trans, int check)
{
    CORE_LETTER_FINITE(check, 0, n, n, f, rows, columns);
    CORE_LETTER_FINITE(check, 2, n, k, x, k, 1);
    const int64_t zero = core_LETTERzero_on_diagonal(n, f, rows + columns);
    if (zero) return zero;
    if (!trans) core_LETTERexchange(n, k, pivots, stride, x, 0);
    for (int step = 0; step < 2; step++) {
        const int lower = step == (trans != 0);
        core_LETTERtriangular_of(trsm, trsv, n, k, f, rows, columns, x, lower, trans, lower);
    }
    if (trans) core_LETTERexchange(n, k, pivots, stride, x, 1);
    return 0;
}
