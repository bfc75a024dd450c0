/* potrs: a system with a Cholesky factor; x holds b, row by row. */

static int64_t core_LETTERsolve_factored(core_LETTERtrsm trsm, core_LETTERtrsv trsv, int64_t n, int64_t k,
    const ELEMENT *a, int64_t rows, int64_t columns, ELEMENT *x, int lower, int check)
{
    CORE_LETTER_FINITE(check, 0, n, n, a, rows, columns);
    CORE_LETTER_FINITE(check, 1, n, k, x, k, 1);
    const int64_t zero = core_LETTERzero_on_diagonal(n, a, rows + columns);
    if (zero) return zero;
    core_LETTERtriangular_of(trsm, trsv, n, k, a, rows, columns, x, lower, lower ? 0 : 2, 0);
    core_LETTERtriangular_of(trsm, trsv, n, k, a, rows, columns, x, lower, lower ? 2 : 0, 0);
    return 0;
}
